package import BongsuEnrolment
internal import BongsuModel
package import BongsuSpool
package import BongsuTransport
package import BongsuWire
internal import Glibc

/// The effects of the agent's session: one DEALER socket per session, the spool on disk, lines in the log.
///
/// Thread rule: belongs to the thread that runs the session.
package struct AgentHost: AgentSessionHost, ~Copyable {
  private let context: Context
  private var endpoints: [HostPort]
  private let security: SocketSecurity
  /// The one that the present or next session uses.
  private var endpoint: HostPort
  private var sessions = 0
  private let log: AgentLog
  package var spool: Spool
  private var link: Link?
  /// Whether the socket was replaced since the uplink last looked.
  package private(set) var isSocketNew = false
  /// How the connection is, for people: to whom it stands, or why there is none.
  package private(set) var connection = "not connected yet"
  /// Whether the last thing said of the connection was that it stands.
  private var saidConnected: Bool?
  /// Whether the last connection was taken by the other side, and its handshake never came to its end.
  private var wasTurnedAway = false
  /// Whether that was said since the connection last stood.
  private var saidTurnedAway = false

  package init(
    context: Context, endpoints: [HostPort], security: SocketSecurity, spool: consuming Spool, log: AgentLog
  ) {
    self.context = context
    self.endpoints = endpoints
    self.security = security
    endpoint = endpoints[0]
    self.spool = spool
    self.log = log
  }

  // MARK: Connection

  /// Takes other places to deliver to; used from the next connection on.
  package mutating func change(endpoints: [HostPort]) {
    precondition(!endpoints.isEmpty)
    self.endpoints = endpoints
    sessions = 0
  }

  package mutating func connect() {
    disconnect()
    endpoint = endpoints[sessions % endpoints.count]
    sessions &+= 1
    do {
      var options = SocketOptions()
      options.messageBytesMax = WireLimits.frameBytesMax
      // The Hello waits for the connection; a session that gets no answer gives the socket up.
      options.requiresConnection = false
      options.sendHighWaterMark = 256
      var fresh = try Socket(.dealer, in: context, options: options, security: security)
      let monitor = try ConnectionMonitor(of: fresh, in: context)
      try fresh.connect(endpoint.tcpEndpoint)
      link = Link(socket: fresh, monitor: monitor)
      isSocketNew = true
    } catch {
      log.error("uplink", "\(error)")
    }
  }

  package mutating func disconnect() {
    if let isOpen = link?.isOpen { wasTurnedAway = !isOpen }
    link = nil
  }

  package mutating func send(_ frame: borrowing [UInt8]) -> Bool { link?.send(frame) ?? false }

  /// Lets `poller` watch the present socket and its monitor, under these tokens.
  package mutating func watch(
    with poller: inout Poller, socket: UInt64, monitor: UInt64
  ) throws(TransportError) {
    isSocketNew = false
    try link?.watch(with: &poller, socket: socket, monitor: monitor)
  }

  /// The next frame of the aggregator; `nil` when there is none now.
  package mutating func receive() throws(TransportError) -> Message? { try link?.receive() }

  /// Whether the transport lost a connection that stood.
  package mutating func takeLoss() throws(TransportError) -> Bool {
    try link?.takeLoss() ?? false
  }

  // MARK: Spool

  package mutating func spill(_ run: SpooledRun, rows: borrowing [Int64], losses: inout [SpoolLoss]) -> Bool {
    defer { sayNotices() }
    return spool.spill(run, rows: rows, losses: &losses)
  }

  package mutating func release(_ durable: SequenceSet) { spool.release(durable) }

  package mutating func spooledRun(endingAtOrAfter sequence: UInt64) -> SpooledRun? {
    spool.spooledRun(endingAtOrAfter: sequence)
  }

  package mutating func readSpooled(_ run: SpooledRun, appendingTo frame: inout [UInt8]) -> Bool {
    defer { sayNotices() }
    return spool.readSpooled(run, appendingTo: &frame)
  }

  package mutating func store(_ state: AgentState) -> Bool {
    defer { sayNotices() }
    return spool.store(state)
  }

  package mutating func store(_ layout: LayoutAnnouncement) -> Bool { spool.store(layout) }

  package mutating func resetSpool() { spool.reset() }

  package mutating func sayNotices() {
    for notice in spool.takeNotices() { log.warning("spool", "\(notice)") }
  }

  // MARK: Log

  package mutating func report(_ notice: AgentNotice) {
    switch notice {
    case .welcomed(let skew):
      let clock = skew.map { abs($0) > 100 ? ", this clock is \($0) ms off the aggregator's" : "" } ?? ""
      if saidConnected != true { log.info("uplink", "connected to \(endpoint)\(clock)") }
      saidConnected = true
      saidTurnedAway = false
      connection = "connected to \(endpoint)\(clock)"
    case .disconnected(let reason, let retry): sayDisconnected(reason, retry)
    case .rejected(let reject):
      log.warning(
        "uplink",
        "the aggregator does not take rows \(reject.firstSequence) to \(reject.lastSequence): \(reject.reason) "
          + "(saw \(reject.valueSeen), limit \(reject.limit))")
    case .lost(let gap):
      log.warning("uplink", "rows \(gap.firstSequence) to \(gap.lastSequence) are lost and recorded: \(gap.reason)")
    case .newStream: log.warning("uplink", "the numbering starts anew")
    case .spoolFailing(let isFailing):
      // The spool itself has said so with the disk's reason, once for each change.
      log.write(.debug, "spool", isFailing ? "rows wait in memory" : "rows go to the disk")
    case .clockCorrected(let isCorrected, let skew):
      log.warning(
        "clock",
        isCorrected
          ? "this node's clock is \(skew) ms off; ticks follow the aggregator's, set the clock (NTP)"
          : "this node's clock is right again")
    case .malformedFrame(let error): log.warning("uplink", "a frame of the aggregator cannot be read: \(error)")
    }
  }

  /// Says once per change of state that there is no connection, and again when the reason is the aggregator's own, or
  /// that somebody answers who is not the aggregator of this node.
  private mutating func sayDisconnected(_ reason: Disconnection, _ retry: Int64) {
    let text: String
    switch reason {
    case .connectionLost where wasTurnedAway, .noWelcome where wasTurnedAway:
      text =
        "\(endpoint) does not finish the handshake: it does not know this node's key (revoked, or not joined there), or "
        + "it is not the aggregator that this node joined; see bongsu nodes list, join again with bongsu-agent join"
    case .connectionLost: text = "the connection to \(endpoint) was lost"
    case .noWelcome(let waited): text = "no answer from \(endpoint) for \(waited / 1000) s"
    case .silence(let silent): text = "nothing heard from \(endpoint) for \(silent / 1000) s"
    case .refused(let refuse):
      log.error(
        "uplink", "refused by \(endpoint): \(refuse.reason)\(refuse.detail.isEmpty ? "" : " (\(refuse.detail))")")
      saidConnected = false
      connection = "refused by \(endpoint): \(refuse.reason)"
      return
    }
    connection = "not connected: \(text)"
    let isNews = wasTurnedAway && !saidTurnedAway
    if wasTurnedAway { saidTurnedAway = true }
    if saidConnected != false || isNews { log.warning("uplink", "\(text); retrying, samples are kept meanwhile") }
    saidConnected = false
  }
}

/// One session's socket, with what tells of its connection.
private struct Link: ~Copyable {
  var socket: Socket
  var monitor: ConnectionMonitor
  private var isTaken = false
  private var isEncrypted = false

  init(socket: consuming Socket, monitor: consuming ConnectionMonitor) {
    self.socket = socket
    self.monitor = monitor
  }

  mutating func send(_ frame: borrowing [UInt8]) -> Bool {
    let span = frame.span
    // SAFETY: bytes have no padding.
    return (try? unsafe socket.trySend(copying: span.bytes)) == .sent
  }

  mutating func watch(
    with poller: inout Poller, socket socketToken: UInt64, monitor monitorToken: UInt64
  ) throws(TransportError) {
    try poller.add(socket, token: socketToken)
    try poller.add(monitor.socket, token: monitorToken)
  }

  mutating func receive() throws(TransportError) -> Message? { try socket.tryReceive() }

  /// Whether nothing speaks against the connection: it waits for the other side to take it, or its handshake is through.
  var isOpen: Bool { isEncrypted || !isTaken }

  mutating func takeLoss() throws(TransportError) -> Bool {
    var isLost = false
    while let event = try monitor.nextEvent() {
      switch event.kind {
      case .connected: isTaken = true
      case .handshakeSucceeded: isEncrypted = true
      case .disconnected, .handshakeFailed, .handshakeProtocolError, .handshakeRefused: isLost = true
      case .accepted, .acceptFailed, .listening, .other: break
      }
    }
    return isLost
  }
}

extension ClockReading {
  /// Both clocks of this machine.
  package static func now() -> ClockReading {
    func nanoseconds(_ clock: clockid_t) -> Int64 {
      var time = timespec()
      // SAFETY: the call writes one timespec.
      unsafe clock_gettime(clock, &time)
      return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }
    return ClockReading(
      unixMilliseconds: nanoseconds(CLOCK_REALTIME) / 1_000_000,
      boottimeMilliseconds: nanoseconds(CLOCK_BOOTTIME) / 1_000_000)
  }
}
