internal import BongsuEnrolment
public import BongsuModel
public import BongsuTransport
internal import Foundation
internal import Synchronization

/// The enrolment port: takes one request per connection, answers it, and hangs up.
///
/// Everybody may connect who knows the aggregator's key, which is no secret. So nothing here is worth attacking: one
/// thread of its own, messages of at most ``EnrolmentLimits/frameBytesMax`` bytes, a bounded number of connections with a
/// bounded life, bounded attempts per address.
///
/// Thread rule: ``init(in:listen:keys:registrar:onJoined:)``, ``start()`` and ``stop()`` from one thread, once each.
public final class EnrolmentServer: @unchecked Sendable {
  // `@unchecked Sendable`: everything but `isStopping` and `ended` is used by the server's thread alone once it runs.
  private static let socketToken: UInt64 = 0
  private static let monitorToken: UInt64 = 1

  /// The bound address, with the port that was taken: `tcp://HOST:PORT`.
  public let endpoint: String
  private let registrar: Registrar
  private let onJoined: @Sendable (NodeID) -> Void
  private let isStopping = Atomic<Bool>(false)
  private let ended = DispatchSemaphore(value: 0)
  private var socket: Socket
  private var monitor: ConnectionMonitor
  private var poller: Poller
  private var limiter = AttemptLimiter()
  private var budget = ConnectionBudget(limit: AdmissionLimits.enrolmentConnectionsMax)
  private var listener: Listener?
  private var guests: [ConnectionID: Guest] = [:]
  /// Whose a descriptor is at the moment. Numbers are used again at once, so nothing is decided by them.
  private var descriptors: [Int32: ConnectionID] = [:]

  private struct Guest {
    /// When it is cut, milliseconds of the monotonic clock.
    var deadline: Int64
    var isAnswered = false
  }

  /// Binds `endpoint`, such as `tcp://0.0.0.0:7421`.
  ///
  /// - Parameter onJoined: called on the server's thread for every node that was let in, before the machine is told.
  /// - Throws: `TransportError`; among others when no authority is installed in `context`.
  public init(
    in context: Context, listen endpoint: String, keys: KeyPair, registrar: Registrar,
    onJoined: @escaping @Sendable (NodeID) -> Void
  ) throws(TransportError) {
    self.registrar = registrar
    self.onJoined = onJoined
    var options = SocketOptions()
    options.messageBytesMax = EnrolmentLimits.frameBytesMax
    options.receiveHighWaterMark = 2
    options.sendHighWaterMark = 2
    options.handshakeTimeout = .seconds(5)
    socket = try Socket(
      .router, in: context, options: options, security: .curveServer(keys, domain: KeyTable.enrolmentDomain))
    monitor = try ConnectionMonitor(of: socket, in: context)
    poller = try Poller()
    try socket.bind(endpoint)
    self.endpoint = try socket.lastEndpoint
    try poller.add(socket, token: Self.socketToken)
    try poller.add(monitor.socket, token: Self.monitorToken)
  }

  /// Starts the thread.
  public func start() {
    let thread = Thread { self.run() }
    thread.name = "bongsu-enrol"
    thread.start()
  }

  /// Ends the thread, within a quarter of a second.
  public func stop() {
    isStopping.store(true, ordering: .relaxed)  // a flag of its own: nothing else is published through it
    ended.wait()
  }

  private func run() {
    defer { ended.signal() }
    do {
      while !isStopping.load(ordering: .relaxed) {
        _ = try poller.wait(timeout: .milliseconds(250))
        try drainMonitor()
        while try receiveOne() {}
        sweep()
      }
    } catch TransportError.terminated {
      return
    } catch {
      registrar.news.say("the enrolment port is closed, nobody can join before a restart: \(error)")
    }
  }

  // MARK: Requests

  private func receiveOne() throws(TransportError) -> Bool {
    switch try socket.receiveEnvelope() {
    case .nothing: return false
    case .refused(_, let message):
      // No agent sends such a thing, and there is no address to answer to.
      message.connection?.shutdown()
      return true
    case .message(let sender, let message):
      guard let answer = answer(message) else { return true }
      // Who hangs up before the answer asks again: the same key is accepted twice.
      _ = try socket.trySend(to: sender, copying: answer.bytes.span)
      return true
    }
  }

  /// What to answer; `nil` for what is not answered at all.
  private func answer(_ message: borrowing Message) -> EnrolmentFrame? {
    let now = monotonicMilliseconds()
    // Without a connection it has hung up already, and nobody waits for the answer.
    guard let connection = message.connection, let text = message.userID, let key = try? PublicKey(z85: text) else {
      return nil
    }
    // One request per connection.
    if guests[connection]?.isAnswered ?? false { return nil }
    guests[connection] = Guest(deadline: now + AdmissionLimits.farewellMilliseconds, isAnswered: true)
    let address = message.peerAddress ?? "unknown"
    if let wait = limiter.wait(address, at: now) {
      return registrar.deny(
        .tooManyAttempts, nil, address,
        "\(AdmissionLimits.attemptsMax) requests from \(address) were refused in a minute",
        "wait \((wait + 999) / 1000) s, then try again with a valid join string", wait)
    }
    let frame = decide(message.copiedBytes, key, address)
    if case .refused = frame, limiter.noteRefusal(address, at: now) {
      registrar.news.say("\(address) has sent too many refused join requests and has to wait a minute")
    }
    return frame
  }

  private func decide(_ bytes: [UInt8], _ key: PublicKey, _ address: String) -> EnrolmentFrame {
    do throws(EnrolmentFrameError) {
      guard case .join(let request) = try EnrolmentFrame(decoding: bytes) else {
        return registrar.deny(
          .malformed, nil, address, "the request is no join", "use bongsu-agent join on the machine that is to join")
      }
      return registrar.join(request, key: key, from: address, onJoined: onJoined)
    } catch {
      if case .otherVersion = error {
        return registrar.deny(.otherVersion, nil, address, "\(error)", "install the aggregator's release of the agent")
      }
      return registrar.deny(
        .malformed, nil, address, "\(error)", "use bongsu-agent join on the machine that is to join")
    }
  }

  // MARK: Connections

  private func drainMonitor() throws(TransportError) {
    while let event = try monitor.nextEvent() {
      switch event.kind {
      case .listening(let descriptor): listener = Listener(descriptor: descriptor)
      case .accepted(let descriptor):
        guard let connection = ConnectionID(descriptor: descriptor) else { break }
        descriptors[descriptor] = connection
        // Its request may have been answered before this was read.
        if guests[connection] == nil {
          guests[connection] = Guest(
            deadline: monotonicMilliseconds() + AdmissionLimits.connectionMilliseconds)
        }
      case .disconnected(let descriptor):
        if let connection = descriptors.removeValue(forKey: descriptor) { guests[connection] = nil }
      default: break
      }
      switch budget.note(event) {
      case .pause: listener?.pause()
      case .resume: listener?.resume()
      case nil: break
      }
    }
  }

  /// Cuts connections whose time is over.
  private func sweep() {
    let now = monotonicMilliseconds()
    for (connection, guest) in guests where guest.deadline <= now {
      connection.shutdown()
      guests[connection] = nil
    }
  }
}

/// A clock that never steps.
private func monotonicMilliseconds() -> Int64 { Int64(ProcessInfo.processInfo.systemUptime * 1000) }
