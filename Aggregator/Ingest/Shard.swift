internal import BongsuCodec
internal import BongsuMetrics
internal import BongsuModel
internal import BongsuRecordLog
internal import BongsuRing
internal import BongsuRollup
internal import BongsuTransport
internal import BongsuWire
internal import Synchronization

/// One shard: the sessions, live rows and rollup of the nodes it owns, on one thread.
///
/// A turn of its loop: take what is in the ring, frame by frame; hand the journal batch over if it is due; close the
/// ticks that can be closed; once a second look after every session. It sleeps on its ring in between, so a shard
/// without agents uses no processor time worth naming.
///
/// Thread rule: ``replay(_:log:limits:after:)`` before, then ``run()`` on its own thread; ``ask(_:)`` and ``requestStop()`` from any.
final class Shard: @unchecked Sendable {
  // `@unchecked Sendable`: sessions and host are used by the running thread alone; the mailbox is behind a mutex.
  var sessions: [AggregatorSession] = []
  var host: ShardHost
  private var events: MergingConsumer<ShardEvent>
  private var commits: RingConsumer<CommitNotice>
  private var nodeByName: [NodeID: Int] = [:]
  private var nodeByConnection: [BongsuWire.ConnectionID: Int] = [:]
  private var frame: LeafFrame
  private let collector: TickCollector
  private let number: Int
  /// Energy as of a record that is not on disk yet.
  private var energyDue: (record: UInt64, sums: EnergyLedger.Sums)?
  private var settings: AggregatorSessionSettings
  /// The first tick that is kept, milliseconds.
  private let oldestKept: @Sendable () -> Int64
  /// Rows older than this are refused wherever they would be kept, milliseconds.
  private let retentionMax: Int64
  private let pool: MessagePool
  private let counters: IngestCounters
  private let mailbox: Mailbox
  private let isStopping = Atomic<Bool>(false)
  private var sweptAt: Int64 = 0
  /// The checkpoint under way.
  var checkpoint: OpenCheckpoint?

  init(
    host: consuming ShardHost, events: consuming MergingConsumer<ShardEvent>,
    commits: consuming RingConsumer<CommitNotice>, mailbox: Mailbox,
    collector: TickCollector, number: Int, settings: AggregatorSessionSettings,
    oldestKept: @escaping @Sendable () -> Int64 = { 0 }
  ) {
    pool = host.pool
    counters = host.counters
    self.host = host
    self.events = events
    self.commits = commits
    self.mailbox = mailbox
    self.collector = collector
    self.number = number
    self.settings = settings
    retentionMax = settings.retention
    self.oldestKept = oldestKept
    frame = LeafFrame(tick: Tick(unixMilliseconds: 0))
  }

  /// Asks the thread to end once its ring is empty. Any thread.
  func requestStop() {
    isStopping.store(true, ordering: .relaxed)  // a flag of its own: nothing else is published through it
  }

  // MARK: The loop

  func run() {
    var buffer = [ShardEvent](repeating: .mail, count: IngestLimits.shardBatch)
    while true {
      takeCommits()
      // Without room in the journal nothing may be taken that would need it: frames wait in the ring, and behind them
      // the receiver, the network and the agents.
      let taken = host.journal.hasRoom ? takeEvents(into: &buffer) : 0
      for index in 0..<taken { handle(buffer[index]) }
      let instant = refreshClocks()
      let journalWait = host.journal.handOver(now: host.now, wall: host.wall)
      closeTicks()
      publishEnergy()
      sweep(instant)
      let isWriting = advanceCheckpoint()
      if taken > 0 || isWriting { continue }
      if isStopping.load(ordering: .relaxed) { return finish() }
      guard host.journal.hasRoom else {
        _ = commits.waitForElements(timeout: .milliseconds(100))
        continue
      }
      if events.waitForElements(timeout: .nanoseconds(waitNanoseconds(journalWait))) == .ended { return finish() }
    }
  }

  private func takeEvents(into buffer: inout [ShardEvent]) -> Int {
    var span = buffer.mutableSpan
    return events.tryPop(into: &span)
  }

  private func takeCommits() {
    while let notice = commits.tryPop() { host.journal.commit(slot: notice.slot, upTo: notice.record) }
  }

  private func waitNanoseconds(_ journalWait: Int64?) -> Int64 {
    let untilClose = (host.rollup.watermark.deadline.unixMilliseconds - host.wall) * 1_000_000
    return max(1_000_000, min(100_000_000, untilClose, journalWait ?? .max))
  }

  private func refreshClocks() -> AggregatorInstant {
    host.now = MonotonicClock.nanoseconds()
    host.wall = WallClock.unixMilliseconds()
    return AggregatorInstant(
      monotonicMilliseconds: host.now / 1_000_000, unixMilliseconds: host.wall,
      committedRecord: host.journal.committed)
  }

  private func handle(_ event: ShardEvent) {
    switch event.kind {
    case .frame: takeFrame(event)
    case .mail: mailbox.deliver(self)
    }
  }

  private func takeFrame(_ event: ShardEvent) {
    let message = pool.take(MessageHandle(rawValue: event.message))
    let connection = BongsuWire.ConnectionID(event.connection, receiver: event.receiver)
    let instant = refreshClocks()
    message.withBytes { bytes in
      do throws(FrameError) {
        if try FrameType(of: bytes) == .hello {
          try greet(bytes, connection, instant)
        } else if let index = nodeByConnection[connection] {
          try sessions[index].receive(bytes, over: connection, instant, settings, &host)
        }
      } catch {
        counters.refuse(RefusalCause(error))
      }
    }
  }

  private func greet(
    _ bytes: RawSpan, _ connection: BongsuWire.ConnectionID, _ instant: AggregatorInstant
  ) throws(FrameError) {
    let node = try Hello(decoding: bytes).node
    let index = self.index(of: node)
    if nodeByConnection[connection] != index { nodeByConnection[connection] = index }
    sessions[index].hello(bytes, over: connection, identity: node, instant, settings, &host)
  }

  /// Number of a node's slot, made when it is new.
  func index(of node: NodeID) -> Int {
    if let known = nodeByName[node] { return known }
    let index = sessions.count
    let number = NodeNumber(rawValue: UInt32(index))
    sessions.append(AggregatorSession(node: number))
    host.nodes.append(ShardNode(id: node, number: number))
    nodeByName[node] = index
    counters.knownNodes.add(1)
    return index
  }

  private func closeTicks() {
    var hasClosed = false
    while host.rollup.isClosable(now: Tick(unixMilliseconds: host.wall)) {
      host.rollup.close(into: &frame)
      collector.deposit(frame)
      hasClosed = true
    }
    if hasClosed, energyDue == nil { energyDue = (host.journal.nextRecord - 1, host.energy.sums) }
    collector.correct(host.rollup.takeLate())
  }

  /// Tells the energy of rows that are on disk: a restart counts them again, and never less than was told.
  private func publishEnergy() {
    guard let due = energyDue, host.journal.committed >= due.record else { return }
    energyDue = nil
    collector.deposit(due.sums, shard: number)
  }

  /// Tells the energy that a replay has found. Before ``run()``.
  func publishRestoredEnergy() { collector.deposit(host.energy.sums, shard: number) }

  /// Looks after every session once a second: acknowledgements that are due, silence.
  private func sweep(_ instant: AggregatorInstant) {
    guard instant.monotonicMilliseconds - sweptAt >= 1000 else { return }
    sweptAt = instant.monotonicMilliseconds
    settings.retention = max(0, min(retentionMax, instant.unixMilliseconds - oldestKept()))
    for index in sessions.indices where host.nodes[index].isConnected {
      let before = sessions[index].connection
      sessions[index].sweep(instant, settings, &host)
      if !sessions[index].isConnected { nodeByConnection[before] = nil }
    }
  }

  private func finish() {
    // What is open goes to the writer, which ends after it; nobody waits for the acknowledgement.
    _ = host.journal.handOver(now: host.now, wall: host.wall, isForced: true)
  }

  /// Forgets all nodes, for a restart that began with a checkpoint of no use.
  func forgetAll() {
    counters.knownNodes.add(-Int64(sessions.count))
    sessions.removeAll()
    host.nodes.removeAll()
    host.energy = EnergyLedger(host.rollup.plan)
    nodeByName.removeAll()
  }

  // MARK: Questions

  /// The nodes as they are now; for mail.
  func visitNodes(_ body: (borrowing ShardNode) -> Void) {
    for index in host.nodes.indices { body(host.nodes[index]) }
  }

  /// How many nodes there are; for mail. Their numbers begin at 0 and stay as long as the shard runs.
  var nodeCount: Int { host.nodes.count }

  /// The node of a number; for mail.
  func withNode<Result>(number: Int, _ body: (borrowing ShardNode) -> Result) -> Result { body(host.nodes[number]) }

  /// The node called `id`, for mail.
  func withNode<Result>(_ id: NodeID, _ body: (borrowing ShardNode) -> Result) -> Result? {
    nodeByName[id].map { body(host.nodes[$0]) }
  }

  /// Records not yet on disk, for mail.
  var pendingRecords: UInt64 { host.journal.pending }

  /// Cuts a node off, or lets it in again, for mail.
  func setRevoked(_ isRevoked: Bool, _ id: NodeID) {
    let index = self.index(of: id)
    let connection = sessions[index].connection
    // First, because the session's refusal makes the receiver forget the connection.
    let isCut = isRevoked && connection != .none
    if isCut { host.cut(connection) }
    sessions[index].setRevoked(isRevoked, settings, &host)
    if isCut {
      nodeByConnection[connection] = nil
      host.setConnected(index, false)
    }
    host.nodes[index].isKeyShared = false
  }
}
