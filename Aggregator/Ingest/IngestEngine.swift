public import BongsuFleet
public import BongsuMetrics
public import BongsuModel
public import BongsuRollup
internal import BongsuThreads
public import BongsuTransport

/// How the ingest core is set up.
public struct IngestConfiguration: Sendable {
  /// Endpoints where agents connect, such as `tcp://127.0.0.1:7420`: one ROUTER socket and one receiver thread each.
  public var listen: [String]
  /// Whether agents must prove who they are. `nil`: plain connections, for one machine.
  public var keys: KeyPair?
  /// The node for which a connection may speak that the key authority gave this user id; `nil` when its key was withdrawn
  /// since. Asked on the receiver's thread for every Hello. As it stands: user ids are names of nodes.
  public var nodeOfUserID: @Sendable (_ userID: String) -> NodeID? = { NodeID($0) }
  /// Directory of the journals.
  public var journalDirectory: String
  /// Shards; each takes a thread and a journal. Fixed for the life of a data directory.
  public var shards = 1
  /// Distance between closed ticks; divides one second. Agents that sample more often are averaged over it.
  public var rollupInterval = TickInterval.second
  /// Connections before listeners pause; each takes an equal part.
  public var connectionsMax: Int
  /// Time between two checkpoints, milliseconds.
  public var keepIntervalMilliseconds: Int64 = 30_000
  /// Bytes of one journal segment; what is kept and trimmed goes by whole segments.
  public var segmentBytes = IngestLimits.segmentBytes
  /// How old a row may be to be taken, milliseconds; older ones are refused and leave a gap record.
  public var retentionMilliseconds: Int64 = 30 * 86_400_000
  /// How long acknowledgements are gathered, milliseconds.
  public var ackIntervalMilliseconds: Int64 = 3000

  /// Plain connections, one shard and the usual times; whoever needs something else sets it before the engine is made.
  public init(listen: [String], journalDirectory: String, connectionsMax: Int) {
    self.listen = listen
    self.journalDirectory = journalDirectory
    self.connectionsMax = connectionsMax
  }
}

/// The data plane of an aggregator: receivers, shards, journals, each on a thread of its own.
///
///     ZeroMQ ─▶ receiver ─▶ ring ─▶ shard ─▶ batches ─▶ journal thread
///                  ▲                 │  ▲                   │
///                  └──── replies ◀───┘  └──── commits ◀─────┘
///
/// Behind the journals a keeper thread takes checkpoints and lets history follow.
///
/// Thread rule: every method from any thread; ``start()`` and ``stop()`` once, one after the other.
public final class IngestEngine: Sendable {
  public let counters: IngestCounters
  public let plan: RollupPlan
  private let configuration: IngestConfiguration
  private let context: Context
  private let keeper: (any JournalKeeper)?
  private let onFailure: @Sendable (String) -> Void
  private let collector: TickCollector
  private let state = ThreadLock(State())

  private struct State {
    var phase = IngestPhase.starting("opening the journals")
    var running: RunningEngine?
  }

  /// Prepares the core. Nothing is read and nothing runs before ``start()``.
  ///
  /// - Parameters:
  ///   - keeper: what stands behind the journals. `nil`: every restart replays all of them, and none is ever trimmed.
  ///   - onFailure: called once, from a journal's thread, when stored data can no longer be trusted: end the process, a
  ///     restart replays.
  public init(
    _ configuration: IngestConfiguration, tree: FleetTree, context: Context, registry: MetricRegistry,
    keeper: (any JournalKeeper)? = nil, onFailure: @escaping @Sendable (String) -> Void
  ) {
    precondition((1...IngestLimits.shardsMax).contains(configuration.shards), "\(configuration.shards) shards")
    precondition(
      (1...IngestLimits.receiversMax).contains(configuration.listen.count), "\(configuration.listen.count) receivers")
    self.configuration = configuration
    self.context = context
    self.keeper = keeper
    self.onFailure = onFailure
    counters = IngestCounters(registry)
    plan = RollupPlan(tree)
    collector = TickCollector(
      plan: plan, interval: configuration.rollupInterval, shardCount: configuration.shards)
  }

  /// How far the core is.
  public var phase: IngestPhase { state.withLock { $0.phase } }

  private var running: RunningEngine? { state.withLock { $0.running } }

  /// Opens the journals, takes over the checkpoint, replays what came after it, binds the socket and starts all threads.
  /// Blocks for as long as that takes; ``phase`` says how far it is.
  ///
  /// - Returns: what the journals had that could not be read, one line each.
  @discardableResult
  public func start() throws -> [String] {
    precondition(running == nil, "the engine runs already")
    let running = try RunningEngine(
      configuration, plan: plan, context: context, counters: counters, collector: collector, keeper: keeper,
      onFailure: onFailure
    ) { text in self.state.withLock { $0.phase = .starting(text) } }
    try running.start()
    state.withLock { state in
      state.running = running
      state.phase = .running
    }
    return running.damage
  }

  /// Ends all threads, in the order in which data flows, after what had been received is on disk.
  ///
  /// - Returns: whether it is; not while the disk refuses, when agents have to send again what was not acknowledged.
  @discardableResult
  public func stop() -> Bool {
    guard
      let running = state.withLock({ state -> RunningEngine? in
        state.phase = .stopped
        return state.running.take()
      })
    else { return true }
    return running.stop()
  }

  /// Where agents connect, in the configuration's order and with the ports that were taken; `nil` unless it runs.
  public var endpoints: [String]? { running?.endpoints }

  /// The newest tick on every level; `nil` before the first.
  public var newest: RollupSnapshot? { collector.newest }

  /// The ticks of the last minutes on every level.
  public var recentTicks: RecentTicks { collector.recent }

  /// Every tick that closes from now on; see ``ClosedTickFeed``.
  public func closedTicks() -> ClosedTickFeed { collector.subscribe() }

  /// How the journals are, together.
  public var journal: JournalReport {
    var report = JournalReport()
    for state in running?.journalStates ?? [] {
      report.segments += state.segments.count
      report.bytes += state.bytes
      report.freeBytes = state.freeBytes
      report.stallReason = report.stallReason ?? state.stallReason
      report.commitNanoseconds = max(report.commitNanoseconds ?? 0, state.commitNanoseconds ?? 0)
    }
    return report
  }

  /// Lets `body` read the journals: it gets, in order of shards, the last record on disk of each. None is trimmed
  /// meanwhile. `nil` unless the engine runs.
  public func readingJournals<Result>(_ body: (_ committed: [UInt64]) throws -> Result) rethrows -> Result? {
    guard let running else { return nil }
    return try running.readingJournals(body)
  }

  /// Asks every shard on its own thread and gathers the answers, in order of shards; none unless the engine runs.
  public func ask<Answer: Sendable>(_ question: @escaping @Sendable (ShardView) -> Answer) async -> [Answer] {
    guard let mailboxes = running?.mailboxes else { return [] }
    return await withTaskGroup(of: (Int, Answer).self) { group in
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

  /// How many shards there are.
  public var shardCount: Int { configuration.shards }

  /// Asks one shard on its own thread and blocks the calling thread until the answer is there: for computations that
  /// have a thread of their own and do not suspend. `nil` unless the engine runs, and when the shard did not answer
  /// within `milliseconds`; a late answer is dropped.
  public func askBlocking<Answer: Sendable>(
    shard: Int, within milliseconds: Int, _ question: @escaping @Sendable (ShardView) -> Answer
  ) -> Answer? {
    guard let mailboxes = running?.mailboxes else { return nil }
    let reply = BlockingReply<Answer>()
    mailboxes[shard].post { reply.put(question(ShardView($0))) }
    return reply.wait(milliseconds: milliseconds)
  }

  /// Cuts a node off, or lets it in again: what its shard has not taken yet is refused, its session ends, its connection
  /// is cut. Takes effect within a turn of the shard; does not wait for it.
  public func setRevoked(_ isRevoked: Bool, _ node: NodeID) {
    guard let mailboxes = running?.mailboxes else { return }
    mailboxes[Receiver.shard(of: node.name, among: mailboxes.count)].post { $0.setRevoked(isRevoked, node) }
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

/// How far the ingest core is on its way.
public enum IngestPhase: Hashable, Sendable {
  /// No agent is served yet; what is being done, for people.
  case starting(String)
  case running
  case stopped
}
