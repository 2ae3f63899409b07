import BongsuRecordLog
import BongsuTestKit
import Testing

@Suite("Record log damage")
struct LogDamageTests {
  @Test("a flipped bit anywhere costs at most the record it hits, and the loss is named", arguments: 0..<600)
  func flippedBit(trial: UInt64) throws {
    var random = SeededRandom(seed: 77 &+ trial)
    let disk = SimulatedDisk(seed: trial)
    let whole = try fill(disk, &random)
    let name = try #require(try disk.names().randomElement(using: &random))
    let byte = Int.random(in: 0..<disk.bytes(named: name).count, using: &random)
    disk.flipBit(of: name, byte: byte, bit: Int.random(in: 0..<8, using: &random))

    let read = try contents(of: disk)
    let missing = Set(whole.keys).subtracting(read.records.keys)
    #expect(missing.count <= 1, "trial \(trial): lost \(missing) by byte \(byte) of \(name)")
    for (number, record) in read.records { #expect(whole[number] == record, "trial \(trial)") }
    let isTail = missing == [whole.keys.max()!]
    #expect(read.lost == missing || (isTail && read.damage.map(\.cause) == [.tornTail]), "trial \(trial)")

    // The log opens, cuts what is torn, and goes on.
    var writer = try LogWriter(
      disk: disk, log: "test", limits: smallLimits, nextNumberMin: UInt64(whole.count) + 1, salt: 5)
    let number = writer.put([42], kind: 1)
    try writer.commit()
    #expect(number == UInt64(whole.count) + 1)
    #expect(try contents(of: disk).records[number] == [1, 42])
    #expect(try contents(of: disk).lost == missing, "trial \(trial)")
  }

  @Test("a cut at any byte of the last segment leaves the records before it", arguments: [0, 1, 2, 3])
  func cutTail(trial: UInt64) throws {
    var random = SeededRandom(seed: trial)
    let filled = SimulatedDisk(seed: trial)
    let whole = try fill(filled, &random)
    let name = try #require(try filled.names().sorted().last)
    let bytes = filled.bytes(named: name)
    for count in stride(from: bytes.count, through: 0, by: -1) {
      let disk = SimulatedDisk(seed: trial)
      for other in try filled.names() { disk.plant(other, filled.bytes(named: other)) }
      disk.plant(name, Array(bytes.prefix(count)))
      let read = try contents(of: disk)
      #expect(read.order == Array(1..<(UInt64(read.order.count) + 1)))
      #expect(read.lost.isEmpty)
      for (number, record) in read.records { #expect(whole[number] == record) }
      var writer = try LogWriter(disk: disk, log: "test", limits: smallLimits, salt: 5)
      let stagedNumber = writer.stage([7], kind: 7)
      #expect(stagedNumber == UInt64(read.order.count) + 1)
      try writer.commit()
      let after = try contents(of: disk)
      #expect(after.records[UInt64(read.order.count) + 1] == [7, 7])
      #expect(after.damage.isEmpty)
    }
  }

  @Test("a stretch of zeros, as after a lost page, costs the records it touches", arguments: 0..<100)
  func zeroedStretch(trial: UInt64) throws {
    var random = SeededRandom(seed: 1_000 &+ trial)
    let disk = SimulatedDisk(seed: trial)
    let whole = try fill(disk, &random)
    let names = try disk.names().sorted()
    let name = names[Int.random(in: 0..<(names.count - 1), using: &random)]
    var bytes = disk.bytes(named: name)
    let start = Int.random(in: 64..<bytes.count, using: &random)
    let end = min(bytes.count, start + 512)
    let untouched = bytes
    for index in start..<end { bytes[index] = 0 }
    disk.plant(name, bytes)
    let read = try contents(of: disk)
    let missing = Set(whole.keys).subtracting(read.records.keys)
    #expect(read.lost == missing, "trial \(trial)")
    if bytes == untouched { #expect(missing.isEmpty) }
    for (number, record) in read.records { #expect(whole[number] == record, "trial \(trial)") }
  }

  @Test("a missing segment is named by its numbers")
  func missingSegment() throws {
    var random = SeededRandom(seed: 5)
    let disk = SimulatedDisk(seed: 5)
    _ = try fill(disk, &random)
    let names = try disk.names().sorted()
    let firsts = names.map { UInt64($0.dropFirst(5).dropLast(4), radix: 16)! }
    try disk.remove(names[1])
    let read = try contents(of: disk)
    #expect(read.damage.map(\.cause) == [.missing])
    #expect(read.lost == Set(firsts[1]..<firsts[2]))
  }

  @Test("a payload that imitates a record of its own log is not taken for one")
  func imitation() throws {
    let disk = SimulatedDisk(seed: 11)
    // The attacker knows the format, the name and the number, but not the salt.
    let fake = SimulatedDisk(seed: 12)
    var fakeWriter = try LogWriter(disk: fake, log: "test", limits: smallLimits, nextNumberMin: 2, salt: 111)
    _ = fakeWriter.stage([0xBA, 0xD0], kind: 1)
    try fakeWriter.commit()
    let imitation = Array(fake.bytes(named: "test-0000000000000002.log").dropFirst(64))
    var writer = try LogWriter(disk: disk, log: "test", limits: smallLimits, salt: 222)
    _ = writer.stage(imitation, kind: 1)
    _ = writer.stage([1], kind: 1)
    try writer.commit()
    disk.flipBit(of: "test-0000000000000001.log", byte: 66, bit: 1)
    let read = try contents(of: disk)
    #expect(read.order == [2])
    #expect(read.records[2] == [1, 1])
    #expect(read.lost == [1])
  }

  @Test("a disk that fails to read a page costs that page, and nothing is cut off", arguments: 0..<30)
  func unreadablePages(trial: UInt64) throws {
    var random = SeededRandom(seed: trial)
    let disk = SimulatedDisk(seed: trial)
    let whole = try fill(disk, &random)
    disk.readFailurePermille = 300
    var writer = try LogWriter(disk: disk, log: "test", limits: smallLimits, salt: 5)
    disk.readFailurePermille = 0
    let number = writer.put([1], kind: 1)
    #expect(number > UInt64(whole.count))
    try writer.commit()
    let read = try contents(of: disk)
    for (number, record) in whole { #expect(read.records[number] == record, "trial \(trial)") }
  }

  @Test("arbitrary bytes as segments neither crash the reader nor yield a record", arguments: 0..<300)
  func fuzz(trial: UInt64) throws {
    try fuzzOnce(seed: 31_000 &+ trial)
  }

  @Test(
    "a fuzz run of BONGSU_FUZZ_INPUTS inputs",
    .enabled(if: fuzzInputs != nil, "set BONGSU_FUZZ_INPUTS to a count of inputs"))
  func longFuzz() throws {
    for trial in 0..<UInt64(fuzzInputs ?? 0) { try fuzzOnce(seed: 100_000_000 &+ trial) }
  }

  private func fuzzOnce(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let disk = SimulatedDisk(seed: seed)
    let limits = LogLimits(segmentBytes: 300, recordBytesMax: 200, batchBytesMax: 400)
    var writer = try LogWriter(
      disk: disk, log: "test", limits: limits, salt: UInt32.random(in: 0...(.max), using: &random))
    var whole: [UInt64: [UInt8]] = [:]
    for _ in 0..<Int.random(in: 1...8, using: &random) {
      let payload = randomPayload(&random, limit: 200)
      if let number = writer.stage(payload, kind: 3) { whole[number] = [3] + payload }
      try writer.commit()
    }
    for name in try disk.names() { disk.plant(name, mutate(disk.bytes(named: name), &random)) }
    let read: LogContents
    do {
      read = try contents(of: disk, limits: limits)
    } catch LogError.newerFormat {
      return
    }
    for (number, record) in read.records { #expect(whole[number] == record, "seed \(seed)") }
    #expect(read.order == read.order.sorted())
    do {
      var next = try LogWriter(disk: disk, log: "test", limits: limits, salt: 1)
      _ = next.stage([1], kind: 1)
      try next.commit()
    } catch LogError.newerFormat {
    }
  }

  private func mutate(_ bytes: [UInt8], _ random: inout SeededRandom) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: 0...4, using: &random) where !bytes.isEmpty {
      let at = Int.random(in: 0..<bytes.count, using: &random)
      switch Int.random(in: 0..<6, using: &random) {
      case 0: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      case 1: bytes[at] = UInt8.random(in: 0...255, using: &random)
      case 2: bytes.removeSubrange(at..<min(bytes.count, at + Int.random(in: 1...40, using: &random)))
      case 3: bytes.insert(contentsOf: bytes[at...].prefix(50), at: Int.random(in: 0...bytes.count, using: &random))
      case 4: bytes.removeLast(bytes.count - at)
      default: for index in at..<min(bytes.count, at + 8) { bytes[index] = 0xFF }
      }
    }
    return bytes
  }

  /// Some forty records over several segments.
  private func fill(_ disk: SimulatedDisk, _ random: inout SeededRandom) throws -> [UInt64: [UInt8]] {
    var writer = try LogWriter(
      disk: disk, log: "test", limits: smallLimits, salt: UInt32.random(in: 0...(.max), using: &random))
    var whole: [UInt64: [UInt8]] = [:]
    for _ in 0..<20 {
      for _ in 0..<2 {
        let payload = randomPayload(&random)
        whole[writer.stage(payload, kind: 4)!] = [4] + payload
      }
      try writer.commit()
    }
    return whole
  }
}
