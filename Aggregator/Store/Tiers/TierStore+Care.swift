internal import BongsuModel
internal import BongsuRollup
internal import BongsuThreads
internal import Foundation
internal import GRDB

/// The tables of a ``TierStore`` whose rows have checksums.
enum TierTable: String, CaseIterable {
  case noted
  case dirty
  case minutes
  case carries
  case groups
  case fresh
  case rows
  case facts
  case fleets

  /// The column of the row's number.
  var key: String {
    switch self {
    case .noted: "shard"
    case .dirty, .minutes, .carries: "minute"
    case .fresh, .rows: "id"
    case .groups, .fleets: "number"
    case .facts: "name"
    }
  }

  /// What tells rows of tables apart that look alike: a row that is found in another table does not pass.
  fileprivate var mark: String {
    switch self {
    // As in versions 1 and 2.
    case .rows, .noted: ""
    default: rawValue
    }
  }
}

// MARK: Checksums

extension TierStore {
  static func sum(_ table: TierTable, _ numbers: Int64..., text: String? = nil, bytes: [UInt8]? = nil) -> Int64 {
    var checksum = RowChecksum()
    if !table.mark.isEmpty { checksum.add(table.mark) }
    for number in numbers { checksum.add(number) }
    if let text { checksum.add(text) }
    if let bytes { checksum.add(bytes) }
    return checksum.value
  }

  /// Versions 1 and 2 had checksums in `noted`, `rows`, `fresh`, `carries` and `fleets` alone.
  static let addChecksums: @Sendable (Database) throws -> Void = { db in
    for table in ["dirty", "minutes", "groups", "facts"] {
      try db.execute(sql: "ALTER TABLE \(table) ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0")
    }
    func unreadable(_ table: String) -> StoreError {
      .damaged(path: db.description, message: "a row of \(table) cannot be read")
    }
    for row in try Row.fetchAll(db, sql: "SELECT minute, mark, restates FROM dirty") {
      guard let minute = row.integer(0), let mark = row.integer(1), let restates = row.integer(2) else {
        throw unreadable("dirty")
      }
      try db.execute(
        sql: "UPDATE dirty SET checksum = ? WHERE minute = ?", arguments: [sum(.dirty, minute, mark, restates), minute])
    }
    for row in try Row.fetchAll(db, sql: "SELECT minute, fingerprint, fleet FROM minutes") {
      guard let minute = row.integer(0), let fingerprint = row.integer(1), let fleet = row.integer(2) else {
        throw unreadable("minutes")
      }
      try storeMinute(minute, fingerprint, fleet: fleet, db)
    }
    for row in try Row.fetchAll(db, sql: "SELECT name, value FROM facts") {
      guard let name = row.text(0), let value = row.integer(1) else { throw unreadable("facts") }
      try storeFact(name, value, db)
    }
    var counts: [TierLevel: Int] = [:]
    for row in try Row.fetchAll(db, sql: "SELECT level, number, key FROM groups ORDER BY level, number") {
      guard let code = row.integer(0), let number = row.integer(1), let key = row.text(2),
        let level = TierLevel(code: code), Int(number) == counts[level, default: 0]
      else { throw unreadable("groups") }
      try storeGroup(level, Int(number), key, db)
      counts[level] = Int(number) + 1
    }
    for (level, count) in counts { try storeFact(countName(level), Int64(count), db) }
    for table in [TierTable.fresh, .carries, .fleets] {
      // One body at a time: together they may be large.
      for id in try Int64.fetchAll(db, sql: "SELECT \(table.key) FROM \(table.rawValue)") {
        let row = try Row.fetchOne(
          db, sql: "SELECT body, checksum FROM \(table.rawValue) WHERE \(table.key) = ?", arguments: [id])
        guard let body = row?.bytes(0), row?.integer(1) == sum(.rows, id, bytes: body) else { continue }
        try db.execute(
          sql: "UPDATE \(table.rawValue) SET checksum = ? WHERE \(table.key) = ?",
          arguments: [sum(table, id, bytes: body), id])
      }
    }
  }

  static func storeNoted(_ shard: Int64, _ record: Int64, _ db: Database) throws {
    try db.cachedStatement(sql: "INSERT OR REPLACE INTO noted (shard, record, checksum) VALUES (?, ?, ?)")
      .execute(arguments: [shard, record, sum(.noted, shard, record)])
  }

  static func storeMinute(_ minute: Int64, _ fingerprint: Int64, fleet: Int64, _ db: Database) throws {
    try db.cachedStatement(
      sql: "INSERT OR REPLACE INTO minutes (minute, fingerprint, fleet, checksum) VALUES (?, ?, ?, ?)"
    ).execute(arguments: [minute, fingerprint, fleet, sum(.minutes, minute, fingerprint, fleet)])
  }

  static func storeFact(_ name: String, _ value: Int64, _ db: Database) throws {
    try db.cachedStatement(sql: "INSERT OR REPLACE INTO facts (name, value, checksum) VALUES (?, ?, ?)")
      .execute(arguments: [name, value, sum(.facts, value, text: name)])
  }

  /// A number that the file keeps about itself; `nil`: it was never stored.
  func fetchFact(_ name: String, _ db: Database) throws -> Int64? {
    let row = try Row.fetchOne(
      db.cachedStatement(sql: "SELECT value, checksum FROM facts WHERE name = ?"), arguments: [name])
    guard let row else { return nil }
    guard let value = row.integer(0), row.integer(1) == Self.sum(.facts, value, text: name) else {
      throw StoreError.damaged(path: database.path, message: "'\(name)' is not what was written")
    }
    return value
  }

  static func storeGroup(_ level: TierLevel, _ number: Int, _ key: String, _ db: Database) throws {
    try db.cachedStatement(sql: "INSERT OR REPLACE INTO groups (level, number, key, checksum) VALUES (?, ?, ?, ?)")
      .execute(arguments: [level.code, number, key, sum(.groups, level.code, Int64(number), text: key)])
  }

  /// A group as it is stored, when it is what was written.
  static func group(
    _ code: Int64?, _ number: Int64?, _ key: String?, _ checksum: Int64?
  ) -> (level: TierLevel, number: Int, key: String)? {
    guard let code, let number, let key, let level = TierLevel(code: code),
      (0..<Int64(TierGroupNumber.numberMax)).contains(number), !key.isEmpty,
      checksum == sum(.groups, code, number, text: key)
    else { return nil }
    return (level, Int(number), key)
  }

  /// The fact that says of how many groups it is known that their names are lost.
  static let lostGroupsName = "groups-lost"

  /// The fact that says how many groups of a level there are.
  static func countName(_ level: TierLevel) -> String { "groups-\(level.code)" }
}

// MARK: Opening what may be damaged

extension TierStore {
  /// Bytes up to which every row is compared with its checksum at open; of larger files the small tables alone, and all of
  /// it after damage was found while running.
  private static let checkedBytesMax: Int64 = 64 << 20

  /// Opens or makes the file at `path`; a damaged one is made anew of its sound rows.
  ///
  /// - Returns: the store, and whether rows may be missing that raw history still has.
  static func mended(
    path: String, say: (String) -> Void
  ) throws(StoreError) -> (store: TierStore, isMended: Bool) {
    let (store, isMended) = try Mending.open(
      path, say: say, open: { file throws(StoreError) in try TierStore(path: file) },
      problems: { store throws(StoreError) in try store.problemsAtOpen() },
      refill: { store, rows throws(StoreError) in try store.refill(rows) })
    if let damage = store.database.logDamage { say("\(damage); they are made again from the journal and raw history") }
    // What was found is mended, or was no damage.
    try? FileManager.default.removeItem(atPath: suspectPath(path))
    return (store, isMended || store.database.logDamage != nil)
  }

  private func problemsAtOpen() throws(StoreError) -> [String] {
    let size = (try? FileManager.default.attributesOfItem(atPath: database.path))?[.size] as? NSNumber
    let isSmall = (size?.int64Value ?? 0) <= Self.checkedBytesMax
    guard isSmall || FileManager.default.fileExists(atPath: Self.suspectPath(database.path)) else {
      return try problems(in: [.noted, .dirty, .minutes, .groups, .facts, .fleets])
    }
    if let problem = try database.problem() { return [problem] }
    return try problems()
  }

  /// Leaves a note beside the file, so that the next start reads all of it.
  static func suspect(_ path: String) {
    let note = suspectPath(path)
    guard !FileManager.default.fileExists(atPath: note) else { return }
    _ = FileManager.default.createFile(atPath: note, contents: nil)
  }

  private static func suspectPath(_ path: String) -> String { path + ".suspect" }

  /// The checksums of all rows of some tables, one line for each table with damage.
  func problems(in tables: [TierTable] = TierTable.allCases) throws(StoreError) -> [String] {
    let lost = state.withLock { $0.lostGroups }
    return try database.read { db in
      var problems: [String] = lost > 0 ? ["the names of \(lost) groups are lost"] : []
      for table in tables {
        var damaged = 0
        let cursor = try Row.fetchCursor(db, sql: "SELECT * FROM \(table.rawValue)")
        while let row = try cursor.next() { if !Self.isSound(row, table) { damaged += 1 } }
        if damaged > 0 { problems.append("\(damaged) entries of \(table) are damaged") }
      }
      return problems
    }
  }

  private static func isSound(_ row: Row, _ table: TierTable) -> Bool {
    switch table {
    case .noted:
      guard let shard = row.integer(0), let record = row.integer(1) else { return false }
      return row.integer(2) == sum(.noted, shard, record)
    case .minutes:
      guard let minute = row.integer(0), let fingerprint = row.integer(1), let fleet = row.integer(2) else {
        return false
      }
      return row.integer(3) == sum(.minutes, minute, fingerprint, fleet)
    case .dirty:
      guard let minute = row.integer(0), let mark = row.integer(1), row.integer(2) != nil,
        let restates = row.integer(3)
      else { return false }
      return row.integer(4) == sum(.dirty, minute, mark, restates)
    case .carries, .fresh, .rows, .fleets:
      guard let id = row.integer(0), let body = row.bytes(1) else { return false }
      return row.integer(2) == sum(table, id, bytes: body)
    case .groups: return group(row.integer(0), row.integer(1), row.text(2), row.integer(3)) != nil
    case .facts:
      guard let name = row.text(0), let value = row.integer(1) else { return false }
      return row.integer(2) == sum(.facts, value, text: name)
    }
  }

  // MARK: Salvage

  /// Rows that one transaction takes.
  private static let refillRows = 2000

  /// Puts the sound rows of a damaged file into this one, which is new; returns how many.
  private func refill(_ rows: SalvagedRows) throws(StoreError) -> Int {
    // Before version 3 rows of different tables have the same checksums. What raw history has is formed again.
    if let version = rows.version, (1..<3).contains(version) { return 0 }
    var batch: [(TierTable, SalvagedRow)] = []
    var taken = 0
    var counts: [TierLevel: Int] = [:]
    do {
      try rows.eachRow { row in
        guard let table = Self.table(of: row) else { return }
        if table == .groups, let code = row.integer(0), let level = TierLevel(code: code), let number = row.integer(1) {
          counts[level] = max(counts[level] ?? 0, Int(number) + 1)
        }
        if table == .rows, let id = row.rowid, let group = TierKind.group(of: id) {
          counts[group.level] = max(counts[group.level] ?? 0, group.number + 1)
        }
        batch.append((table, row))
        guard batch.count >= Self.refillRows else { return }
        taken += try put(batch)
        batch.removeAll()
      }
      taken += try put(batch)
      let found = counts
      try database.write { db in
        for (level, count) in found {
          let known = try self.fetchFact(Self.countName(level), db) ?? 0
          if Int64(count) > known { try Self.storeFact(Self.countName(level), Int64(count), db) }
        }
        // Mending again would bring no lost name back.
        var lost: Int64 = 0
        lost -= try Int64.fetchOne(db, sql: "SELECT count(*) FROM groups") ?? 0
        for level in TierLevel.all { lost += try self.fetchFact(Self.countName(level), db) ?? 0 }
        try Self.storeFact(Self.lostGroupsName, max(0, lost), db)
      }
    } catch {
      throw StoreError(error, path: database.path)
    }
    return taken
  }

  /// The table that a row is of, as its shape and its checksum say; `nil`: of none, or damaged.
  private static func table(of row: SalvagedRow) -> TierTable? {
    let count = row.values.count
    if let id = row.rowid {
      if count == 3, let body = row.bytes(1), let checksum = row.integer(2) {
        return [TierTable.rows, .fresh, .carries, .fleets].first { checksum == sum($0, id, bytes: body) }
      }
      if count == 3, let record = row.integer(1), row.integer(2) == sum(.noted, id, record) { return .noted }
      if count == 4, let fingerprint = row.integer(1), let fleet = row.integer(2),
        row.integer(3) == sum(.minutes, id, fingerprint, fleet)
      {
        return .minutes
      }
      if count == 5, let mark = row.integer(1), row.integer(2) != nil, let restates = row.integer(3),
        row.integer(4) == sum(.dirty, id, mark, restates)
      {
        return .dirty
      }
      return nil
    }
    if count == 4, group(row.integer(0), row.integer(1), row.text(2), row.integer(3)) != nil { return .groups }
    if count == 3, let name = row.text(0), let value = row.integer(1),
      row.integer(2) == sum(.facts, value, text: name)
    {
      return .facts
    }
    return nil
  }

  private func put(_ batch: [(TierTable, SalvagedRow)]) throws(StoreError) -> Int {
    try database.write { db in
      for (table, row) in batch {
        let id = row.rowid ?? 0
        switch table {
        case .noted: try Self.storeNoted(id, row.integer(1) ?? 0, db)
        case .minutes: try Self.storeMinute(id, row.integer(1) ?? 0, fleet: row.integer(2) ?? 0, db)
        case .dirty:
          try self.mark(id, row.integer(1) ?? 0, since: row.integer(2) ?? 0, restates: row.integer(3) == 1, db)
        case .carries, .fresh, .rows, .fleets: try self.put(table, id, row.bytes(1) ?? [], db)
        case .groups:
          if let group = Self.group(row.integer(0), row.integer(1), row.text(2), row.integer(3)) {
            try Self.storeGroup(group.level, group.number, group.key, db)
          }
        case .facts: try Self.storeFact(row.text(0) ?? "", row.integer(1) ?? 0, db)
        }
      }
      return batch.count
    }
  }
}

extension TierKind {
  /// The group that the row of number `id` is of; `nil`: of none.
  fileprivate static func group(of id: Int64) -> TierGroupNumber? {
    let packed = id >> 30 & (1 << 30 - 1)
    guard let level = TierLevel(code: packed >> 24 & 7) else { return nil }
    return TierGroupNumber(level: level, number: Int(packed & (1 << 24 - 1)))
  }
}
