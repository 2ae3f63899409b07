public import BongsuModel
public import BongsuRollup
internal import BongsuThreads
internal import GRDB

extension TierStore: TierReader {
  public func extent(_ level: TierLevel, _ tier: Tier) throws -> ClosedRange<Tick>? {
    guard tier >= level.finestTier, count(level) > 0 else { return nil }
    let found = try database.read { db -> (first: Int64, newest: Int64)? in
      guard let first = try self.fetchFact("first", db),
        let newest = try Int64.fetchOne(db, sql: "SELECT max(minute) FROM minutes")
      else { return nil }
      let kept = try self.fetchFact("kept-\(tier.rawValue)", db)
      return (max(first - 60_000, kept ?? .min), newest)
    }
    guard let found else { return nil }
    let first = tier.end(of: Tick(unixMilliseconds: found.first + 1))
    let last = found.newest.flooredDivision(by: tier.milliseconds) * tier.milliseconds
    return first.unixMilliseconds <= last ? first...Tick(unixMilliseconds: last) : nil
  }

  public func visit(_ question: TierQuestion, _ body: (TierGroup, TierCourse) throws -> Bool) throws {
    let level = question.level
    guard let extent = try extent(level, question.tier), extent.overlaps(question.range) else { return }
    let range = question.range.clamped(to: extent)
    let span = range.lowerBound.unixMilliseconds...range.upperBound.unixMilliseconds
    let keys = state.withLock { $0.keys[level] ?? [] }
    var wanted: [(TierGroupNumber, [(name: String, value: String)])] = []
    for (number, key) in keys.enumerated() where !key.isEmpty {
      let labels = TierGroupKey.labels(key)
      if question.includes(labels) { wanted.append((TierGroupNumber(level: level, number: number), labels)) }
    }
    var fresh = FreshTiles(store: self, level: level)
    for (group, labels) in wanted {
      // One group is one consistent state; bodies run outside of it.
      let course = try database.read { db -> TierCourse in
        try self.course(of: group, question, span, &fresh, db)
      }
      guard !course.ends.isEmpty else { continue }
      guard try body(TierGroup(level: level, labels: labels), course) else { return }
    }
  }

  private func course(
    of group: TierGroupNumber, _ question: TierQuestion, _ span: ClosedRange<Int64>, _ fresh: inout FreshTiles,
    _ db: Database
  ) throws -> TierCourse {
    var course = TierCourse(series: question.series.count)
    guard let length = question.tier.window else {
      try eachTile(.seconds, group, span, TierRow.emptyTick, db) { _, tile in
        self.add(tile, of: question.series.map(\.tickWords), span, to: &course) { series, row, _ in
          question.series[series].value(tickRow: row)
        }
      }
      return course
    }
    let sketches = question.series.contains { $0.isQuantile } ? TierKind.sketches(question.tier) : nil
    func add(_ tile: PackedTile) {
      self.add(tile, of: question.series.map(\.windowWords), span, to: &course) { series, row, end in
        question.series[series].value(
          windowRow: row, length,
          sketch: { slot in
            guard let sketches, group.level.hasSketches else { return nil }
            return (try? self.sketch(sketches, group, end, db))?[slot]
          })
      }
    }
    for tile in try tiles(of: group, question.tier, length, span, &fresh, db) { add(tile) }
    return course
  }

  /// The windows of a group, hour by hour.
  private func tiles(
    of group: TierGroupNumber, _ tier: Tier, _ length: WindowLength, _ span: ClosedRange<Int64>,
    _ fresh: inout FreshTiles, _ db: Database
  ) throws -> [PackedTile] {
    let hours = try fresh.minutes(span, length, db)
    var hour = Tier.hour.end(of: Tick(unixMilliseconds: span.lowerBound)).unixMilliseconds
    let last = Tier.hour.end(of: Tick(unixMilliseconds: span.upperBound)).unixMilliseconds
    var packed: [Int64: PackedTile] = [:]
    try eachTile(TierKind(tier), group, hour...last, TierRow.emptyWindow, db) { packed[$0] = $1 }
    var tiles: [PackedTile] = []
    while hour <= last {
      if let minutes = hours[hour] {
        if let tile = try fresh.window(tier, group, hour, minutes, db) { tiles.append(tile) }
      } else if let tile = packed[hour] {
        tiles.append(tile)
      }
      hour += 3_600_000
    }
    return tiles
  }

  /// Reads the rows of a group whose time touches `span`.
  private func eachTile(
    _ kind: TierKind, _ group: TierGroupNumber, _ span: ClosedRange<Int64>, _ empty: [Int64], _ db: Database,
    _ body: (_ end: Int64, PackedTile) -> Void
  ) throws {
    let unit = kind.unit
    let first = (span.lowerBound + unit - 1) / unit * unit
    let last = (span.upperBound + unit - 1) / unit * unit
    let cursor = try Row.fetchCursor(
      db.cachedStatement(sql: "SELECT id, body, checksum FROM rows WHERE id BETWEEN ? AND ? ORDER BY id"),
      arguments: [kind.id(group, first), kind.id(group, last)])
    while let row = try cursor.next() {
      guard let id = row.integer(0), let tile = sound(row, id: id, in: .rows).flatMap({ PackedTile($0, empty: empty) })
      else { continue }
      body(kind.end(of: id), tile)
    }
  }

  private func sketch(
    _ kind: TierKind, _ group: TierGroupNumber, _ end: Int64, _ db: Database
  ) throws -> [Int: QuantileSketch] {
    let id = kind.id(group, end)
    if let row = try fetch(.rows, id, db) {
      return sound(row, id: id, in: .rows).flatMap { SketchBytes.sketches($0) } ?? [:]
    }
    // Not packed yet: of its minutes.
    return kind == .minuteSketches ? [:] : try sketches(group, (end - kind.unit + 60_000)...end, db)
  }

  /// Adds the wanted values of a tile. Only columns that are needed are unpacked.
  private func add(
    _ tile: PackedTile, of words: [[Int]], _ span: ClosedRange<Int64>, to course: inout TierCourse,
    _ value: (_ series: Int, _ row: [Int64], _ end: Int64) -> Double?
  ) {
    let first = tile.ends.partitioningIndex { $0 >= span.lowerBound }
    let end = tile.ends.partitioningIndex { $0 > span.upperBound }
    guard first < end else { return }
    var columns: [(word: Int, values: [Int64])] = []
    for word in Set(words.joined()).sorted() {
      // A damaged column is damage of the whole row.
      guard let values = tile.column(word) else { return noteDamage() }
      columns.append((word, values))
    }
    var scratch = tile.empty
    for row in first..<end {
      for column in columns { scratch[column.word] = column.values[row] }
      course.ends.append(tile.ends[row])
      for series in words.indices { course.values[series].append(value(series, scratch, tile.ends[row]) ?? .nan) }
    }
  }
}

/// What is fresh of one level, read part by part as groups ask for it.
private struct FreshTiles {
  let store: TierStore
  let level: TierLevel
  /// The part that was read last, by minute.
  private var part = -1
  private var read: [Int64: FreshPart] = [:]

  init(store: TierStore, level: TierLevel) {
    self.store = store
    self.level = level
  }

  /// Ends of fresh minutes by the end of their hour, of hours that have any in the windows of `span`.
  func minutes(_ span: ClosedRange<Int64>, _ length: WindowLength, _ db: Database) throws -> [Int64: [Int64]] {
    let first = Tier.hour.end(of: Tick(unixMilliseconds: span.lowerBound)).unixMilliseconds - 3_600_000
    let last = Tier.hour.end(of: Tick(unixMilliseconds: span.upperBound)).unixMilliseconds
    let ids = try Int64.fetchAll(
      db.cachedStatement(sql: "SELECT id FROM fresh WHERE id BETWEEN ? AND ? ORDER BY id"),
      arguments: [FreshKey.id(first + 60_000, .rollup(.rack), part: 0), (last / 60_000 + 1) << 23 - 1])
    var hours: [Int64: [Int64]] = [:]
    for id in ids where FreshKey.level(of: id) == level {
      let minute = FreshKey.minuteEnd(of: id)
      let hour = Tier.hour.end(of: Tick(unixMilliseconds: minute)).unixMilliseconds
      if hours[hour]?.last != minute { hours[hour, default: []].append(minute) }
    }
    return hours
  }

  /// The windows of a group in an hour of which `minutes` are fresh.
  mutating func window(
    _ tier: Tier, _ group: TierGroupNumber, _ hour: Int64, _ minutes: [Int64], _ db: Database
  ) throws -> PackedTile? {
    if part != group.part {
      part = group.part
      read.removeAll()
    }
    let finest: Tier = level == .node ? .minute : .tenSeconds
    let id = TierKind(finest).id(group, hour)
    var tile =
      try store.fetch(.rows, id, db).flatMap { store.sound($0, id: id, in: .rows) }
      .flatMap { PackedTile($0, empty: TierRow.emptyWindow)?.tile } ?? TierTile(empty: TierRow.emptyWindow)
    for minute in minutes {
      if read[minute] == nil {
        let freshID = FreshKey.id(minute, level, part: part)
        let row = try store.fetch(.fresh, freshID, db)
        read[minute] =
          row.flatMap { store.sound($0, id: freshID, in: .fresh) }.flatMap { FreshPart($0) } ?? FreshPart.empty
      }
      tile.replace(
        (minute - 60_000 + 1)...minute,
        with: read[minute]?.tile(group.number)?.tile ?? TierTile(empty: TierRow.emptyWindow))
    }
    guard !tile.ends.isEmpty else { return nil }
    return PackedTile(tier > finest ? TierWindows.merged(tile, tier) : tile)
  }
}

extension TierStore {
  /// End of the newest minute that has rows, formed or not.
  public func newestNoted() throws(StoreError) -> Tick? {
    try database.read { db in
      let marked = try Int64.fetchOne(db, sql: "SELECT max(minute) FROM dirty")
      let stored = try Int64.fetchOne(db, sql: "SELECT max(minute) FROM minutes")
      guard marked != nil || stored != nil else { return nil }
      return Tick(unixMilliseconds: max(marked ?? .min, stored ?? .min))
    }
  }

  /// Ends of minutes that are stored and wait for nothing.
  public func settledMinutes() throws(StoreError) -> Set<Int64> {
    try database.read { db in
      Set(try Int64.fetchAll(db, sql: "SELECT minute FROM minutes WHERE minute NOT IN (SELECT minute FROM dirty)"))
    }
  }

  /// Hands the power with cooling and losses of every group of a level to `body`, window by window: sum over ticks, mW, and
  /// how many ticks had it. Reads nothing else of them.
  public func forEachFacilityPower(
    _ level: TierLevel, _ tier: Tier, in range: ClosedRange<Tick>,
    _ body: (_ labels: [(name: String, value: String)], _ end: Tick, _ sum: Int64, _ ticks: Int64) throws -> Void
  ) throws {
    guard let length = tier.window, let extent = try extent(level, tier), extent.overlaps(range) else { return }
    let range = range.clamped(to: extent)
    let span = range.lowerBound.unixMilliseconds...range.upperBound.unixMilliseconds
    let words = RollupSeries.facilityWords
    var fresh = FreshTiles(store: self, level: level)
    for (number, key) in state.withLock({ $0.keys[level] ?? [] }).enumerated() where !key.isEmpty {
      let group = TierGroupNumber(level: level, number: number)
      let labels = TierGroupKey.labels(key)
      for tile in try database.read({ db in try self.tiles(of: group, tier, length, span, &fresh, db) }) {
        guard let sums = tile.column(words.sum), let ticks = tile.column(words.ticks) else {
          noteDamage()
          continue
        }
        for (index, end) in tile.ends.enumerated() where span.contains(end) && ticks[index] > 0 {
          try body(labels, Tick(unixMilliseconds: end), sums[index], ticks[index])
        }
      }
    }
  }

  /// Hands every stored window of a level to `body`, exactly as it was folded, group by group and in order of time.
  public func forEachWindow(
    _ level: TierLevel, _ tier: Tier, in range: ClosedRange<Tick> = Limits.tickRange,
    where includes: ([(name: String, value: String)]) -> Bool = { _ in true },
    _ body: (_ labels: [(name: String, value: String)], _ window: WindowTable) throws -> Void
  ) throws {
    guard let length = tier.window, let extent = try extent(level, tier), extent.overlaps(range) else { return }
    let range = range.clamped(to: extent)
    let span = range.lowerBound.unixMilliseconds...range.upperBound.unixMilliseconds
    var fresh = FreshTiles(store: self, level: level)
    for (number, key) in state.withLock({ $0.keys[level] ?? [] }).enumerated() where !key.isEmpty {
      let labels = TierGroupKey.labels(key)
      guard includes(labels) else { continue }
      let group = TierGroupNumber(level: level, number: number)
      let tiles = try database.read { db in try self.tiles(of: group, tier, length, span, &fresh, db) }
      for tile in tiles.compactMap(\.tile) {
        for (index, end) in tile.ends.enumerated() where span.contains(end) {
          let row = Array(tile.row(index))
          guard let window = TierRow.window(row, level.rollup, length, end: Tick(unixMilliseconds: end)) else {
            continue
          }
          try body(labels, window)
        }
      }
    }
  }
}
