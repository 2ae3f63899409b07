internal import CZeroMQ

/// What a socket is set to before it binds or connects. The defaults are Bongsu's, not libzmq's.
///
/// Not here, on purpose (libzmq 4.3.4):
/// - ZMTP heartbeats: they cut a healthy link whose queue is full, and a late wake-up on the reconnecting side aborts
///   the process. Peers are found dead by frames of the application and by TCP keepalive.
/// - Fixed routing ids and handover: a peer could take the place of another. The router names its peers itself, and
///   identity comes from the key (`Message.userID`).
public struct SocketOptions: Sendable, Hashable {
  /// Whole messages queued per peer before sending would block. Beside the messages libzmq takes some 59 KB per TCP peer
  /// for its own queues and buffers.
  public var sendHighWaterMark = 64
  /// Whole messages queued per peer before its connection is no longer read.
  public var receiveHighWaterMark = 64
  /// A peer that announces a larger message is disconnected.
  public var messageBytesMax = 1 << 20
  /// How long closing waits for unsent messages.
  public var linger = Duration.zero
  /// Queue only to live connections: a send while disconnected would block instead of piling up.
  public var requiresConnection = true
  /// Pause before reconnecting. libzmq adds a random part of up to this much even when backed off, so it also spreads a
  /// fleet that reconnects at once.
  public var reconnectInterval = Duration.seconds(1)
  /// Ceiling of the doubling pause; zero keeps it constant.
  public var reconnectIntervalMax = Duration.zero
  /// A connection that has not finished its handshake by then is closed.
  public var handshakeTimeout = Duration.seconds(10)
  /// Gives up a connect after this; zero leaves it to the operating system.
  public var connectTimeout = Duration.zero
  /// Connections the kernel holds for us before they are accepted; also bounded by net.core.somaxconn. They come in even
  /// after `Listener.pause()`, so a `ConnectionBudget` has to leave room for them.
  public var backlog = 1024
  /// Finds peers behind a silent network cut, which would keep their descriptor for ever; `nil` leaves it off.
  public var keepalive: Keepalive? = Keepalive()
  /// Lets endpoints be IPv6; IPv4 peers then appear as `::ffff:a.b.c.d`.
  public var allowsIPv6 = false

  public init() {}

  /// TCP keepalive: probe after `idle`, then each `interval`, dead after `probes` without an answer.
  public struct Keepalive: Sendable, Hashable {
    public var idle = Duration.seconds(30)
    public var interval = Duration.seconds(10)
    public var probes = 3

    public init() {}
  }
}

extension SocketOptions {
  func apply(to socket: SocketHandle, overheadBytes: Int) throws(TransportError) {
    let marks = 1...TransportLimits.highWaterMarkMax
    try socket.set(ZMQ_SNDHWM, "sendHighWaterMark", sendHighWaterMark, marks)
    try socket.set(ZMQ_RCVHWM, "receiveHighWaterMark", receiveHighWaterMark, marks)
    guard (1...TransportLimits.messageBytesMax).contains(messageBytesMax) else {
      throw .outOfRange(
        setting: "messageBytesMax", value: messageBytesMax, allowed: 1...TransportLimits.messageBytesMax)
    }
    try socket.set(ZMQ_MAXMSGSIZE, "messageBytesMax", Int64(messageBytesMax + overheadBytes))
    try socket.set(ZMQ_LINGER, "linger", linger)
    try socket.set(ZMQ_IMMEDIATE, "requiresConnection", Int32(requiresConnection ? 1 : 0))
    try socket.set(ZMQ_RECONNECT_IVL, "reconnectInterval", reconnectInterval)
    try socket.set(ZMQ_RECONNECT_IVL_MAX, "reconnectIntervalMax", reconnectIntervalMax)
    try socket.set(ZMQ_HANDSHAKE_IVL, "handshakeTimeout", handshakeTimeout)
    try socket.set(ZMQ_CONNECT_TIMEOUT, "connectTimeout", connectTimeout)
    try socket.set(ZMQ_BACKLOG, "backlog", backlog, 1...65_535)
    try socket.set(ZMQ_IPV6, "allowsIPv6", Int32(allowsIPv6 ? 1 : 0))
    guard let keepalive else { return }
    try socket.set(ZMQ_TCP_KEEPALIVE, "keepalive", Int32(1))
    let seconds = 1...32_767  // the kernel's range (tcp(7))
    try socket.set(ZMQ_TCP_KEEPALIVE_IDLE, "keepalive.idle", Int(keepalive.idle.components.seconds), seconds)
    try socket.set(ZMQ_TCP_KEEPALIVE_INTVL, "keepalive.interval", Int(keepalive.interval.components.seconds), seconds)
    try socket.set(ZMQ_TCP_KEEPALIVE_CNT, "keepalive.probes", keepalive.probes, 1...127)
  }
}

extension Duration {
  /// Whole milliseconds, rounded up so that a short wait is never turned into none.
  var millisecondsRoundedUp: Int {
    let (seconds, attoseconds) = components
    return Int(seconds) * 1000 + Int((attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
  }
}
