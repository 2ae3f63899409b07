internal import BongsuCodec
internal import BongsuModel
internal import BongsuRecordLog
public import BongsuWire

extension Spool {
  /// Takes a run of rows, which lie one after the other in `rows`: packs them and writes them durably, or keeps them in
  /// memory while the disk refuses.
  ///
  /// - Parameter losses: receives what was dropped to make room, oldest first.
  /// - Returns: `false` when the rows were not taken: their layout was never stored, or they cannot be packed.
  public mutating func spill(_ run: SpooledRun, rows: borrowing [Int64], losses: inout [SpoolLoss]) -> Bool {
    guard let shape = shape(of: run), rows.count == run.rowCount * shape.width else { return false }
    var bytes: [UInt8] = []
    SpoolRecord.append(run, to: &bytes)
    do {
      try encoder.encode(rows: rows.span, shape: shape, base: nil, appendingTo: &bytes)
    } catch {
      notices.append(.damaged("rows \(run.firstSequence) to \(run.lastSequence) cannot be packed: \(error)"))
      return false
    }
    guard bytes.count <= limits.log.recordBytesMax else { return false }
    waitingBytes += bytes.count
    waiting.append(WaitingRun(run: run, bytes: bytes))
    writeWaiting(&losses)
    boundMemory(&losses)
    return true
  }

  /// Writes what waits, with one write and one `fdatasync` for each batch.
  private mutating func writeWaiting(_ losses: inout [SpoolLoss]) {
    if needsReset { resetAgain() }
    if let refusedState { _ = store(refusedState) }
    if log == nil { openLog() }
    guard let log, !needsReset, !needsState else { return }
    do {
      try makeRoom(log, &losses)
      while !waiting.isEmpty { try writeBatch(log) }
      works()
    } catch {
      log.writer.discardStaged()
      layoutsInSegment.removeAll()
      refuse("\(error)")
      // After a failed synchronization nothing may be believed: read the log anew. What waits is still complete.
      if error.isFatal { openLog() }
    }
  }

  /// Writes as many waiting runs as one batch takes.
  private mutating func writeBatch(_ log: SpoolLog) throws(LogError) {
    if log.writer.startsSegment { layoutsInSegment.removeAll() }
    var written = 0
    for waiting in waiting {
      if !layoutsInSegment.contains(waiting.run.layoutNumber) {
        guard stageLayout(waiting.run.layoutNumber, log) else { break }
      }
      guard log.writer.stage(waiting.bytes, kind: SpoolRecord.run.rawValue) != nil else { break }
      written += 1
    }
    try log.writer.commit()
    guard let last = log.writer.segments.last else { return }
    if segments.last?.firstRecord != last.firstNumber {
      segments.append(SpoolSegment(firstRecord: last.firstNumber))
    }
    for waiting in waiting.prefix(written) {
      segments[segments.count - 1].add(waiting.run, interval(of: waiting.run))
      waitingBytes -= waiting.bytes.count
    }
    waiting.removeFirst(written)
    if index?.segment == last.firstNumber { index = nil }
  }

  private mutating func stageLayout(_ number: Int, _ log: SpoolLog) -> Bool {
    guard let layout = layouts.first(where: { $0.number == number }) else { return true }
    var definition: [UInt8] = []
    layout.encode(into: &definition)
    guard log.writer.stage(definition, kind: SpoolRecord.layout.rawValue) != nil else { return false }
    layoutsInSegment.insert(number)
    return true
  }

  /// Drops oldest segments until what waits fits the bound.
  private mutating func makeRoom(_ log: SpoolLog, _ losses: inout [SpoolLoss]) throws(LogError) {
    let overhead = LogLimits.recordHeaderBytes * (waiting.count + 1) + LogLimits.segmentHeaderBytes + 16_384
    let needed = Int64(waitingBytes + overhead)
    while log.writer.byteCount + needed > Int64(limits.diskBytesMax), log.writer.segments.count > 1 {
      guard let dropped = try log.writer.dropOldestSegment() else { return }
      guard let oldest = segments.first, dropped.contains(oldest.firstRecord) else { continue }
      segments.removeFirst()
      if index?.segment == oldest.firstRecord { index = nil }
      guard let sequences = oldest.sequences else { continue }
      losses.append(SpoolLoss(sequences: sequences, ticks: oldest.ticks, reason: .spoolOverflow))
      notices.append(.overflow(sequences: sequences))
    }
  }

  /// Drops the oldest waiting runs until memory is within its bound.
  private mutating func boundMemory(_ losses: inout [SpoolLoss]) {
    while waitingBytes > limits.memoryBytesMax, !waiting.isEmpty {
      let dropped = waiting.removeFirst()
      waitingBytes -= dropped.bytes.count
      let sequences = dropped.run.firstSequence...dropped.run.lastSequence
      var segment = SpoolSegment(firstRecord: 0)
      segment.add(dropped.run, interval(of: dropped.run))
      losses.append(SpoolLoss(sequences: sequences, ticks: segment.ticks, reason: .spoolUnavailable))
      notices.append(.memoryFull(sequences: sequences))
    }
  }

  private mutating func shape(of run: SpooledRun) -> BlockShape? {
    if let shape = shapes[run.layoutNumber] { return shape }
    guard let layout = layouts.first(where: { $0.number == run.layoutNumber }) else { return nil }
    let shape = BlockShape(layout.layout)
    shapes[run.layoutNumber] = shape
    return shape
  }
}
