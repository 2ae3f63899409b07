internal import BongsuCodec
internal import BongsuModel
internal import BongsuRecordLog
internal import BongsuThreads
internal import BongsuWire
internal import Foundation
internal import GRDB

/// The raw rows of all nodes within one hour, in one SQLite file.
///
/// **Exactly once.** Chunks and the number of the last journal record they come from, per shard and group of nodes, go into
/// one transaction. Whoever applies a journal skips what the file says it has, so it does not matter how far anybody
/// else got when the power went.
///
/// **Damage.** Every row carries a checksum over its key and contents, and each node knows how many chunks it has: what a
/// damaged page took away is missed and named, never made up.
///
/// Thread rule: reads from any thread; writes from one at a time. Blocks.
final class RawPartition: Sendable {
  /// A packed chunk on its way into the file.
  struct Chunk: Sendable {
    let node: NodeID
    let layout: StoredLayout
    let firstTick: Int64
    let lastTick: Int64
    let rows: Int
    let bytes: [UInt8]
  }

  /// Rows of one stored chunk, turned into a run.
  struct Piece {
    let id: Int64
    let run: RawRun
  }

  let start: Tick
  let path: String
  private let database: StoreDatabase
  private let state: ThreadLock<State>

  private struct State {
    /// By shard and group of nodes.
    var applied: [Int: UInt64] = [:]
    var nodes: [NodeID: NodeEntry] = [:]
    var layouts = Layouts()
  }

  private struct NodeEntry {
    let id: Int64
    var chunks: Int64
    var next: Int64
  }

  /// What was found to be damaged at open, one line each: rows, not the file.
  let damage: [String]

  /// Opens or makes the file at `path`.
  ///
  /// - Throws: ``StoreError/damaged(path:message:)`` when it cannot be relied on and has to be set aside.
  init(path: String, start: Tick) throws(StoreError) {
    self.path = path
    self.start = start
    let database = try StoreDatabase(
      path: path, version: StoreLimits.partitionVersion, migrations: [Self.createTables],
      pageBytes: StoreLimits.partitionPageBytes)
    self.database = database
    // What the log lost is in the journal still, which is kept until the log is empty.
    var damage: [String] = database.logDamage.map { ["\($0); it is packed again from the journal"] } ?? []
    let loaded = try database.read { db in try Self.load(db, path, &damage) }
    self.damage = damage
    state = ThreadLock(loaded)
  }

  private static let createTables: @Sendable (Database) throws -> Void = { db in
    try db.execute(
      sql: """
        CREATE TABLE applied (id INTEGER PRIMARY KEY, record INTEGER NOT NULL, checksum INTEGER NOT NULL) STRICT;
        CREATE TABLE nodes (
          id INTEGER PRIMARY KEY, name TEXT NOT NULL, chunks INTEGER NOT NULL, next INTEGER NOT NULL,
          checksum INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE layouts (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL, checksum INTEGER NOT NULL) STRICT;
        CREATE TABLE totals (id INTEGER PRIMARY KEY, nodes INTEGER NOT NULL, checksum INTEGER NOT NULL) STRICT;
        CREATE TABLE chunks (
          id INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL, columns INTEGER NOT NULL,
          devices INTEGER NOT NULL, checksum INTEGER NOT NULL, bytes BLOB NOT NULL
        ) STRICT;
        """)
  }

  // MARK: Opening

  private static func load(_ db: Database, _ path: String, _ damage: inout [String]) throws -> State {
    var state = State()
    let applied = try Row.fetchCursor(db, sql: "SELECT id, record, checksum FROM applied")
    while let row = try applied.next() {
      guard let id = row.integer(0), let record = row.integer(1), record >= 0, row.integer(2) == sum(id, record) else {
        // Without it rows would enter twice or not at all.
        throw StoreError.damaged(path: path, message: "an applied record is not what was written")
      }
      state.applied[Int(id)] = UInt64(record)
    }
    let nodes = try Row.fetchCursor(db, sql: "SELECT id, name, chunks, next, checksum FROM nodes")
    var count: Int64 = 0
    while let row = try nodes.next() {
      count += 1
      guard let id = row.integer(0), let name = row.text(1), let chunks = row.integer(2), let next = row.integer(3),
        let node = NodeID(name), row.integer(4) == sum(id, chunks, next, text: name)
      else {
        damage.append("a node of '\(path)' is damaged, its rows of that hour are lost")
        continue
      }
      state.nodes[node] = NodeEntry(id: id, chunks: chunks, next: next)
    }
    let total = try Row.fetchOne(db, sql: "SELECT nodes, checksum FROM totals WHERE id = 0")
    if let total {
      guard let stated = total.integer(0), total.integer(1) == sum(0, stated), stated == count else {
        throw StoreError.damaged(path: path, message: "nodes are missing")
      }
    } else if count > 0 {
      throw StoreError.damaged(path: path, message: "the number of nodes is missing")
    }
    state.layouts = try Layouts(db, path, &damage)
    return state
  }

  static func sum(_ numbers: Int64..., text: String = "", bytes: [UInt8] = []) -> Int64 {
    var checksum = RowChecksum()
    for number in numbers { checksum.add(number) }
    checksum.add(text)
    checksum.add(bytes)
    return checksum.value
  }

  // MARK: Asking

  /// The last record of a shard that is in the file for a group of nodes; 0 when none is.
  func applied(shard: Int, group: Int) -> UInt64 {
    state.withLock { $0.applied[Self.appliedKey(shard, group)] ?? 0 }
  }

  /// The last record of each group of nodes that is in the file.
  func applied(shard: Int) -> [UInt64] {
    state.withLock { state in
      (0..<RawGroups.count).map { state.applied[Self.appliedKey(shard, $0)] ?? 0 }
    }
  }

  private static func appliedKey(_ shard: Int, _ group: Int) -> Int { shard * RawGroups.count + group }

  /// The same of all shards, as a view has it.
  var appliedRecords: [Int: UInt64] { state.withLock { $0.applied } }

  func has(_ node: NodeID) -> Bool { state.withLock { $0.nodes[node] != nil } }

  var nodes: [NodeID] { state.withLock { Array($0.nodes.keys) } }

  /// What one transaction sees of some nodes.
  struct View {
    /// By shard and group, as of the same instant as the pieces.
    var applied: [Int: UInt64] = [:]
    var pieces: [NodeID: [Piece]] = [:]
    var damage: [String] = []

    func applied(shard: Int, group: Int) -> UInt64 { applied[RawPartition.appliedKey(shard, group)] ?? 0 }
  }

  /// Reads what the selection wants of `nodes`, in one consistent state.
  func view(of nodes: [NodeID], _ selection: RawSelection) throws(StoreError) -> View {
    try database.read { db in
      var view = View()
      let applied = try Row.fetchCursor(db, sql: "SELECT id, record, checksum FROM applied")
      while let row = try applied.next() {
        guard let id = row.integer(0), let record = row.integer(1), record >= 0, row.integer(2) == Self.sum(id, record)
        else { throw StoreError.damaged(path: self.path, message: "an applied record is not what was written") }
        view.applied[Int(id)] = UInt64(record)
      }
      var decoder = ChunkDecoder()
      for node in nodes { try self.read(node, selection, db, &decoder, &view) }
      return view
    }
  }

  private func read(
    _ node: NodeID, _ selection: RawSelection, _ db: Database, _ decoder: inout ChunkDecoder, _ view: inout View
  ) throws {
    guard let id = state.withLock({ $0.nodes[node]?.id }) else { return }
    let entry = try Row.fetchOne(
      try db.cachedStatement(sql: "SELECT chunks, next, checksum FROM nodes WHERE id = ?"), arguments: [id])
    // A node that the writer added after this transaction began has no row yet.
    guard let entry else { return }
    guard let chunks = entry.integer(0), let next = entry.integer(1),
      entry.integer(2) == Self.sum(id, chunks, next, text: node.name)
    else {
      view.damage.append("'\(path)': the entry of \(node) is damaged")
      return
    }
    let range = Self.ids(of: id)
    let cursor = try Row.fetchCursor(
      try db.cachedStatement(
        sql: """
          SELECT id, first, last, columns, devices, checksum, CASE WHEN last >= ?3 AND first <= ?4 AND ?5 THEN bytes END
          FROM chunks WHERE id BETWEEN ?1 AND ?2 ORDER BY id
          """),
      arguments: [
        range.lowerBound, range.upperBound, selection.ticks.lowerBound.unixMilliseconds,
        selection.ticks.upperBound.unixMilliseconds, !selection.skipsValues,
      ])
    var found: Int64 = 0
    var damaged = 0
    while let row = try cursor.next() {
      found += 1
      guard let chunk = row.integer(0), let first = row.integer(1), let last = row.integer(2),
        let columns = row.integer(3), let devices = row.integer(4),
        row.integer(5) == Self.sum(chunk, first, last, columns, devices)
      else {
        damaged += 1
        continue
      }
      guard last >= selection.ticks.lowerBound.unixMilliseconds, first <= selection.ticks.upperBound.unixMilliseconds
      else { continue }
      if selection.skipsValues {
        guard let layout = try layout(columns, devices, db) else {
          damaged += 1
          continue
        }
        let ticks = Set([first, last]).sorted().map { Tick(unixMilliseconds: $0) }
        view.pieces[node, default: []].append(
          Piece(id: chunk, run: RawRun(node: node, layout: layout.shape.layout, columns: [], ticks: ticks, words: [])))
        continue
      }
      guard let bytes = row.bytes(6) else {
        damaged += 1
        continue
      }
      let piece = try piece(
        chunk, node, first, last, columns, devices, bytes, selection, db, &decoder)
      switch piece {
      case .found(let run): view.pieces[node, default: []].append(Piece(id: chunk, run: run))
      case .unwanted: break
      case .damaged: damaged += 1
      }
    }
    if found < chunks { damaged += Int(chunks - found) }
    if damaged > 0 { view.damage.append("'\(path)': \(damaged) chunks of \(node) are damaged") }
  }

  private enum Reading {
    case found(RawRun)
    case unwanted
    case damaged
  }

  private func piece(
    _ id: Int64, _ node: NodeID, _ first: Int64, _ last: Int64, _ columns: Int64, _ devices: Int64, _ bytes: [UInt8],
    _ selection: RawSelection, _ db: Database, _ decoder: inout ChunkDecoder
  ) throws -> Reading {
    guard let layout = try layout(columns, devices, db) else { return .damaged }
    let identity = ChunkIdentity(node: node, firstTick: first, lastTick: last, layout: layout.checksum)
    guard let chunk = ChunkReader(bytes, identity, layout.shape) else { return .damaged }
    let wanted = selection.columns(of: layout.shape.layout)
    let lower = chunk.ticks.partitioningIndex { $0 >= selection.ticks.lowerBound.unixMilliseconds }
    let upper = chunk.ticks.partitioningIndex { $0 > selection.ticks.upperBound.unixMilliseconds }
    guard lower < upper, !wanted.isEmpty else { return .unwanted }
    var words: [Int64] = []
    for column in wanted {
      let count = layout.shape.layout.deviceCount(of: column)
      guard let cells = chunk.cells(of: column, layout.shape, with: &decoder) else { return .damaged }
      for device in 0..<count {
        for row in lower..<upper { words.append(cells[row * count + device]) }
      }
    }
    guard !words.isEmpty else { return .unwanted }
    return .found(
      RawRun(
        node: node, layout: layout.shape.layout, columns: wanted,
        ticks: chunk.ticks[lower..<upper].map { Tick(unixMilliseconds: $0) }, words: words))
  }

  private func layout(_ columns: Int64, _ devices: Int64, _ db: Database) throws -> Layouts.Known? {
    if let known = state.withLock({ $0.layouts.known(columns, devices) }) { return known }
    // Written after the file was opened here and not by this object: restored while running, or damaged.
    return nil
  }

  /// Ids of a node's chunks.
  private static func ids(of node: Int64) -> ClosedRange<Int64> {
    (node << 20)...(node << 20 | 0xF_FFFF)
  }

  // MARK: Applying

  /// Adds chunks and notes, in one durable transaction, that all rows up to `record` of the groups are in.
  func apply(_ chunks: [Chunk], shard: Int, groups: [Int], through record: UInt64) throws(StoreError) {
    var next = state.withLock { $0 }
    try database.write { db in
      for chunk in chunks { try Self.insert(chunk, &next, db) }
      try Self.storeTotals(next, db)
      for group in groups {
        let key = Self.appliedKey(shard, group)
        next.applied[key] = record
        try db.cachedStatement(sql: "INSERT OR REPLACE INTO applied (id, record, checksum) VALUES (?, ?, ?)")
          .execute(arguments: [key, Int64(record), Self.sum(Int64(key), Int64(record))])
      }
    }
    let stored = next
    state.withLock { $0 = stored }
  }

  private static func insert(_ chunk: Chunk, _ state: inout State, _ db: Database) throws {
    let ids = try state.layouts.put(chunk.layout, db)
    var entry = state.nodes[chunk.node] ?? NodeEntry(id: Int64(state.nodes.count), chunks: 0, next: 0)
    if state.nodes[chunk.node] == nil {
      // Ids of damaged entries stay taken.
      entry = NodeEntry(
        id: (try Int64.fetchOne(db, sql: "SELECT coalesce(max(id), -1) + 1 FROM nodes")) ?? 0, chunks: 0, next: 0)
    }
    guard entry.next <= 0xF_FFFF else {
      throw StoreError.tooLarge(what: "chunks of a node in an hour", value: Int(entry.next), limit: 0xF_FFFF)
    }
    let id = entry.id << 20 | entry.next
    try db.cachedStatement(
      sql: "INSERT INTO chunks (id, first, last, columns, devices, checksum, bytes) VALUES (?, ?, ?, ?, ?, ?, ?)"
    ).execute(
      arguments: [
        id, chunk.firstTick, chunk.lastTick, ids.columns, ids.devices,
        Self.sum(id, chunk.firstTick, chunk.lastTick, ids.columns, ids.devices), Data(chunk.bytes),
      ])
    entry.next += 1
    entry.chunks += 1
    state.nodes[chunk.node] = entry
    try store(entry, chunk.node, db)
  }

  private static func store(_ entry: NodeEntry, _ node: NodeID, _ db: Database) throws {
    try db.cachedStatement(
      sql: "INSERT OR REPLACE INTO nodes (id, name, chunks, next, checksum) VALUES (?, ?, ?, ?, ?)"
    ).execute(
      arguments: [
        entry.id, node.name, entry.chunks, entry.next,
        Self.sum(entry.id, entry.chunks, entry.next, text: node.name),
      ])
  }

  private static func storeTotals(_ state: State, _ db: Database) throws {
    let count = try Int64.fetchOne(db, sql: "SELECT count(*) FROM nodes") ?? 0
    try db.execute(
      sql: "INSERT OR REPLACE INTO totals (id, nodes, checksum) VALUES (0, ?, ?)",
      arguments: [count, Self.sum(0, count)])
  }

  // MARK: Care

  /// Moves what is in the write-ahead log into the file and empties it; `false` while readers stand in the way.
  func checkpoint() throws(StoreError) -> Bool { try database.checkpoint() }

  /// SQLite's check of the whole file and the checksums of all its rows; one line for each thing that is wrong.
  func problems() throws(StoreError) -> [String] {
    if let problem = try database.problem() { return ["'\(path)': \(problem)"] }
    var problems = damage
    // One by one: an hour of all nodes is more than memory holds.
    for node in nodes.sorted(by: { $0.name < $1.name }) {
      problems += try view(of: [node], RawSelection(ticks: Limits.tickRange)).damage
    }
    return problems
  }

  /// Nodes whose chunks overlap, or that have more than `chunksMax`, most chunks first.
  func fragmented(chunksMax: Int) throws(StoreError) -> [NodeID] {
    let ids = state.withLock { state in Dictionary(uniqueKeysWithValues: state.nodes.map { ($1.id, $0) }) }
    return try database.read { db in
      var spans: [Int64: [(first: Int64, last: Int64)]] = [:]
      let cursor = try Row.fetchCursor(db, sql: "SELECT id, first, last FROM chunks")
      while let row = try cursor.next() {
        guard let id = row.integer(0), let first = row.integer(1), let last = row.integer(2) else { continue }
        spans[id >> 20, default: []].append((first, last))
      }
      return spans.compactMap { id, spans -> (NodeID, Int)? in
        let sorted = spans.sorted { $0.first < $1.first }
        let overlaps = zip(sorted, sorted.dropFirst()).contains { $0.last >= $1.first }
        guard overlaps || spans.count > chunksMax, let node = ids[id] else { return nil }
        return (node, spans.count)
      }
      .sorted { ($1.1, $0.0) < ($0.1, $1.0) }.map(\.0)
    }
  }

  /// Replaces chunks of a node by others with the same rows, in one durable transaction.
  func replace(_ ids: [Int64], of node: NodeID, with chunks: [Chunk]) throws(StoreError) {
    var next = state.withLock { $0 }
    try database.write { db in
      for id in ids { try db.execute(sql: "DELETE FROM chunks WHERE id = ?", arguments: [id]) }
      next.nodes[node]?.chunks -= Int64(ids.count)
      for chunk in chunks { try Self.insert(chunk, &next, db) }
    }
    let stored = next
    state.withLock { $0 = stored }
  }

  /// Copies the file, as of now, to a new one at `target`.
  func copy(to target: String) throws(StoreError) { try database.copy(to: target) }
}

/// How nodes are divided for applying: each group goes through the journal by itself where a fleet's rows do not fit into
/// memory at once.
enum RawGroups {
  /// Part of the partition's format.
  static let count = 16

  /// The group of a node: FNV-1a of its name.
  static func group(of node: NodeID) -> Int {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in node.name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    return Int((hash >> 32) % UInt64(count))
  }
}
