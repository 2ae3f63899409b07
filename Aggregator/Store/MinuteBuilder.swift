public import BongsuModel
public import BongsuRecordLog
internal import BongsuWire

/// Follows a shard's journal and adds what it says to the history: minutes of every node, and gap records.
///
/// It stands behind the journal, so it takes nothing from the way of an acknowledgement, and it needs no state of its own
/// on disk: the history knows the last record that it holds, and a restart reads on from there. Rows are added to their
/// minutes whenever they arrive, so a minute that fills up hours later equals one that was never interrupted.
///
///     journal ─▶ rows ─▶ minute of the node in memory ─▶ one transaction: additions, gaps, last record
///
/// A segment's first block of each node stands alone, so after a restart reading begins with the segment of the first
/// record wanted, without adding what is before it.
///
/// Not thread-safe; one owner, on a thread that may block. Memory: a live row and an open minute per node.
public struct MinuteBuilder: ~Copyable {
  /// The level of nodes in the history. Levels of the rollup are numbered from 0.
  public static let nodeLevel: UInt8 = 100
  /// The field of a node's cells that counts rows: ticks for which it delivered.
  public static let rowsField: UInt8 = 200

  /// The group of a node in the history.
  public static func group(of node: NodeID) -> String { "node=" + node.name }

  /// All records up to this one are in the history.
  public private(set) var applied: UInt64
  /// What could not be read or decoded so far.
  public private(set) var losses = RawLosses()

  private let shard: Int
  private let history: History
  private let groups: @Sendable (NodeID, Tick) -> [MinuteGroup]
  private let minutes = OpenMinutes()
  private var replay: JournalReplay
  private var decoder: RowDecoder
  /// The last record that is in `minutes` and `gaps`.
  private var taken: UInt64
  private var gaps: [HistoryBatch.GapRecord] = []

  /// Ended minutes and gaps that one transaction takes; minutes under way come on top, one for each node.
  private static let batchMax = 20_000

  /// Finds out how far the history is. Reads nothing of the journal yet.
  ///
  /// - Parameter groups: what a node belongs to at a tick; minutes of all of those are formed too. Asked for each minute
  ///   of each node, at the minute's first instant.
  /// - Throws: ``StoreError``, or `LogError` when the journal's directory cannot be read.
  public init(
    shard: Int, journal disk: any Disk, history: History,
    groups: @escaping @Sendable (NodeID, Tick) -> [MinuteGroup] = { _, _ in [] }
  ) throws {
    let record = try history.applied(shard: shard)?.record ?? 0
    let starts = try LogReader.segmentStarts(disk: disk, log: JournalReplay.logName)
    let start = starts.last { $0 <= record + 1 } ?? starts.first ?? record + 1
    let replay = try JournalReplay(disk: disk, from: start, through: 0)
    self.shard = shard
    self.history = history
    self.groups = groups
    self.replay = replay
    applied = record
    taken = record
    decoder = RowDecoder { _ in true }
  }

  /// Adds all records up to `committed`, in as many transactions as it takes; returns how many records were new.
  ///
  /// - Throws: ``StoreError`` when the history cannot be written; what was read stays in memory and goes in with the next
  ///   call, when space has returned for example.
  @discardableResult
  public mutating func advance(through committed: UInt64) throws -> UInt64 {
    let before = applied
    if taken > applied { try apply() }
    guard committed > taken else { return applied - before }
    try replay.extend(through: committed)
    while let event = try replay.next() {
      switch event {
      case .damage(let what): losses.damage.append(what)
      case .entry(let record, let entry): try take(entry, record)
      }
      if minutes.endedCount + gaps.count >= Self.batchMax { try apply() }
    }
    // Records that damage took are not waited for.
    taken = max(taken, committed)
    try apply()
    return applied - before
  }

  private mutating func take(_ entry: JournalEntry, _ record: UInt64) throws {
    let isNew = record > applied
    if isNew, case .gap(let gap) = entry, let node = decoder.id(of: gap.node) {
      gaps.append(HistoryBatch.GapRecord(record: record, node: node, gap: gap))
    }
    let minutes = minutes
    var unread = RawLosses()
    _ = try replay.withPayload { payload in
      try decoder.take(entry, payload, &unread) { node, shape, tick, row in
        if isNew { minutes.add(node, shape, tick, row) }
        return true
      }
    }
    if isNew { losses.undecodedRows += unread.undecodedRows }
    taken = max(taken, record)
  }

  /// Writes what was taken. What is in memory is let go of only when it is on disk.
  private mutating func apply() throws {
    guard taken > applied else { return }
    var batch = HistoryBatch(shard: shard, record: taken)
    batch.additions = minutes.additions(groups)
    batch.gaps = gaps
    try history.apply(batch)
    applied = taken
    minutes.removeAll()
    gaps.removeAll(keepingCapacity: true)
  }
}

/// Something whose minutes are the sums of its nodes' minutes: a rack, a factory, an allocation.
public struct MinuteGroup: Hashable, Sendable {
  /// The rollup's number of the level.
  public let level: UInt8
  /// Which one of that level, by its labels.
  public let key: String

  public init(level: UInt8, key: String) {
    self.level = level
    self.key = key
  }
}
