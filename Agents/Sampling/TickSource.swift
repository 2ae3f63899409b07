public import BongsuModel

/// A tick for which a row is to be taken.
public struct SampleStamp: Hashable, Sendable, BitwiseCopyable {
  /// The label of the row.
  public var tick: Tick
  /// `CLOCK_BOOTTIME` at the tick's instant, milliseconds.
  public var boottimeMilliseconds: Int64
  /// Whatever the tick source wants back with the row; of no meaning to sampling.
  public var flags: UInt8

  public init(tick: Tick, boottimeMilliseconds: Int64, flags: UInt8 = 0) {
    self.tick = tick
    self.boottimeMilliseconds = boottimeMilliseconds
    self.flags = flags
  }
}

/// What the kernel's clocks show at one instant.
public struct ClockInstant: Hashable, Sendable, BitwiseCopyable {
  /// `CLOCK_REALTIME`, nanoseconds since 1970; may step.
  public var wallNanoseconds: Int64
  /// `CLOCK_BOOTTIME`, nanoseconds since boot; never steps.
  public var boottimeNanoseconds: Int64

  public init(wallNanoseconds: Int64, boottimeNanoseconds: Int64) {
    self.wallNanoseconds = wallNanoseconds
    self.boottimeNanoseconds = boottimeNanoseconds
  }

  /// Both clocks now.
  public static var now: ClockInstant {
    ClockInstant(wallNanoseconds: SystemClock.wall(), boottimeNanoseconds: SystemClock.boottime())
  }
}

/// Decides when rows are taken and which tick each is: the clock of the agent's session, which knows the true time.
///
/// - Thread rule: called from the sampler's thread, one call at a time.
public protocol TickSource: AnyObject, Sendable {
  /// The tick to take now, `nil` when none is due. Gives each tick once, and never one before an earlier one.
  func dueTick(at instant: ClockInstant) -> SampleStamp?

  /// How long until the next tick is due by the clocks as they are. The sampler asks again at least once in every
  /// interval, so a step of a clock is noticed.
  func nanosecondsToNextTick(at instant: ClockInstant) -> Int64
}

/// Ticks by the wall clock alone, for programs without a session such as a single reading on a terminal. After a step
/// backwards there is no tick until the wall clock has caught up.
public final class WallTickSource: TickSource {
  private let interval: TickInterval
  private let last = Guarded<Tick?>(nil)

  /// Whole multiples of `interval`.
  public init(interval: TickInterval) {
    self.interval = interval
  }

  public func dueTick(at instant: ClockInstant) -> SampleStamp? {
    let tick = Tick(notAfter: instant.wallNanoseconds, interval: interval)
    return last.withLock { last in
      // A row describes the whole interval before its tick, so the first one is still to come.
      guard let before = last, tick > before else {
        if last == nil { last = tick }
        return nil
      }
      last = tick
      let late = instant.wallNanoseconds - tick.unixNanoseconds
      return SampleStamp(tick: tick, boottimeMilliseconds: (instant.boottimeNanoseconds - late) / 1_000_000)
    }
  }

  public func nanosecondsToNextTick(at instant: ClockInstant) -> Int64 {
    let tick = Tick(notAfter: instant.wallNanoseconds, interval: interval)
    let next = max(tick, last.withLock { $0 } ?? tick).advanced(by: 1, of: interval)
    return next.unixNanoseconds - instant.wallNanoseconds
  }
}
