public import BongsuModel
public import BongsuRecordLog
internal import BongsuRollup
internal import BongsuWire

/// Follows a shard's journal behind its writer: puts gap records into the history, and notes for the tiers which minutes
/// have got rows.
///
/// It takes nothing from the way of an acknowledgement and needs no state of its own on disk: both files know the last
/// record that they have, and a restart reads on from there. Rows are not decoded.
///
/// Not thread-safe; one owner, on a thread that may block. Memory: intervals of each node's layouts.
public struct HistoryFollower: ~Copyable {
  /// All records up to this one are in the history and noted.
  public private(set) var applied: UInt64
  /// What could not be read so far, and rows whose minute is not known.
  public private(set) var losses = RawLosses()

  private struct Node {
    var id: NodeID?
    var intervals: [Int: TickInterval] = [:]
  }

  private let shard: Int
  private let history: History
  private let tiers: TierStore
  private var replay: JournalReplay
  private var nodes: [NodeNumber: Node] = [:]
  /// How far each file is, and the last record that was read.
  private var inHistory: UInt64
  private var inTiers: UInt64
  private var taken: UInt64
  private var gaps: [HistoryBatch.GapRecord] = []
  private var minutes: Set<Int64> = []
  private let segments: SegmentTicks?
  /// The segment that is being read, and between which ticks its rows lie; `nil`: it is not known whether that is all.
  private var segment: UInt64 = 0
  private var extent: ClosedRange<Int64>?
  private var isSegmentWhole = true
  private var isNextDamaged = false

  /// Gaps and minutes that one transaction takes.
  private static let batchMax = 20_000

  /// Finds out how far the files are. Reads nothing of the journal yet.
  ///
  /// - Parameter segments: is told between which ticks the rows of each segment lie.
  /// - Throws: ``StoreError``, or `LogError` when the journal's directory cannot be read.
  public init(shard: Int, journal disk: any Disk, history: History, tiers: TierStore) throws {
    try self.init(shard: shard, journal: disk, history: history, tiers: tiers, segments: nil)
  }

  init(shard: Int, journal disk: any Disk, history: History, tiers: TierStore, segments: SegmentTicks?) throws {
    self.segments = segments
    let inHistory = try history.applied(shard: shard) ?? 0
    let inTiers = try tiers.noted(shard: shard)
    let record = min(inHistory, inTiers)
    // Names and layouts stand at the start of every segment.
    let starts = try LogReader.segmentStarts(disk: disk, log: JournalReplay.logName)
    let start = starts.last { $0 <= record + 1 } ?? starts.first ?? record + 1
    let replay = try JournalReplay(disk: disk, from: start, through: 0)
    self.replay = replay
    self.inHistory = inHistory
    self.inTiers = inTiers
    self.shard = shard
    self.history = history
    self.tiers = tiers
    applied = record
    taken = record
  }

  /// Takes all records up to `committed`, in as many transactions as it takes; returns how many records were new.
  ///
  /// - Throws: ``StoreError`` when a file cannot be written; what was read stays in memory and goes in with the next call,
  ///   when space has returned for example.
  @discardableResult
  public mutating func advance(through committed: UInt64, now: Tick) throws -> UInt64 {
    let before = applied
    if taken > applied { try apply(now) }
    guard committed > taken else { return applied - before }
    try replay.extend(through: committed)
    while let event = try replay.next() {
      switch event {
      case .damage(let what):
        losses.damage.append(what)
        // Of this segment, of the next, or of both.
        isSegmentWhole = false
        isNextDamaged = true
      case .entry(let record, let entry):
        enter(replay.segment)
        isNextDamaged = false
        take(entry, record)
      }
      if gaps.count + minutes.count >= Self.batchMax { try apply(now) }
    }
    // Records that damage took are not waited for.
    taken = max(taken, committed)
    try apply(now)
    return applied - before
  }

  /// Notes which segment comes now, and tells of the one before.
  private mutating func enter(_ next: UInt64) {
    guard next != segment else { return }
    if let segments, isSegmentWhole, let extent { segments.note(extent, shard: shard, segment: segment) }
    segment = next
    extent = nil
    isSegmentWhole = !isNextDamaged
  }

  private mutating func take(_ entry: JournalEntry, _ record: UInt64) {
    switch entry {
    case .node(let number, let id): nodes[number, default: Node()].id = id
    case .layout(let number, _, let announcement):
      nodes[number, default: Node()].intervals[announcement.number] = announcement.layout.interval
    case .gap(let gap):
      if record > inHistory, let node = nodes[gap.node]?.id {
        gaps.append(HistoryBatch.GapRecord(record: record, node: node, gap: gap))
      }
    case .block(let block): note(block, isNew: record > inTiers)
    case .stream, .run: break
    }
    taken = max(taken, record)
  }

  private mutating func note(_ block: JournalBlock, isNew: Bool) {
    guard let interval = nodes[block.node]?.intervals[block.header.layoutNumber], block.header.rowCount > 0 else {
      if isNew { losses.undecodedRows += block.header.rowCount }
      isSegmentWhole = false
      return
    }
    let first = block.firstTick.unixMilliseconds
    let last = block.firstTick.advanced(by: block.header.rowCount - 1, of: interval).unixMilliseconds
    extent = extent.map { min($0.lowerBound, first)...max($0.upperBound, last) } ?? first...last
    guard isNew else { return }
    block.forEachPart { part in
      let first = Self.minute(of: block.firstTick.advanced(by: part.lowerBound, of: interval))
      let last = Self.minute(of: block.firstTick.advanced(by: part.upperBound - 1, of: interval))
      for minute in stride(from: first, through: last, by: 60_000) { minutes.insert(minute) }
      // What a slow node said last counts in the minute after, too.
      if interval.milliseconds > 1000 { minutes.insert(last + 60_000) }
    }
  }

  /// The end of the minute of `tick`: a tick describes the time before it.
  private static func minute(of tick: Tick) -> Int64 { Tier.minute.end(of: tick).unixMilliseconds }

  /// Writes what was taken. What is in memory is let go of only when it is on disk.
  private mutating func apply(_ now: Tick) throws {
    guard taken > applied else { return }
    if taken > inHistory {
      var batch = HistoryBatch(shard: shard, record: taken)
      batch.gaps = gaps
      try history.apply(batch)
      inHistory = taken
      gaps.removeAll(keepingCapacity: true)
    }
    if taken > inTiers {
      try tiers.note(shard: shard, through: taken, minutes: minutes, now: now)
      inTiers = taken
      minutes.removeAll(keepingCapacity: true)
    }
    applied = taken
  }
}
