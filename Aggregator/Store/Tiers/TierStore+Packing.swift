internal import BongsuModel
internal import BongsuRollup
internal import GRDB

extension TierStore {
  /// Parts whose hour is over and of which something is fresh: the hour's end, and what is fresh of it.
  func unpacked(before frontier: Int64, limit: Int) throws(StoreError) -> [(hour: Int64, level: TierLevel, part: Int)] {
    let hour = frontier / 3_600_000 * 3_600_000
    let ids = try database.read { db in
      try Int64.fetchAll(
        db, sql: "SELECT id FROM fresh WHERE id < ? ORDER BY id", arguments: [(hour / 60_000 + 1) << 23])
    }
    var seen: Set<[Int64]> = []
    var found: [(hour: Int64, level: TierLevel, part: Int)] = []
    for id in ids where found.count < limit {
      guard let level = FreshKey.level(of: id) else { continue }
      let end = Tier.hour.end(of: Tick(unixMilliseconds: FreshKey.minuteEnd(of: id))).unixMilliseconds
      let part = FreshKey.part(of: id)
      if seen.insert([end, level.code, Int64(part)]).inserted { found.append((end, level, part)) }
    }
    return found
  }

  /// Moves what is fresh of one part of an hour into the hours of its groups, in one transaction.
  func pack(hour: Int64, _ level: TierLevel, part: Int) throws(StoreError) {
    try database.write { db in
      let minutes = stride(from: hour - 3_600_000 + 60_000, through: hour, by: 60_000).map { $0 }
      var fresh: [(end: Int64, id: Int64, tiles: FreshPart)] = []
      for end in minutes {
        let id = FreshKey.id(end, level, part: part)
        guard let row = try self.fetch(.fresh, id, db) else { continue }
        // A damaged part is lost for all its groups; what was packed before of that minute goes with it.
        guard let tiles = self.sound(row, id: id, in: .fresh).flatMap({ FreshPart($0) }) else {
          fresh.append((end, id, .empty))
          continue
        }
        fresh.append((end, id, tiles))
      }
      guard !fresh.isEmpty else { return }
      let first = part * TierGroupNumber.perPart
      for number in first..<min(first + TierGroupNumber.perPart, self.count(level)) {
        let group = TierGroupNumber(level: level, number: number)
        try self.pack(hour, group, fresh.map { ($0.end, $0.tiles.tile(number)) }, db)
      }
      for entry in fresh {
        try db.cachedStatement(sql: "DELETE FROM fresh WHERE id = ?").execute(arguments: [entry.id])
      }
    }
  }

  private func pack(
    _ hour: Int64, _ group: TierGroupNumber, _ fresh: [(end: Int64, tile: PackedTile?)], _ db: Database
  ) throws {
    let finest: Tier = group.level == .node ? .minute : .tenSeconds
    let finestID = TierKind(finest).id(group, hour)
    let known = try fetch(.rows, finestID, db).flatMap { sound($0, id: finestID, in: .rows) }
      .flatMap { PackedTile($0, empty: TierRow.emptyWindow)?.tile }
    var tile = known ?? TierTile(empty: TierRow.emptyWindow)
    for entry in fresh {
      let rows = entry.tile.flatMap(\.tile) ?? TierTile(empty: TierRow.emptyWindow)
      tile.replace((entry.end - 60_000 + 1)...entry.end, with: rows)
    }
    // What is the same needs no writing, unless a longer tier lost its row.
    if let known, known == tile {
      if tile.ends.isEmpty { return }
      if try isPacked(group, hour, finest, db) { return }
    }
    try store(tile, finest, group, hour, db)
    var windows = tile
    if finest == .tenSeconds {
      windows = TierWindows.merged(tile, .minute)
      try store(windows, .minute, group, hour, db)
    }
    try store(TierWindows.merged(windows, .quarterHour), .quarterHour, group, hour, db)
    try store(TierWindows.merged(windows, .hour), .hour, group, hour, db)
    if group.level.hasSketches { try packSketches(group, hour, db) }
  }

  /// Whether every tier above `finest` has its row of an hour, and it is what was written.
  private func isPacked(_ group: TierGroupNumber, _ hour: Int64, _ finest: Tier, _ db: Database) throws -> Bool {
    try Tier.allCases.filter { $0 > finest }.allSatisfy { tier in
      let id = TierKind(tier).id(group, hour)
      guard let row = try fetch(.rows, id, db) else { return false }
      return sound(row, id: id, in: .rows) != nil
    }
  }

  private func store(_ tile: TierTile, _ tier: Tier, _ group: TierGroupNumber, _ hour: Int64, _ db: Database) throws {
    let id = TierKind(tier).id(group, hour)
    if tile.ends.isEmpty { try remove(id, db) } else { try put(.rows, id, tile.packedBytes, db) }
  }

  private func packSketches(_ group: TierGroupNumber, _ hour: Int64, _ db: Database) throws {
    for (kind, length) in [(TierKind.quarterHourSketches, Int64(900_000)), (.hourSketches, 3_600_000)] {
      for end in stride(from: hour - 3_600_000 + length, through: hour, by: Int(length)) {
        let merged = try sketches(group, (end - length + 60_000)...end, db)
        let id = kind.id(group, end)
        if merged.isEmpty {
          try remove(id, db)
        } else {
          try put(.rows, id, SketchBytes.bytes(merged.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }), db)
        }
      }
    }
  }

  /// Sketches of all minutes whose ends lie in `span`, merged.
  func sketches(
    _ group: TierGroupNumber, _ span: ClosedRange<Int64>, _ db: Database
  ) throws -> [Int: QuantileSketch] {
    var merged: [Int: QuantileSketch] = [:]
    let kind = TierKind.minuteSketches
    let cursor = try Row.fetchCursor(
      db.cachedStatement(sql: "SELECT id, body, checksum FROM rows WHERE id BETWEEN ? AND ?"),
      arguments: [kind.id(group, span.lowerBound), kind.id(group, span.upperBound)])
    while let row = try cursor.next() {
      guard let id = row.integer(0), let found = sound(row, id: id, in: .rows).flatMap({ SketchBytes.sketches($0) })
      else { continue }
      for (slot, sketch) in found { merged[slot, default: QuantileSketch()].merge(sketch) }
    }
    return merged
  }

  func fetch(_ table: TierTable, _ id: Int64, _ db: Database) throws -> Row? {
    try Row.fetchOne(
      db.cachedStatement(sql: "SELECT body, checksum FROM \(table.rawValue) WHERE \(table.key) = ?"), arguments: [id])
  }
}

/// Windows of a group from its shorter ones.
enum TierWindows {
  /// The windows of `tier` that rows of a finer one make up, as rows. A window of which some are missing says so by its
  /// count of ticks.
  static func merged(_ rows: TierTile, _ tier: Tier) -> TierTile {
    var merged = TierTile(empty: TierRow.emptyWindow)
    guard let length = tier.window else { return merged }
    var open: WindowTable?
    for (index, end) in rows.ends.enumerated() {
      let row = Array(rows.row(index))
      let windowEnd = length.end(of: Tick(unixMilliseconds: end))
      if let window = open, window.end != windowEnd {
        merged.append([window.ticks] + window.words, at: window.end.unixMilliseconds)
        open = nil
      }
      // The length of the part does not matter for merging; its end does.
      guard let part = TierRow.window(row, nil, .tenSeconds, end: Tick(unixMilliseconds: end)) else { continue }
      if open == nil { open = WindowTable(nil, length, end: windowEnd, count: 1) }
      open?.merge(part)
    }
    if let window = open { merged.append([window.ticks] + window.words, at: window.end.unixMilliseconds) }
    return merged
  }
}
