public import BongsuModel
public import BongsuTransport

/// Why a machine could not join.
public enum EnrolmentFailure: Error, Hashable, Sendable, CustomStringConvertible {
  /// The aggregator said no.
  case denied(JoinDenial)
  /// Nobody took the connection.
  case unreachable(HostPort, seconds: Int)
  /// Somebody took the connection and broke the handshake off.
  case handshakeBroken(HostPort)
  /// The connection stands and the request was not answered.
  case noAnswer(HostPort, seconds: Int)
  /// The answer cannot be used.
  case badAnswer(HostPort, String)
  case transport(TransportError)

  public var description: String {
    switch self {
    case .denied(let denial): "the aggregator refuses: \(denial.detail); \(denial.nextStep)"
    case .unreachable(let place, let seconds):
      "cannot reach the aggregator at \(place) within \(seconds) s; is it up, and does the network let this machine "
        + "through to port \(place.port)?"
    case .handshakeBroken(let place):
      "what answers at \(place) does not have the key of the join string; is the string of another aggregator, or was "
        + "the aggregator installed anew? make a new string with bongsu join-token create"
    case .noAnswer(let place, let seconds):
      "no answer from the aggregator at \(place) within \(seconds) s; look into its log and try again"
    case .badAnswer(let place, let reason): "the answer of \(place) cannot be used: \(reason)"
    case .transport(let error): "\(error)"
    }
  }
}

/// The joining side of enrolment: asks once, waits for the answer.
///
/// Thread rule: any thread; each call has a socket of its own and blocks until it is answered or its time is over.
public struct EnrolmentClient: Sendable {
  private let context: Context
  private let patience: Duration

  private static let socketToken: UInt64 = 0
  private static let monitorToken: UInt64 = 1

  /// - Parameter patience: how long each endpoint of the join string is given.
  public init(context: Context, patience: Duration = .seconds(10)) {
    self.context = context
    self.patience = patience
  }

  /// Enrols `keys` for `node`: tries the endpoints in order until one answers. The answer names a host in every endpoint.
  public func join(
    _ string: JoinString, as node: NodeID, keys: KeyPair, agentVersion: String
  ) throws(EnrolmentFailure) -> JoinAcceptance {
    let request = JoinRequest(secret: string.secret, node: node, agentVersion: agentVersion)
    var last: EnrolmentFailure?
    for place in string.endpoints {
      do throws(EnrolmentFailure) {
        var acceptance = try ask(place, EnrolmentFrame.join(request).bytes, keys, string.serverKey)
        acceptance.endpoints = acceptance.endpoints.map { $0.orHost(of: place) }
        guard acceptance.node == node else {
          throw .badAnswer(place, "it enrols \(acceptance.node) where \(node) was asked")
        }
        return acceptance
      } catch {
        if case .denied = error { throw error }
        last = error
      }
    }
    guard let last else { preconditionFailure("a join string has an endpoint") }
    throw last
  }

  private func ask(
    _ place: HostPort, _ request: [UInt8], _ keys: KeyPair, _ server: PublicKey
  ) throws(EnrolmentFailure) -> JoinAcceptance {
    let answer: Answer
    do throws(TransportError) {
      answer = try exchange(place, request, keys, server)
    } catch {
      throw .transport(error)
    }
    let seconds = Int(patience.components.seconds)
    switch answer {
    case .silence(let wasConnected):
      throw wasConnected ? .noAnswer(place, seconds: seconds) : .unreachable(place, seconds: seconds)
    case .broken: throw .handshakeBroken(place)
    case .frame(let bytes):
      let frame: EnrolmentFrame
      do throws(EnrolmentFrameError) {
        frame = try EnrolmentFrame(decoding: bytes)
      } catch {
        throw .badAnswer(place, "\(error)")
      }
      switch frame {
      case .accepted(let acceptance): return acceptance
      case .refused(let denial): throw .denied(denial)
      case .join: throw .badAnswer(place, "it is a request")
      }
    }
  }

  private enum Answer {
    case frame([UInt8])
    case broken
    case silence(wasConnected: Bool)
  }

  private func exchange(
    _ place: HostPort, _ request: [UInt8], _ keys: KeyPair, _ server: PublicKey
  ) throws(TransportError) -> Answer {
    var options = SocketOptions()
    options.messageBytesMax = EnrolmentLimits.frameBytesMax
    // The request waits for the handshake.
    options.requiresConnection = false
    var socket = try Socket(.dealer, in: context, options: options, security: .curveClient(keys, server: server))
    var monitor = try ConnectionMonitor(of: socket, in: context)
    var poller = try Poller()
    try poller.add(socket, token: Self.socketToken)
    try poller.add(monitor.socket, token: Self.monitorToken)
    try socket.connect(place.tcpEndpoint)
    _ = try socket.trySend(copying: request.span)
    let deadline = ContinuousClock.now + patience
    var isTaken = false
    var isEncrypted = false
    while true {
      if let message = try socket.tryReceive() { return .frame(message.copiedBytes) }
      while let event = try monitor.nextEvent() {
        switch event.kind {
        case .connected: isTaken = true
        case .handshakeSucceeded: isEncrypted = true
        // Before the handshake is through only a key that does not fit ends a connection that was taken.
        case .disconnected, .handshakeFailed, .handshakeProtocolError, .handshakeRefused:
          if isTaken && !isEncrypted { return .broken }
        case .accepted, .acceptFailed, .listening, .other: break
        }
      }
      let left = ContinuousClock.now.duration(to: deadline)
      if left <= .zero { return .silence(wasConnected: isEncrypted) }
      _ = try poller.wait(timeout: left)
    }
  }
}

extension Message {
  /// The bytes of a small frame.
  package var copiedBytes: [UInt8] {
    // SAFETY: only read during the call.
    withBytes { span in unsafe span.withUnsafeBytes { unsafe Array($0) } }
  }
}
