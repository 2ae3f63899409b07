import BongsuFleet
public import BongsuModel

/// One minute of history as it is stored: ticks, windows and quantiles of every group that has any.
public struct StoredMinute: Sendable {
  /// The minute of one node.
  public struct Row: Sendable {
    public let labels: [(name: String, value: String)]
    public let window: WindowTable
  }

  /// One group above nodes.
  public struct Group: Sendable {
    /// Its number in the plan.
    public let number: Int
    /// ``TierRow/tickWidth`` words for each of the 60 ticks; empty for racks, whose ticks are not kept.
    public var ticks: [Int64] = []
    /// ``TierRow/windowWidth`` words for each of the six windows of 10 s.
    public var windows: [Int64] = []
  }

  public let end: Tick
  /// By level; groups about which there is nothing to say are left out.
  public private(set) var levels: [RollupLevel: [Group]] = [:]
  public private(set) var nodes: [Row] = []
  public private(set) var sketches: [(level: RollupLevel, group: Int, slot: Int, sketch: QuantileSketch)] = []
  private let plan: RollupPlan
  private var open: [RollupLevel: WindowTable] = [:]

  init(_ plan: RollupPlan, end: Tick) {
    self.plan = plan
    self.end = end
    for level in RollupLevel.allCases { levels[level] = (0..<plan.groupCount(level)).map { Group(number: $0) } }
  }

  mutating func add(_ tick: ClosedTick) {
    for level in RollupLevel.allCases {
      var groups = levels.removeValue(forKey: level) ?? []
      if level != .rack {
        for group in groups.indices { TierRow.append(tick, level, group, to: &groups[group].ticks) }
      }
      let length = WindowLength.tenSeconds
      let windowEnd = length.end(of: tick.tick)
      var window = open.removeValue(forKey: level) ?? WindowTable(level, length, end: windowEnd, count: groups.count)
      window.fold(tick)
      if tick.tick == windowEnd {
        for group in groups.indices { TierRow.append(window, group, to: &groups[group].windows) }
      } else {
        open[level] = window
      }
      levels[level] = groups
    }
  }

  mutating func finish(_ nodes: [Row], _ sketches: LevelSketches) {
    for level in RollupLevel.allCases {
      let empty = WindowTable(level, .tenSeconds, end: end, count: 1).words
      levels[level] = levels[level]?.filter { !TierRow.isEmpty($0.windows, empty) }
    }
    self.nodes = nodes
    self.sketches = sketches.all
  }
}

/// How ticks and windows of one group stand in a row of a tier.
public enum TierRow {
  /// Words of a cell, and the power with cooling and losses, `Int64.min` where it is not known.
  public static let tickWidth = CellTable.wordsPerCell + 1
  /// Ticks that were folded in, and the words of the window.
  public static let windowWidth = WindowTable.wordsPerGroup + 1

  /// What a row has where nothing was added.
  public static let emptyTick = CellTable(count: 1).words + [Int64.min]
  public static let emptyWindow = [0] + WindowTable(nil, .minute, end: Tick(unixMilliseconds: 0), count: 1).words

  static func append(_ tick: ClosedTick, _ level: RollupLevel, _ group: Int, to words: inout [Int64]) {
    let base = group * CellTable.wordsPerCell
    words.append(contentsOf: tick[level].words[base..<base + CellTable.wordsPerCell])
    words.append(tick.facilityMilliwatts(level, group) ?? .min)
  }

  static func append(_ window: WindowTable, _ group: Int, to words: inout [Int64]) {
    let base = group * WindowTable.wordsPerGroup
    words.append(window.ticks)
    words.append(contentsOf: window.words[base..<base + WindowTable.wordsPerGroup])
  }

  /// Whether rows say nothing: fields of zero at every tick are nothing.
  static func isEmpty(_ rows: [Int64], _ empty: [Int64]) -> Bool {
    for start in stride(from: 0, to: rows.count, by: windowWidth) {
      for word in empty.indices where rows[start + 1 + word] != empty[word] {
        let isZeroExtreme = WindowTable.isFieldExtreme(word) && rows[start + 1 + word] == 0
        if !isZeroExtreme { return false }
      }
    }
    return true
  }

  /// The window in a row of a tier; `nil` when it is none.
  public static func window(_ row: [Int64], _ level: RollupLevel?, _ length: WindowLength, end: Tick) -> WindowTable? {
    guard row.count == windowWidth else { return nil }
    return WindowTable(level, length, end: end, count: 1, ticks: row[0], words: Array(row.dropFirst()))
  }
}

extension WindowTable {
  /// Whether a word of a group is the least or greatest value of a field over ticks: zero where a field never counted.
  static func isFieldExtreme(_ word: Int) -> Bool {
    word >= fieldBase && word < powerBase && (word - fieldBase) % 3 != 0
  }
}
