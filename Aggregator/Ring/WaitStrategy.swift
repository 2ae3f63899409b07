/// How long a waiting end stays on its core before it sleeps: spin, then yield, then park in the kernel.
public struct WaitStrategy: Sendable, Hashable {
  /// Looks with only a pause instruction between them, some 40 ns each.
  public var spins: Int
  /// Looks with `sched_yield` between them; lets the other end run when both share a core.
  public var yields: Int

  /// - Precondition: neither is negative. Both 0: it sleeps after one look.
  public init(spins: Int, yields: Int) {
    precondition(spins >= 0 && yields >= 0, "spins and yields count looks, got \(spins) and \(yields)")
    self.spins = spins
    self.yields = yields
  }

  /// A few microseconds awake: long enough to catch a stream in motion, short enough to cost nothing when idle.
  public static let standard = WaitStrategy(spins: 64, yields: 4)
  /// Sleeps after one look: for threads with other work in the process, and for tests of the parking itself.
  public static let parkAtOnce = WaitStrategy(spins: 0, yields: 0)
}

/// What a wait ended with.
public enum Availability: Sendable, Hashable {
  /// At least one element (for a consumer) or one free slot (for a producer) is there.
  case ready
  /// Never again: every producer closed and all was taken, or the consumer is gone.
  case ended
  /// The timeout passed first.
  case timedOut
}

/// Which ends of a ring can also wait in `poll` beside sockets; each costs one descriptor.
public struct WakeDescriptors: OptionSet, Sendable {
  public let rawValue: Int

  public init(rawValue: Int) {
    self.rawValue = rawValue
  }

  /// The consumer's: readable when elements arrived after it was armed.
  public static let data = WakeDescriptors(rawValue: 1)
  /// Each producer's: readable when slots became free after it was armed.
  public static let space = WakeDescriptors(rawValue: 2)
}
