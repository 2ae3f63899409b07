internal import BongsuMetrics
internal import BongsuModel
internal import BongsuRecordLog
internal import BongsuRing
internal import BongsuRollup
internal import BongsuTransport
internal import BongsuWire

/// The threads of an ingest core between its start and its end.
///
/// Thread rule: ``start()`` and ``stop()`` once; the rest from any thread.
final class RunningEngine: @unchecked Sendable {
  // `@unchecked Sendable`: workers are touched by `start` and `stop` alone, the rest never changes.
  private let shards: [Shard]
  let mailboxes: [Mailbox]
  private let journals: [JournalThread]
  private let receivers: [Receiver]
  private let keeper: KeeperThread?
  private var workers: [WorkerThread] = []
  private var journalWorkers: [WorkerThread] = []
  private var keeperWorker: WorkerThread?
  /// What the journals had that could not be read, one line each.
  let damage: [String]

  init(
    _ configuration: IngestConfiguration, plan: RollupPlan, context: Context, counters: IngestCounters,
    collector: TickCollector, keeper: (any JournalKeeper)?, onFailure: @escaping @Sendable (String) -> Void,
    progress: (String) -> Void
  ) throws {
    let pool = MessagePool(capacity: IngestLimits.poolCapacity(shards: configuration.shards))
    var shards: [Shard] = []
    var mailboxes: [Mailbox] = []
    var journals: [JournalThread] = []
    var links = [[Receiver.ShardLink]](repeating: [], count: configuration.listen.count)
    var damage: [String] = []
    for number in 0..<configuration.shards {
      let parts = try ShardParts(
        number: number, configuration, plan: plan, pool: pool, counters: counters, collector: collector,
        keeper: keeper, onFailure: onFailure, progress: progress)
      shards.append(parts.shard)
      mailboxes.append(parts.mailbox)
      journals.append(parts.journal)
      for (receiver, link) in parts.links.enumerated() { links[receiver].append(link) }
      damage += parts.damage
    }
    self.shards = shards
    self.mailboxes = mailboxes
    self.journals = journals
    self.damage = damage
    self.keeper = keeper.map {
      KeeperThread(
        keeper: $0, mailboxes: mailboxes, journals: journals,
        intervalMilliseconds: configuration.keepIntervalMilliseconds)
    }
    let security = configuration.keys.map { SocketSecurity.curveServer($0, domain: "ingest") } ?? .plain
    var receivers: [Receiver] = []
    for (number, listen) in configuration.listen.enumerated() {
      receivers.append(
        try Receiver(
          number: UInt8(number), context: context, listen: listen, security: security,
          identity: configuration.keys == nil ? .claimed : .userID(configuration.nodeOfUserID),
          connectionsMax: max(1, configuration.connectionsMax / configuration.listen.count),
          pool: pool, shards: links[number], counters: counters))
    }
    self.receivers = receivers
  }

  var endpoints: [String] { receivers.map(\.endpoint) }
  var journalStates: [JournalState] { journals.map(\.state) }

  func start() throws {
    for (number, journal) in journals.enumerated() {
      journalWorkers.append(try WorkerThread("journal-\(number)") { journal.run() })
    }
    for (number, shard) in shards.enumerated() {
      workers.append(try WorkerThread("shard-\(number)") { shard.run() })
    }
    for (number, receiver) in receivers.enumerated() {
      workers.append(try WorkerThread("receiver-\(number)") { receiver.run() })
    }
    if let keeper { keeperWorker = try WorkerThread("keeper") { keeper.run() } }
  }

  /// Ends the threads; `false` when something that was received is not on disk.
  func stop() -> Bool {
    for receiver in receivers { receiver.requestStop() }
    keeper?.requestStop()
    keeperWorker?.join()
    for shard in shards { shard.requestStop() }
    for worker in workers { worker.join() }
    for journal in journals { journal.requestStop() }
    for worker in journalWorkers { worker.join() }
    // All threads have ended, so this one may look at the shards: the next start finds nothing to replay.
    let checkpoints = zip(shards, journals).map { $0.finalCheckpoint(durable: $1.state.durableRecord) }
    keeper?.finish(checkpoints)
    workers.removeAll()
    journalWorkers.removeAll()
    return !checkpoints.contains(nil)
  }

  func readingJournals<Result>(_ body: ([UInt64]) throws -> Result) rethrows -> Result {
    guard let keeper else { return try body(journals.map(\.state.durableRecord)) }
    return try keeper.withoutTrimming { try body(journals.map(\.state.durableRecord)) }
  }
}

/// One shard with its rings, journal and mailbox, as they are put together at the start.
struct ShardParts {
  let shard: Shard
  let mailbox: Mailbox
  let journal: JournalThread
  /// For each receiver, its ends of the rings.
  let links: [Receiver.ShardLink]
  let damage: [String]

  init(
    number: Int, _ configuration: IngestConfiguration, plan: RollupPlan, pool: MessagePool, counters: IngestCounters,
    collector: TickCollector, keeper: (any JournalKeeper)?, onFailure: @escaping @Sendable (String) -> Void,
    progress: (String) -> Void
  ) throws {
    let path = "\(configuration.journalDirectory)/shard-\(number)"
    let disk = try PosixDisk(path: path)
    // Segments end where the shard says, so the log's own bound is out of reach.
    let limits = LogLimits(
      segmentBytes: 1 << 39, recordBytesMax: IngestLimits.recordBytesMax, batchBytesMax: IngestLimits.commitBytesMax)
    progress("reading the end of journal \(number + 1) of \(configuration.shards)")
    let checkpoint = keeper?.checkpoint(shard: number)
    var log = try LogWriter(
      disk: disk, log: "journal", limits: limits, nextNumberMin: (keeper?.highestRecord(shard: number) ?? 0) + 1,
      salt: UInt32.random(in: 1...(.max)))
    // What a crash left in the kernel's memory must be on disk before a restored session acknowledges it.
    try log.repair()
    let nextRecord = log.nextNumber
    let receivers = configuration.listen.count
    var events = try MPSCRing<ShardEvent>(
      producers: receivers + 1,
      capacityPerProducer: IngestLimits.laneCapacity(IngestLimits.shardRingCapacity, receivers: receivers))
    var links: [Receiver.ShardLink] = []
    var lanes: [ReplyLane] = []
    for _ in 0..<receivers {
      var replies = try SPSCRing<Reply>(
        capacity: IngestLimits.laneCapacity(IngestLimits.replyRingCapacity, receivers: receivers), descriptors: .data)
      lanes.append(ReplyLane(replies.takeProducer()))
      links.append(Receiver.ShardLink(events: events.takeProducer(), replies: replies.takeConsumer()))
    }
    self.links = links
    let bell = events.takeProducer()
    let consumer = events.takeConsumer()
    let slots = (0..<JournalFeed.slotCount).map { _ in JournalBatch() }
    var batches = try SPSCRing<Int32>(capacity: JournalFeed.slotCount)
    let batchProducer = batches.takeProducer()
    let batchConsumer = batches.takeConsumer()
    var commits = try SPSCRing<CommitNotice>(capacity: JournalFeed.slotCount)
    let commitProducer = commits.takeProducer()
    let commitConsumer = commits.takeConsumer()
    mailbox = Mailbox(bell: bell)
    journal = JournalThread(
      log: log, disk: disk, batches: batchConsumer, commits: commitProducer, slots: slots, counters: counters,
      onFailure: onFailure)
    let now = Tick(unixMilliseconds: WallClock.unixMilliseconds()).aligned(to: configuration.rollupInterval)
    let host = ShardHost(
      rollup: ShardRollup(plan, interval: configuration.rollupInterval, first: now, keepsSketches: false),
      journal: JournalFeed(
        slots: slots, ring: batchProducer, nextRecord: nextRecord, segmentBytesMax: configuration.segmentBytes),
      replies: lanes, pool: pool, counters: counters)
    var settings = AggregatorSessionSettings()
    settings.retention = configuration.retentionMilliseconds
    settings.ackInterval = configuration.ackIntervalMilliseconds
    shard = Shard(
      host: host, events: consumer, commits: commitConsumer, mailbox: mailbox, collector: collector,
      number: number, settings: settings, oldestKept: { keeper?.oldestKept ?? 0 })
    let records = nextRecord - 1 - (checkpoint?.record ?? 0)
    progress("replaying up to \(records) records of journal \(number + 1) of \(configuration.shards)")
    damage = try shard.replay(disk, log: "journal", limits: limits, after: checkpoint).damage
    shard.publishRestoredEnergy()
  }
}
