internal import BongsuMetrics
internal import BongsuRecordLog
internal import BongsuRing
internal import BongsuThreads
internal import Synchronization

/// The thread that makes one shard's records durable: takes batches from the shard, writes each with one write and one
/// `fdatasync`, and says up to which record everything is on disk.
///
/// While the disk refuses, for want of space mostly, it tries the same batch again every second; nothing is acknowledged
/// meanwhile, so agents keep their rows. A failed `fdatasync` cannot be repeated, since the kernel may have dropped the
/// pages: then it reports the failure, and the process has to end and replay.
///
/// Thread rule: ``run()`` on its own thread; ``state`` and ``requestStop()`` from any.
final class JournalThread: @unchecked Sendable {
  // `@unchecked Sendable`: log and ring ends are used by the running thread alone, the rest is behind a mutex or atomic.
  private var log: LogWriter
  private let disk: any Disk
  private var batches: RingConsumer<Int32>
  private var commits: RingProducer<CommitNotice>
  private let slots: [JournalBatch]
  private let counters: IngestCounters
  private let isStopping = Atomic<Bool>(false)
  private let shared: ThreadLock<JournalState>
  private let onFailure: @Sendable (String) -> Void

  /// - Parameters:
  ///   - slots: the batches that travel by number through `batches`.
  ///   - commits: the way back to the shard; holds at least as many as there are slots.
  ///   - onFailure: called once when nothing can be trusted any more.
  init(
    log: consuming LogWriter, disk: any Disk, batches: consuming RingConsumer<Int32>,
    commits: consuming RingProducer<CommitNotice>, slots: [JournalBatch], counters: IngestCounters,
    onFailure: @escaping @Sendable (String) -> Void
  ) {
    // What was read at the start is on disk; only what a crash tore off is not, and that is cut off.
    shared = ThreadLock(JournalState(durableRecord: log.nextNumber - 1))
    self.log = log
    self.disk = disk
    self.batches = batches
    self.commits = commits
    self.slots = slots
    self.counters = counters
    self.onFailure = onFailure
    publish(stalledBecause: nil)
  }

  /// How the journal is, for status answers.
  var state: JournalState { shared.withLock { $0 } }

  /// Asks the thread to end once what was handed over is on disk, or at once while the disk refuses. To be called after
  /// the shard has ended.
  func requestStop() {
    isStopping.store(true, ordering: .releasing)  // pairs with the acquire in `run`: what was pushed before is seen
  }

  /// Asks for segments whose records are all below `number` to be removed. Any thread.
  func requestTrim(below number: UInt64) {
    shared.withLock { $0.trimBelow = max($0.trimBelow, number) }
  }

  func run() {
    while true {
      if let slot = batches.tryPop() {
        guard write(slots[Int(slot)]) else { return }
        // The ring holds as many notices as there are batches, so it is never full.
        _ = commits.tryPush(CommitNotice(slot: slot, record: log.durableNumber))
        continue
      }
      // The shard has ended before this is set, so nothing can come after an empty ring.
      if isStopping.load(ordering: .acquiring) { return }
      trim()
      if batches.waitForElements(timeout: .milliseconds(200)) == .ended { return }
    }
  }

  /// Writes a batch, trying again while the disk refuses; `false` when the thread has to end.
  private func write(_ batch: JournalBatch) -> Bool {
    let started = MonotonicClock.nanoseconds()
    if batch.startsSegment { log.requestSegment() }
    var first = 0
    while first < batch.recordCount {
      first += batch.forEachRecord(from: first) { log.stage($0, kind: 1) != nil }
      guard commit() else { return false }
    }
    counters.journalRecords.add(UInt64(batch.recordCount))
    counters.journalBytes.add(UInt64(batch.byteCount))
    let nanoseconds = MonotonicClock.nanoseconds() - started
    counters.commit.observe(UInt64(max(0, nanoseconds)))
    publish(stalledBecause: nil, commitNanoseconds: nanoseconds)
    return true
  }

  private func commit() -> Bool {
    var isStalled = false
    while true {
      do throws(LogError) {
        try log.commit()
        if isStalled { counters.say("the journal writes again") }
        return true
      } catch {
        if error.isFatal {
          onFailure("\(error)")
          return false
        }
        if !isStalled {
          counters.say("the journal cannot be written, agents keep their data: \(error); free space on the disk")
        }
        isStalled = true
        publish(stalledBecause: "\(error)")
      }
      for _ in 0..<10 {
        if isStopping.load(ordering: .acquiring) { return false }
        // Segments that nobody needs any more may be what fills the disk.
        trim()
        pause(milliseconds: 100)
      }
    }
  }

  private func trim() {
    let below = shared.withLock { $0.trimBelow }
    guard log.segments.count > 1, below > log.segments[1].firstNumber else { return }
    do {
      let removed = try log.trim(below: below)
      if removed > 0 { publish(stalledBecause: shared.withLock { $0.stallReason }) }
    } catch {
      counters.say("old journal segments cannot be removed: \(error)")
    }
  }

  private func publish(stalledBecause reason: String?, commitNanoseconds: Int64? = nil) {
    let free = try? disk.freeBytes()
    shared.withLock { state in
      state.segments = log.segments
      state.durableRecord = max(state.durableRecord, log.durableNumber)
      state.bytes = log.byteCount
      state.freeBytes = free
      state.firstRecord = log.segments.first?.firstNumber ?? log.nextNumber
      state.stallReason = reason
      if let commitNanoseconds { state.commitNanoseconds = commitNanoseconds }
    }
  }
}

/// How a journal is.
struct JournalState: Sendable {
  /// The segments, oldest first.
  var segments: [LogWriter.Segment] = []
  /// All records up to here are on disk.
  var durableRecord: UInt64
  var bytes: Int64 = 0
  var freeBytes: Int64?
  var firstRecord: UInt64 = 1
  /// Why nothing is written at the moment.
  var stallReason: String?
  /// Time of the last commit.
  var commitNanoseconds: Int64?
  fileprivate(set) var trimBelow: UInt64 = 0
}
