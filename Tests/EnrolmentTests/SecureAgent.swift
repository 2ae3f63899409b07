import BongsuCodec
import BongsuModel
import BongsuTransport
import BongsuWire
import Foundation

/// The other end of the ingest port, moved by hand, with whatever key a test gives it.
final class SecureAgent {
  let node: NodeID
  private let context: Context
  private var socket: Socket
  private var monitor: ConnectionMonitor
  private var incarnation: UInt64
  private var next: UInt64 = 1
  private var encoder = BlockEncoder()
  private(set) var welcome: Welcome?
  private(set) var refuse: Refuse?
  private(set) var durable: UInt64 = 0
  private(set) var events: [ConnectionEvent.Kind] = []

  static let layout: RowLayout = {
    let columns = [MetricID.gpuPower, MetricID.nodePower].compactMap(MetricCatalogue.metric)
    let gpu = Device(scope: .gpu, index: 0, key: "GPU-0", model: "NVIDIA B200")
    guard let layout = try? RowLayout(interval: .second, columns: columns, devices: [gpu, .node]) else {
      preconditionFailure("the layout is valid")
    }
    return layout
  }()

  init(_ node: NodeID, _ endpoint: String, security: SocketSecurity, incarnation: UInt64 = 1) throws {
    self.node = node
    self.incarnation = incarnation
    context = try Context()
    var options = SocketOptions()
    options.requiresConnection = false
    options.reconnectInterval = .milliseconds(100)
    socket = try Socket(.dealer, in: context, options: options, security: security)
    monitor = try ConnectionMonitor(of: socket, in: context)
    try socket.connect(endpoint)
  }

  deinit { context.shutdown() }

  func sendHello(as claimed: NodeID? = nil) throws {
    let now = Int64(Date().timeIntervalSince1970 * 1000)
    var bytes: [UInt8] = []
    Hello(
      node: claimed ?? node, stream: StreamID(rawValue: incarnation), incarnation: Incarnation(rawValue: incarnation),
      boot: BootID(rawValue: 1), anchor: ClockReading(unixMilliseconds: now, boottimeMilliseconds: 1_000_000),
      firstSequenceOfRun: 1, nextSequence: next, agentVersion: "by-hand",
      layouts: [LayoutAnnouncement(number: 1, layout: Self.layout)]
    ).encode(into: &bytes)
    try send(bytes)
  }

  /// Sends a row of now; its number is acknowledged once it is on disk.
  func sendRow() throws {
    let tick = Int64(Date().timeIntervalSince1970) * 1000 + Int64(next) * 1000 - 60_000
    var bytes: [UInt8] = []
    BlockHeader(
      layoutNumber: 1, firstSequence: next, rowCount: 1,
      anchor: .standalone(tick: Tick(unixMilliseconds: tick), boottimeMilliseconds: 1_000_000, boot: nil),
      isCorrected: false, isLate: false
    ).encode(into: &bytes)
    let row: [Int64] = [700_000, 900_000]
    try encoder.encode(rows: row.span, shape: BlockShape(Self.layout), base: nil, appendingTo: &bytes)
    next += 1
    try send(bytes)
  }

  func send(_ bytes: [UInt8]) throws { _ = try socket.trySend(copying: bytes.span) }

  /// Reads what has come.
  func read() throws {
    while let event = try monitor.nextEvent() { events.append(event.kind) }
    while let message = try socket.tryReceive() {
      try message.withBytes { bytes in
        switch try FrameType(of: bytes) {
        case .welcome: welcome = try Welcome(decoding: bytes)
        case .refuse: refuse = try Refuse(decoding: bytes)
        case .ack: durable = try Ack(decoding: bytes).durable.floor
        default: break
        }
      }
    }
  }

  /// Sends a Hello and waits for the session; `false` when it is refused, or when nothing comes in time.
  func greet(as claimed: NodeID? = nil, within seconds: Double = 15) throws -> Bool {
    welcome = nil
    refuse = nil
    try sendHello(as: claimed)
    _ = try eventually(within: seconds) {
      try read()
      return welcome != nil || refuse != nil
    }
    return welcome != nil
  }

  /// Sends a row and waits until it is on the aggregator's disk.
  func deliver(within seconds: Double = 15) throws -> Bool {
    try sendRow()
    let number = next - 1
    return try eventually(within: seconds) {
      try read()
      return durable >= number
    }
  }

  /// Waits until the connection has been cut.
  func seesEnd(within seconds: Double = 15) throws -> Bool {
    try eventually(within: seconds) {
      try read()
      return events.contains { if case .disconnected = $0 { true } else { false } }
    }
  }
}
