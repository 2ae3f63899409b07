import BongsuCodec
import BongsuModel

@testable import BongsuWire

/// An agent's session on a list of frames: what it sends is collected, the spool is an array.
final class AgentBench: AgentSessionHost {
  var sent: [[UInt8]] = []
  var isFull = false
  var connections = 0
  var state: AgentState?
  var spooled: [(run: SpooledRun, rows: [Int64])] = []
  var takesSpill = true
  var takesState = true
  var notices: [AgentNotice] = []
  private var encoder = BlockEncoder()

  func connect() { connections += 1 }
  func disconnect() {}
  func send(_ frame: borrowing [UInt8]) -> Bool {
    if !isFull { sent.append(copy frame) }
    return !isFull
  }
  func spill(_ run: SpooledRun, rows: borrowing [Int64], losses: inout [SpoolLoss]) -> Bool {
    if takesSpill { spooled.append((run, copy rows)) }
    return takesSpill
  }
  func release(_ durable: SequenceSet) {
    spooled.removeAll { durable.containsAll($0.run.firstSequence, $0.run.lastSequence) }
  }
  func spooledRun(endingAtOrAfter sequence: UInt64) -> SpooledRun? {
    spooled.first { $0.run.lastSequence >= sequence }?.run
  }
  func readSpooled(_ run: SpooledRun, appendingTo frame: inout [UInt8]) -> Bool {
    guard let found = spooled.first(where: { $0.run == run }) else { return false }
    return (try? encoder.encode(rows: found.rows.span, shape: Self.shape, base: nil, appendingTo: &frame)) != nil
  }
  func store(_ state: AgentState) -> Bool {
    if takesState { self.state = state }
    return takesState
  }
  func store(_ layout: LayoutAnnouncement) -> Bool { true }
  func resetSpool() { spooled = [] }
  func report(_ notice: AgentNotice) { notices.append(notice) }

  static let layout: RowLayout = {
    let devices = [Device(scope: .gpu, index: 0, key: "GPU-0", model: "x")]
    let columns = MetricCatalogue.all.filter { $0.scope == .gpu }.prefix(2)
    guard let layout = try? RowLayout(interval: .second, columns: Array(columns), devices: devices) else {
      preconditionFailure("the layout is valid")
    }
    return layout
  }()
  static let shape = BlockShape(layout)

  /// Block headers sent, oldest first.
  var blocks: [BlockHeader] {
    sent.compactMap { bytes in
      var offset = 0
      return try? read(bytes) { frame throws(FrameError) in
        try BlockHeader(decoding: frame, payloadOffset: &offset)
      }
    }
  }
  var gaps: [Gap] { sent.compactMap { try? read($0, Gap.init(decoding:)) } }
  var hellos: [Hello] { sent.compactMap { try? read($0, Hello.init(decoding:)) } }
}

/// A session under test with its bench and its clock.
struct AgentRig: ~Copyable {
  static let origin: Int64 = 1_800_000_000_000
  var bench = AgentBench()
  var session: AgentSession
  var now: Int64 = 100_000

  init(state: AgentState? = nil, change: (inout AgentSessionSettings) -> Void = { _ in }) {
    var settings = AgentSessionSettings(
      node: NodeID("n1")!, incarnation: Incarnation(rawValue: 5), boot: BootID(rawValue: 9), agentVersion: "test")
    change(&settings)
    var host = bench
    session = AgentSession(
      settings: settings, state: state ?? AgentState(stream: StreamID(rawValue: 77), leaseEnd: 1), layouts: [],
      layout: AgentBench.layout, lastTick: nil,
      reading: ClockReading(unixMilliseconds: Self.origin + now, boottimeMilliseconds: now), seed: 1, host: &host)
  }

  var reading: ClockReading { ClockReading(unixMilliseconds: Self.origin + now, boottimeMilliseconds: now) }

  /// Lets seconds pass: one tick, one row and one timer event each.
  mutating func run(seconds: Int) {
    var host = bench
    for _ in 0..<seconds {
      now += 1000
      if let stamp = session.dueTick(reading) {
        session.sample(stamp, row: [stamp.tick.unixMilliseconds % 1000, now].span, reading, &host)
      }
      session.advance(reading, &host)
    }
  }

  /// Lets time pass without a tick.
  mutating func idle(milliseconds: Int64) {
    var host = bench
    now += milliseconds
    session.advance(reading, &host)
  }

  mutating func receive(_ bytes: [UInt8]) {
    var host = bench
    // SAFETY: bytes have no padding.
    unsafe session.receive(bytes.span.bytes, reading, &host)
  }

  /// Connects and is welcomed with `durable`.
  mutating func welcome(
    durable: SequenceSet = SequenceSet(), credit: Int = 64, newestTick: Tick? = nil, requiresNewStream: Bool = false
  ) {
    idle(milliseconds: 0)
    while case .offline = session.phase { idle(milliseconds: 500) }
    var bytes: [UInt8] = []
    Welcome(
      requiresNewStream: requiresNewStream, stream: session.state.stream, serverUnixMilliseconds: Self.origin + now,
      echoedBoottimeMilliseconds: now, creditBlocks: credit, ackIntervalMilliseconds: 3000,
      oldestTick: Tick(unixMilliseconds: 0), newestTick: newestTick, durable: durable
    ).encode(into: &bytes)
    receive(bytes)
  }

  mutating func acknowledge(_ durable: SequenceSet) {
    var bytes: [UInt8] = []
    Ack(creditBlocks: 64, takesOldestOnly: false, durable: durable).encode(into: &bytes)
    receive(bytes)
  }
}
