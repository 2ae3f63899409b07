public import BongsuModel

/// How the demand of all meters stood in the last twenty minutes, which no stored tier has.
///
/// A ring of fixed size, made at once: a row a second while that fits ``bytesMax``, else a row each whole number of
/// seconds that does. It begins anew with the process. A plain value; used by one thread.
public struct DemandCourse: Sendable {
  /// How far back rows are kept, milliseconds.
  public static let spanMilliseconds: Int64 = 1_200_000
  /// Memory of all rows at most, bytes; so much that up to 249 meters have a row a second.
  public static let bytesMax = 16 << 20

  /// How the demand of one meter stood at a tick; `nil` where nothing was known of it.
  public typealias Entry = (tick: Tick, outlook: DemandMeter.Outlook?)

  private let meters: Int
  /// Time between rows, milliseconds, whole seconds.
  public let spacingMilliseconds: Int64
  /// Rows that are kept at most.
  public let capacity: Int
  private var ticks: [Tick] = []
  /// Row by row, one entry for each meter; rows from `capacity` on take the place of the oldest.
  private var outlooks: [DemandMeter.Outlook?]
  /// Place of the oldest row.
  private var oldest = 0

  /// A course of so many meters, without rows yet. `bytesMax` is for tests.
  public init(meters: Int, bytesMax: Int = Self.bytesMax) {
    precondition(meters >= 0 && bytesMax > 0)
    self.meters = meters
    let rowBytes = MemoryLayout<DemandMeter.Outlook?>.stride * max(1, meters)
    let span = Int(Self.spanMilliseconds / 1000)
    // One row more than fit the span, so that both ends are there.
    let rowsMax = max(2, min(span + 1, bytesMax / rowBytes))
    let spacing = (span + rowsMax - 2) / (rowsMax - 1)
    spacingMilliseconds = Int64(spacing) * 1000
    capacity = span / spacing + 1
    outlooks = Array(repeating: nil, count: capacity * meters)
    ticks.reserveCapacity(capacity)
  }

  /// Adds how the meters stand at a tick, one entry for each. Of the ticks of one spacing the first makes the row, the rest
  /// are passed over, and so is a tick that is not newer than the last.
  public mutating func add(_ row: [DemandMeter.Outlook?], at tick: Tick) {
    precondition(row.count == meters, "\(row.count) outlooks for \(meters) meters")
    if let last = newest, slot(tick) <= slot(last) { return }
    let place: Int
    if ticks.count < capacity {
      place = ticks.count
      ticks.append(tick)
    } else {
      place = oldest
      ticks[place] = tick
      oldest = (oldest + 1) % capacity
    }
    for meter in 0..<meters { outlooks[place * meters + meter] = row[meter] }
  }

  /// Rows of one meter whose ticks lie in `range` and within the span before the newest row, ascending.
  public func entries(of meter: Int, in range: ClosedRange<Tick>) -> [Entry] {
    guard let newest else { return [] }
    let first = max(
      range.lowerBound.unixMilliseconds, newest.unixMilliseconds - Self.spanMilliseconds)
    var found: [Entry] = []
    for index in start(from: first)..<ticks.count {
      let place = place(index)
      guard ticks[place] <= range.upperBound else { break }
      found.append((ticks[place], outlooks[place * meters + meter]))
    }
    return found
  }

  /// The newest row's tick; `nil` before the first.
  public var newest: Tick? { ticks.isEmpty ? nil : ticks[place(ticks.count - 1)] }

  /// Where the row lies that is so many rows after the oldest.
  private func place(_ index: Int) -> Int { (oldest + index) % max(1, ticks.count) }

  /// Rows before the first one at or after a time.
  private func start(from milliseconds: Int64) -> Int {
    var low = 0
    var high = ticks.count
    while low < high {
      let middle = (low + high) / 2
      if ticks[place(middle)].unixMilliseconds < milliseconds { low = middle + 1 } else { high = middle }
    }
    return low
  }

  private func slot(_ tick: Tick) -> Int64 { tick.unixMilliseconds.flooredDivision(by: spacingMilliseconds) }
}
