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
  private let interval: TickInterval
  private var row: [Int64]
  /// How long after its tick a row is sent, milliseconds: spreads a nation over a tenth of the interval.
  let sendOffset: Int64

  init(_ plan: AgentPlan, interval: TickInterval, index: Int, context: SimulationContext) throws {
    node = plan.node
    self.interval = interval
    generator = SimulatedNode(plan.generator)
    let columns = generator.metrics.compactMap(MetricCatalogue.metric)
    let layout = try RowLayout(interval: interval, columns: columns, devices: generator.devices)
    row = [Int64](repeating: SampleValue.absent.bits, count: generator.width)
    var random = SeedStream(state: plan.seed)
    let settings = AgentSessionSettings(
      node: node, incarnation: Incarnation(rawValue: random.next()), boot: BootID(rawValue: random.next()),
      agentVersion: "fleet-simulator")
    host = SimulatedHost(context: context, index: index, security: plan.security, interval: interval)
    sendOffset = Int64(random.next() % UInt64(max(1, min(100, Int64(interval.milliseconds) / 10))))
    session = AgentSession(
      settings: settings, state: AgentState(stream: StreamID(rawValue: random.next()), leaseEnd: 1), layouts: [],
      layout: layout, lastTick: nil, reading: .now(), seed: random.next(), host: &host)
  }

  /// Samples if a tick is due and wanted, and lets time pass.
  func work(_ reading: ClockReading, isSampling: Bool) {
    if isSampling, let stamp = session.dueTick(reading) {
      var values = row.mutableSpan
      generator.fill(stamp.tick, interval: interval, into: &values)
      host.context.counts.rowsSampled += 1
      session.sample(stamp, row: row.span, reading, &host)
    }
    session.advance(reading, &host)
  }

  /// Takes what has arrived.
  func receive(_ reading: ClockReading) throws {
    while let message = try host.receive() {
      message.withBytes { session.receive($0, reading, &host) }
      host.context.counts.bytesReceived += UInt64(message.byteCount)
    }
  }

  /// Numbers given and acknowledged so far.
  var rowsNumbered: UInt64 { session.nextSequence - 1 }
  var rowsDurable: UInt64 { session.durable.floor }
  var isEstablished: Bool { session.isEstablished }
  var rowsWaiting: Int { session.pendingRowCount }
  var spoolBytes: Int { host.spool.bytes }

  /// Lets `poller` watch the present socket.
  func watch(with poller: inout Poller, token: UInt64) throws { try host.watch(with: &poller, token: token) }

  func shutDown() { session.shutDown(&host) }
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

  init(context: SimulationContext, index: Int, security: SocketSecurity, interval: TickInterval) {
    self.context = context
    self.index = index
    self.security = security
    self.interval = interval
  }

  mutating func connect() {
    disconnect()
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

  mutating func report(_ notice: AgentNotice) {
    switch notice {
    case .welcomed: context.counts.welcomes += 1
    case .disconnected(let reason, _):
      context.counts.disconnections += 1
      context.counts.lastFailure = "\(reason)"
    case .rejected: context.counts.rejects += 1
    case .lost(let gap): context.counts.rowsLost += gap.lastSequence - gap.firstSequence + 1
    case .malformedFrame(let error): context.counts.lastFailure = "\(error)"
    case .newStream, .spoolFailing, .clockCorrected: break
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
