internal import BongsuCodec
internal import BongsuModel
internal import BongsuRecordLog
internal import BongsuWire

/// What one journal has of one node, as it is packed there: the entries from which the wanted rows can be had, and no
/// others. A row of eight GPUs takes some 120 bytes so, and 900 unpacked.
///
/// Of the blocks that are not wanted only those stay that a wanted one may build on: when a block that stands alone
/// becomes the newest, what came between the last wanted block and it is dropped.
final class PackedRows {
  let id: NodeID
  let shard: Int
  /// Rows of records up to this one are not wanted.
  let appliedThrough: UInt64

  private struct Step {
    let record: UInt64
    /// Where its entry begins among `bytes`; it ends where the next begins.
    let start: Int32
    /// The step it builds on; negative: none, or an entry without rows.
    let base: Int32
    let wanted: Wanted
  }

  /// Which rows of a step are wanted.
  private enum Wanted {
    case entry
    case none
    case all
    case some([Range<Int>])
  }

  private var bytes: [UInt8] = []
  private var steps: [Step] = []
  /// Steps and bytes up to the last that has a wanted row.
  private var keptSteps = 0
  private var keptBytes = 0
  private var intervals: [(number: Int, interval: TickInterval)] = []
  private var base = JournalBase()
  private var baseStep: Int32 = -1
  private var baseLayout = -1

  /// Wanted rows, and between which ticks they lie, milliseconds.
  private(set) var rowCount = 0
  private(set) var extent: ClosedRange<Int64>?

  init(_ id: NodeID, shard: Int, appliedThrough: UInt64) {
    self.id = id
    self.shard = shard
    self.appliedThrough = appliedThrough
  }

  /// Bytes that it has taken more since the last call, or less.
  func grown() -> Int {
    let bytes = bytes.count + steps.count * MemoryLayout<Step>.stride
    defer { countedBytes = bytes }
    return bytes - countedBytes
  }

  private var countedBytes = 0

  // MARK: Taking entries

  /// Takes a layout, of which only the number and the interval are known so far.
  func announce(_ number: Int, _ interval: TickInterval, _ record: UInt64, _ entry: RawSpan) {
    intervals.removeAll { $0.number == number }
    intervals.append((number, interval))
    if baseLayout == number { base.streamChanged() }
    append(record, entry, base: -1, .entry)
  }

  func changeStream(_ record: UInt64, _ entry: RawSpan) {
    base.streamChanged()
    append(record, entry, base: -1, .entry)
  }

  /// Takes a block.
  ///
  /// - Parameter wants: whether a row counts, by its tick.
  /// - Returns: `false` when it cannot be unpacked.
  func take(
    _ block: JournalBlock, _ record: UInt64, _ entry: RawSpan, wants: (Tick) -> Bool
  ) -> Bool {
    let number = block.header.layoutNumber
    guard let interval = intervals.first(where: { $0.number == number })?.interval else { return false }
    let before = base
    guard base.admits(block, interval: interval) else { return false }
    let isNewest = base.tick > before.tick
    var on: Int32 = -1
    if case .based = block.header.anchor { on = baseStep } else if isNewest { prune() }
    let wanted = wantedRows(block, interval, wants)
    if case .none = wanted, !isNewest { return true }
    if isNewest {
      baseStep = Int32(steps.count)
      baseLayout = number
    }
    append(record, entry, base: on, wanted)
    if case .none = wanted { return true }
    keptSteps = steps.count
    keptBytes = bytes.count
    return true
  }

  private func wantedRows(_ block: JournalBlock, _ interval: TickInterval, _ wants: (Tick) -> Bool) -> Wanted {
    var found: [Range<Int>] = []
    var count = 0
    var counting = 0
    block.forEachPart { part in
      counting += part.count
      for row in part {
        let tick = block.firstTick.advanced(by: row, of: interval)
        guard wants(tick) else { continue }
        count += 1
        let time = tick.unixMilliseconds
        extent = extent.map { min($0.lowerBound, time)...max($0.upperBound, time) } ?? time...time
        guard block.header.rowCount > 1 else { continue }
        if let last = found.last, last.upperBound == row {
          found[found.count - 1] = last.lowerBound..<(row + 1)
        } else {
          found.append(row..<(row + 1))
        }
      }
    }
    rowCount += count
    return count == 0 ? .none : count == counting ? .all : .some(found)
  }

  private func append(_ record: UInt64, _ entry: RawSpan, base: Int32, _ wanted: Wanted) {
    steps.append(Step(record: record, start: Int32(bytes.count), base: base, wanted: wanted))
    // SAFETY: only read during the call.
    unsafe entry.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
  }

  /// Drops the blocks behind the last wanted row; entries without rows stay.
  private func prune() {
    var step = keptSteps
    var end = keptBytes
    for number in keptSteps..<steps.count {
      guard case .entry = steps[number].wanted else { continue }
      let range = range(of: number)
      // Most stand where they go.
      if range.lowerBound != end {
        for (offset, position) in range.enumerated() { bytes[end + offset] = bytes[position] }
      }
      steps[step] = Step(record: steps[number].record, start: Int32(end), base: -1, wanted: .entry)
      step += 1
      end += range.count
    }
    steps.removeSubrange(step...)
    bytes.removeSubrange(end...)
  }

  private func range(of step: Int) -> Range<Int> {
    Int(steps[step].start)..<(step + 1 < steps.count ? Int(steps[step + 1].start) : bytes.count)
  }

  // MARK: Unpacking

  /// The wanted rows.
  ///
  /// - Parameter losses: what cannot be unpacked is counted there.
  func unpack(
    _ selection: RawSelection, _ unpacked: inout NodeRowDecoder.Unpacked, _ losses: inout RawLosses
  ) -> RawPile {
    var pile = RawPile(rows: rowCount)
    var decoder = NodeRowDecoder()
    let isNeeded = neededSteps(selection)
    let nothing: [Int64] = []
    let bytes = bytes
    for (number, step) in steps.enumerated() where isNeeded[number] {
      // SAFETY: bytes have no padding.
      let entry = unsafe bytes.span.bytes.extracting(range(of: number))
      var offset = 0
      // Blocks were understood before; a layout that is not leaves them without a shape.
      guard let decoded = try? JournalEntry(decoding: entry, payloadOffset: &offset) else { continue }
      switch decoded {
      case .layout(_, _, let announcement): decoder.announce(announcement, &unpacked)
      case .stream: decoder.streamChanged()
      case .node, .run, .gap: break
      case .block(let block):
        guard let shape = decoder.shape(block.header.layoutNumber) else {
          if case .none = step.wanted { continue }
          losses.undecodedRows += block.header.rowCount
          continue
        }
        guard !selection.skipsValues else {
          for row in 0..<block.header.rowCount where isWanted(row, block, step) {
            let tick = block.firstTick.advanced(by: row, of: shape.layout.interval)
            pile.put(shape.layout, tick, nothing.span, record: step.record, selection)
          }
          continue
        }
        let payload = entry.extracting(offset..<entry.byteCount)
        guard decoder.unpack(block, payload, shape, &unpacked) else {
          if case .none = step.wanted { continue }
          losses.undecodedRows += block.header.rowCount
          continue
        }
        for row in 0..<block.header.rowCount where isWanted(row, block, step) {
          let tick = block.firstTick.advanced(by: row, of: shape.layout.interval)
          unpacked.withRow(row, shape.width) { pile.put(shape.layout, tick, $0, record: step.record, selection) }
        }
      }
    }
    return pile
  }

  private func isWanted(_ row: Int, _ block: JournalBlock, _ step: Step) -> Bool {
    switch step.wanted {
    case .entry, .none: false
    case .all: block.counts(row)
    case .some(let ranges): ranges.contains { $0.contains(row) }
    }
  }

  /// Which steps have wanted rows, or are built on.
  private func neededSteps(_ selection: RawSelection) -> [Bool] {
    var isNeeded = [Bool](repeating: false, count: steps.count)
    for number in steps.indices.reversed() {
      switch steps[number].wanted {
      case .entry: isNeeded[number] = true
      case .none: guard isNeeded[number] else { continue }
      case .all, .some: isNeeded[number] = true
      }
      if steps[number].base >= 0, !selection.skipsValues { isNeeded[Int(steps[number].base)] = true }
    }
    return isNeeded
  }
}
