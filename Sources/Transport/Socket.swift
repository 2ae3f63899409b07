internal import CZeroMQ

/// The kinds of socket that Bongsu uses.
public enum SocketKind: Sendable, Hashable {
  /// Talks to one router, or spreads over several.
  case dealer
  /// Talks to many dealers, each by its `RoutingID`.
  case router
  /// Talks to one peer in the same process.
  case pair
  /// Answers each request once.
  case reply
  /// Asks, then waits for the answer.
  case request

  var code: Int32 {
    switch self {
    case .dealer: ZMQ_DEALER
    case .router: ZMQ_ROUTER
    case .pair: ZMQ_PAIR
    case .reply: ZMQ_REP
    case .request: ZMQ_REQ
    }
  }
}

/// Who may read and speak on a socket's connections.
public enum SocketSecurity: Sendable {
  /// Bytes in the clear, peers unknown. For `inproc://` and tests.
  case plain
  /// Encrypted; clients are decided by the context's authority, which sees `domain`.
  case curveServer(KeyPair, domain: String)
  /// Encrypted; talks only to the owner of `server`.
  case curveClient(KeyPair, server: PublicKey)
}

/// What became of a message that was to be sent.
public enum SendOutcome: Sendable, Hashable {
  /// Queued for the peer.
  case sent
  /// The peer's queue is full, or there is no connection: nothing was queued. Try when the socket is writable.
  case wouldBlock
  /// A router has no such peer (any more): nothing was queued.
  case unroutable
}

/// A ZeroMQ socket with one owner; closed when it is dropped. Never blocks: wait with a `Poller`.
///
/// Thread rule: used by the thread that made it. Not Sendable; make it on the thread that uses it, or hand it over as
/// `sending` before it is used or watched.
public struct Socket: ~Copyable {
  let handle: SocketHandle
  public let kind: SocketKind

  /// - Throws: `.authorityMissing` for a CURVE server in a context without an authority; `.outOfRange` for options.
  public init(
    _ kind: SocketKind, in context: Context, options: SocketOptions = SocketOptions(),
    security: SocketSecurity = .plain
  ) throws(TransportError) {
    let handle = try SocketHandle(context: context, kind: kind)
    try options.apply(to: handle, overheadBytes: security.overheadBytes)
    // Else a message for a peer that is gone or full would vanish without a word.
    if kind == .router { try handle.set(ZMQ_ROUTER_MANDATORY, "ROUTER_MANDATORY", Int32(1)) }
    try security.apply(to: handle, in: context)
    self.init(handle: handle, kind: kind)
  }

  /// For the monitor, which needs one option before it connects.
  init(handle: SocketHandle, kind: SocketKind) {
    self.handle = handle
    self.kind = kind
  }

  deinit {
    handle.close()
  }

  /// Listens until the socket is closed. `tcp://127.0.0.1:*` takes a free port: see `lastEndpoint`.
  ///
  /// There is no unbind: libzmq's sessions belong to their listener, so it would leave the connections that came in there
  /// mute, without telling their peers. To let nobody new in, see `Listener.pause()`.
  public mutating func bind(_ endpoint: String) throws(TransportError) {
    // SAFETY: the string lives through the call.
    guard unsafe zmq_bind(handle.touch(), endpoint) == 0 else { throw .last("listen on", endpoint) }
  }

  /// Starts connecting, and reconnecting, in the background.
  public mutating func connect(_ endpoint: String) throws(TransportError) {
    // SAFETY: the string lives through the call.
    guard unsafe zmq_connect(handle.touch(), endpoint) == 0 else { throw .last("connect to", endpoint) }
  }

  /// Ends the connection to `endpoint` and stops reconnecting.
  public mutating func disconnect(_ endpoint: String) throws(TransportError) {
    // SAFETY: the string lives through the call.
    guard unsafe zmq_disconnect(handle.touch(), endpoint) == 0 else { throw .last("disconnect from", endpoint) }
  }

  /// Where the last `bind` or `connect` ended up, with the port that was taken.
  public var lastEndpoint: String {
    get throws(TransportError) { try handle.getText(ZMQ_LAST_ENDPOINT, "LAST_ENDPOINT") }
  }
}

extension SocketSecurity {
  /// Bytes by which encryption makes each message longer (rfc.zeromq.org/spec/26: command name, nonce, box, flags).
  /// libzmq compares what comes over the wire with its bound, so the bound has to be as much higher.
  var overheadBytes: Int {
    switch self {
    case .plain: 0
    case .curveServer, .curveClient: 8 + 8 + 16 + 1
    }
  }

  func apply(to socket: SocketHandle, in context: Context) throws(TransportError) {
    switch self {
    case .plain: return
    case .curveServer(let keys, let domain):
      guard KeyPair.isAvailable else { throw .curveUnavailable }
      guard context.hasAuthority else { throw .authorityMissing }
      let name = Array(domain.utf8)
      guard (1...TransportLimits.nameBytesMax).contains(name.count) else {
        throw .outOfRange(
          setting: "bytes of the ZAP domain", value: name.count, allowed: 1...TransportLimits.nameBytesMax)
      }
      try socket.set(ZMQ_CURVE_SERVER, "CURVE_SERVER", Int32(1))
      try socket.set(ZMQ_CURVE_SECRETKEY, "CURVE_SECRETKEY", keys.secret.bytes)
      try socket.set(ZMQ_ZAP_DOMAIN, "ZAP_DOMAIN", name)
      // Second line of defence behind `hasAuthority`: without a handler libzmq then refuses instead of accepting all.
      try socket.set(BONGSU_ZMQ_ZAP_ENFORCE_DOMAIN, "ZAP_ENFORCE_DOMAIN", Int32(1))
    case .curveClient(let keys, let server):
      guard KeyPair.isAvailable else { throw .curveUnavailable }
      try socket.set(ZMQ_CURVE_SERVERKEY, "CURVE_SERVERKEY", server.bytes)
      try socket.set(ZMQ_CURVE_PUBLICKEY, "CURVE_PUBLICKEY", keys.publicKey.bytes)
      try socket.set(ZMQ_CURVE_SECRETKEY, "CURVE_SECRETKEY", keys.secret.bytes)
    }
  }
}
