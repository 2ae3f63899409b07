import BongsuCodec
import BongsuModel
import BongsuTransport
import BongsuWire
import Foundation

/// The other end of the wire, moved by hand: sends exactly the frames that a test says.
final class HandAgent {
  let node: NodeID
  let stream: StreamID
  private(set) var incarnation: Incarnation
  private(set) var next: UInt64 = 1
  private let context: Context
  private var socket: Socket
  private var encoder = BlockEncoder()
  private let shape = BlockShape(TestFleet.layout)
  private var base: (sequence: UInt64, tick: Int64, row: [Int64])?
  /// Answers that were read and not asked for yet.
  private(set) var welcome: Welcome?
  private(set) var refuse: Refuse?
  private(set) var rejects: [Reject] = []
  private(set) var durable = SequenceSet()

  init(_ node: NodeID, _ endpoint: String, stream: UInt64 = 1, incarnation: UInt64 = 1) throws {
    self.node = node
    self.stream = StreamID(rawValue: stream)
    self.incarnation = Incarnation(rawValue: incarnation)
    context = try Context(ioThreads: 1)
    socket = try Self.connect(endpoint, context)
  }

  deinit { context.shutdown() }

  private static func connect(_ endpoint: String, _ context: Context) throws -> Socket {
    var options = SocketOptions()
    options.requiresConnection = false
    options.sendHighWaterMark = 1000
    options.linger = .zero
    var socket = try Socket(.dealer, in: context, options: options, security: .plain)
    try socket.connect(endpoint)
    return socket
  }

  /// Gives the connection up and makes another one.
  func reconnect(_ endpoint: String) throws {
    socket = try Self.connect(endpoint, context)
    welcome = nil
    base = nil
  }

  func send(_ bytes: [UInt8]) throws {
    let span = bytes.span
    // SAFETY: bytes have no padding.
    let outcome = try unsafe socket.trySend(copying: span.bytes)
    guard outcome == .sent else { throw CocoaError(.featureUnsupported) }
  }

  /// Reads what has come.
  func read() throws {
    while let message = try socket.tryReceive() {
      try message.withBytes { bytes in
        switch try FrameType(of: bytes) {
        case .welcome:
          let answer = try Welcome(decoding: bytes)
          welcome = answer
          durable = answer.durable
        case .refuse: refuse = try Refuse(decoding: bytes)
        case .ack: durable = try Ack(decoding: bytes).durable
        case .reject: rejects.append(try Reject(decoding: bytes))
        default: break
        }
      }
    }
  }

  /// Sends a Hello and waits for its answer.
  func greet(as claimed: NodeID? = nil) throws -> Bool {
    let now = Int64(Date().timeIntervalSince1970 * 1000)
    var bytes: [UInt8] = []
    Hello(
      node: claimed ?? node, stream: stream, incarnation: incarnation, boot: BootID(rawValue: 1),
      anchor: ClockReading(unixMilliseconds: now, boottimeMilliseconds: 1_000_000), firstSequenceOfRun: 1,
      nextSequence: next, agentVersion: "by-hand",
      layouts: [LayoutAnnouncement(number: 1, layout: TestFleet.layout)]
    ).encode(into: &bytes)
    try send(bytes)
    return try eventually {
      try read()
      return welcome != nil || refuse != nil
    } && welcome != nil
  }

  /// The frame of a live block of one row; based on the one before where it can be.
  func live(_ tick: Int64, row: [Int64]? = nil, isKeyframe: Bool = false) throws -> [UInt8] {
    let row = row ?? TestFleet.row(node, tick)
    var bytes: [UInt8] = []
    if let base, !isKeyframe {
      let ticks = (tick - base.tick) / 1000
      header(next, 1, .based(sequenceDistance: next - base.sequence, ticks: UInt64(ticks)), false).encode(into: &bytes)
      try encoder.encode(
        rows: row.span, shape: shape, base: base.row.span, ticksSinceBase: Int(ticks), appendingTo: &bytes)
    } else {
      header(next, 1, standalone(tick), false).encode(into: &bytes)
      try encoder.encode(rows: row.span, shape: shape, base: nil, appendingTo: &bytes)
    }
    base = (next, tick, row)
    next += 1
    return bytes
  }

  /// The frame of rows that come late, numbered from `sequence`, one second apart.
  func late(_ sequence: UInt64, _ tick: Int64, rows count: Int) throws -> [UInt8] {
    var rows: [Int64] = []
    for index in 0..<count { rows += TestFleet.row(node, tick + 1000 * Int64(index)) }
    var bytes: [UInt8] = []
    header(sequence, count, standalone(tick), true).encode(into: &bytes)
    try encoder.encode(rows: rows.span, shape: shape, base: nil, appendingTo: &bytes)
    return bytes
  }

  /// Leaves `count` numbers for later.
  func skip(_ count: UInt64) { next += count }

  /// Waits until all numbers below ``next`` are acknowledged.
  func waitUntilDurable(through last: UInt64? = nil) throws -> Bool {
    let last = last ?? next - 1
    return try eventually {
      try read()
      return durable.floor >= last
    }
  }

  private func header(_ first: UInt64, _ rows: Int, _ anchor: BlockHeader.Anchor, _ isLate: Bool) -> BlockHeader {
    BlockHeader(
      layoutNumber: 1, firstSequence: first, rowCount: rows, anchor: anchor, isCorrected: false, isLate: isLate)
  }

  private func standalone(_ tick: Int64) -> BlockHeader.Anchor {
    .standalone(tick: Tick(unixMilliseconds: tick), boottimeMilliseconds: 1_000_000, boot: nil)
  }
}
