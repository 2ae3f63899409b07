internal import BongsuModel
internal import BongsuRecordLog
internal import BongsuThreads
internal import Dispatch
internal import Foundation
internal import Glibc

/// Keeps the raw history of a data directory: packs rows into chunks every few minutes, merges what late rows left in
/// pieces, removes what is too old or too much. On a thread of its own with low priority, so that ingest goes first.
///
/// Thread rule: every method from any thread. Whoever works holds `turn`; ``post(_:)`` never waits for it.
final class RawKeeper: @unchecked Sendable {
  // `@unchecked Sendable`: the writer is used while `turn` is held, but for its progress, which has a lock of its own.
  let store: RawStore
  let writer: RawWriter
  private let settings: Settings
  private let turn = ThreadLock(())
  private let state = ThreadLock(State())
  private let bell = DispatchSemaphore(value: 0)
  private let say: @Sendable (String) -> Void

  struct Settings: Sendable {
    var bytesMax: Int64
    var keptMilliseconds: Int64
    var chunkMilliseconds: Int64
    /// Bytes of journal behind which packing does not wait for its time.
    var journalBytesMax: Int64
    var isInBackground = true
    /// Rows before this were removed in former runs.
    var removedEnd: Int64 = 0
    /// Called before a partition is removed, with its end; when it throws, the partition stays.
    var willRemove: @Sendable (_ end: Int64) throws -> Void = { _ in }
  }

  private struct State {
    var committed: [UInt64] = []
    var isUrgent = false
    var isStopping = false
    var lastPassMilliseconds: Int64?
    /// End of what was removed for its size.
    var removedEnd: Int64 = 0
    var problem: String?
    /// Sizes of partitions at the last look for pieces to merge.
    var looked: [Int64: Int64] = [:]
    var work = RawWriter.Work()
    var compacted = 0
    var removed = 0
  }

  /// How long after its hour a partition is looked at for pieces to merge.
  private static let quietMilliseconds: Int64 = 600_000
  /// Nodes whose chunks are merged before the write-ahead log is emptied.
  private static let nodesPerCheckpoint = 64

  init(
    directory: String, journals: [String], settings: Settings, say: @escaping @Sendable (String) -> Void
  ) throws {
    self.settings = settings
    self.say = say
    store = try RawStore(directory: directory, shards: journals.count, say: say)
    writer = try RawWriter(store: store, journals: journals)
    state.withLock { state in
      state.lastPassMilliseconds = Self.monotonicMilliseconds()
      state.removedEnd = settings.removedEnd
    }
    guard settings.isInBackground else { return }
    // The thread keeps nothing alive: it ends within a second after the last reference is gone.
    let bell = bell
    let thread = Thread { [weak self] in
      setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10)
      while true {
        _ = bell.wait(timeout: .now() + 1)
        guard let self, !self.isStopping else { return }
        self.turnIfDue()
      }
    }
    thread.name = "raw-chunks"
    thread.start()
  }

  private var isStopping: Bool { state.withLock { $0.isStopping } }

  /// Ends the thread after the step it is in.
  func stop() {
    state.withLock { $0.isStopping = true }
    bell.signal()
    turn.withLock { _ in }
  }

  // MARK: What is asked

  /// How far all partitions are.
  var progress: RawProgress { writer.progress }

  /// All of a shard's records below this are in partitions.
  func needed(shard: Int) -> UInt64 { (writer.progress.records[shard].min() ?? 0) + 1 }

  func highestRecord(shard: Int) -> UInt64 { turn.withLock { _ in writer.highestRecord(shard: shard) } }

  /// Rows before this tick are not kept.
  var floor: Int64 { floor(now: Self.nowMilliseconds()) }

  private func floor(now: Int64) -> Int64 {
    max(now - settings.keptMilliseconds, state.withLock { $0.removedEnd })
  }

  /// Work done since the start, partitions merged and partitions removed.
  var work: (writing: RawWriter.Work, compacted: Int, removed: Int) {
    state.withLock { ($0.work, $0.compacted, $0.removed) }
  }

  // MARK: Work

  /// Takes note of how far the journals are on disk.
  ///
  /// - Parameter journalBytes: bytes of segments behind what is packed.
  func post(_ committed: [UInt64], journalBytes: Int64) {
    state.withLock { state in
      state.committed = committed
      state.isUrgent = journalBytes > settings.journalBytesMax / 2
    }
    bell.signal()
  }

  private func turnIfDue() {
    let now = Self.monotonicMilliseconds()
    let committed = state.withLock { state -> [UInt64]? in
      guard !state.committed.isEmpty else { return nil }
      let last = state.lastPassMilliseconds ?? now
      guard state.isUrgent || now - last >= settings.chunkMilliseconds else { return nil }
      state.lastPassMilliseconds = now
      state.isUrgent = false
      return state.committed
    }
    guard let committed else { return }
    work(through: committed)
  }

  /// Packs, merges, removes. What fails is said once and tried again the next time.
  func work(through committed: [UInt64]) {
    turn.withLock { _ in
      do {
        try advance(through: committed)
        note(nil)
      } catch {
        note("rows cannot be packed and stay in the journal: \(error)")
      }
      state.withLock { $0.work = writer.work }
    }
  }

  /// The same, with errors thrown, for tests.
  func advance(through committed: [UInt64], now: Int64 = RawKeeper.nowMilliseconds()) throws {
    try writer.advance(through: committed, floor: floor(now: now))
    try merge(now: now)
    let (removed, end) = try store.removeOldest(
      bytesMax: settings.bytesMax, before: now - settings.keptMilliseconds, willRemove: settings.willRemove)
    state.withLock { state in
      state.removed += removed
      state.removedEnd = max(state.removedEnd, end ?? 0)
    }
  }

  private func merge(now: Int64) throws {
    for start in store.starts where start + StoreLimits.partitionMilliseconds + Self.quietMilliseconds <= now {
      let bytes = store.bytes(of: start)
      guard state.withLock({ $0.looked[start] }) != bytes else { continue }
      do {
        guard try merge(start) else { return }
        state.withLock { $0.compacted += 1 }
      } catch let error as StoreError where error.isDamage {
        // It is read as far as it can be, and goes with its age like any other; the rest goes on.
        store.note(damage: ["\(error)"])
      }
      state.withLock { $0.looked[start] = store.bytes(of: start) }
    }
  }

  /// Merges the pieces of one partition; `false` when it was interrupted.
  private func merge(_ start: Int64) throws -> Bool {
    guard let partition = try store.partition(start, making: false) else { return true }
    for (number, node) in try partition.fragmented(chunksMax: StoreLimits.chunksPerNodeMax).enumerated() {
      if isStopping { return false }
      try writer.compact(node, in: partition)
      if number % Self.nodesPerCheckpoint == Self.nodesPerCheckpoint - 1 { _ = try partition.checkpoint() }
    }
    _ = try partition.checkpoint()
    return true
  }

  private func note(_ problem: String?) {
    let isNews = state.withLock { state -> Bool in
      defer { state.problem = problem }
      return (state.problem == nil) != (problem == nil)
    }
    if isNews { say(problem ?? "rows are packed again") }
  }

  static func nowMilliseconds() -> Int64 { Int64(Date().timeIntervalSince1970 * 1000) }

  private static func monotonicMilliseconds() -> Int64 { Int64(DispatchTime.now().uptimeNanoseconds / 1_000_000) }
}
