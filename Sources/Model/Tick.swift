/// A sample instant: a whole multiple of the sampling interval in UTC wall time.
///
/// Stored as milliseconds since 1970-01-01T00:00:00Z without leap seconds (POSIX time), so that two agents that agree
/// on UTC name the same instant with the same number. Arithmetic never traps: instants outside ``Limits/tickRange``
/// are refused where bytes become ticks, so differences always fit 64 bits.
public struct Tick: Hashable, Comparable, Sendable, BitwiseCopyable {
  /// Milliseconds since the Unix epoch.
  public var unixMilliseconds: Int64

  /// Names the instant `unixMilliseconds` after the Unix epoch.
  @inlinable
  public init(unixMilliseconds: Int64) {
    self.unixMilliseconds = unixMilliseconds
  }

  /// The last tick of `interval` that is not after `unixNanoseconds`.
  @inlinable
  public init(notAfter unixNanoseconds: Int64, interval: TickInterval) {
    let milliseconds = unixNanoseconds.flooredDivision(by: 1_000_000)
    self.init(unixMilliseconds: Tick(unixMilliseconds: milliseconds).aligned(to: interval).unixMilliseconds)
  }

  /// This instant moved back to the nearest multiple of `interval`; itself when it is one already.
  @inlinable
  public func aligned(to interval: TickInterval) -> Tick {
    let step = Int64(interval.milliseconds)
    return Tick(unixMilliseconds: unixMilliseconds.flooredDivision(by: step) &* step)
  }

  /// The tick `count` intervals later, or earlier when `count` is negative.
  @inlinable
  public func advanced(by count: Int, of interval: TickInterval) -> Tick {
    Tick(unixMilliseconds: unixMilliseconds &+ Int64(count) &* Int64(interval.milliseconds))
  }

  /// Nanoseconds since the Unix epoch.
  @inlinable public var unixNanoseconds: Int64 { unixMilliseconds &* 1_000_000 }

  @inlinable
  public static func < (left: Tick, right: Tick) -> Bool {
    left.unixMilliseconds < right.unixMilliseconds
  }
}

/// The distance between two ticks of one node: at least ``Limits/tickIntervalMillisecondsMin``, and a divisor or a
/// multiple of one second, so that every window of one second or more holds whole ticks.
public struct TickInterval: Hashable, Sendable, BitwiseCopyable {
  /// Length in milliseconds.
  public let milliseconds: Int32

  /// The default of one second.
  public static let second = TickInterval(unchecked: 1000)

  @inlinable
  init(unchecked milliseconds: Int32) {
    self.milliseconds = milliseconds
  }

  /// An interval of `milliseconds`, or `nil` when it is out of range or does not tile whole seconds.
  public init?(milliseconds: Int) {
    guard (Limits.tickIntervalMillisecondsMin...Limits.tickIntervalMillisecondsMax).contains(milliseconds) else {
      return nil
    }
    guard milliseconds % 1000 == 0 || 1000 % milliseconds == 0 else { return nil }
    self.milliseconds = Int32(milliseconds)
  }

  /// Length in nanoseconds.
  @inlinable public var nanoseconds: Int64 { Int64(milliseconds) &* 1_000_000 }
}

extension Int64 {
  /// Division that rounds towards negative infinity, so that instants before 1970 align like those after it.
  @inlinable
  public func flooredDivision(by divisor: Int64) -> Int64 {
    let quotient = self / divisor
    return (self % divisor < 0) ? quotient &- 1 : quotient
  }
}
