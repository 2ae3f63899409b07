import BongsuCodec
import BongsuModel
import BongsuTestKit
import BongsuWire

/// A node: its clocks, its disk and, while one runs, its agent.
final class AgentMachine: AgentSessionHost {
  let index: Int
  let node: Int
  let id: NodeID
  unowned let world: World
  var random: SeededRandom

  // Clocks. Wall = true time + error.
  var bootedAt: Int64
  var boot: BootID
  var wallError: Int64 = 0
  /// The wall clock is put right then.
  var wallMendsAt = Int64.max

  var spool: any SpoolBackend
  var oldCopies: [any SpoolBackend] = []
  /// A run that the mistake of a forgetful spool hides.
  private var hiddenRun: SpooledRun?
  /// What the run before began with; for the mistake of a lease that is not kept.
  private var firstState: AgentState?
  var run: AgentRun?
  var link: Link?
  /// When the agent starts again; `nil`: it runs, or never.
  var startsAt: Int64?
  var layoutIndex = 0
  /// Samples that are neither acknowledged nor given up, oldest first.
  var unsettled: [Int] = []
  var startedNewStream = false
  /// The aggregator may refuse rows of this machine for their ticks.
  var tickExcuse: String?
  /// Its wall clock was wrong at some time.
  var hasClockFault = false
  /// Rows of a boot whose clock was wrong and that no aggregator ever answered are believed as they are.
  var hasForgottenBoot = false
  /// Rows find no way to delivery before this; those that did not, first and last, to be told.
  var stuckUntil = Int64.min
  private var dropped: (first: TickStamp, last: TickStamp, count: Int)?
  /// Taken away for good.
  var isRetired = false

  private var words: [Int64] = []

  init(index: Int, node: Int, id: NodeID, world: World, seed: UInt64) {
    self.index = index
    self.node = node
    self.id = id
    self.world = world
    random = SeededRandom(seed: seed)
    spool = Self.emptySpool(world, seed: random.next())
    bootedAt = world.now - Int64.random(in: 1000...1_000_000, using: &random)
    boot = BootID(rawValue: random.next())
  }

  static func emptySpool(_ world: World, seed: UInt64) -> any SpoolBackend {
    world.scenario.faults.contains(.smallSpool) ? ModelSpool() : DiskSpool(world: world, seed: seed)
  }

  var reading: ClockReading {
    ClockReading(unixMilliseconds: world.now + wallError, boottimeMilliseconds: world.now - bootedAt)
  }

  // MARK: Life

  func start() {
    startsAt = nil
    spool.reopen()
    var settings = AgentSessionSettings(
      node: id, incarnation: Incarnation(rawValue: random.next()), boot: boot, agentVersion: "simulated")
    settings.leaseRows = world.scenario.leaseRows
    settings.pendingRowsMax = world.scenario.pendingRowsMax
    hiddenRun = nil
    if world.mutation == .dropSpoolTail {
      var next: UInt64 = 1
      while let run = spool.spooledRun(endingAtOrAfter: next) {
        hiddenRun = run
        next = run.lastSequence + 1
      }
    }
    var state = spool.state ?? AgentState(stream: StreamID(rawValue: random.next()), leaseEnd: 1)
    if world.mutation == .forgetLease, let first = firstState, first.stream == state.stream {
      state.leaseEnd = first.leaseEnd
    }
    firstState = state
    var host = self
    run = AgentRun(
      AgentSession(
        settings: settings, state: state, layouts: spool.layouts, layout: world.layouts[layoutIndex],
        lastTick: spool.lastTick, reading: reading, seed: random.next(), host: &host))
  }

  /// The process is killed: rows in memory are gone.
  func kill(power: Bool = false) {
    guard run != nil else { return }
    for id in unsettled where !spool.keeps(world.ledger.samples[id].sequence) {
      excuse(id, "in memory of an agent that was killed")
    }
    unsettled.removeAll { !spool.keeps(world.ledger.samples[$0].sequence) }
    spool.processEnds(power: power)
    dropped = nil
    run = nil
    if let link { world.network.abandon(link) }
    link = nil
  }

  /// The node loses power and boots anew.
  func powerFails() {
    kill(power: true)
    if hasClockFault {
      for id in unsettled where world.ledger.samples[id].stamp.isProvisional {
        excuse(id, "sampled by a wrong clock in a boot that no aggregator ever answered")
        hasForgottenBoot = true
      }
    }
    bootedAt = world.now + 3000
    boot = BootID(rawValue: random.next())
    startsAt = bootedAt + Int64.random(in: 0...4000, using: &random)
  }

  /// The spool directory is not what it was.
  func loseSpool(for other: any SpoolBackend) {
    for id in unsettled { excuse(id, "in a spool that was lost") }
    unsettled.removeAll()
    spool = other
  }

  func excuse(_ id: Int, _ reason: String) {
    if world.ledger.samples[id].excuse == nil { world.ledger.samples[id].excuse = reason }
  }

  // MARK: Time

  func step() {
    if world.now >= wallMendsAt {
      wallError = 0
      wallMendsAt = .max
    }
    if let startsAt, world.now >= max(startsAt, bootedAt) { start() }
    guard run != nil else { return }
    var host = self
    if let link {
      while let run, let frame = world.network.arrivedAtAgent(link, now: world.now) {
        // SAFETY: bytes have no padding.
        unsafe run.session.receive(frame.span.bytes, reading, &host)
        settle()
        if self.link !== link { break }
      }
    }
    tellDropped(&host)
    sampleIfDue(&host)
    run?.session.advance(reading, &host)
    settle()
  }

  /// Tells the session of rows that were dropped on the way to it, once there is a way again.
  private func tellDropped(_ host: inout AgentMachine) {
    guard let dropped, world.now >= stuckUntil else { return }
    self.dropped = nil
    guard world.mutation != .forgetDroppedRows else { return }
    run?.session.lose(sampled: dropped.count, from: dropped.first, through: dropped.last, reading, &host)
    settle()
  }

  private func sampleIfDue(_ host: inout AgentMachine) {
    guard !world.isSamplingOver else { return }
    var stamp: TickStamp?
    if world.mutation == .trustWallClock {
      stamp = wallStamp()
    } else {
      stamp = run?.session.dueTick(reading)
    }
    guard let stamp, let run else { return }
    let id = world.ledger.samples.count
    let layout = world.layouts[layoutIndex]
    if world.now < stuckUntil {
      world.ledger.samples.append(
        Ledger.Sample(
          machine: index, node: node, stamp: stamp, trueUnix: world.now, width: layout.width,
          stream: run.session.state.stream, sequence: 0, excuse: "dropped on its way to a delivery that was stuck"))
      dropped = (dropped?.first ?? stamp, stamp, (dropped?.count ?? 0) + 1)
      return
    }
    world.ledger.samples.append(
      Ledger.Sample(
        machine: index, node: node, stamp: stamp, trueUnix: world.now, width: layout.width,
        stream: run.session.state.stream, sequence: run.session.nextSequence, excuse: tickExcuse))
    unsettled.append(id)
    Ledger.row(of: id, width: layout.width, into: &words)
    let row = words
    run.session.sample(stamp, row: row.span, reading, &host)
    settle()
  }

  /// The mistake of a clock that believes the wall.
  private func wallStamp() -> TickStamp? {
    let step = Int64(world.scenario.intervalMilliseconds)
    let wall = reading.unixMilliseconds
    guard wall.flooredDivision(by: step) != lastWallTick else { return nil }
    lastWallTick = wall.flooredDivision(by: step)
    return TickStamp(
      tick: Tick(unixMilliseconds: lastWallTick * step), boottimeMilliseconds: reading.boottimeMilliseconds,
      isProvisional: false, isCorrected: false)
  }
  private var lastWallTick: Int64 = 0

  /// Follows the session's numbering where it started anew.
  private func settle() {
    guard startedNewStream, let run else { return }
    startedNewStream = false
    let inMemory = unsettled.suffix(run.session.pendingRowCount)
    for id in unsettled.dropLast(run.session.pendingRowCount) {
      excuse(id, "spooled under a numbering that was given up")
    }
    var sequence = run.session.nextSequence - UInt64(inMemory.count)
    for id in inMemory {
      excuse(id, "renumbered, and older than the newest row stored under the numbering before")
      world.ledger.samples[id].stream = run.session.state.stream
      world.ledger.samples[id].sequence = sequence
      sequence += 1
    }
    unsettled = Array(inMemory)
  }

  // MARK: AgentSessionHost

  func connect() { link = world.network.connect(machine: index) }

  func disconnect() {
    if let link { world.network.abandon(link) }
    link = nil
  }

  func send(_ frame: borrowing [UInt8]) -> Bool {
    guard let link else { return true }
    let bytes = copy frame
    world.note("agent \(index) sends \(World.describe(bytes)) over \(link.connection.rawValue)")
    if world.mutation == .dropGapFrames, bytes.first.map({ $0 & 0x1F }) == FrameType.gap.rawValue { return true }
    return world.network.send(bytes, over: link, up: true, now: world.now)
  }

  func spill(_ run: SpooledRun, rows: borrowing [Int64], losses: inout [SpoolLoss]) -> Bool {
    if world.mutation == .spoolLies { return true }
    var words = copy rows
    if world.mutation == .damagedValue, words.count > 1 { words[1] &+= 1 }
    let before = losses.count
    guard spool.spill(run, rows: words, losses: &losses) else { return false }
    for loss in losses[before...] { excuse(loss.sequences, "dropped by a full spool") }
    return true
  }

  private func excuse(_ sequences: ClosedRange<UInt64>, _ reason: String) {
    for id in unsettled where sequences.contains(world.ledger.samples[id].sequence) { excuse(id, reason) }
  }

  func release(_ durable: SequenceSet) {
    spool.release(durable)
    unsettled.removeAll { id in
      guard durable.contains(world.ledger.samples[id].sequence) else { return false }
      world.ledger.samples[id].isAcknowledged = true
      return true
    }
  }

  func spooledRun(endingAtOrAfter sequence: UInt64) -> SpooledRun? {
    let run = spool.spooledRun(endingAtOrAfter: sequence)
    return run == hiddenRun ? nil : run
  }

  func readSpooled(_ run: SpooledRun, appendingTo frame: inout [UInt8]) -> Bool {
    spool.readSpooled(run, appendingTo: &frame)
  }

  func store(_ state: AgentState) -> Bool { spool.store(state) }

  func store(_ layout: LayoutAnnouncement) -> Bool { spool.store(layout) }

  func resetSpool() { spool.reset() }

  func report(_ notice: AgentNotice) {
    world.note("agent \(index) \(notice)")
    switch notice {
    case .newStream: startedNewStream = true
    case .lost(let gap) where gap.reason == .spoolUnavailable:
      excuse(gap.firstSequence...gap.lastSequence, "dropped by an agent without a working spool")
    case .lost(let gap) where gap.reason == .notAnchored:
      excuse(gap.firstSequence...gap.lastSequence, "sampled by a clock that cannot be related")
    default: break
    }
  }
}

/// One run of an agent's process.
final class AgentRun {
  var session: AgentSession
  init(_ session: consuming AgentSession) { self.session = session }
}
