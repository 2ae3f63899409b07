public import BongsuModel
internal import BongsuRecordLog

/// Lets a reader look at the journals: calls its argument with the last record on disk of each shard and keeps all
/// records meanwhile; `false`, without a call, when the journals are not open.
public typealias JournalAccess = @Sendable (_ body: (_ committed: [UInt64]) throws -> Void) throws -> Bool

/// Every stored row, exactly as it was received, wherever it lies: in chunks, in the journals, or on its way.
///
/// Rows come node by node in the order of names, of each node by tick, each tick once: late rows stand where they belong.
/// Of each node and hour a visit sees one consistent state. Memory: one run, the wanted columns of a few nodes, and what
/// the journals have of the visited nodes, packed, bounded by ``StoreLimits/tailBytesMax``; where they have more, they are
/// read several times. Minutes that are asked for again and again are kept in memory (``RecentRows``).
///
///     chunks of the hour  ──┐ one transaction: chunks and the last record they come from
///     rows of the journal ──┴▶ those of later records ─▶ by tick ─▶ runs
///
/// Thread rule: from any thread, several at once; blocks, so not for data-plane threads nor inside a task.
public final class RawHistory: Sendable {
  private let store: RawStore
  private let journals: [String]
  private let progress: @Sendable () -> RawProgress
  private let access: JournalAccess
  private let segments: SegmentTicks?
  private let recent: RecentRows?
  private let tailBytesMax: Int

  /// - Parameters:
  ///   - segments: what is known of the journals' segments; `nil`: all of them are read.
  ///   - recent: keeps what is asked for again and again; `nil`: nothing is kept.
  init(
    store: RawStore, journals: [String], tailBytesMax: Int = StoreLimits.tailBytesMax,
    progress: @escaping @Sendable () -> RawProgress, segments: SegmentTicks? = nil, recent: RecentRows? = nil,
    access: @escaping JournalAccess
  ) {
    self.tailBytesMax = tailBytesMax
    self.store = store
    self.journals = journals
    self.progress = progress
    self.segments = segments
    self.recent = recent
    self.access = access
  }

  /// Reads a data directory that no aggregator has open; nothing in it is changed but what is damaged beyond reading, which
  /// is renamed.
  public convenience init(directory: String, shards: Int, say: @escaping @Sendable (String) -> Void = { _ in }) throws {
    let store = try RawStore(directory: "\(directory)/raw", shards: shards, say: say)
    var damage: [String] = []
    let progress = try RawProgress(PosixDisk(path: store.directory), shards: shards, &damage)
    self.init(
      store: store, journals: (0..<shards).map { "\(directory)/journal/shard-\($0)" }, progress: { progress },
      access: { body in
        try body([UInt64](repeating: .max, count: shards))
        return true
      })
  }

  /// Hands the wanted rows to `body`, run by run, which answers whether it wants more.
  ///
  /// A run has at least one row and one column; two runs of one node follow each other in time. What cannot be read is
  /// named in the answer and left out, never guessed.
  ///
  /// - Throws: ``StoreError/notOpen`` before the aggregator has opened its journals; what the disk refuses; what `body`
  ///   throws.
  public func forEachRun(_ selection: RawSelection, _ body: (RawRun) throws -> Bool) throws -> RawLosses {
    var losses = RawLosses()
    let isOpen = try access { committed in losses = try self.read(selection, committed, body) }
    guard isOpen else { throw StoreError.notOpen }
    return losses
  }

  /// Takes the rows from memory where they are, else the long way, and keeps them when it is likely that they are wanted
  /// again.
  private func read(
    _ selection: RawSelection, _ committed: [UInt64], _ body: (RawRun) throws -> Bool
  ) throws -> RawLosses {
    guard let recent else { return try visit(selection, committed, body) }
    if let kept = recent.rows(selection, committed, packed: progress()) {
      try kept.rows.forEachRun(selection, body)
      return kept.losses
    }
    guard var gathering = recent.gathering(selection) else { return try visit(selection, committed, body) }
    var open = selection
    open.ticks = selection.ticks.lowerBound...Limits.tickRange.upperBound
    let losses = try visit(open, committed) { run in
      gathering.take(run)
      guard let wanted = run.clipped(to: selection.ticks) else { return true }
      let goesOn = try body(wanted)
      if !goesOn { gathering.giveUp() }
      return goesOn
    }
    recent.keep(gathering, committed, losses)
    return losses
  }

  /// A layout that a node's rows have in some stretch of time.
  public struct Inventory: Hashable, Sendable {
    public let node: NodeID
    public let layout: RowLayout
    /// All its rows in the selection lie within.
    public var ticks: ClosedRange<Tick>
  }

  /// Which layouts the selected nodes have had in the selected ticks: what can be asked for, without values.
  ///
  /// - Complexity: reads no chunk, only where each lies; but all of what the journals have.
  public func inventory(_ selection: RawSelection) throws -> (found: [Inventory], losses: RawLosses) {
    var found: [Inventory] = []
    var narrow = selection
    narrow.skipsValues = true
    let losses = try forEachRun(narrow) { run in
      guard let first = run.ticks.first, let last = run.ticks.last else { return true }
      var index = found.count - 1
      while index >= 0, found[index].node == run.node, found[index].layout != run.layout { index -= 1 }
      if index >= 0, found[index].node == run.node {
        found[index].ticks = found[index].ticks.lowerBound...last
      } else {
        found.append(Inventory(node: run.node, layout: run.layout, ticks: first...last))
      }
      return true
    }
    return (found, losses)
  }

  /// Oldest and newest tick that are stored; `nil` when nothing is.
  public func extent() throws -> ClosedRange<Tick>? {
    var extent: ClosedRange<Tick>?
    for range in [firstHours(store.starts), Limits.tickRange] {
      let (found, _) = try inventory(RawSelection(ticks: range))
      for entry in found {
        extent =
          extent.map {
            min($0.lowerBound, entry.ticks.lowerBound)...max($0.upperBound, entry.ticks.upperBound)
          } ?? entry.ticks
      }
      if extent != nil { break }
    }
    guard let oldest = extent?.lowerBound else { return nil }
    // The newest is in the last partition or in the journals.
    let last = max(Tick(unixMilliseconds: store.starts.last ?? 0), oldest)
    for entry in try inventory(RawSelection(ticks: last...Limits.tickRange.upperBound)).found {
      extent = oldest...max(extent?.upperBound ?? oldest, entry.ticks.upperBound)
    }
    return extent
  }

  private func firstHours(_ starts: [Int64]) -> ClosedRange<Tick> {
    guard let first = starts.first else { return Limits.tickRange }
    return Limits.tickRange.lowerBound...Tick(unixMilliseconds: RawStore.ticks(of: first).upperBound)
  }

  // MARK: Reading

  private func visit(
    _ selection: RawSelection, _ committed: [UInt64], _ body: (RawRun) throws -> Bool
  ) throws -> RawLosses {
    precondition(committed.count == journals.count, "\(committed.count) journals")
    // Before any partition is looked at: what it says is in them then.
    let known = progress()
    let stretches = try journals.indices.map { shard in
      RawTail.Stretch(
        shard: shard, disk: try PosixDisk(path: journals[shard]), from: (known.records[shard].min() ?? 0) + 1,
        through: committed[shard])
    }
    var visitor = RawVisit(store: store, selection: selection)
    // When the journals hold more than may be held at once, nodes come in several parts of all names.
    var bounds: [NodeID] = []
    var part = 0
    var bytesMax = tailBytesMax
    while part <= bounds.count {
      let lower = part == 0 ? nil : bounds[part - 1]
      let upper = part < bounds.count ? bounds[part] : nil
      let includes: @Sendable (NodeID) -> Bool = { node in
        (lower.map { selection.place(of: node) >= $0 } ?? true)
          && (upper.map { selection.place(of: node) < $0 } ?? true)
          && (selection.nodes.map { $0.contains(node) } ?? true)
      }
      var tail = try RawTail(
        stretches, selection, segments: segments, bytesMax: bytesMax, includes: includes,
        appliedThrough: { shard, node in known.records[shard][RawGroups.group(of: node)] })
      if tail.isCutShort {
        // A single node, or very many parts: then rather much memory than no answer.
        let pieces = Self.pieces(of: tail, selection, max: StoreLimits.tailPartsMax - bounds.count)
        if pieces.isEmpty { bytesMax = .max } else { bounds.insert(contentsOf: pieces, at: part) }
        continue
      }
      visitor.losses.damage += part == 0 ? tail.losses.damage : []
      let wantsMore = try visitor.visit(&tail, includes, body)
      visitor.losses.undecodedRows += tail.losses.undecodedRows
      guard wantsMore else { break }
      part += 1
    }
    store.note(damage: visitor.losses.damage)
    return visitor.losses
  }

  /// Names that divide the nodes of a tail into so many pieces that each can be expected to be read whole; none when it
  /// has only one node.
  private static func pieces(of tail: borrowing RawTail, _ selection: RawSelection, max most: Int) -> [NodeID] {
    let names = Set(tail.nodes.keys.map { selection.place(of: $0) }).sorted()
    let count = min(Int((1.1 / tail.share).rounded(.up)), names.count, most + 1)
    guard count > 1 else { return [] }
    return (1..<count).map { names[$0 * names.count / count] }
  }
}
