import BongsuModel
import BongsuRecordLog
import BongsuSpool
import BongsuTestKit
import BongsuWire
import Testing

/// Random histories against a naive model, with the machine stopping between any two disk calls.
@Suite("Spool crashes")
struct SpoolCrashTests {
  @Test("every row that the disk has taken is found until released, with its value", arguments: 0..<100)
  func history(seed: UInt64) throws {
    var random = SeededRandom(seed: 9_000 + seed)
    let disk = SimulatedDisk(seed: seed)
    var model = Model()
    for _ in 0..<8 {
      disk.changesUntilCrash = Int.random(in: 1...50, using: &random)
      disk.capacityBytes =
        Bool.random(using: &random) ? .max : disk.usedBytes + Int64.random(in: 0...6_000, using: &random)
      disk.synchronizeFailurePermille = Int.random(in: 0..<4, using: &random) == 0 ? 50 : 0
      try live(disk, &model, &random, seed)
      disk.synchronizeFailurePermille = 0
      disk.capacityBytes = .max
      if disk.hasCrashed || Bool.random(using: &random) { disk.restart() } else { disk.processDies() }
      disk.changesUntilCrash = nil
      try check(disk, &model, seed)
    }
  }

  private struct Model {
    /// States that may be found: the last one stored, and attempts since.
    var states: [AgentState?] = [nil]
    var stream: UInt64 = 0
    var next: UInt64 = 1
    /// Numbers of the stream that were spilled, and those of them known to be on disk.
    var spilled: Set<UInt64> = []
    var onDisk: Set<UInt64> = []
    /// Released or named as lost.
    var gone: Set<UInt64> = []
  }

  private func live(
    _ disk: SimulatedDisk, _ model: inout Model, _ random: inout SeededRandom, _ seed: UInt64
  ) throws {
    let spool = OpenSpool(disk: disk, limits: SpoolLimits(diskBytesMax: 1 << 20), salt: UInt32(seed))
    _ = spool.store(LayoutAnnouncement(number: 1, layout: smallLayout))
    if disk.hasCrashed { return }
    begin(spool, &model, &random)
    var inMemory: Set<UInt64> = []
    for _ in 0..<25 where !disk.hasCrashed {
      switch Int.random(in: 0..<8, using: &random) {
      case 0..<5:
        let count = Int.random(in: 1...20, using: &random)
        let numbers = model.next..<(model.next + UInt64(count))
        for loss in spool.put(model.next, count, stream: model.stream) { model.gone.formUnion(loss.sequences) }
        model.spilled.formUnion(numbers)
        inMemory.formUnion(numbers)
        model.next += UInt64(count)
        if spool.memoryByteCount == 0, !disk.hasCrashed {
          model.onDisk.formUnion(inMemory)
          inMemory.removeAll()
        }
      case 5: store(model.next + 500, spool, &model)
      case 6:
        guard model.next > 1 else { break }
        let floor = UInt64.random(in: 1..<model.next, using: &random)
        spool.release(SequenceSet(floor: floor))
        model.gone.formUnion(1...floor)
      default:
        guard Int.random(in: 0..<4, using: &random) == 0 else { break }
        spool.reset()
        newStream(&model, &random)
        inMemory.removeAll()
        store(model.next + 500, spool, &model)
      }
    }
    guard !disk.hasCrashed else { return }
    let found = try spool.allRows()
    #expect(Set(found.keys).isSuperset(of: model.spilled.subtracting(model.gone)), "seed \(seed)")
  }

  /// What an agent does at start: goes on with the state found, or begins a numbering.
  private func begin(_ spool: OpenSpool, _ model: inout Model, _ random: inout SeededRandom) {
    if let state = spool.state, state.stream.rawValue == model.stream {
      model.next = max(model.next, state.leaseEnd)
    } else {
      // What a session does when its numbering was overtaken.
      spool.reset()
      newStream(&model, &random)
    }
    store(model.next + 500, spool, &model)
  }

  private func newStream(_ model: inout Model, _ random: inout SeededRandom) {
    model.stream = UInt64.random(in: 1...(.max), using: &random)
    model.next = 1
    model.spilled.removeAll()
    model.onDisk.removeAll()
    model.gone.removeAll()
  }

  private func store(_ leaseEnd: UInt64, _ spool: OpenSpool, _ model: inout Model) {
    let state = AgentState(stream: StreamID(rawValue: model.stream), leaseEnd: leaseEnd)
    if spool.store(state) { model.states = [state] } else { model.states.append(state) }
  }

  private func check(_ disk: SimulatedDisk, _ model: inout Model, _ seed: UInt64) throws {
    let spool = OpenSpool(disk: disk, limits: SpoolLimits(diskBytesMax: 1 << 20), salt: 1)
    #expect(model.states.contains(spool.state), "seed \(seed): \(String(describing: spool.state))")
    let found = try spool.allRows()
    guard spool.state?.stream.rawValue == model.stream else {
      // The stream in force never got a state on disk. Its rows are nobody's, and none of them may be found.
      for (sequence, row) in found {
        #expect(row != values(of: sequence, width: 6, stream: model.stream), "seed \(seed)")
      }
      return
    }
    for sequence in model.onDisk.subtracting(model.gone) {
      #expect(
        found[sequence] == values(of: sequence, width: 6, stream: model.stream), "seed \(seed): row \(sequence)")
    }
    for (sequence, row) in found {
      #expect(model.spilled.contains(sequence), "seed \(seed): row \(sequence) was never spilled")
      #expect(row == values(of: sequence, width: 6, stream: model.stream), "seed \(seed): row \(sequence)")
    }
    model.onDisk.formUnion(found.keys)
    model.spilled.formIntersection(found.keys)
    model.onDisk.formIntersection(found.keys)
  }

  @Test("a flipped bit anywhere in the log costs at most one run, and no value is wrong", arguments: 0..<100)
  func flippedBit(trial: UInt64) throws {
    var random = SeededRandom(seed: trial)
    let disk = SimulatedDisk(seed: trial)
    let limits = SpoolLimits(diskBytesMax: 1 << 20)
    let spool = OpenSpool(disk: disk, limits: limits, salt: 7)
    _ = spool.store(AgentState(stream: StreamID(rawValue: 1), leaseEnd: 1))
    _ = spool.store(LayoutAnnouncement(number: 1, layout: smallLayout))
    for first in stride(from: UInt64(1), to: 1_200, by: 20) { _ = spool.put(first, 20, stream: 1) }
    let logs = try disk.names().filter { $0.hasSuffix(".log") }
    let name = try #require(logs.randomElement(using: &random))
    let byte = Int.random(in: 0..<(disk.byteCount(named: name) ?? 1), using: &random)
    disk.flipBit(of: name, byte: byte, bit: Int.random(in: 0..<8, using: &random))
    let reopened = OpenSpool(disk: disk, limits: limits, salt: 8)
    // The live agent knows its layout, as after any restart.
    _ = reopened.store(LayoutAnnouncement(number: 1, layout: smallLayout))
    let found = try reopened.allRows()
    #expect(found.count >= 1_180, "trial \(trial): \(found.count) rows left, byte \(byte) of \(name)")
    for (sequence, row) in found { #expect(row == values(of: sequence, width: 6, stream: 1), "trial \(trial)") }
    #expect(reopened.state?.leaseEnd == 1)
  }

  @Test("arbitrary bytes in the directory never keep the spool from opening", arguments: 0..<100)
  func fuzz(trial: UInt64) throws { try fuzzOnce(500 + trial) }

  @Test(
    "a fuzz run of BONGSU_FUZZ_INPUTS inputs",
    .enabled(if: fuzzInputs != nil, "set BONGSU_FUZZ_INPUTS to a count of inputs"))
  func longFuzz() throws {
    for trial in 0..<UInt64(fuzzInputs ?? 0) { try fuzzOnce(200_000_000 + trial) }
  }

  private func fuzzOnce(_ seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let disk = SimulatedDisk(seed: seed)
    let limits = SpoolLimits(diskBytesMax: 1 << 20)
    do {
      let spool = OpenSpool(disk: disk, limits: limits, salt: 7)
      _ = spool.store(AgentState(stream: StreamID(rawValue: 1), leaseEnd: 1))
      _ = spool.store(LayoutAnnouncement(number: 1, layout: smallLayout))
      for first in stride(from: UInt64(1), to: 60, by: 10) { _ = spool.put(first, 10, stream: 1) }
    }
    for name in try disk.names() {
      var bytes = disk.bytes(named: name)
      for _ in 0..<Int.random(in: 0...3, using: &random) where !bytes.isEmpty {
        let at = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<5, using: &random) {
        case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes.removeSubrange(at..<min(bytes.count, at + 60))
        case 2: bytes.insert(contentsOf: bytes[at...].prefix(80), at: Int.random(in: 0...bytes.count, using: &random))
        case 3: bytes.removeLast(bytes.count - at)
        default: for index in at..<min(bytes.count, at + 30) { bytes[index] = 0 }
        }
      }
      disk.plant(name, bytes)
    }
    let spool = OpenSpool(disk: disk, limits: limits, salt: 8)
    _ = spool.store(LayoutAnnouncement(number: 1, layout: smallLayout))
    for (sequence, row) in try spool.allRows() {
      #expect(row == values(of: sequence, width: 6, stream: 1), "seed \(seed)")
    }
    if spool.state == nil { #expect(spool.isEmpty, "seed \(seed)") }
    #expect(spool.store(AgentState(stream: StreamID(rawValue: 2), leaseEnd: 1)), "seed \(seed)")
    _ = spool.put(100, 5, stream: 1)
    #expect(try spool.allRows()[104] == values(of: 104, width: 6, stream: 1), "seed \(seed)")
  }
}
