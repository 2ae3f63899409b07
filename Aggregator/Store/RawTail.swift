internal import BongsuModel
internal import BongsuRecordLog
internal import BongsuWire

/// What the journals hold of some nodes: packed in memory, unpacked node by node as it is asked for.
struct RawTail: ~Copyable {
  /// Where reading starts in one journal, and where it ends: both records are included.
  struct Stretch {
    let shard: Int
    let disk: any Disk
    let from: UInt64
    let through: UInt64
  }

  /// Nodes with wanted rows.
  private(set) var nodes: [NodeID: PackedRows] = [:]
  private(set) var losses = RawLosses()
  /// Memory that the packed rows take.
  private(set) var byteCount = 0
  /// Whether reading ended because there is more than `bytesMax`.
  private(set) var isCutShort = false
  /// The last record that was read; all rows before and in it are here.
  private(set) var lastRecord: UInt64 = 0
  /// Which part of all records was read.
  private(set) var share = 1.0
  private let selection: RawSelection
  private let segments: SegmentTicks?
  private var unpacked = NodeRowDecoder.Unpacked()

  /// Reads the journals of all shards.
  ///
  /// - Parameters:
  ///   - segments: what is known of the journals' segments, so that those without wanted ticks are not read.
  ///   - bytesMax: memory that the rows of a journal may take; reading ends when there are more.
  ///   - includes: which nodes are read.
  ///   - appliedThrough: the record up to which a node's rows are not wanted.
  ///   - wants: whether a row counts; `nil`: all do that are selected.
  init(
    _ stretches: [Stretch], _ selection: RawSelection, segments: SegmentTicks? = nil, bytesMax: Int,
    includes: (NodeID) -> Bool,
    appliedThrough: (_ shard: Int, NodeID) -> UInt64, wants: ((_ record: UInt64, NodeID, Tick) -> Bool)? = nil
  ) throws {
    self.selection = selection
    self.segments = segments
    let wanted = stretches.filter { $0.from <= $0.through }
    for (number, stretch) in wanted.enumerated() {
      try read(stretch, bytesMax, includes, appliedThrough, wants)
      if isCutShort {
        let part = Double(max(lastRecord, stretch.from) - stretch.from + 1) / Double(stretch.through - stretch.from + 1)
        share = (Double(number) + part) / Double(wanted.count)
        break
      }
      lastRecord = stretch.through
    }
    nodes = nodes.filter { $0.value.rowCount > 0 }
  }

  private mutating func read(
    _ stretch: Stretch, _ bytesMax: Int, _ includes: (NodeID) -> Bool,
    _ appliedThrough: (_ shard: Int, NodeID) -> UInt64, _ wants: ((_ record: UInt64, NodeID, Tick) -> Bool)?
  ) throws {
    // From the start of a segment on, since a block may build on one before.
    let starts = try LogReader.segmentStarts(disk: stretch.disk, log: JournalReplay.logName)
    var start = starts.last { $0 <= stretch.from } ?? starts.first ?? stretch.from
    while let next = starts.first(where: { $0 > start }), next <= stretch.through,
      segments?.misses(selection.ticks, shard: stretch.shard, segment: start) ?? false
    {
      start = next
    }
    var replay = try JournalReplay(disk: stretch.disk, from: start, through: stretch.through)
    var found = Nodes()
    let ticks = selection.ticks
    // What the first wanted rows are built on does not count, so that every reader gets on, however little it may hold.
    var needed = byteCount
    while !isCutShort, let step = try replay.step() {
      guard case .record(let record) = step else {
        if case .damage(let what) = step { losses.damage.append(what) }
        continue
      }
      // Most entries are of nodes or kinds that are not wanted: of these no more is looked at than that.
      guard let head = replay.head() else {
        if case .failure(let error) = replay.entry() { losses.damage.append(JournalReplay.damage(record, error)) }
        continue
      }
      defer { lastRecord = record }
      switch head.kind {
      case .gap, .run: continue
      case .node: break
      case .layout, .stream: guard found[head.node] != nil else { continue }
      case .block: guard found[head.node] != nil || !found.isNamed(head.node) else { continue }
      }
      if head.kind == .layout, let node = found[head.node] {
        do throws(FrameError) {
          try replay.withEntry { (entry: RawSpan) throws(FrameError) in
            let outline = try JournalEntry.layoutOutline(of: entry)
            node.announce(outline.number, outline.interval, record, entry)
          }
        } catch {
          losses.damage.append(JournalReplay.damage(record, error))
        }
        byteCount += node.grown()
        continue
      }
      let entry: JournalEntry
      switch replay.entry() {
      case .success(let decoded): entry = decoded
      case .failure(let error):
        losses.damage.append(JournalReplay.damage(record, error))
        continue
      }
      switch entry {
      case .gap, .run, .layout: break
      case .node(let number, let id):
        if found.name(number, id) { continue }
        guard includes(id) else { continue }
        let node = nodes[id] ?? PackedRows(id, shard: stretch.shard, appliedThrough: appliedThrough(stretch.shard, id))
        nodes[id] = node
        found.add(number, node)
      case .stream(let number, _, _):
        guard let node = found[number] else { continue }
        replay.withEntry { node.changeStream(record, $0) }
        byteCount += node.grown()
      case .block(let block):
        guard let node = found[block.node] else {
          if record >= stretch.from { losses.undecodedRows += block.header.rowCount }
          continue
        }
        let isNew = record >= stretch.from && record > node.appliedThrough
        let isGood = replay.withEntry { bytes in
          node.take(block, record, bytes) { tick in
            isNew && ticks.contains(tick) && (wants?(record, node.id, tick) ?? true)
          }
        }
        if !isGood, record >= stretch.from { losses.undecodedRows += block.header.rowCount }
        byteCount += node.grown()
        if record < stretch.from { needed = byteCount } else { isCutShort = byteCount - needed > bytesMax }
      }
    }
  }

  /// The nodes of one journal by their numbers.
  private struct Nodes {
    private var wanted: [NodeNumber: PackedRows] = [:]
    private var names: [NodeNumber: NodeID] = [:]

    subscript(number: NodeNumber) -> PackedRows? { wanted[number] }

    func isNamed(_ number: NodeNumber) -> Bool { names[number] != nil }

    /// Whether the number has this name already.
    mutating func name(_ number: NodeNumber, _ id: NodeID) -> Bool {
      if names[number] == id { return true }
      names[number] = id
      wanted[number] = nil
      return false
    }

    mutating func add(_ number: NodeNumber, _ node: PackedRows) { wanted[number] = node }
  }

  /// The wanted rows of a node, by tick; `nil` when it has none. They are given once, so that memory is let go of on the way.
  mutating func takePile(of node: NodeID) -> RawPile? {
    guard let packed = nodes.removeValue(forKey: node) else { return nil }
    return packed.unpack(selection, &unpacked, &losses)
  }
}
