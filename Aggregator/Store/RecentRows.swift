internal import BongsuCodec
internal import BongsuModel
internal import BongsuRecordLog
internal import BongsuThreads
internal import Foundation
internal import Synchronization

/// What was asked for lately, kept in memory: dashboards and rules ask for the same minutes of the same metrics over and
/// over, and reading them anew would take journals and chunks apart each time.
///
/// A table of rows is gathered while somebody reads them the long way. It holds, for its metrics and nodes, every row with
/// a tick from its start on that records up to a known one have. From then on only new records are read, and their rows
/// put: so a table says at any time exactly what the long way says.
///
///     records   ────────────────────┤ read once, into the table ├── read when somebody asks ──┤
///               chunks and journals                             ▲ how far the table is        ▲ committed
///
/// A table is given up when it grows too large, when it is behind what is packed already, and when a record cannot be
/// read: the long way tells what is lost.
///
/// Thread rule: any thread. Who asks waits while another brings the same table up to date.
final class RecentRows: Sendable {
  /// Tables kept, words of one, and of all together: 64 MiB.
  struct Bounds: Sendable {
    var tables = 8
    var tableWords = 4 << 20
    var allWords = 8 << 20
    /// Metrics of one table.
    var metrics = 4
    /// Nodes below which the long way is short.
    var nodesMin = 64
    /// How far back of the present a table may start, and must reach, milliseconds.
    var startMilliseconds: Int64 = 1_200_000
    var endMilliseconds: Int64 = 120_000
  }

  private let journals: [String]
  private let bounds: Bounds
  private let now: @Sendable () -> Int64
  /// Most recently used last.
  private let tables = ThreadLock<[Table]>([])

  init(
    journals: [String], bounds: Bounds = Bounds(),
    now: @escaping @Sendable () -> Int64 = { Int64(Date().timeIntervalSince1970 * 1000) }
  ) {
    self.journals = journals
    self.bounds = bounds
    self.now = now
  }

  /// Tables that are kept, and words in them.
  var size: (tables: Int, words: Int) {
    tables.withLock { tables in (tables.count, tables.reduce(0) { $0 + $1.wordCount }) }
  }

  // MARK: Asking

  /// Rows that answer a selection, as of the records in `committed`; `nil` when no table has them all.
  func rows(
    _ selection: RawSelection, _ committed: [UInt64], packed: RawProgress
  ) -> (rows: RowTable, losses: RawLosses)? {
    guard !selection.skipsValues, let metrics = selection.metrics else { return nil }
    let table = tables.withLock { tables -> Table? in
      guard
        let index = tables.lastIndex(where: { table in
          table.start <= selection.ticks.lowerBound && metrics.isSubset(of: table.metrics)
            && (table.nodes.map { nodes in selection.nodes?.isSubset(of: nodes) ?? false } ?? true)
        })
      else { return nil }
      tables.append(tables.remove(at: index))
      return tables.last
    }
    guard let table else { return nil }
    // Whatever the matter is, the long way tells.
    let answer = try? table.rows(from: selection.ticks.lowerBound, committed, packed: packed, bounds.tableWords)
    if answer == nil { tables.withLock { $0.removeAll { $0 === table } } }
    return answer
  }

  /// A table to gather what is about to be read the long way; `nil` when it is not worth while. Whoever reads has to read
  /// everything from the start of the selection on.
  func gathering(_ selection: RawSelection) -> Gathering? {
    guard !selection.skipsValues, let metrics = selection.metrics, (1...bounds.metrics).contains(metrics.count),
      selection.nodes.map({ $0.count >= bounds.nodesMin }) ?? true
    else { return nil }
    let now = now()
    guard selection.ticks.lowerBound.unixMilliseconds >= now - bounds.startMilliseconds,
      selection.ticks.upperBound.unixMilliseconds >= now - bounds.endMilliseconds
    else { return nil }
    return Gathering(
      rows: RowTable(metrics: metrics), nodes: selection.nodes, start: selection.ticks.lowerBound,
      wordsMax: bounds.tableWords)
  }

  /// Keeps what was gathered from records up to those in `committed`.
  func keep(_ gathering: Gathering, _ committed: [UInt64], _ losses: RawLosses) {
    guard gathering.isWhole, gathering.rows.newest != nil else { return }
    let table = Table(gathering, journals, committed, losses)
    tables.withLock { tables in
      // What the new one has as well.
      tables.removeAll { old in
        old.metrics.isSubset(of: table.metrics) && old.start >= table.start
          && (table.nodes.map { nodes in old.nodes?.isSubset(of: nodes) ?? false } ?? true)
      }
      tables.append(table)
      var words = tables.reduce(0) { $0 + $1.wordCount }
      while tables.count > bounds.tables || words > bounds.allWords, tables.count > 1 {
        words -= tables.removeFirst().wordCount
      }
    }
  }

  /// Rows on their way into a table.
  struct Gathering {
    fileprivate var rows: RowTable
    fileprivate let nodes: Set<NodeID>?
    fileprivate let start: Tick
    fileprivate let wordsMax: Int
    /// Whether every row that was read is in it.
    private(set) var isWhole = true

    fileprivate init(rows: RowTable, nodes: Set<NodeID>?, start: Tick, wordsMax: Int) {
      self.rows = rows
      self.nodes = nodes
      self.start = start
      self.wordsMax = wordsMax
    }

    mutating func take(_ run: RawRun) {
      guard isWhole else { return }
      if !rows.append(run) || rows.wordCount > wordsMax { giveUp() }
    }

    mutating func giveUp() {
      isWhole = false
      rows = RowTable(metrics: rows.metrics)
    }
  }
}

/// One table, and the readers that keep it up to date.
private final class Table: Sendable {
  let metrics: Set<MetricID>
  let nodes: Set<NodeID>?
  private let journals: [String]
  private let state: ThreadLock<State>
  private let words = Atomic<Int>(0)
  private let oldest: Atomic<Int64>

  private struct State {
    var rows: RowTable
    var losses: RawLosses
    /// Records up to these are in the rows.
    var through: [UInt64]
    /// One for each journal; made when somebody asks a second time.
    var followers: [Follower] = []
    /// The oldest tick that was asked for since rows were removed last, and the newest there was then.
    var oldestAsked = Tick(unixMilliseconds: .max)
    var newestThen: Tick?
    /// Whether a reader stopped half-way, so that nobody knows what the rows are.
    var isBroken = false
  }

  /// How often rows that nobody asks for any more are removed, by ticks.
  private static let trimMilliseconds: Int64 = 60_000

  init(_ gathering: RecentRows.Gathering, _ journals: [String], _ committed: [UInt64], _ losses: RawLosses) {
    metrics = gathering.rows.metrics
    nodes = gathering.nodes
    self.journals = journals
    oldest = Atomic(gathering.start.unixMilliseconds)
    words.store(gathering.rows.wordCount, ordering: .relaxed)
    state = ThreadLock(
      State(rows: gathering.rows, losses: losses, through: committed, newestThen: gathering.rows.newest))
  }

  /// Every row with a tick from here on is there. Relaxed, as for the count: whoever relies on it asks again under the lock.
  var start: Tick { Tick(unixMilliseconds: oldest.load(ordering: .relaxed)) }
  var wordCount: Int { words.load(ordering: .relaxed) }

  /// Brings the rows up to date; `nil` when they cannot be, or no longer reach back to `first`.
  func rows(
    from first: Tick, _ committed: [UInt64], packed: RawProgress, _ wordsMax: Int
  ) throws -> (rows: RowTable, losses: RawLosses)? {
    try state.withLock { state in
      guard start <= first, !state.isBroken else { return nil }
      state.isBroken = true
      for shard in journals.indices where state.through[shard] < committed[shard] {
        // Reading what is packed already would take longer than reading the chunks.
        guard state.through[shard] >= packed.records[shard].min() ?? 0 else { return nil }
        if state.followers.isEmpty {
          for (shard, journal) in journals.enumerated() {
            state.followers.append(try Follower(journal, after: state.through[shard], nodes))
          }
        }
        let isWhole = try state.followers[shard].advance(
          through: committed[shard], from: start, into: &state.rows, &state.losses)
        guard isWhole, state.rows.wordCount <= wordsMax else { return nil }
        state.through[shard] = committed[shard]
      }
      state.oldestAsked = min(state.oldestAsked, first)
      if let newest = state.rows.newest, let then = state.newestThen,
        newest.unixMilliseconds - then.unixMilliseconds >= Self.trimMilliseconds
      {
        state.rows.removeRows(before: state.oldestAsked)
        oldest.store(state.oldestAsked.unixMilliseconds, ordering: .relaxed)
        state.oldestAsked = Tick(unixMilliseconds: .max)
        state.newestThen = newest
      }
      words.store(state.rows.wordCount, ordering: .relaxed)
      state.isBroken = false
      return (state.rows, state.losses)
    }
  }
}

/// Reads on in one journal from where a table is.
private final class Follower {
  private var replay: JournalReplay
  private var decoder: RowDecoder
  /// Records up to this one are in the table.
  private let after: UInt64

  init(_ journal: String, after: UInt64, _ nodes: Set<NodeID>?) throws {
    let disk = try PosixDisk(path: journal)
    // From the start of a segment on, since a block may build on one before.
    let starts = try LogReader.segmentStarts(disk: disk, log: JournalReplay.logName)
    let start = starts.last { $0 <= after + 1 } ?? starts.first ?? after + 1
    replay = try JournalReplay(disk: disk, from: start, through: 0)
    decoder = RowDecoder { node in nodes?.contains(node) ?? true }
    self.after = after
  }

  /// Puts the rows of new records; `false` when a record cannot be read.
  func advance(
    through record: UInt64, from start: Tick, into rows: inout RowTable, _ losses: inout RawLosses
  ) throws -> Bool {
    try replay.extend(through: record)
    while let event = try replay.next() {
      guard case .entry(let number, let entry) = event else { return false }
      var unread = RawLosses()
      let isNew = number > after
      try replay.withPayload { payload in
        _ = try decoder.take(entry, payload, &unread) { node, shape, tick, row in
          if isNew, tick >= start { rows.put(node, shape.layout, tick, row) }
          return true
        }
      }
      if isNew { losses.undecodedRows += unread.undecodedRows }
    }
    return true
  }
}
