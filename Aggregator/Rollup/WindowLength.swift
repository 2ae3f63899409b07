public import BongsuModel

/// The windows over which totals are kept. A window is named by its end and holds the ticks after its start up to and
/// including its end, because a tick's readings are means of the time before it: the quarter-hour that ends at 12:15:00
/// holds the tick of 12:15:00, and not that of 12:00:00.
public enum WindowLength: Int, Sendable, CaseIterable, Comparable {
  case tenSeconds = 10
  case minute = 60
  case quarterHour = 900
  case hour = 3600

  public var milliseconds: Int64 { Int64(rawValue) * 1000 }

  /// End of the window that holds `tick`.
  @inlinable
  public func end(of tick: Tick) -> Tick {
    let length = Int64(rawValue) * 1000
    return Tick(unixMilliseconds: (tick.unixMilliseconds + length - 1).flooredDivision(by: length) * length)
  }

  public static func < (left: WindowLength, right: WindowLength) -> Bool { left.rawValue < right.rawValue }
}
