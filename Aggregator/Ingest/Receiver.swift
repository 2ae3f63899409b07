internal import BongsuModel
internal import BongsuRing
internal import BongsuTransport
internal import BongsuWire
internal import Synchronization

/// The thread that owns the ROUTER socket of one listen address: frames in to shards, frames out to agents.
///
/// It looks no deeper into a frame than it must to find its shard: a connection's first frame is a Hello, which names
/// the node, and a node belongs to one shard. It stops reading while a shard's ring is full, so that pressure goes back
/// through TCP to the agents' spools instead of into memory.
///
/// Thread rule: built on any thread, then ``run()`` on its own; nothing else may be called after that but
/// ``requestStop()``.
final class Receiver: @unchecked Sendable {
  // `@unchecked Sendable`: everything but `isStopping` and the counters is used by the receiver's thread alone once it
  // runs.
  private static let socketToken: UInt64 = 0
  private static let monitorToken: UInt64 = 1
  private static let firstShardToken: UInt64 = 16

  /// Its place among the receivers; sessions find their way back by it.
  private let number: UInt8
  private let pool: MessagePool
  private let counters: IngestCounters
  private let identity: IdentityRule
  private let shards: [ShardLink]
  private let isStopping = Atomic<Bool>(false)

  private var socket: Socket
  private var poller: Poller
  private var monitor: ConnectionMonitor
  private var budget: ConnectionBudget
  /// What to close while descriptors run short.
  private var listener: Listener?
  /// The bound address, with the port that was taken.
  let endpoint: String
  /// Which shard serves a connection, and which TCP connection it is. Entries leave when the shard says so.
  private var connections: [UInt32: Connection] = [:]
  /// A frame that its shard had no room for; nothing is read before it is delivered.
  private var held: (event: ShardEvent, shard: Int)?

  private struct Connection {
    var shard: Int
    /// The only one that it may speak for.
    var node: String
    /// To cut it when its node is revoked.
    var tcp: BongsuTransport.ConnectionID?
  }

  /// Connections that are cut once their last frame has had time to leave, and when, monotonic nanoseconds.
  private var leaving: [(tcp: BongsuTransport.ConnectionID, at: Int64)] = []

  /// One shard's rings, from the receiver's side. A class, because arrays hold no noncopyable values.
  final class ShardLink: @unchecked Sendable {
    // `@unchecked Sendable`: made at the start and handed to the receiver, whose thread alone uses it from then on.
    var events: RingProducer<ShardEvent>
    var replies: RingConsumer<Reply>

    init(events: consuming RingProducer<ShardEvent>, replies: consuming RingConsumer<Reply>) {
      self.events = events
      self.replies = replies
    }
  }

  /// Binds `listen`, such as `tcp://127.0.0.1:7420`.
  init(
    number: UInt8, context: Context, listen: String, security: SocketSecurity, identity: IdentityRule,
    connectionsMax: Int,
    pool: MessagePool, shards: sending [ShardLink], counters: IngestCounters
  ) throws {
    self.number = number
    self.pool = pool
    self.counters = counters
    self.identity = identity
    self.shards = shards
    budget = ConnectionBudget(limit: connectionsMax)
    var options = SocketOptions()
    options.messageBytesMax = WireLimits.frameBytesMax
    // What an agent may have in flight is bounded by its credit; the marks only have to hold that.
    options.receiveHighWaterMark = WireLimits.creditBlocksMin * 2
    options.sendHighWaterMark = 64
    socket = try Socket(.router, in: context, options: options, security: security)
    poller = try Poller()
    monitor = try ConnectionMonitor(of: socket, in: context)
    do {
      try socket.bind(listen)
      endpoint = try socket.lastEndpoint
    } catch {
      throw IngestError.listenFailed(endpoint: listen, reason: "\(error)")
    }
    try poller.add(socket, token: Self.socketToken)
    try poller.add(monitor.socket, token: Self.monitorToken)
    for (index, shard) in shards.enumerated() {
      guard let descriptor = shard.replies.descriptor else {
        preconditionFailure("reply rings are made with a wake descriptor")
      }
      try poller.add(descriptor: descriptor, token: Self.firstShardToken + UInt64(index))
    }
  }

  /// Asks the thread to end; it does within a tenth of a second. Any thread.
  func requestStop() {
    isStopping.store(true, ordering: .relaxed)  // a flag of its own: nothing else is published through it
  }

  /// Works until ``requestStop()`` or the end of the context.
  func run() {
    do {
      while !isStopping.load(ordering: .relaxed) {
        try turn()
      }
    } catch {
      counters.receiverFailed(error)
    }
  }

  private func turn() throws(TransportError) {
    if held == nil {
      var canSleep = true
      for shard in shards where !shard.replies.armDescriptor() { canSleep = false }
      _ = try poller.wait(timeout: canSleep ? .milliseconds(100) : .zero)
    } else {
      deliverHeld()
    }
    try drainMonitor()
    try drainReplies()
    cutLeaving()
    guard held == nil else { return }
    for _ in 0..<IngestLimits.receiveBatch {
      guard try receiveOne() else { return }
    }
  }

  // MARK: In

  private func receiveOne() throws(TransportError) -> Bool {
    switch try socket.receiveEnvelope() {
    case .nothing:
      return false
    case .refused(let fault, _):
      counters.refuse(RefusalCause(fault))
      return true
    case .message(let sender, var message):
      counters.received(bytes: message.byteCount)
      // A later Hello names a node too, and is looked at like the first.
      if let connection = connections[sender.number], !message.withBytes({ (try? FrameType(of: $0)) == .hello }) {
        return forward(&message, from: sender, to: connection.shard)
      }
      return try introduce(&message, from: sender)
    }
  }

  /// The first frame of a connection: it must be a Hello, from a node that the key may speak for.
  private func introduce(_ message: inout Message, from sender: RoutingID) throws(TransportError) -> Bool {
    let node: NodeIDOrRefusal = message.withBytes { bytes in
      do throws(FrameError) {
        guard try FrameType(of: bytes) == .hello else { return .refuse(.helloExpected, "the first frame is no hello") }
        return .node(try Hello(decoding: bytes).node.name)
      } catch {
        counters.refuse(RefusalCause(error))
        return .refuse(.malformedHello, "\(error)")
      }
    }
    switch node {
    case .refuse(let reason, let detail):
      if case .withdrawn = identity.judge("", userID: message.userID) {
        try refuseForGood(sender, message.connection)
      } else {
        try refuse(sender, reason, detail)
      }
      return true
    case .node(let claimed):
      if let known = connections[sender.number] {
        guard known.node == claimed else {
          try refuse(sender, .nodeMismatch, "the connection is of \(known.node), the hello says \(claimed)")
          return true
        }
      }
      switch identity.judge(claimed, userID: message.userID) {
      case .owner: break
      case .withdrawn:
        try refuseForGood(sender, message.connection)
        return true
      case .other(let owner):
        try refuse(sender, .nodeMismatch, "the key belongs to \(owner), the hello says \(claimed)")
        return true
      }
      let shard = Self.shard(of: claimed, among: shards.count)
      connections[sender.number] = Connection(shard: shard, node: claimed, tcp: message.connection)
      return forward(&message, from: sender, to: shard)
    }
  }

  private enum NodeIDOrRefusal {
    case node(String)
    case refuse(RefuseReason, String)
  }

  /// Hands the frame to its shard; `false` when there was no room and reading has to stop.
  private func forward(_ message: inout Message, from sender: RoutingID, to shard: Int) -> Bool {
    guard let handle = pool.park(&message) else {
      // Rings hold fewer frames than the pool, so this means that a thread keeps messages it has done with.
      preconditionFailure("the message pool of \(pool.capacity) is exhausted")
    }
    let event = ShardEvent(
      kind: .frame, receiver: number, connection: sender.number, message: handle.rawValue,
      arrived: MonotonicClock.nanoseconds())
    if shards[shard].events.tryPush(event) { return true }
    counters.receiverStalled()
    held = (event, shard)
    return false
  }

  private func deliverHeld() {
    guard let waiting = held else { return }
    _ = shards[waiting.shard].events.waitForSpace(timeout: .milliseconds(20))
    if shards[waiting.shard].events.tryPush(waiting.event) { held = nil }
  }

  /// Which shard owns a node: the same for the life of the process (FNV-1a of the name). A controller comes to its node.
  static func shard(of node: String, among count: Int) -> Int {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    let suffix = NodeID.controllerSuffix
    for byte in (node.hasSuffix(suffix) ? node.dropLast(suffix.count) : node[...]).utf8 {
      hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3
    }
    return Int(hash % UInt64(count))
  }

  // MARK: Out

  private func drainReplies() throws(TransportError) {
    for shard in shards {
      while let reply = shard.replies.tryPop() {
        switch reply.kind {
        case .send:
          var message = pool.take(MessageHandle(rawValue: reply.message))
          let outcome = try socket.trySend(to: RoutingID(number: reply.connection), &message)
          // An answer that cannot be delivered is no loss: sessions repeat what matters.
          if outcome != .sent { counters.replyDropped(outcome) }
        case .forget:
          connections[reply.connection] = nil
        case .cut:
          cutSoon(connections.removeValue(forKey: reply.connection)?.tcp)
        }
      }
    }
  }

  private func refuse(_ peer: RoutingID, _ reason: RefuseReason, _ detail: String) throws(TransportError) {
    counters.refuse(RefusalCause(reason))
    let limited = String(decoding: detail.utf8.prefix(WireLimits.detailBytesMax), as: UTF8.self)
    var bytes: [UInt8] = []
    // Who did not know that its session is gone may come back at once; its own jitter spreads the rest.
    let retry: UInt64 = reason == .helloExpected ? 0 : 5000
    Refuse(reason: reason, retryAfterMilliseconds: retry, detail: limited).encode(into: &bytes)
    let span = bytes.span
    // SAFETY: bytes have no padding.
    let outcome = try socket.trySend(to: peer, copying: unsafe span.bytes)
    if outcome != .sent { counters.replyDropped(outcome) }
  }

  // MARK: Connections

  /// Says that the key of a connection is withdrawn, and cuts it.
  private func refuseForGood(
    _ peer: RoutingID, _ tcp: BongsuTransport.ConnectionID?
  ) throws(TransportError) {
    try refuse(peer, .revoked, "")
    cutSoon(tcp)
  }

  /// Cuts a connection whose key is withdrawn, after the refusal on its way has had a moment to leave. Nothing that comes
  /// over it counts meanwhile.
  private func cutSoon(_ tcp: BongsuTransport.ConnectionID?) {
    guard let tcp, !leaving.contains(where: { $0.tcp == tcp }) else { return }
    leaving.append((tcp, MonotonicClock.nanoseconds() + IngestLimits.farewellNanoseconds))
  }

  private func cutLeaving() {
    guard !leaving.isEmpty else { return }
    let now = MonotonicClock.nanoseconds()
    leaving.removeAll { entry in
      guard entry.at <= now else { return false }
      entry.tcp.shutdown()
      return true
    }
  }

  private func drainMonitor() throws(TransportError) {
    while let event = try monitor.nextEvent() {
      counters.connection(event)
      if case .listening(let descriptor) = event.kind { listener = Listener(descriptor: descriptor) }
      guard let step = budget.note(event) else { continue }
      let isPausing = step == .pause
      if isPausing { listener?.pause() } else { listener?.resume() }
      counters.listenerPaused(isPausing)
    }
  }
}

/// Which node a connection may speak for.
enum IdentityRule: Sendable {
  /// Whatever the Hello says: for plain connections on a trusted machine.
  case claimed
  /// The node to which the user id belongs that the key authority gave, as of now, and no other.
  case userID(@Sendable (String) -> NodeID?)

  enum Judgement: Equatable {
    case owner
    /// The key that the connection came in by is no longer good.
    case withdrawn
    case other(String)
  }

  func judge(_ node: String, userID: String?) -> Judgement {
    switch self {
    case .claimed: return .owner
    case .userID(let owner):
      guard let owner = userID.flatMap(owner) else { return .withdrawn }
      return owner.name == node ? .owner : .other(owner.name)
    }
  }
}
