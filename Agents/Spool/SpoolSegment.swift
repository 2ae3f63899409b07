internal import BongsuModel
internal import BongsuRecordLog
internal import BongsuWire

/// What the spool remembers of a segment: enough to know whether it may hold a number, without a list of its runs.
struct SpoolSegment {
  /// Number of its first record.
  let firstRecord: UInt64
  /// Lowest and highest number of its rows; `nil` while it holds none.
  var sequences: ClosedRange<UInt64>?
  /// Labels of its rows, `nil` when one of them is not final.
  var ticks: ClosedRange<Tick>?
  var hasProvisional = false

  init(firstRecord: UInt64) { self.firstRecord = firstRecord }

  /// Takes a run into account.
  mutating func add(_ run: SpooledRun, _ interval: TickInterval?) {
    let first = min(sequences?.lowerBound ?? run.firstSequence, run.firstSequence)
    sequences = first...max(sequences?.upperBound ?? run.lastSequence, run.lastSequence)
    guard !run.first.isProvisional, !hasProvisional, let interval else {
      hasProvisional = true
      ticks = nil
      return
    }
    let last = max(run.first.tick, run.lastTick(interval))
    ticks = min(ticks?.lowerBound ?? run.first.tick, run.first.tick)...max(ticks?.upperBound ?? last, last)
  }
}

/// A run and where its record stands.
struct PlacedRun {
  let run: SpooledRun
  let record: UInt64
  let place: RecordPlace
}

/// A run that the disk has not taken yet.
struct WaitingRun {
  let run: SpooledRun
  /// Its record.
  let bytes: [UInt8]
}

/// The log behind a reference, so that the spool can do without one.
final class SpoolLog {
  var writer: LogWriter
  init(_ writer: consuming LogWriter) { self.writer = writer }
}
