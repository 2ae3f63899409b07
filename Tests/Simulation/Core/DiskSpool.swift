import BongsuModel
import BongsuSpool
import BongsuTestKit
import BongsuWire

/// The product's spool on a disk that tears, fills up and fails.
final class DiskSpool: SpoolBackend {
  private let disk: SimulatedDisk
  private var opened: OpenSpool
  private var salt: UInt32
  /// Numbers that the spool has said to have on disk.
  private var kept: [ClosedRange<UInt64>] = []
  private unowned let world: World

  /// A noncopyable value in a place that can be replaced.
  private final class OpenSpool {
    var spool: Spool
    init(_ disk: SimulatedDisk, salt: UInt32) { spool = Spool(disk: disk, salt: salt) }
  }

  init(world: World, seed: UInt64) {
    self.world = world
    disk = SimulatedDisk(seed: seed)
    salt = UInt32(truncatingIfNeeded: seed)
    opened = OpenSpool(disk, salt: salt)
  }

  var state: AgentState? { opened.spool.state }
  var layouts: [LayoutAnnouncement] { opened.spool.layouts }
  var lastTick: Tick? { opened.spool.lastTick }

  func spill(_ run: SpooledRun, rows: [Int64], losses: inout [SpoolLoss]) -> Bool {
    let isTaken = opened.spool.spill(run, rows: rows, losses: &losses)
    if isTaken { waiting.append(run.firstSequence...run.lastSequence) }
    if opened.spool.memoryByteCount == 0 {
      kept += waiting
      waiting = []
    }
    for loss in losses {
      kept.removeAll { $0.overlaps(loss.sequences) }
      waiting.removeAll { $0.overlaps(loss.sequences) }
    }
    return isTaken
  }
  private var waiting: [ClosedRange<UInt64>] = []

  func release(_ durable: SequenceSet) {
    opened.spool.release(durable)
    kept.removeAll { durable.containsAll($0.lowerBound, $0.upperBound) }
    waiting.removeAll { durable.containsAll($0.lowerBound, $0.upperBound) }
  }

  func spooledRun(endingAtOrAfter sequence: UInt64) -> SpooledRun? {
    opened.spool.spooledRun(endingAtOrAfter: sequence)
  }

  func readSpooled(_ run: SpooledRun, appendingTo frame: inout [UInt8]) -> Bool {
    opened.spool.readSpooled(run, appendingTo: &frame)
  }

  func store(_ state: AgentState) -> Bool { opened.spool.store(state) }
  func store(_ layout: LayoutAnnouncement) -> Bool { opened.spool.store(layout) }

  func reset() {
    opened.spool.reset()
    kept = []
    waiting = []
  }

  func keeps(_ sequence: UInt64) -> Bool { kept.contains { $0.contains(sequence) } }

  func processEnds(power: Bool) {
    waiting = []
    if power { disk.powerFails() } else { disk.processDies() }
  }

  func reopen() {
    salt &+= 1
    let before = opened.spool.state
    opened = OpenSpool(disk, salt: salt)
    // Rows of a state that could not be read are given up with it.
    guard opened.spool.state != nil, opened.spool.state?.stream == before?.stream else { return }
    for range in kept {
      let found = opened.spool.spooledRun(endingAtOrAfter: range.lowerBound)
      if found.map({ $0.firstSequence <= range.lowerBound && range.upperBound <= $0.lastSequence }) != true {
        world.fail("the spool has lost rows \(range) that it had on disk; it found \(found.map { "\($0)" } ?? "none")")
      }
    }
  }

  func copy(seed: UInt64) -> any SpoolBackend {
    let twin = DiskSpool(world: world, seed: seed)
    for name in (try? disk.names()) ?? [] { twin.disk.plant(name, disk.bytes(named: name)) }
    twin.opened = OpenSpool(twin.disk, salt: twin.salt)
    return twin
  }

  func trouble(_ kind: Int) {
    switch kind % 5 {
    case 0: disk.isReadOnly = true
    case 1: disk.capacityBytes = disk.usedBytes + 100
    case 2: disk.writeFailurePermille = 300
    case 3: disk.synchronizeFailurePermille = 200
    default: mend()
    }
  }

  func mend() {
    disk.isReadOnly = false
    disk.capacityBytes = .max
    disk.writeFailurePermille = 0
    disk.synchronizeFailurePermille = 0
  }

  func shrink(to bytes: Int) {}
}
