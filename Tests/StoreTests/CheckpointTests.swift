import BongsuRecordLog
import BongsuStore
import BongsuTestKit
import Testing

@Suite("Checkpoints")
struct CheckpointTests {
  private func blobs(_ record: UInt64, bytes: Int = 3_000) -> [CheckpointStore.Blob] {
    (0..<3).map { shard in
      CheckpointStore.Blob(
        name: "shard-\(shard)", record: record + UInt64(shard),
        bytes: (0..<bytes).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ Int(record) &+ shard) })
    }
  }

  @Test("what was stored last is found again, and the journal is kept for the one before")
  func roundTrip() throws {
    let disk = SimulatedDisk(seed: 1)
    var store = try CheckpointStore(disk: disk)
    #expect(store.blobs.isEmpty)
    #expect(store.trimRecord("shard-0") == 1)
    try store.store(blobs(10))
    #expect(store.trimRecord("shard-0") == 1)
    try store.store(blobs(20))
    #expect(store.trimRecord("shard-0") == 11)
    try store.store(blobs(30))
    disk.powerFails()
    let reopened = try CheckpointStore(disk: disk)
    #expect(reopened.blobs == blobs(30))
    #expect(reopened.blob("shard-2")?.record == 32)
    #expect(reopened.blob("shard-9") == nil)
    #expect(reopened.trimRecord("shard-0") == 21)
    #expect(reopened.damage.isEmpty)
  }

  @Test("a power cut at any call leaves the newest or the one before, whole", arguments: 0..<300)
  func powerCut(seed: UInt64) throws {
    let disk = SimulatedDisk(seed: seed)
    var store = try CheckpointStore(disk: disk)
    try store.store(blobs(10))
    try store.store(blobs(20))
    disk.changesUntilCrash = Int(seed % 7) + 1
    let isStored = (try? store.store(blobs(30))) != nil
    disk.restart()
    let reopened = try CheckpointStore(disk: disk)
    #expect(reopened.blobs == blobs(30) || (!isStored && reopened.blobs == blobs(20)))
    #expect(reopened.damage.isEmpty)
    // Whichever is found, its records and those of the other are still in the journal.
    #expect(reopened.trimRecord("shard-0") >= 11)
    #expect(reopened.trimRecord("shard-0") <= (reopened.blob("shard-0")?.record ?? 0) + 1)
  }

  @Test("a flipped bit costs a longer replay: the older checkpoint is found, and the loss is named", arguments: 0..<300)
  func flippedBit(trial: UInt64) throws {
    var random = SeededRandom(seed: trial)
    let disk = SimulatedDisk(seed: trial)
    var store = try CheckpointStore(disk: disk)
    for record in [UInt64(10), 20, 30] { try store.store(blobs(record, bytes: 200)) }
    let kept = store.trimRecord("shard-0")
    let name = try #require(try disk.names().randomElement(using: &random))
    disk.flipBit(
      of: name, byte: Int.random(in: 0..<(disk.byteCount(named: name) ?? 1), using: &random),
      bit: Int(trial % 8))
    let reopened = try CheckpointStore(disk: disk)
    #expect(reopened.blobs == blobs(20, bytes: 200) || reopened.blobs == blobs(30, bytes: 200))
    #expect(reopened.damage.count == 1)
    #expect((reopened.blob("shard-0")?.record ?? 0) + 1 >= kept)
  }

  @Test("arbitrary bytes are no checkpoint and never crash the reader", arguments: 0..<200)
  func fuzz(seed: UInt64) throws { try fuzzOnce(seed) }

  @Test(
    "a fuzz run of BONGSU_FUZZ_INPUTS inputs",
    .enabled(if: fuzzInputs != nil, "set BONGSU_FUZZ_INPUTS to a count of inputs"))
  func longFuzz() throws {
    for trial in 0..<UInt64(fuzzInputs ?? 0) { try fuzzOnce(300_000_000 + trial) }
  }

  private func fuzzOnce(_ seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let disk = SimulatedDisk(seed: seed)
    var store = try CheckpointStore(disk: disk)
    try store.store(blobs(5, bytes: 40))
    var bytes = disk.bytes(named: "checkpoint-1")
    for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
      let at = Int.random(in: 0..<bytes.count, using: &random)
      switch Int.random(in: 0..<4, using: &random) {
      case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
      case 1: bytes.removeLast(bytes.count - at)
      case 2: bytes.insert(UInt8.random(in: 0...255, using: &random), at: at)
      default: bytes.remove(at: at)
      }
    }
    // With a good checksum the fields themselves are attacked.
    if bytes.count > 4, Bool.random(using: &random) {
      bytes.removeLast(4)
      var checksum = CRC32C()
      checksum.update(bytes.span)
      for shift in [0, 8, 16, 24] { bytes.append(UInt8(truncatingIfNeeded: checksum.value >> UInt32(shift))) }
    }
    disk.plant("checkpoint-1", bytes)
    let reopened = try CheckpointStore(disk: disk)
    #expect(reopened.blobs.isEmpty != reopened.damage.isEmpty || bytes.isEmpty || reopened.blobs.count <= 3)
  }
}
