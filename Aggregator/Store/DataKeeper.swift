public import BongsuModel
public import BongsuRecordLog
internal import BongsuThreads
internal import Foundation

/// Everything of a data directory that stands behind the journals: checkpoints, gap records and rollups, and with them the answer to
/// how much of the journals has to stay.
///
/// Whatever a disk refuses here is said once and tried again the next time; the journals are then kept for longer, and
/// nothing else suffers.
///
/// Thread rule: ``keep(_:)`` from one thread at a time, which it may block; ``history`` and ``checkpoint(shard:)`` from any.
public final class DataKeeper: Sendable {
  /// How a data directory is kept.
  public struct Settings: Sendable {
    /// Bytes of journal that stay although nobody needs them, all shards together: what is lost with a damaged partition
    /// of the last hours is packed again from there. Where more waits to be packed, packing does not wait for its time.
    public var journalBytesMax: Int64
    /// Bytes that the raw history may have; the oldest hours go first.
    public var rawBytesMax = Int64.max
    /// How long raw rows are kept, milliseconds.
    public var rawKeptMilliseconds: Int64 = 30 * 86_400_000
    /// How long rollups are kept.
    public var tiers = TierRetention()
    /// How often rows are packed into chunks, and so how long the chunks are, milliseconds.
    public var chunkMilliseconds: Int64 = 300_000
    /// Whether rows are packed on a thread of its own; otherwise ``packRaw(through:)`` does it when it is called.
    public var packsInBackground = true
    /// How long gap records are kept, milliseconds.
    public var gapsKeptMilliseconds: Int64 = 400 * 86_400_000

    /// The defaults, with at most `journalBytesMax` bytes of journal that nobody needs.
    public init(journalBytesMax: Int64) {
      self.journalBytesMax = journalBytesMax
    }
  }

  /// How far one shard's journal is.
  public struct Progress: Sendable {
    /// All records up to here are on disk.
    public var committed: UInt64
    /// The journal's segments, oldest first.
    public var segments: [LogWriter.Segment]
    /// The shard's state, and the record as of which it is; `nil` when none could be taken.
    public var checkpoint: (record: UInt64, bytes: [UInt8])?

    /// Of one shard, as of one moment.
    public init(committed: UInt64, segments: [LogWriter.Segment], checkpoint: (record: UInt64, bytes: [UInt8])?) {
      self.committed = committed
      self.segments = segments
      self.checkpoint = checkpoint
    }
  }

  /// Gap records.
  public let history: History
  /// Rollups.
  public let tiers: TierStore
  let raw: RawKeeper
  let journals: [String]
  private let segments = SegmentTicks()
  /// How it is kept.
  public let settings: Settings
  private let say: @Sendable (String) -> Void
  private let state: ThreadLock<State>

  /// Opens what is in `directory`, or begins it. Of damaged files the sound rows are taken over into new ones, and what is
  /// lost comes out of journals and raw history as far as they reach.
  ///
  /// - Parameter say: takes lines for people; called from the thread that keeps, and from this one.
  /// - Throws: ``StoreError`` or `DiskError` when the directory cannot be used.
  public init(
    directory: String, shards: Int, settings: Settings, say: @escaping @Sendable (String) -> Void
  ) throws {
    precondition(shards > 0 && shards <= StoreLimits.shardsMax, "\(shards) shards")
    let folder = "\(directory)/checkpoint"
    do {
      try FileManager.default.createDirectory(
        atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o750])
    } catch {
      throw StoreError.file(path: folder, code: Int32((error as NSError).code))
    }
    let checkpoints = try CheckpointStore(disk: PosixDisk(path: folder))
    for line in checkpoints.damage { say(line) }
    history = try History.mended(path: "\(directory)/history.sqlite", say: say)
    self.settings = settings
    self.say = say
    let (tiers, isMended) = try TierStore.mended(path: "\(directory)/tiers.sqlite", say: say)
    self.tiers = tiers
    let history = history
    let segments = segments
    journals = (0..<shards).map { "\(directory)/journal/shard-\($0)" }
    raw = try RawKeeper(
      directory: "\(directory)/raw", journals: journals,
      settings: RawKeeper.Settings(
        bytesMax: settings.rawBytesMax, keptMilliseconds: settings.rawKeptMilliseconds,
        chunkMilliseconds: settings.chunkMilliseconds, journalBytesMax: settings.journalBytesMax,
        isInBackground: settings.packsInBackground, removedEnd: try tiers.rawRemoved(),
        willRemove: { try tiers.noteRawRemoved(through: $0) }), say: say)
    // Where tiers are new, what raw history has already is formed; where rows of them were lost, too. Minutes from before
    // raw history begins are what they are: nothing is known any more of what they were made of.
    let hours = raw.store.starts
    if isMended, let first = hours.first { try tiers.noteRawRemoved(through: first) }
    try tiers.noteExisting(hours: hours, now: Self.now, isForced: isMended)
    let builders = try journals.enumerated().map { shard, journal in
      try Builder(
        HistoryFollower(
          shard: shard, journal: PosixDisk(path: journal), history: history, tiers: tiers, segments: segments))
    }
    state = ThreadLock(
      State(checkpoints: checkpoints, builders: builders, settled: [UInt64](repeating: 0, count: builders.count)))
  }

  deinit { raw.stop() }

  private static var now: Tick { Tick(unixMilliseconds: Int64(Date().timeIntervalSince1970 * 1000)) }

  /// Notes for the tiers which minutes have rows in records up to `committed`, one number for each shard.
  ///
  /// - Throws: ``StoreError`` or what the disk refuses; it goes on from there with the next call.
  public func follow(through committed: [UInt64]) throws {
    for (shard, record) in committed.enumerated() {
      // In pieces, so that a checkpoint does not wait while a long journal is read.
      while try state.withLock({ state in
        let builder = state.builders[shard]
        let next = min(record, builder.minutes.applied + Self.followedAtOnce)
        try builder.minutes.advance(through: next, now: Self.now)
        return next < record
      }) {}
    }
  }

  /// Records of a journal that are followed at once: less than a second's work.
  private static let followedAtOnce: UInt64 = 50_000

  /// How long rollups are kept.
  public var tierRetention: TierRetention { settings.tiers }

  /// Bytes of the raw history's files, and from when on there are any.
  public var rawUsage: (bytes: Int64, oldest: Tick?) {
    (raw.store.bytes, raw.store.starts.first.map { Tick(unixMilliseconds: $0) })
  }

  /// A reader of the raw rows in the journals.
  public func rawExport() throws(DiskError) -> RawExport {
    var disks: [any Disk] = []
    for journal in journals { disks.append(try PosixDisk(path: journal)) }
    return RawExport(journals: disks)
  }

  /// A reader of every stored row.
  ///
  /// - Parameter access: how it gets at the journals.
  public func rawHistory(_ access: @escaping JournalAccess) -> RawHistory {
    let raw = raw
    return RawHistory(
      store: raw.store, journals: journals, progress: { raw.progress }, segments: segments,
      recent: RecentRows(journals: journals), access: access)
  }

  // MARK: Start

  /// The newest checkpoint of a shard, and the record as of which it is; `nil` when there is none.
  public func checkpoint(shard: Int) -> (record: UInt64, bytes: [UInt8])? {
    state.withLock { state in state.checkpoints.blob(Self.name(shard)).map { ($0.record, $0.bytes) } }
  }

  /// The highest record of a shard that anything here knows of; 0 when nothing does.
  public func highestRecord(shard: Int) -> UInt64 {
    state.withLock { state in
      max(
        state.checkpoints.blob(Self.name(shard))?.record ?? 0, state.builders[shard].minutes.applied,
        raw.highestRecord(shard: shard))
    }
  }

  private static func name(_ shard: Int) -> String { "shard-\(shard)" }

  // MARK: Work

  /// Stores checkpoints, brings the history up to date, removes what is too old.
  ///
  /// - Parameter journals: one for each shard.
  /// - Returns: for each journal the number below which records may go; 0 when none may.
  public func keep(_ journals: [Progress]) -> [UInt64] {
    state.withLock { state in
      precondition(journals.count == state.builders.count, "\(journals.count) journals")
      store(journals, &state)
      for (shard, journal) in journals.enumerated() { follow(shard, through: journal.committed, &state) }
      expire(&state)
      settle(&state)
      raw.post(journals.map(\.committed), journalBytes: unpackedBytes(journals))
      let retention = JournalRetention(bytesMax: max(1, settings.journalBytesMax / Int64(journals.count)))
      return journals.enumerated().map { shard, journal in
        let needed = min(
          state.checkpoints.trimRecord(Self.name(shard)), state.settled[shard] + 1,
          raw.needed(shard: shard))
        return retention.trimBelow(segments: journal.segments, needed: needed)
      }
    }
  }

  /// Packs all committed rows into chunks now, and merges and removes what is due.
  public func packRaw(through committed: [UInt64]) { raw.work(through: committed) }

  /// Rows before this tick are no longer kept, or can no longer enter all tiers: those that come later than that are
  /// refused.
  public var rawFloor: Tick { Tick(unixMilliseconds: max(raw.floor, tiers.lateFloor)) }

  /// Bytes of the segments that hold records no partition has.
  private func unpackedBytes(_ journals: [Progress]) -> Int64 {
    var bytes: Int64 = 0
    for (shard, journal) in journals.enumerated() {
      let needed = raw.needed(shard: shard)
      let ends = journal.segments.dropFirst().map(\.firstNumber) + [journal.committed + 1]
      for (segment, end) in zip(journal.segments, ends) where end > needed { bytes += segment.byteCount }
    }
    return bytes
  }

  private func store(_ journals: [Progress], _ state: inout State) {
    guard journals.contains(where: { $0.checkpoint != nil }) else { return }
    let blobs = journals.enumerated().compactMap { shard, journal -> CheckpointStore.Blob? in
      let known = state.checkpoints.blob(Self.name(shard))
      guard let new = journal.checkpoint, new.record >= known?.record ?? 0 else { return known }
      return CheckpointStore.Blob(name: Self.name(shard), record: new.record, bytes: new.bytes)
    }
    let bytes = blobs.reduce(4096) { $0 + $1.bytes.count + 128 }
    guard bytes <= StoreLimits.checkpointBytesMax else {
      note(
        "checkpoint", "a checkpoint of \(bytes) bytes is not stored, limit \(StoreLimits.checkpointBytesMax)", &state)
      return
    }
    do throws(DiskError) {
      try state.checkpoints.store(blobs)
      note("checkpoint", nil, &state)
    } catch {
      note("checkpoint", "no checkpoint can be stored, a restart will take longer: \(error)", &state)
    }
  }

  private func follow(_ shard: Int, through committed: UInt64, _ state: inout State) {
    let builder = state.builders[shard]
    do {
      try builder.minutes.advance(through: committed, now: Self.now)
      note("history-\(shard)", nil, &state)
    } catch {
      note("history-\(shard)", "the history cannot be written and will catch up later: \(error)", &state)
    }
    let losses = builder.minutes.losses
    for line in losses.damage.dropFirst(builder.damageSaid) { say("history: \(line)") }
    builder.damageSaid = losses.damage.count
    if losses.undecodedRows > builder.undecodedSaid {
      say("history: \(losses.undecodedRows - builder.undecodedSaid) rows of shard \(shard) have no layout")
      builder.undecodedSaid = losses.undecodedRows
    }
  }

  /// Only what has left a write-ahead log is out of reach of a damaged byte there, which takes all that comes after it; the
  /// journal is kept until then.
  private func settle(_ state: inout State) {
    let applied = state.builders.map { $0.minutes.applied }
    do throws(StoreError) {
      guard try history.database.checkpoint(), try tiers.database.checkpoint() else { return }
      state.settled = applied
      note("logs", nil, &state)
    } catch {
      note("logs", "write-ahead logs cannot be emptied, the journal is kept for longer: \(error)", &state)
    }
  }

  private func expire(_ state: inout State) {
    do throws(StoreError) {
      try history.expire(
        before: Tick(unixMilliseconds: Self.now.unixMilliseconds - settings.gapsKeptMilliseconds),
        rowsMax: StoreLimits.expiredRowsMax)
      note("expiry", nil, &state)
    } catch {
      note("expiry", "old history cannot be removed: \(error)", &state)
    }
  }

  /// Says what has begun to fail, or works again; not what is known.
  private func note(_ part: String, _ problem: String?, _ state: inout State) {
    let isNews = (state.problems[part] == nil) != (problem == nil)
    state.problems[part] = problem
    guard isNews else { return }
    say(problem ?? "the \(part.prefix { $0 != "-" }) is written again")
  }

  private struct State {
    var checkpoints: CheckpointStore
    let builders: [Builder]
    /// By shard, what is applied and has left the write-ahead logs.
    var settled: [UInt64]
    /// What fails at present, by part.
    var problems: [String: String] = [:]
  }

  /// One shard's builder. A class, because arrays hold no noncopyable values.
  private final class Builder {
    var minutes: HistoryFollower
    var damageSaid = 0
    var undecodedSaid = 0

    init(_ minutes: consuming HistoryFollower) { self.minutes = minutes }
  }
}
