/// A counter of the hardware that may wrap or restart, made one that only grows.
///
/// It starts at zero with the first reading: what was counted before is unknown to it.
struct CounterExtension: Hashable, Sendable {
  /// The sum of all growth since the first reading.
  private(set) var total: Int64 = 0
  private var last: Int64?

  /// Adds the growth since the last reading.
  ///
  /// A reading below the last one has wrapped if `range` (the number of values of the counter) is known; otherwise the
  /// counter is taken to have started again from zero, which may count too little and never too much.
  mutating func add(_ reading: Int64, range: Int64? = nil) -> Int64 {
    defer { last = reading }
    guard let last else { return total }
    if reading >= last {
      total &+= reading &- last
    } else if let range, last < range {
      total &+= range &- last &+ reading
    } else {
      total &+= reading
    }
    return total
  }

  /// Forgets the last reading, so that the next one adds nothing: after the device was away.
  mutating func pause() { last = nil }
}
