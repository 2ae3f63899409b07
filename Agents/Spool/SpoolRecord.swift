internal import BongsuModel
internal import BongsuRecordLog
internal import BongsuWire

/// The kinds of records in a spool's log; drawn in FORMAT.md.
enum SpoolRecord: UInt8 {
  /// A Layout frame. Precedes the first run that names it in each segment, so that a segment stands alone.
  case layout = 1
  /// A run: fixed header, then the payload of the codec.
  case run = 2

  /// Bytes in front of a run's payload.
  static let runHeaderBytes = 38
  private static let provisionalFlag: UInt32 = 1 << 24
  private static let correctedFlag: UInt32 = 1 << 25

  /// Appends the header of a run.
  static func append(_ run: SpooledRun, to bytes: inout [UInt8]) {
    bytes.append(littleEndian: run.firstSequence)
    bytes.append(littleEndian: UInt16(run.rowCount))
    bytes.append(
      littleEndian: UInt32(run.layoutNumber) | (run.first.isProvisional ? provisionalFlag : 0)
        | (run.first.isCorrected ? correctedFlag : 0))
    bytes.append(littleEndian: run.first.tick.unixMilliseconds)
    bytes.append(littleEndian: run.first.boottimeMilliseconds)
    bytes.append(littleEndian: run.boot.rawValue)
  }

  /// Reads the header of a run; `nil` when it cannot be one.
  static func run(_ record: RawSpan) -> SpooledRun? {
    guard record.byteCount > runHeaderBytes else { return nil }
    let sequence = record.loadLittleEndian(UInt64.self, at: 0)
    let rows = Int(record.loadLittleEndian(UInt16.self, at: 8))
    let word = record.loadLittleEndian(UInt32.self, at: 10)
    let layout = Int(word & 0xFF_FFFF)
    let tick = Tick(unixMilliseconds: record.loadLittleEndian(Int64.self, at: 14))
    let boottime = record.loadLittleEndian(Int64.self, at: 22)
    guard sequence >= 1, sequence <= WireLimits.sequenceMax - UInt64(WireLimits.blockRowsMax),
      (1...WireLimits.blockRowsMax).contains(rows), layout <= WireLimits.layoutNumberMax,
      Limits.tickRange.contains(tick), boottime.magnitude <= WireLimits.boottimeMillisecondsMax
    else { return nil }
    return SpooledRun(
      firstSequence: sequence, rowCount: rows, layoutNumber: layout,
      first: TickStamp(
        tick: tick, boottimeMilliseconds: boottime, isProvisional: word & provisionalFlag != 0,
        isCorrected: word & correctedFlag != 0),
      boot: BootID(rawValue: record.loadLittleEndian(UInt64.self, at: 30)))
  }
}
