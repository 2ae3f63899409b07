public import BongsuFleet
public import BongsuMetrics
internal import BongsuModel
internal import BongsuRecordLog
internal import BongsuRing
public import BongsuRollup
public import BongsuTransport
internal import BongsuWire
internal import Glibc
internal import Synchronization

/// How the ingest core is set up.
public struct IngestConfiguration: Sendable {
  /// Endpoint of the ROUTER socket, such as `tcp://127.0.0.1:7420`.
  public var listen: String
  /// Whether agents must prove who they are. `nil`: plain connections, for one machine.
  public var keys: KeyPair?
  /// Directory of the journals.
  public var journalDirectory: String
  /// Shards; each takes a thread and a journal. Fixed for the life of a data directory.
  public var shards = 1
  /// Connections before the listener pauses.
  public var connectionsMax: Int

  public init(listen: String, journalDirectory: String, connectionsMax: Int) {
    self.listen = listen
    self.journalDirectory = journalDirectory
    self.connectionsMax = connectionsMax
  }
}

/// The data plane of an aggregator: receiver, shards, journals, each on a thread of its own.
///
///     ZeroMQ ─▶ receiver ─▶ ring ─▶ shard ─▶ batches ─▶ journal thread
///                  ▲                 │  ▲                   │
///                  └──── replies ◀───┘  └──── commits ◀─────┘
///
/// Thread rule: every method from any thread; ``start()`` and ``stop()`` once.
public final class IngestEngine: @unchecked Sendable {
  // `@unchecked Sendable`: `workers` is touched by `start` and `stop` alone, the rest never changes.
  private let shards: [Shard]
  private let mailboxes: [Mailbox]
  private let journals: [JournalThread]
  private let receiver: Receiver
  private let collector: TickCollector
  private var workers: [WorkerThread] = []
  private var journalWorkers: [WorkerThread] = []
  public let counters: IngestCounters
  public let plan: RollupPlan
  /// What the journals had that could not be read at the start, one line each.
  public let damageAtStart: [String]

  /// Opens the journals, replays them, and binds the socket. Nothing runs before ``start()``.
  ///
  /// - Parameter onFailure: called once, from a journal's thread, when stored data can no longer be trusted: end the
  ///   process, a restart replays.
  public init(
    _ configuration: IngestConfiguration, tree: FleetTree, context: Context, registry: MetricRegistry,
    onFailure: @escaping @Sendable (String) -> Void
  ) throws {
    precondition((1...IngestLimits.shardsMax).contains(configuration.shards), "\(configuration.shards) shards")
    let counters = IngestCounters(registry)
    self.counters = counters
    let plan = RollupPlan(tree)
    self.plan = plan
    let pool = MessagePool(capacity: IngestLimits.poolCapacity)
    let collector = TickCollector(plan: plan, shardCount: configuration.shards)
    self.collector = collector
    var shards: [Shard] = []
    var mailboxes: [Mailbox] = []
    var journals: [JournalThread] = []
    var links: [Receiver.ShardLink] = []
    var damage: [String] = []
    for number in 0..<configuration.shards {
      let parts = try ShardParts(
        number: number, directory: configuration.journalDirectory, plan: plan, pool: pool, counters: counters,
        collector: collector, onFailure: onFailure)
      shards.append(parts.shard)
      mailboxes.append(parts.mailbox)
      journals.append(parts.journal)
      links.append(parts.link)
      damage += parts.damage
    }
    self.shards = shards
    self.mailboxes = mailboxes
    self.journals = journals
    damageAtStart = damage
    let security = configuration.keys.map { SocketSecurity.curveServer($0, domain: "ingest") } ?? .plain
    receiver = try Receiver(
      context: context, listen: configuration.listen, security: security,
      identity: configuration.keys == nil ? .claimed : .userID, connectionsMax: configuration.connectionsMax,
      pool: pool, shards: links, counters: counters)
  }

  /// Where agents connect, with the port that was taken.
  public var endpoint: String { receiver.endpoint }

  /// Starts all threads.
  public func start() throws {
    for (number, journal) in journals.enumerated() {
      journalWorkers.append(try WorkerThread("journal-\(number)") { journal.run() })
    }
    for (number, shard) in shards.enumerated() {
      workers.append(try WorkerThread("shard-\(number)") { shard.run() })
    }
    let receiver = receiver
    workers.append(try WorkerThread("receiver") { receiver.run() })
  }

  /// Ends all threads, in the order in which data flows, after what had been received is on disk.
  public func stop() {
    receiver.requestStop()
    for shard in shards { shard.requestStop() }
    for worker in workers { worker.join() }
    for journal in journals { journal.requestStop() }
    for worker in journalWorkers { worker.join() }
    workers.removeAll()
    journalWorkers.removeAll()
  }

  /// The newest tick on every level; `nil` before the first.
  public var newest: RollupSnapshot? { collector.newest }

  /// How the journals are, together.
  public var journal: JournalReport {
    var report = JournalReport()
    for journal in journals {
      let state = journal.state
      report.segments += state.segments
      report.bytes += state.bytes
      report.freeBytes = state.freeBytes
      report.stallReason = report.stallReason ?? state.stallReason
      report.commitNanoseconds = max(report.commitNanoseconds ?? 0, state.commitNanoseconds ?? 0)
    }
    return report
  }

  /// Asks every shard on its own thread and gathers the answers, in order of shards.
  public func ask<Answer: Sendable>(_ question: @escaping @Sendable (ShardView) -> Answer) async -> [Answer] {
    await withTaskGroup(of: (Int, Answer).self) { group in
      for (number, mailbox) in mailboxes.enumerated() {
        group.addTask {
          await withCheckedContinuation { continuation in
            mailbox.post { shard in continuation.resume(returning: (number, question(ShardView(shard)))) }
          }
        }
      }
      var answers: [(Int, Answer)] = []
      for await answer in group { answers.append(answer) }
      return answers.sorted { $0.0 < $1.0 }.map(\.1)
    }
  }
}

/// How all journals of an aggregator are.
public struct JournalReport: Sendable {
  public var segments = 0
  public var bytes: Int64 = 0
  public var freeBytes: Int64?
  /// Why nothing is written at the moment; `nil` while all is well.
  public var stallReason: String?
  /// Time of the last commit, the slowest of all journals.
  public var commitNanoseconds: Int64?
}

/// One shard with its rings, journal and mailbox, as they are put together at the start.
private struct ShardParts {
  let shard: Shard
  let mailbox: Mailbox
  let journal: JournalThread
  let link: Receiver.ShardLink
  let damage: [String]

  init(
    number: Int, directory: String, plan: RollupPlan, pool: MessagePool, counters: IngestCounters,
    collector: TickCollector, onFailure: @escaping @Sendable (String) -> Void
  ) throws {
    let path = "\(directory)/shard-\(number)"
    let disk = try PosixDisk(path: path)
    // Segments end where the shard says, so the log's own bound is out of reach.
    let limits = LogLimits(
      segmentBytes: 1 << 39, recordBytesMax: IngestLimits.recordBytesMax, batchBytesMax: IngestLimits.commitBytesMax)
    let log = try LogWriter(
      disk: disk, log: "journal", limits: limits, salt: UInt32.random(in: 1...(.max)))
    let nextRecord = log.nextNumber
    var events = try MPSCRing<ShardEvent>(producers: 2, capacityPerProducer: IngestLimits.shardRingCapacity)
    let frames = events.takeProducer()
    let bell = events.takeProducer()
    let consumer = events.takeConsumer()
    var replies = try SPSCRing<Reply>(capacity: IngestLimits.replyRingCapacity, descriptors: .data)
    let replyProducer = replies.takeProducer()
    let replyConsumer = replies.takeConsumer()
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
    let now = Tick(unixMilliseconds: WallClock.unixMilliseconds()).aligned(to: .second)
    let host = ShardHost(
      rollup: ShardRollup(plan, first: now, keepsSketches: false),
      journal: JournalFeed(
        slots: slots, ring: batchProducer, nextRecord: nextRecord, segmentBytesMax: IngestLimits.segmentBytes),
      replies: replyProducer, pool: pool, counters: counters)
    shard = Shard(
      host: host, events: consumer, commits: commitConsumer, mailbox: mailbox, collector: collector,
      settings: AggregatorSessionSettings())
    damage = try shard.replay(disk, log: "journal", limits: limits)
    link = Receiver.ShardLink(events: frames, replies: replyConsumer)
  }
}
