import BongsuTestKit
import Testing

@testable import BongsuRecordLog

@Suite("Record log")
struct LogTests {
  @Test("records come back in order with their numbers, kinds and payloads, over many segments and restarts")
  func roundTrip() throws {
    var random = SeededRandom(default: 2)
    let disk = SimulatedDisk(seed: 2)
    var expected: [UInt64: [UInt8]] = [:]
    for _ in 0..<12 {
      var writer = try LogWriter(disk: disk, log: "test", limits: smallLimits, salt: 9)
      #expect(writer.damageAtOpen.isEmpty)
      for _ in 0..<10 {
        for _ in 0..<Int.random(in: 1...5, using: &random) {
          let payload = randomPayload(&random)
          let kind = UInt8.random(in: 0...255, using: &random)
          let number = writer.put(payload, kind: kind)
          expected[number] = [kind] + payload
        }
        try writer.commit()
        #expect(writer.durableNumber == writer.nextNumber - 1)
      }
    }
    let read = try contents(of: disk)
    #expect(read.records == expected)
    #expect(read.order == Array(1...UInt64(expected.count)))
    #expect(read.damage.isEmpty)
    #expect(try disk.names().count > 5)
  }

  @Test("a batch is one write and one synchronization, however many records it holds")
  func groupCommit() throws {
    let disk = SimulatedDisk(seed: 3)
    var writer = try LogWriter(disk: disk, log: "test", limits: smallLimits, salt: 1)
    _ = writer.stage([1], kind: 0)
    try writer.commit()
    let writes = disk.writeCount
    let synchronizations = disk.synchronizeCount
    for index in 0..<50 { #expect(writer.stage([UInt8(index)], kind: 1) != nil) }
    try writer.commit()
    #expect(disk.writeCount == writes + 1)
    #expect(disk.synchronizeCount == synchronizations + 1)
  }

  @Test("a full batch refuses the next record and takes it after the commit")
  func fullBatch() throws {
    let disk = SimulatedDisk(seed: 3)
    var writer = try LogWriter(disk: disk, log: "test", limits: smallLimits, salt: 1)
    let payload = [UInt8](repeating: 5, count: 600)
    for _ in 0..<6 { #expect(writer.stage(payload, kind: 0) != nil) }
    let stagedNumber = writer.stage(payload, kind: 0)
    #expect(stagedNumber == nil)
    try writer.commit()
    let nextStaged = writer.stage(payload, kind: 0)
    #expect(nextStaged == 7)
  }

  @Test("trimming removes whole segments below a number and never the last one")
  func trims() throws {
    let disk = SimulatedDisk(seed: 4)
    var writer = try LogWriter(disk: disk, log: "test", limits: smallLimits, salt: 1)
    for _ in 0..<40 {
      _ = writer.stage([UInt8](repeating: 1, count: 300), kind: 0)
      try writer.commit()
    }
    let firsts = writer.segments.map(\.firstNumber)
    try writer.trim(below: firsts[3] + 1)
    #expect(writer.segments.map(\.firstNumber) == Array(firsts[3...]))
    #expect(try contents(of: disk).order.first == firsts[3])
    try writer.trim(below: 1_000)
    #expect(writer.segments.count == 1)
    #expect(try contents(of: disk, from: 1).lost == Set(1..<firsts[firsts.count - 1]))
  }

  @Test("a full disk leaves the batch staged, and the same batch goes through when space returns")
  func outOfSpace() throws {
    let disk = SimulatedDisk(seed: 5)
    var writer = try LogWriter(disk: disk, log: "test", limits: smallLimits, salt: 1)
    _ = writer.stage([1, 2, 3], kind: 0)
    try writer.commit()
    disk.capacityBytes = disk.usedBytes + 20
    for value in UInt8(0)..<30 { _ = writer.stage([UInt8](repeating: value, count: 80), kind: 1) }
    for _ in 0..<3 {
      #expect { try writer.commit() } throws: { ($0 as? LogError)?.isOutOfSpace == true }
      #expect(writer.durableNumber == 1)
      #expect(try contents(of: disk, through: 1).order == [1])
    }
    disk.capacityBytes = .max
    _ = writer.stage([9], kind: 2)
    try writer.commit()
    disk.powerFails()
    let read = try contents(of: disk)
    #expect(read.order == Array(1...32))
    #expect(read.damage.isEmpty)
  }

  @Test("after a failed synchronization the log refuses to go on")
  func failedSynchronization() throws {
    let disk = SimulatedDisk(seed: 6)
    var writer = try LogWriter(disk: disk, log: "test", limits: smallLimits, salt: 1)
    _ = writer.stage([1], kind: 0)
    try writer.commit()
    _ = writer.stage([2], kind: 0)
    disk.synchronizeFailurePermille = 1000
    #expect { try writer.commit() } throws: { ($0 as? LogError)?.isFatal == true }
    disk.synchronizeFailurePermille = 0
    #expect { try writer.commit() } throws: { ($0 as? LogError)?.isFatal == true }
    #expect(writer.durableNumber == 1)
  }

  @Test("what a restart calls durable after a failed synchronization survives a power cut", arguments: 0..<40)
  func rewritesDroppedPages(trial: UInt64) throws {
    let disk = SimulatedDisk(seed: trial)
    do {
      var writer = try LogWriter(disk: disk, log: "test", limits: smallLimits, salt: 1)
      _ = writer.stage([1], kind: 0)
      try writer.commit()
      for value in UInt8(2)..<20 { _ = writer.stage([value], kind: 0) }
      disk.synchronizeFailurePermille = 1000
      #expect(throws: LogError.self) { try writer.commit() }
    }
    disk.synchronizeFailurePermille = 0
    disk.processDies()
    var writer = try LogWriter(disk: disk, log: "test", limits: smallLimits, salt: 2)
    try writer.repair()
    let durable = writer.durableNumber
    #expect(durable == 19)
    disk.powerFails()
    #expect(try contents(of: disk).order == Array(1...durable))
  }

  @Test("an owner's own floor keeps numbers from being given twice")
  func numbersNeverReturn() throws {
    let disk = SimulatedDisk(seed: 7)
    var writer = try LogWriter(disk: disk, log: "test", limits: smallLimits, nextNumberMin: 100, salt: 1)
    let stagedNumber = writer.stage([1], kind: 0)
    #expect(stagedNumber == 100)
    try writer.commit()
    var second = try LogWriter(disk: disk, log: "test", limits: smallLimits, nextNumberMin: 150, salt: 1)
    #expect(second.durableNumber <= 100)
    let nextStaged = second.stage([2], kind: 0)
    #expect(nextStaged == 150)
    try second.commit()
    let read = try contents(of: disk)
    #expect(read.order == [100, 150])
    #expect(read.lost == Set(101..<150))
  }

  @Test("a segment that is asked for starts with the next batch")
  func requestedSegment() throws {
    let disk = SimulatedDisk(seed: 7)
    var writer = try LogWriter(disk: disk, log: "test", limits: smallLimits, salt: 1)
    writer.requestSegment()
    for round in UInt64(1)...4 {
      _ = writer.put([1], kind: 0)
      _ = writer.put([2], kind: 0)
      try writer.commit()
      let firsts = writer.segments.map(\.firstNumber)
      #expect(firsts == (0..<round).map { $0 * 2 + 1 })
      writer.requestSegment()
      writer.requestSegment()
    }
    #expect(try contents(of: disk).order == Array(1...8))
    #expect(try contents(of: disk).damage.isEmpty)
  }

  @Test("an abandoned batch leaves nothing behind a shorter one", arguments: 0..<50)
  func abandonedBatch(seed: UInt64) throws {
    let disk = SimulatedDisk(seed: seed)
    var writer = try LogWriter(disk: disk, log: "test", limits: smallLimits, salt: 1)
    _ = writer.put([1], kind: 0)
    try writer.commit()
    for value in UInt8(0)..<20 { _ = writer.put([value, value], kind: 9) }
    disk.writeFailurePermille = 1000
    #expect(throws: LogError.self) { try writer.commit() }
    disk.writeFailurePermille = 0
    writer.discardStaged()
    _ = writer.put([7, 7], kind: 1)
    try writer.commit()
    disk.processDies()
    let read = try contents(of: disk)
    #expect(read.order == [1, 2])
    #expect(read.records[2] == [1, 7, 7])
    #expect(read.damage.isEmpty)
  }

  @Test("a reader that stops at a committed number may run while the writer appends")
  func readsWhileWritten() throws {
    let disk = SimulatedDisk(seed: 8)
    var writer = try LogWriter(disk: disk, log: "test", limits: smallLimits, salt: 1)
    for round in UInt64(1)...30 {
      _ = writer.stage([UInt8](repeating: UInt8(round), count: 200), kind: 0)
      try writer.commit()
      _ = writer.stage([0], kind: 0)
      #expect(try contents(of: disk, through: writer.durableNumber).order == Array(1...writer.durableNumber))
      try writer.commit()
    }
  }

  @Test("a reader that follows a writer gives every record once, across segments and trims", arguments: 0..<40)
  func follows(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let disk = SimulatedDisk(seed: seed)
    var writer = try LogWriter(disk: disk, log: "test", limits: smallLimits, salt: 1)
    var reader = try LogReader(disk: disk, log: "test", limits: smallLimits, from: 1, through: 0)
    var seen: [UInt64] = []
    for _ in 0..<40 {
      for _ in 0..<Int.random(in: 0...3, using: &random) { _ = writer.put(randomPayload(&random), kind: 0) }
      try writer.commit()
      if Int.random(in: 0..<4, using: &random) == 0 { writer.requestSegment() }
      guard Bool.random(using: &random) else { continue }
      // Beyond what is committed there is nothing, and asking for it does no harm.
      try reader.extend(through: writer.durableNumber + (Bool.random(using: &random) ? 0 : 5))
      while let event = try reader.next() {
        guard case .record(let record) = event else {
          Issue.record("\(event), seed \(seed)")
          continue
        }
        seen.append(record.number)
      }
      #expect(seen == Array(0..<writer.durableNumber).map { $0 + 1 }, "seed \(seed)")
      if Bool.random(using: &random) { try writer.trim(below: writer.durableNumber) }
    }
  }

  @Test("a segment of a newer version is refused by name")
  func newerVersion() throws {
    let disk = SimulatedDisk(seed: 9)
    var header = SegmentFormat.header(firstNumber: 1, salt: 3)
    for copy in [0, 32] {
      header[copy + 8] = 2
      var checksum = CRC32C()
      checksum.update(header.span.extracting(copy..<(copy + 28)))
      header.store(littleEndian: checksum.value, at: copy + 28)
    }
    disk.plant("test-0000000000000001.log", header)
    let error = #expect(throws: LogError.self) {
      _ = try LogWriter(disk: disk, log: "test", limits: smallLimits, salt: 1).nextNumber
    }
    #expect(error == .newerFormat(segment: "test-0000000000000001.log", version: 2))
    #expect("\(error!)".contains("format version 2, this build reads 1"))
  }

  @Test("files of others in the directory are left alone")
  func foreignFiles() throws {
    let disk = SimulatedDisk(seed: 10)
    for name in ["test-1.log", "test-000000000000000G.log", "other-0000000000000001.log", "test-0000000000000000.log"] {
      disk.plant(name, [1, 2, 3])
    }
    var writer = try LogWriter(disk: disk, log: "test", limits: smallLimits, salt: 1)
    #expect(writer.segments.isEmpty)
    let stagedNumber = writer.stage([1], kind: 0)
    #expect(stagedNumber == 1)
    try writer.commit()
    try writer.removeAll()
    #expect(try disk.names().count == 4)
    let nextStaged = writer.stage([1], kind: 0)
    #expect(nextStaged == 2)
    try writer.commit()
    #expect(try contents(of: disk).order == [2])
  }
}
