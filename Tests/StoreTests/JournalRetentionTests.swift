import BongsuRecordLog
import BongsuStore
import BongsuTestKit
import Testing

@Suite("Journal retention")
struct JournalRetentionTests {
  @Test("the oldest segments go until the rest fits, but nothing that is still needed")
  func trims() throws {
    let disk = SimulatedDisk(seed: 1)
    let limits = LogLimits(segmentBytes: 1_000, recordBytesMax: 500, batchBytesMax: 1_000)
    var writer = try LogWriter(disk: disk, log: JournalReplay.logName, limits: limits, salt: 1)
    for _ in 0..<60 {
      _ = writer.stage([UInt8](repeating: 1, count: 184), kind: 1)
      try writer.commit()
    }
    // Ten segments of 64 + 5 × 200 bytes and one of the rest.
    let segments = writer.segments
    #expect(segments.prefix(3).map(\.firstNumber) == [1, 6, 11])
    let all = writer.byteCount
    func below(_ bytesMax: Int64, _ needed: UInt64) -> UInt64 {
      JournalRetention(bytesMax: bytesMax).trimBelow(segments: segments, needed: needed)
    }
    #expect(below(all, .max) == 0)
    #expect(below(all - 1, .max) == 6)
    #expect(below(all - 1_064, .max) == 6)
    #expect(below(all - 1_065, .max) == 11)
    #expect(below(1, 12) == 11)
    #expect(below(1, 5) == 0)
    #expect(below(1, .max) == segments.last?.firstNumber)
    #expect(JournalRetention(bytesMax: 1).trimBelow(segments: [], needed: .max) == 0)
    try writer.trim(below: below(all - 1_065, .max))
    #expect(writer.segments.first?.firstNumber == 11)
  }
}
