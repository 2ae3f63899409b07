import BongsuRecordLog
import BongsuTestKit

/// Small bounds, so that few records roll over segments and windows.
let smallLimits = LogLimits(segmentBytes: 2_000, recordBytesMax: 600, batchBytesMax: 4_000)

/// What reading a log gave.
struct LogContents: Equatable {
  var records: [UInt64: [UInt8]] = [:]
  var order: [UInt64] = []
  var damage: [LogDamage] = []

  /// Numbers named as lost.
  var lost: Set<UInt64> { Set(damage.flatMap { damage in damage.lostNumbers.map { Array($0) } ?? [] }) }
}

/// Reads everything.
func contents(
  of disk: any Disk, log: String = "test", limits: LogLimits = smallLimits, from: UInt64? = nil,
  through: UInt64 = .max
) throws -> LogContents {
  var reader = try LogReader(disk: disk, log: log, limits: limits, from: from, through: through)
  var contents = LogContents()
  while let event = try reader.next() {
    switch event {
    case .damage(let damage): contents.damage.append(damage)
    case .record(let record):
      let payload = reader.withPayload { payload in payload.bytesAsArray() }
      precondition(payload.count == record.payloadBytes)
      contents.records[record.number] = [record.kind] + payload
      contents.order.append(record.number)
    }
  }
  return contents
}

extension RawSpan {
  /// A copy as an array.
  func bytesAsArray() -> [UInt8] {
    // SAFETY: the buffer is valid for the closure and copied.
    unsafe withUnsafeBytes { unsafe Array($0) }
  }
}

extension LogWriter {
  /// Stages a record for which the batch has room.
  mutating func put(_ payload: [UInt8], kind: UInt8) -> UInt64 {
    guard let number = stage(payload, kind: kind) else { preconditionFailure("the batch is full") }
    return number
  }
}

/// Random payload, sometimes empty, sometimes as long as allowed, sometimes full of zeros.
func randomPayload(_ random: inout SeededRandom, limit: Int = smallLimits.recordBytesMax) -> [UInt8] {
  let count =
    switch Int.random(in: 0..<10, using: &random) {
    case 0: 0
    case 1: limit
    default: Int.random(in: 1...min(limit, 120), using: &random)
    }
  if Int.random(in: 0..<8, using: &random) == 0 { return [UInt8](repeating: 0, count: count) }
  return (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
}
