internal import BongsuModel

/// The rows that are in memory alone: sampled, neither acknowledged nor spooled. Oldest first, numbers consecutive.
struct PendingRows {
  /// One row and where it stands.
  struct Row {
    var sequence: UInt64
    var stamp: TickStamp
    var layoutNumber: Int
    /// Boot clock when it was sampled; decides when it is spooled.
    var madeAt: Int64
    var state: State
    var words: [Int64]
  }

  enum State {
    /// Not sent in this session; goes out as a live block.
    case unsent
    /// Sent in this session.
    case sent
    /// Sent before and to be sent again, standing alone.
    case late
  }

  private(set) var rows: [Row] = []
  /// Buffers of rows that are gone, to be used again.
  private var spareBuffers: [[Int64]] = []

  var isEmpty: Bool { rows.isEmpty }
  var count: Int { rows.count }

  mutating func append(_ row: borrowing Span<Int64>, sequence: UInt64, stamp: TickStamp, layout: Int, madeAt: Int64) {
    var words = spareBuffers.popLast() ?? []
    words.removeAll(keepingCapacity: true)
    words.reserveCapacity(row.count)
    for index in row.indices { words.append(row[index]) }
    rows.append(
      Row(
        sequence: sequence, stamp: stamp, layoutNumber: layout, madeAt: madeAt, state: .unsent, words: words))
  }

  /// Forgets the rows in `durable`.
  mutating func release(_ durable: SequenceSet) {
    guard let first = rows.first, durable.contains(first.sequence) || !durable.ranges.isEmpty else { return }
    removeAll { durable.contains($0.sequence) }
  }

  /// Forgets the oldest `count` rows.
  mutating func removeFirst(_ count: Int) {
    for row in rows.prefix(count) { recycle(row.words) }
    rows.removeFirst(count)
  }

  mutating func removeAll(where isGone: (Row) -> Bool) {
    for row in rows where isGone(row) { recycle(row.words) }
    rows.removeAll(where: isGone)
  }

  mutating func setState(_ state: State, at index: Int) { rows[index].state = state }

  /// Marks rows of `first...last` to be sent again; returns whether all of them are here.
  mutating func sendAgain(_ first: UInt64, _ last: UInt64) -> Bool {
    for index in rows.indices where (first...last).contains(rows[index].sequence) { rows[index].state = .late }
    return rows.first.map { $0.sequence <= first } ?? false
  }

  /// Rows up to `tick` that were not sent yet are sent standing alone.
  mutating func sendAlone(through tick: Tick) {
    for index in rows.indices where rows[index].state == .unsent && rows[index].stamp.tick <= tick {
      rows[index].state = .late
    }
  }

  /// A session ended: what it had sent may not have arrived.
  mutating func sessionEnded() {
    for index in rows.indices where rows[index].state == .sent { rows[index].state = .late }
  }

  /// Gives provisional rows their final labels.
  mutating func anchor(at offset: Int64, intervals: (Int) -> TickInterval) {
    for index in rows.indices where rows[index].stamp.isProvisional {
      rows[index].stamp = rows[index].stamp.anchored(at: offset, interval: intervals(rows[index].layoutNumber))
    }
  }

  /// Gives the rows new numbers from `first` on, all unsent.
  mutating func renumber(from first: UInt64) {
    for index in rows.indices {
      rows[index].sequence = first + UInt64(index)
      rows[index].state = .unsent
    }
  }

  /// How many rows from `index` on are one run: consecutive in numbers and ticks, alike in everything else, and no more
  /// than `limit`. `isAlike` may ask for more.
  func runLength(from index: Int, limit: Int, interval: TickInterval, isAlike: (Row) -> Bool) -> Int {
    let first = rows[index]
    let step = Int64(interval.milliseconds)
    var length = 1
    while index + length < rows.count, length < limit {
      let row = rows[index + length]
      let distance = Int64(length) * step
      guard row.sequence == first.sequence + UInt64(length), row.layoutNumber == first.layoutNumber,
        row.stamp.tick.unixMilliseconds == first.stamp.tick.unixMilliseconds + distance,
        row.stamp.boottimeMilliseconds == first.stamp.boottimeMilliseconds + distance,
        row.stamp.isProvisional == first.stamp.isProvisional, row.stamp.isCorrected == first.stamp.isCorrected,
        isAlike(row)
      else { break }
      length += 1
    }
    return length
  }

  private mutating func recycle(_ words: [Int64]) {
    if spareBuffers.count < 16 { spareBuffers.append(words) }
  }
}

extension TickStamp {
  /// The stamp with its final label, by its boot's anchor.
  func anchored(at offset: Int64, interval: TickInterval) -> TickStamp {
    let final = TickClock.finalTick(boottimeMilliseconds: boottimeMilliseconds, anchor: offset, interval: interval)
    return TickStamp(
      tick: final, boottimeMilliseconds: boottimeMilliseconds, isProvisional: false,
      isCorrected: isCorrected || final != tick)
  }
}
