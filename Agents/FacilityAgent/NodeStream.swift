import BongsuDelivery
import BongsuDevices
import BongsuEnrolment
import BongsuModel
import BongsuRecordLog
import BongsuSpool
import BongsuTransport
import BongsuWire

/// One node or meter that is spoken for: a session of its own, with its own key, numbering and spool.
///
/// Thread rule: belongs to the courier's thread.
final class NodeStream {
  let node: NodeID
  /// Numbers of the endpoints that may speak for it.
  private let endpoints: [Int]
  private let names: [String]
  private let interval: TickInterval
  private let board: ReadingBoard
  private var shapes: [FacilityShape]
  private var combined: CombinedLayout
  private var row: [Int64] = []
  private var session: AgentSession
  private var host: AgentHost

  /// The columns that every row has: how often endpoints gave no answer.
  private static let ownMetrics = [MetricID.agentSourceTimeouts].compactMap(MetricCatalogue.metric)

  init(
    _ node: NodeID, endpoints: [Int], names: [String], interval: TickInterval, board: ReadingBoard,
    host: consuming AgentHost,
    spool: (state: AgentState?, layouts: [LayoutAnnouncement], lastTick: Tick?)
  ) {
    self.node = node
    self.endpoints = endpoints
    self.names = names
    self.interval = interval
    self.board = board
    shapes = endpoints.map { _ in FacilityShape() }
    combined = Self.combine(interval, names, shapes)
    var host = host
    let settings = AgentSessionSettings(
      node: node, incarnation: Incarnation(rawValue: UInt64.random(in: 1...(.max))), boot: .current(),
      agentVersion: "facility \(Release.version)")
    session = AgentSession(
      settings: settings,
      state: spool.state ?? AgentState(stream: StreamID(rawValue: UInt64.random(in: 1...(.max))), leaseEnd: 1),
      layouts: spool.layouts, layout: combined.layout, lastTick: spool.lastTick, reading: .now(),
      seed: UInt64.random(in: 1...(.max)), host: &host)
    self.host = host
    row = [Int64](repeating: SampleValue.absent.bits, count: combined.layout.width)
  }

  private static func combine(
    _ interval: TickInterval, _ names: [String], _ shapes: [FacilityShape]
  ) -> CombinedLayout {
    CombinedLayout(
      interval: interval, names: names, inventories: shapes.map(\.inventory), nodeMetrics: ownMetrics)
  }

  var isConnected: Bool { session.isEstablished }

  func millisecondsToNextTick(_ now: ClockReading) -> Int64 { session.clock.millisecondsToNextTick(now) }

  /// Takes a row if one is due, and lets time pass.
  func work(_ now: ClockReading) {
    if let stamp = session.dueTick(now) { sample(stamp, now) }
    session.advance(now, &host)
  }

  private func sample(_ stamp: TickStamp, _ now: ClockReading) {
    // This tick's answer, or where the endpoint is slow the one asked for a tick earlier.
    let oldest =
      stamp.boottimeMilliseconds - Int64(interval.milliseconds) - EndpointPoller.leadMilliseconds(interval) - 50
    let readings = endpoints.map { board.reading(of: node, from: $0, notBefore: oldest) }
    var hasChanged = false
    for (index, reading) in readings.enumerated() {
      if let reading, shapes[index].take(reading) { hasChanged = true }
    }
    if hasChanged {
      combined = Self.combine(interval, names, shapes)
      row = [Int64](repeating: SampleValue.absent.bits, count: combined.layout.width)
      session.change(layout: combined.layout, &host)
    }
    for index in row.indices { row[index] = SampleValue.absent.bits }
    for (index, reading) in readings.enumerated() {
      let values = shapes[index].values(of: reading)
      var span = row.mutableSpan
      combined.scatter(source: index, values: values.span, into: &span)
    }
    if let column = combined.layout.column(of: .agentSourceTimeouts) {
      let failures = endpoints.reduce(Int64(0)) { $0 + board.failures(of: $1) }
      row[combined.layout.offset(of: column)] = SampleValue(failures).bits
    }
    let taken = row
    session.sample(stamp, row: taken.span, now, &host)
  }

  /// Takes what has arrived, and notices a lost connection.
  func receive(_ now: ClockReading) throws {
    if try host.takeLoss() { session.connectionLost(now, &host) }
    while let message = try host.receive() {
      message.withBytes { session.receive($0, now, &host) }
    }
  }

  /// Lets `poller` watch the socket if it is a new one.
  func watchIfNew(with poller: inout Poller, token: UInt64) throws {
    if host.isSocketNew { try host.watch(with: &poller, socket: token, monitor: token) }
  }

  func shutDown() {
    session.shutDown(&host)
    host.sayNotices()
  }
}
