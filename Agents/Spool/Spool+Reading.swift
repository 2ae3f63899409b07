internal import BongsuModel
internal import BongsuRecordLog
public import BongsuWire

extension Spool {
  /// The run with the lowest numbers among those that end at or after `sequence`; `nil` when there is none.
  ///
  /// Takes a binary search where the answer lies in the segment of the last question, else a read of one segment.
  public mutating func spooledRun(endingAtOrAfter sequence: UInt64) -> SpooledRun? {
    let logged = placedRun(endingAtOrAfter: sequence)?.run
    let inMemory = waiting.lazy.map(\.run).filter { $0.lastSequence >= sequence }.min {
      $0.firstSequence < $1.firstSequence
    }
    guard let logged, let inMemory else { return logged ?? inMemory }
    return logged.firstSequence < inMemory.firstSequence ? logged : inMemory
  }

  /// Appends the payload of a run that ``spooledRun(endingAtOrAfter:)`` named. `false` when it cannot be read; then the
  /// run is gone.
  public mutating func readSpooled(_ run: SpooledRun, appendingTo frame: inout [UInt8]) -> Bool {
    if let waiting = waiting.first(where: { $0.run == run }) {
      frame += waiting.bytes[SpoolRecord.runHeaderBytes...]
      return true
    }
    guard let disk, let placed = placedRun(endingAtOrAfter: run.firstSequence), placed.run == run else { return false }
    let bytes = try? LogReader.payload(
      at: placed.place, number: placed.record, disk: disk, log: Self.logName, limits: limits.log)
    guard let bytes else {
      notices.append(.damaged("record \(placed.record) cannot be read any more"))
      index?.runs.removeAll { $0.record == placed.record }
      return false
    }
    frame += bytes[SpoolRecord.runHeaderBytes...]
    return true
  }

  private mutating func placedRun(endingAtOrAfter sequence: UInt64) -> PlacedRun? {
    // Segments are in the order of their numbers unless something odd happened, so all candidates are looked at: they
    // are at most as many as overlap.
    var best: PlacedRun?
    for position in segments.indices {
      guard let sequences = segments[position].sequences, sequences.upperBound >= sequence else { continue }
      if let best, best.run.firstSequence <= sequences.lowerBound { continue }
      load(segments[position].firstRecord)
      guard let runs = index?.runs else { continue }
      var low = 0
      var high = runs.count
      while low < high {
        let middle = (low + high) / 2
        if runs[middle].run.lastSequence < sequence { low = middle + 1 } else { high = middle }
      }
      guard low < runs.count, runs[low].run.firstSequence < best?.run.firstSequence ?? .max else { continue }
      best = runs[low]
    }
    return best
  }

  /// Reads the index of a segment.
  private mutating func load(_ segment: UInt64) {
    if index?.segment == segment { return }
    guard let disk, let log else { return }
    var runs: [PlacedRun] = []
    let following = log.writer.segments.first { $0.firstNumber > segment }?.firstNumber
    let through = (following ?? log.writer.nextNumber) - 1
    if through >= segment,
      var reader = try? LogReader(disk: disk, log: Self.logName, limits: limits.log, from: segment, through: through)
    {
      while let event = try? reader.next() {
        guard case .record(let record) = event, record.kind == SpoolRecord.run.rawValue else { continue }
        let place = reader.place
        let run = reader.withPayload { SpoolRecord.run($0) }
        if let run { runs.append(PlacedRun(run: run, record: record.number, place: place)) }
      }
    }
    runs.sort { $0.run.firstSequence < $1.run.firstSequence }
    index = (segment, runs)
  }
}
