import BongsuCodec
import BongsuDevices
import BongsuModel
import BongsuSampling
import BongsuTransport
import BongsuWire

/// What all simulated agents of one thread share, and what they count.
final class SimulationContext {
  let transport: Context
  let endpoint: String
  var encoder = BlockEncoder()
  var counts = LoadCounts()
  var latency = AckLatency()
  /// Boot clock at which the run began: scenarios count from it.
  var startedAt: Int64 = 0
  /// Sockets that were opened since the loop last looked, by agent.
  var newSockets: [Int] = []
  /// Whether to say what happens to single sessions.
  let isVerbose: Bool

  init(transport: Context, endpoint: String, isVerbose: Bool) {
    self.transport = transport
    self.endpoint = endpoint
    self.isVerbose = isVerbose
  }
}

/// One node of the simulated nation: the real session machine over a real socket, generated readings, a spool in memory.
///
/// Thread rule: belongs to one simulation thread.
final class SimulatedAgent {
  let node: NodeID
  private var session: AgentSession
  private var host: SimulatedHost
  private var generator: SimulatedNode
  private var course: NodeCourse
  private let interval: TickInterval
  private let layout: RowLayout
  private var random: SeedStream
  private var row: [Int64]
  private var awaited = AwaitedRows()
  /// How long after its tick a row is sent, milliseconds: spreads a nation over a tenth of the interval.
  let sendOffset: Int64

  init(_ plan: AgentPlan, interval: TickInterval, index: Int, context: SimulationContext) throws {
    node = plan.node
    self.interval = interval
    course = plan.course
    generator = SimulatedNode(plan.generator)
    let columns = generator.metrics.compactMap(MetricCatalogue.metric)
    layout = try RowLayout(interval: interval, columns: columns, devices: generator.devices)
    row = [Int64](repeating: SampleValue.absent.bits, count: generator.width)
    random = SeedStream(state: plan.seed)
    host = SimulatedHost(context: context, index: index, security: plan.security, interval: interval)
    let spread = random.next() % UInt64(max(1, min(100, Int64(interval.milliseconds) / 10)))
    sendOffset = Int64(spread)
    session = Self.makeSession(node: node, layout: layout, reading: .now(), random: &random, host: &host)
  }

  /// The session of one life of the machine: without a disk, its numbering begins with its process.
  ///
  /// Names of lives and numberings come from the system, not from the seed: two runs of one seed are two machines' lives,
  /// and rows of the second under the names of the first would count as sent before.
  private static func makeSession(
    node: NodeID, layout: RowLayout, reading: ClockReading, random: inout SeedStream, host: inout SimulatedHost
  ) -> AgentSession {
    let settings = AgentSessionSettings(
      node: node, incarnation: Incarnation(rawValue: .random(in: 1...(.max))),
      boot: BootID(rawValue: .random(in: 1...(.max))),
      agentVersion: "fleet-simulator")
    return AgentSession(
      settings: settings, state: AgentState(stream: StreamID(rawValue: .random(in: 1...(.max))), leaseEnd: 1),
      layouts: [],
      layout: layout, lastTick: nil, reading: reading, seed: random.next(), host: &host)
  }

  /// Follows the scenario, samples if a tick is due and wanted, and lets time pass.
  func work(_ now: ClockReading, isSampling: Bool) {
    let elapsed = now.boottimeMilliseconds - host.context.startedAt
    // A course without events costs nothing here.
    var steps: [NodeCourse.Step] = []
    course.advance(to: elapsed) { steps.append($0) }
    for step in steps { take(step, now) }
    guard course.isRunning else { return }
    let reading = now.off(by: course.clockOffset)
    if isSampling, let stamp = session.dueTick(reading) {
      var values = row.mutableSpan
      generator.fill(stamp.tick, interval: interval, into: &values)
      course.changeReadings(
        &values, generator.configuration, at: elapsed, intervalMilliseconds: Int64(interval.milliseconds))
      host.context.counts.rowsSampled += 1
      session.sample(stamp, row: row.span, reading, &host)
      awaited.append(session.nextSequence - 1, boottime: stamp.boottimeMilliseconds)
    }
    session.advance(reading, &host)
  }

  private func take(_ step: NodeCourse.Step, _ now: ClockReading) {
    let reading = now.off(by: course.clockOffset)
    switch step {
    case .vanish:
      host.disconnect()
      host.context.counts.rowsVanished += rowsNumbered - min(rowsNumbered, rowsDurable)
      host.context.counts.rowsEnded.numbered += rowsNumbered
      host.context.counts.rowsEnded.durable += min(rowsNumbered, rowsDurable)
    case .comeBack:
      host.restart()
      awaited.removeAll()
      session = Self.makeSession(node: node, layout: layout, reading: reading, random: &random, host: &host)
    case .loseNetwork:
      host.hasNetwork = false
      session.connectionLost(reading, &host)
    case .regainNetwork: host.hasNetwork = true
    case .breakConnection: session.connectionLost(reading, &host)
    }
  }

  /// Takes what has arrived.
  func receive(_ now: ClockReading) throws {
    let reading = now.off(by: course.clockOffset)
    let floor = session.durable.floor
    while let message = try host.receive() {
      message.withBytes { session.receive($0, reading, &host) }
      host.context.counts.bytesReceived += UInt64(message.byteCount)
    }
    if host.takeNewStream() { awaited.removeAll() }
    guard session.durable.floor > floor else { return }
    awaited.release(through: session.durable.floor) {
      host.context.latency.record(milliseconds: now.boottimeMilliseconds - $0)
    }
  }

  /// Whether the machine runs; its counts below are those of the present life.
  var isRunning: Bool { course.isRunning }
  /// Numbers given and acknowledged so far.
  var rowsNumbered: UInt64 { session.nextSequence - 1 }
  var rowsDurable: UInt64 { session.durable.floor }
  var isEstablished: Bool { course.isRunning && session.isEstablished }
  var spoolBytes: Int { host.spool.bytes }

  /// Lets `poller` watch the present socket.
  func watch(with poller: inout Poller, token: UInt64) throws { try host.watch(with: &poller, token: token) }

  func shutDown() {
    if course.isRunning { session.shutDown(&host) }
  }
}

extension ClockReading {
  /// The reading of a machine whose wall clock is off.
  fileprivate func off(by milliseconds: Int64) -> ClockReading {
    ClockReading(unixMilliseconds: unixMilliseconds + milliseconds, boottimeMilliseconds: boottimeMilliseconds)
  }
}

/// The effects of a simulated agent's session.
struct SimulatedHost: AgentSessionHost, ~Copyable {
  let context: SimulationContext
  let index: Int
  private let security: SocketSecurity
  let interval: TickInterval
  var spool = MemorySpool()
  private var socket: Socket?
  private var shapes: [Int: BlockShape] = [:]
  /// Without it nothing connects and nothing arrives.
  var hasNetwork = true
  private var hasNewStream = false

  init(context: SimulationContext, index: Int, security: SocketSecurity, interval: TickInterval) {
    self.context = context
    self.index = index
    self.security = security
    self.interval = interval
  }

  mutating func connect() {
    disconnect()
    guard hasNetwork else { return }
    do {
      var options = SocketOptions()
      // A session gives up by itself; until then messages may wait for the connection.
      options.requiresConnection = false
      options.messageBytesMax = WireLimits.frameBytesMax
      var fresh = try Socket(.dealer, in: context.transport, options: options, security: security)
      try fresh.connect(context.endpoint)
      socket = consume fresh
      context.counts.connects += 1
      context.newSockets.append(index)
    } catch {
      context.counts.failures += 1
      context.counts.lastFailure = "\(error)"
    }
  }

  mutating func disconnect() { socket = nil }

  mutating func send(_ frame: borrowing [UInt8]) -> Bool {
    guard socket != nil else { return false }
    let span = frame.span
    // SAFETY: bytes have no padding.
    guard let outcome = try? unsafe socket!.trySend(copying: span.bytes), outcome == .sent else { return false }
    context.counts.note(frame: span)
    return true
  }

  mutating func receive() throws -> Message? {
    guard socket != nil else { return nil }
    return try socket!.tryReceive()
  }

  mutating func watch(with poller: inout Poller, token: UInt64) throws {
    guard socket != nil else { return }
    try poller.add(socket!, token: token)
  }

  mutating func spill(_ run: SpooledRun, rows: borrowing [Int64], losses: inout [SpoolLoss]) -> Bool {
    guard let shape = shapes[run.layoutNumber] else { return false }
    var payload: [UInt8] = []
    do {
      try context.encoder.encode(rows: rows.span, shape: shape, base: nil, appendingTo: &payload)
    } catch {
      return false
    }
    context.counts.rowsSpooled += UInt64(run.rowCount)
    spool.append(run, payload: payload, interval: interval, losses: &losses)
    return true
  }

  mutating func release(_ durable: SequenceSet) {
    if !spool.isEmpty { spool.release(durable) }
  }

  mutating func spooledRun(endingAtOrAfter sequence: UInt64) -> SpooledRun? {
    spool.isEmpty ? nil : spool.run(endingAtOrAfter: sequence)
  }

  mutating func readSpooled(_ run: SpooledRun, appendingTo frame: inout [UInt8]) -> Bool {
    guard let payload = spool.payload(of: run) else { return false }
    frame.append(contentsOf: payload)
    return true
  }

  // Without a disk a stream ends with the process.
  mutating func store(_ state: AgentState) -> Bool { true }

  mutating func store(_ layout: LayoutAnnouncement) -> Bool {
    shapes[layout.number] = BlockShape(layout.layout)
    return true
  }

  mutating func resetSpool() { spool.removeAll() }

  /// Another life of the machine begins: its memory is empty.
  mutating func restart() {
    disconnect()
    spool.removeAll()
    shapes.removeAll()
  }

  /// Whether the numbering began anew since the last call.
  mutating func takeNewStream() -> Bool {
    defer { hasNewStream = false }
    return hasNewStream
  }

  mutating func report(_ notice: AgentNotice) {
    switch notice {
    case .welcomed: context.counts.welcomes += 1
    case .disconnected(let reason, _):
      context.counts.disconnections += 1
      context.counts.lastFailure = "\(reason)"
    case .rejected: context.counts.rejects += 1
    case .lost(let gap): context.counts.rowsLost += gap.lastSequence - gap.firstSequence + 1
    case .malformedFrame(let error): context.counts.lastFailure = "\(error)"
    case .newStream: hasNewStream = true
    case .spoolFailing, .clockCorrected: break
    }
    if context.isVerbose { print("node \(index): \(notice)") }
  }
}

/// SplitMix64: everything a simulated agent draws follows from its seed.
struct SeedStream {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
