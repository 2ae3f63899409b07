import BongsuModel
import BongsuRecordLog
import BongsuSpool
import BongsuTestKit
import BongsuWire
import Testing

@Suite("Spool")
struct SpoolTests {
  let announcement = LayoutAnnouncement(number: 1, layout: smallLayout)
  let state = AgentState(stream: StreamID(rawValue: 5), leaseEnd: 1_000)

  private func fresh(_ disk: SimulatedDisk, limits: SpoolLimits = SpoolLimits()) -> OpenSpool {
    let spool = OpenSpool(disk: disk, limits: limits, salt: 3)
    #expect(spool.store(state))
    #expect(spool.store(announcement))
    return spool
  }

  @Test("spooled rows come back exactly, in the order of their numbers, also after a restart")
  func roundTrip() throws {
    let disk = SimulatedDisk(seed: 1)
    var spool = fresh(disk)
    for first in stride(from: UInt64(1), to: 100, by: 5) { #expect(spool.put(first, 5, stream: 5).isEmpty) }
    for _ in 0..<2 {
      #expect(spool.allRuns() == stride(from: UInt64(1), to: 100, by: 5).map { run($0, 5) })
      let found = try spool.allRows()
      #expect(found.count == 100)
      for (sequence, row) in found { #expect(row == values(of: sequence, width: 6, stream: 5)) }
      disk.powerFails()
      spool = OpenSpool(disk: disk, salt: 4)
      #expect(spool.state == state)
      #expect(spool.layouts == [announcement])
      #expect(spool.lastTick == tick(of: 100))
      #expect(spool.takeNotices().isEmpty)
    }
  }

  @Test("a spill is one write and one synchronization; acknowledgements write nothing")
  func writesLittle() {
    let disk = SimulatedDisk(seed: 1)
    let spool = fresh(disk)
    _ = spool.put(1, 5, stream: 5)
    let before = (disk.writeCount, disk.synchronizeCount)
    _ = spool.put(6, 5, stream: 5)
    #expect(disk.writeCount == before.0 + 1)
    #expect(disk.synchronizeCount == before.1 + 1)
    for floor in UInt64(1)...9 { spool.release(durable(through: floor)) }
    #expect(disk.writeCount == before.0 + 1)
    spool.release(durable(through: 10))
    #expect(disk.writeCount == before.0 + 1)
    #expect(spool.isEmpty)
    #expect(spool.byteCount == 0)
    #expect(disk.usedBytes <= 8_192)
    for floor in UInt64(11)...30 { spool.release(durable(through: floor)) }
    #expect(disk.writeCount == before.0 + 1)
  }

  @Test("a full spool drops its oldest rows, names them, and keeps the newest")
  func overflow() throws {
    let disk = SimulatedDisk(seed: 2)
    let limits = SpoolLimits(diskBytesMax: 1 << 20)
    let spool = fresh(disk, limits: limits)
    var lost: Set<UInt64> = []
    var next: UInt64 = 1
    while lost.count < 4_000 {
      for loss in spool.put(next, 200, stream: 5) {
        #expect(loss.reason == .spoolOverflow)
        #expect(loss.ticks == tick(of: loss.sequences.lowerBound)...tick(of: loss.sequences.upperBound))
        lost.formUnion(loss.sequences)
      }
      next += 200
      #expect(spool.byteCount <= Int64(limits.diskBytesMax))
      #expect(disk.usedBytes <= Int64(limits.diskBytesMax) + 8_192)
    }
    let held = Set(try spool.allRows().keys)
    #expect(held.isDisjoint(with: lost))
    #expect(held.union(lost) == Set(1..<next))
    #expect(held.min() == lost.max().map { $0 + 1 })
    #expect(held.count > 2_000)
    // Layouts are in every segment, so what is left stands alone.
    disk.powerFails()
    let reopened = OpenSpool(disk: disk, limits: limits, salt: 9)
    #expect(Set(try reopened.allRows().keys) == held)
  }

  @Test("on a full disk rows wait in memory, the oldest are given up by name, and all goes to disk when space returns")
  func diskFull() throws {
    let disk = SimulatedDisk(seed: 3)
    let limits = SpoolLimits(memoryBytesMax: 64 << 10)
    let spool = fresh(disk, limits: limits)
    _ = spool.put(1, 10, stream: 5)
    disk.capacityBytes = disk.usedBytes
    var lost: Set<UInt64> = []
    var next: UInt64 = 11
    while lost.isEmpty {
      for loss in spool.put(next, 10, stream: 5) {
        #expect(loss.reason == .spoolUnavailable)
        lost.formUnion(loss.sequences)
      }
      next += 10
      #expect(spool.memoryByteCount <= limits.memoryBytesMax)
    }
    #expect(Set(try spool.allRows().keys).union(lost) == Set(1..<next))
    let notices = spool.takeNotices()
    #expect(notices.count { if case .diskRefuses = $0 { true } else { false } } == 1)
    // The state needs no new space.
    #expect(spool.store(AgentState(stream: state.stream, leaseEnd: 5_000)))
    disk.capacityBytes = .max
    _ = spool.put(next, 10, stream: 5)
    #expect(spool.memoryByteCount == 0)
    #expect(spool.takeNotices() == [.diskWorks])
    disk.powerFails()
    let reopened = OpenSpool(disk: disk, limits: limits, salt: 9)
    #expect(reopened.state?.leaseEnd == 5_000)
    #expect(Set(try reopened.allRows().keys) == Set(1..<(next + 10)).subtracting(lost))
  }

  @Test("a read-only disk, a refusing disk and no disk at all leave a queue in memory", arguments: 0..<3)
  func noDisk(kind: Int) throws {
    let disk = SimulatedDisk(seed: 4)
    disk.isReadOnly = kind == 0
    disk.readFailurePermille = kind == 1 ? 1_000 : 0
    if kind == 1 { disk.plant("spool.head", [1]) }
    let spool = OpenSpool(disk: kind == 2 ? nil : disk, salt: 1)
    #expect(spool.state == nil)
    #expect(spool.store(state) == (kind != 0))
    #expect(spool.store(announcement))
    _ = spool.put(1, 10, stream: 5)
    #expect(try spool.allRows().count == 10)
    #expect(!spool.takeNotices().isEmpty)
    spool.release(durable(through: 10))
    #expect(spool.isEmpty)
  }

  @Test("a damaged head file gives no state, never an old one, and no rows of the lost numbering")
  func damagedHead() throws {
    let disk = SimulatedDisk(seed: 5)
    let spool = fresh(disk)
    _ = spool.put(1, 10, stream: 5)
    disk.plant("spool.head", [UInt8](repeating: 0xAA, count: 8_192))
    let reopened = OpenSpool(disk: disk, salt: 1)
    #expect(reopened.state == nil)
    #expect(reopened.isEmpty)
    #expect(reopened.takeNotices().map { "\($0)" } == ["spool: the head file is damaged; a new numbering begins"])
    #expect(reopened.store(AgentState(stream: StreamID(rawValue: 6), leaseEnd: 10)))
    let third = OpenSpool(disk: disk, salt: 1)
    #expect(third.state?.stream.rawValue == 6)
    #expect(third.isEmpty)
  }

  @Test("one flipped bit in the head file costs nothing", arguments: 0..<64)
  func flippedHead(trial: UInt64) {
    var random = SeededRandom(seed: trial)
    let disk = SimulatedDisk(seed: trial)
    let spool = fresh(disk)
    for lease in UInt64(2_000)...2_005 {
      #expect(spool.store(AgentState(stream: state.stream, leaseEnd: lease)))
    }
    disk.flipBit(of: "spool.head", byte: Int.random(in: 0..<8_192, using: &random), bit: Int(trial % 8))
    #expect(OpenSpool(disk: disk, salt: 1).state?.leaseEnd == 2_005)
  }

  @Test("a state is found whole or not changed, wherever the power fails", arguments: 0..<120)
  func tornHead(trial: UInt64) {
    let disk = SimulatedDisk(seed: trial)
    let spool = fresh(disk)
    #expect(spool.store(AgentState(stream: state.stream, leaseEnd: 2_000)))
    disk.changesUntilCrash = Int(trial % 3) + 1
    let isStored = spool.store(AgentState(stream: state.stream, leaseEnd: 3_000))
    disk.restart()
    let found = OpenSpool(disk: disk, salt: 1).state?.leaseEnd
    #expect(found == 3_000 || (found == 2_000 && !isStored))
  }

  @Test("a reset that the disk refuses keeps a new numbering from being stored")
  func refusedReset() {
    let disk = SimulatedDisk(seed: 7)
    let spool = fresh(disk)
    _ = spool.put(1, 10, stream: 5)
    disk.isReadOnly = true
    spool.reset()
    #expect(spool.isEmpty)
    let next = AgentState(stream: StreamID(rawValue: 6), leaseEnd: 10)
    #expect(!spool.store(next))
    disk.isReadOnly = false
    #expect(spool.store(next))
    let reopened = OpenSpool(disk: disk, salt: 1)
    #expect(reopened.isEmpty)
    #expect(reopened.state == next)
  }

  @Test("provisional rows keep their flags, and their labels are not taken for final")
  func provisional() throws {
    let disk = SimulatedDisk(seed: 8)
    let spool = fresh(disk)
    var provisional = run(1, 3)
    provisional.first.isProvisional = true
    var losses: [SpoolLoss] = []
    #expect(spool.spill(provisional, rows: rows(1, 3, stream: 5), losses: &losses))
    let reopened = OpenSpool(disk: disk, salt: 1)
    #expect(reopened.allRuns() == [provisional])
    #expect(reopened.lastTick == nil)
  }

  @Test("rows of a layout that was never stored, or of another width, are not taken")
  func badRows() {
    let spool = fresh(SimulatedDisk(seed: 9))
    var losses: [SpoolLoss] = []
    #expect(!spool.spill(run(1, 2, layout: 8), rows: rows(1, 2, stream: 5), losses: &losses))
    #expect(!spool.spill(run(1, 2), rows: rows(1, 3, stream: 5), losses: &losses))
    #expect(!spool.spill(run(1, 1), rows: [Int64](repeating: 1 << 60, count: 6), losses: &losses))
    #expect(spool.isEmpty)
  }
}
