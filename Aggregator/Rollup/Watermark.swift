public import BongsuModel

/// Decides when a tick is closed: when every live member has delivered it, or ``Limits/quorumWaitMilliseconds`` after
/// ``Limits/quorumPermille`` of them have, at the latest one interval after the tick.
///
/// Waiting longer would delay every alarm for one dead agent; waiting less would count agents as missing that are merely
/// at the end of their sending slot. A plain value: time comes in with each question.
public struct Watermark: Hashable, Sendable {
  /// The tick that is waited for.
  public private(set) var tick: Tick
  /// Members that were live when the wait began.
  public private(set) var liveMembers = 0
  /// Those of them that have not delivered yet.
  public private(set) var pendingMembers = 0

  private let intervalMilliseconds: Int64
  /// When the quorum was reached.
  private var quorumSince: Int64?

  /// Waits for `tick` first; `interval` is the distance to the following ones.
  public init(first tick: Tick, interval: TickInterval) {
    self.tick = tick
    intervalMilliseconds = Int64(interval.milliseconds)
  }

  /// Begins to wait for `tick`, which `pending` of `live` members still owe.
  mutating func await(_ tick: Tick, live: Int, pending: Int) {
    self.tick = tick
    liveMembers = live
    pendingMembers = pending
    quorumSince = nil
  }

  /// One more live member has delivered.
  mutating func delivered() {
    pendingMembers &-= 1
  }

  /// One more member is live and owes the tick, or has delivered it as its first.
  mutating func joined(isPending: Bool) {
    liveMembers &+= 1
    pendingMembers &+= isPending ? 1 : 0
  }

  /// Whether the tick can be closed when the server's clock shows `now`. Call it after all rows that have arrived were
  /// added: a server that was held up must not take its own delay for missing agents.
  public mutating func isClosable(now: Tick) -> Bool {
    if liveMembers > 0 && pendingMembers == 0 { return true }
    if now.unixMilliseconds >= tick.unixMilliseconds + intervalMilliseconds { return true }
    guard liveMembers > 0, (liveMembers - pendingMembers) * 1000 >= liveMembers * Limits.quorumPermille else {
      return false
    }
    guard let since = quorumSince else {
      quorumSince = now.unixMilliseconds
      return false
    }
    return now.unixMilliseconds >= since + Limits.quorumWaitMilliseconds
  }

  /// When to ask again if nothing arrives until then.
  public var deadline: Tick {
    let latest = tick.unixMilliseconds + intervalMilliseconds
    return Tick(unixMilliseconds: min(latest, quorumSince.map { $0 + Limits.quorumWaitMilliseconds } ?? latest))
  }
}
