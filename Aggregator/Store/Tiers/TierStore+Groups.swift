internal import BongsuModel
internal import BongsuRollup
internal import BongsuThreads
internal import GRDB

extension TierStore {
  func loadGroups() throws(StoreError) {
    let (rows, counts, known) = try database.read { db in
      let rows = try Row.fetchAll(db, sql: "SELECT level, number, key, checksum FROM groups").compactMap { row in
        Self.group(row.integer(0), row.integer(1), row.text(2), row.integer(3))
      }
      var counts: [TierLevel: Int] = [:]
      for level in TierLevel.all {
        counts[level] = Int(clamping: try self.fetchFact(Self.countName(level), db) ?? 0)
      }
      return (rows, counts, Int(clamping: try self.fetchFact(Self.lostGroupsName, db) ?? 0))
    }
    let path = database.path
    try state.withLock { state throws(StoreError) in
      state.groups.removeAll()
      state.keys.removeAll()
      var found: [TierLevel: Int] = [:]
      for level in TierLevel.all {
        guard let count = counts[level], (0...TierGroupNumber.numberMax).contains(count) else {
          throw .damaged(path: path, message: "the number of groups is not what was written")
        }
        // A number whose name is lost is never given again: rows of another group stand under it.
        state.keys[level] = [String](repeating: "", count: count)
      }
      for row in rows {
        guard let count = state.keys[row.level]?.count, row.number < count else {
          throw .damaged(path: path, message: "there are more groups than were written")
        }
        state.groups[row.level, default: [:]][row.key] = row.number
        state.keys[row.level]?[row.number] = row.key
        found[row.level, default: 0] += 1
      }
      state.lostGroups = counts.reduce(-known) { $0 + $1.value - (found[$1.key] ?? 0) }
    }
  }

  /// Numbers of groups by their keys; new ones are stored.
  func numbers(_ level: TierLevel, _ keys: [String]) throws(StoreError) -> [Int] {
    let (known, next) = state.withLock { ($0.groups[level] ?? [:], $0.keys[level]?.count ?? 0) }
    var new: [String: Int] = [:]
    var order: [String] = []
    let found = keys.map { key -> Int in
      if let number = known[key] ?? new[key] { return number }
      let number = next + new.count
      new[key] = number
      order.append(key)
      return number
    }
    guard !new.isEmpty else { return found }
    guard next + new.count <= TierGroupNumber.numberMax else {
      throw .tooLarge(
        what: "groups of level \(level.prefix)", value: next + new.count, limit: TierGroupNumber.numberMax)
    }
    if let long = order.first(where: { $0.utf8.count > StoreLimits.groupKeyBytesMax }) {
      throw .tooLarge(what: "bytes of a group's key", value: long.utf8.count, limit: StoreLimits.groupKeyBytesMax)
    }
    let names = order
    try database.write { db in
      for (offset, key) in names.enumerated() {
        try Self.storeGroup(level, next + offset, key, db)
      }
      try Self.storeFact(Self.countName(level), Int64(next + names.count), db)
    }
    state.withLock { state in
      for (offset, key) in names.enumerated() {
        state.groups[level, default: [:]][key] = next + offset
        state.keys[level, default: []].append(key)
      }
    }
    return found
  }

  /// A minute as rows: bodies by group, and the groups of the store that it has none of.
  struct Content {
    var seconds: [(TierGroupNumber, [UInt8])] = []
    var withoutSeconds: [TierGroupNumber] = []
    var sketches: [(TierGroupNumber, [UInt8])] = []
    var withoutSketches: [TierGroupNumber] = []
    var fresh: [(Int64, [UInt8])] = []
  }

  func numbered(_ minute: StoredMinute, _ plan: RollupPlan) throws(StoreError) -> Content {
    let end = minute.end.unixMilliseconds
    var content = Content()
    for level in RollupLevel.allCases {
      let groups = minute.levels[level] ?? []
      let kept = TierLevel.rollup(level)
      let numbers = try numbers(kept, groups.map { TierGroupKey.text(plan.labels(level, $0.number)) })
      var tiles: [(Int, [UInt8])] = []
      for (group, number) in zip(groups, numbers) {
        var tile = TierTile(empty: TierRow.emptyWindow)
        tile.append(all: group.windows, from: end - 60_000, step: 10_000)
        tiles.append((number, tile.bytes))
        if level != .rack {
          var ticks = TierTile(empty: TierRow.emptyTick)
          ticks.append(all: group.ticks, from: end - 60_000, step: 1000)
          content.seconds.append((TierGroupNumber(level: kept, number: number), ticks.packedBytes))
        }
      }
      if level != .rack { content.withoutSeconds += missing(kept, Set(numbers)) }
      content.fresh += Self.fresh(end, kept, tiles, groups: count(kept))
      try addSketches(minute, level, plan, &content)
    }
    let nodes = try numbers(.node, minute.nodes.map { TierGroupKey.text($0.labels) })
    let tiles = zip(minute.nodes, nodes).map { row, number -> (Int, [UInt8]) in
      var tile = TierTile(empty: TierRow.emptyWindow)
      tile.append([row.window.ticks] + row.window.words, at: end)
      return (number, tile.bytes)
    }
    content.fresh += Self.fresh(end, .node, tiles, groups: count(.node))
    return content
  }

  private func addSketches(
    _ minute: StoredMinute, _ level: RollupLevel, _ plan: RollupPlan, _ content: inout Content
  ) throws(StoreError) {
    guard LevelSketches.levels.contains(level) else { return }
    var slots: [Int: [(slot: Int, sketch: QuantileSketch)]] = [:]
    for entry in minute.sketches where entry.level == level {
      slots[entry.group, default: []].append((entry.slot, entry.sketch))
    }
    let order = slots.keys.sorted()
    let kept = TierLevel.rollup(level)
    let numbers = try numbers(kept, order.map { TierGroupKey.text(plan.labels(level, $0)) })
    for (group, number) in zip(order, numbers) {
      content.sketches.append((TierGroupNumber(level: kept, number: number), SketchBytes.bytes(slots[group] ?? [])))
    }
    content.withoutSketches += missing(kept, Set(numbers))
  }

  func count(_ level: TierLevel) -> Int { state.withLock { $0.keys[level]?.count ?? 0 } }

  private func missing(_ level: TierLevel, _ numbers: Set<Int>) -> [TierGroupNumber] {
    (0..<count(level)).filter { !numbers.contains($0) }.map { TierGroupNumber(level: level, number: $0) }
  }

  /// Parts of a level: a part that the level has is written even when no group of it has anything, since what is fresh
  /// stands before what is packed.
  private static func fresh(
    _ end: Int64, _ level: TierLevel, _ tiles: [(Int, [UInt8])], groups: Int
  ) -> [(Int64, [UInt8])] {
    var parts: [[(Int, [UInt8])]] = Array(
      repeating: [], count: (groups + TierGroupNumber.perPart - 1) / TierGroupNumber.perPart)
    for tile in tiles { parts[tile.0 / TierGroupNumber.perPart].append(tile) }
    return parts.enumerated().map { part, tiles in
      (FreshKey.id(end, level, part: part), FreshPart.bytes(tiles.sorted { $0.0 < $1.0 }))
    }
  }
}

extension TierTile {
  /// Appends rows at equal distances after `start`.
  mutating func append(all words: [Int64], from start: Int64, step: Int64) {
    for (index, first) in stride(from: 0, to: words.count, by: width).enumerated() {
      append(words[first..<first + width], at: start + step * Int64(index + 1))
    }
  }
}

/// Tiles of many groups in one row. They are read one by one, as they are asked for.
struct FreshPart {
  private let bytes: [UInt8]
  /// Where the tile of each group is.
  private let places: [Int: Range<Int>]

  /// No group's.
  static let empty = FreshPart(bytes: [], places: [:])

  private init(bytes: [UInt8], places: [Int: Range<Int>]) {
    self.bytes = bytes
    self.places = places
  }

  /// A row as it is stored; `nil` when it is none.
  init?(_ bytes: [UInt8]) {
    let span = bytes.span
    var offset = 1
    guard bytes.count > 1, bytes[0] == 1, let count = IntegerColumn.number(span, &offset),
      (0...Int64(TierGroupNumber.perPart)).contains(count)
    else { return nil }
    var places: [Int: Range<Int>] = [:]
    for _ in 0..<count {
      guard let number = IntegerColumn.number(span, &offset), let length = IntegerColumn.number(span, &offset),
        length >= 0, length <= Int64(bytes.count - offset)
      else { return nil }
      places[Int(number)] = offset..<offset + Int(length)
      offset += Int(length)
    }
    guard offset == bytes.count else { return nil }
    self.init(bytes: bytes, places: places)
  }

  /// The tile of a group; `nil` where it has none.
  func tile(_ number: Int) -> PackedTile? {
    places[number].flatMap { PackedTile(Array(bytes[$0]), empty: TierRow.emptyWindow) }
  }

  static func bytes(_ tiles: [(number: Int, bytes: [UInt8])]) -> [UInt8] {
    var bytes: [UInt8] = [1]
    IntegerColumn.put(Int64(tiles.count), &bytes)
    for tile in tiles {
      IntegerColumn.put(Int64(tile.number), &bytes)
      IntegerColumn.put(Int64(tile.bytes.count), &bytes)
      bytes += tile.bytes
    }
    return bytes
  }
}
