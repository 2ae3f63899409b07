internal import BongsuThreads
internal import Synchronization

/// The thread behind the journals: every half minute it has each shard write a checkpoint, hands all that to the
/// ``JournalKeeper``, and tells the journals what they need not keep any longer. It may block for as long as disks do.
///
/// Thread rule: ``run()`` on its own thread; ``finish(_:)`` after that has ended; the rest from any.
final class KeeperThread: Sendable {
  private let keeper: any JournalKeeper
  private let mailboxes: [Mailbox]
  private let journals: [JournalThread]
  private let intervalMilliseconds: Int64
  private let isStopping = Atomic<Bool>(false)
  private let readers = ThreadLock(0)

  init(keeper: any JournalKeeper, mailboxes: [Mailbox], journals: [JournalThread], intervalMilliseconds: Int64) {
    self.keeper = keeper
    self.mailboxes = mailboxes
    self.journals = journals
    self.intervalMilliseconds = intervalMilliseconds
  }

  func requestStop() {
    isStopping.store(true, ordering: .relaxed)  // a flag of its own: nothing else is published through it
  }

  func run() {
    var dueAt = MonotonicClock.nanoseconds() / 1_000_000 + intervalMilliseconds
    while !isStopping.load(ordering: .relaxed) {
      pause(milliseconds: 50)
      let now = MonotonicClock.nanoseconds() / 1_000_000
      guard now >= dueAt else { continue }
      dueAt = now + intervalMilliseconds
      keep(gather())
    }
  }

  /// Keeps the state after all other threads have ended.
  func finish(_ checkpoints: [ShardCheckpoint?]) { keep(checkpoints) }

  /// While `body` runs no record is removed. For those who read journals.
  func withoutTrimming<Result>(_ body: () throws -> Result) rethrows -> Result {
    readers.withLock { $0 += 1 }
    defer { readers.withLock { $0 -= 1 } }
    return try body()
  }

  /// Checkpoints of all shards; `nil` for one whose journal does not get on.
  private func gather() -> [ShardCheckpoint?] {
    let desk = CheckpointDesk(shards: mailboxes.count)
    for (number, mailbox) in mailboxes.enumerated() {
      mailbox.post { shard in shard.beginCheckpoint { desk.deliver($0, of: number) } }
    }
    let end = MonotonicClock.nanoseconds() / 1_000_000 + IngestLimits.checkpointPatienceMilliseconds
    while !desk.isComplete, !isStopping.load(ordering: .relaxed), MonotonicClock.nanoseconds() / 1_000_000 < end {
      pause(milliseconds: 10)
    }
    return desk.checkpoints
  }

  private func keep(_ checkpoints: [ShardCheckpoint?]) {
    let progress = zip(journals, checkpoints).map { journal, checkpoint in
      let state = journal.state
      return JournalProgress(committed: state.durableRecord, segments: state.segments, checkpoint: checkpoint)
    }
    let below = keeper.keep(progress)
    // A reader that begins after this look finds the oldest segments gone, as if it had begun a moment later.
    readers.withLock { count in
      guard count == 0 else { return }
      for (journal, number) in zip(journals, below) { journal.requestTrim(below: number) }
    }
  }
}

/// Where shards leave their checkpoints.
private final class CheckpointDesk: Sendable {
  private let state: ThreadLock<[ShardCheckpoint?]>

  init(shards: Int) { state = ThreadLock([ShardCheckpoint?](repeating: nil, count: shards)) }

  func deliver(_ checkpoint: ShardCheckpoint, of shard: Int) { state.withLock { $0[shard] = checkpoint } }

  var checkpoints: [ShardCheckpoint?] { state.withLock { $0 } }
  var isComplete: Bool { state.withLock { $0.allSatisfy { $0 != nil } } }
}
