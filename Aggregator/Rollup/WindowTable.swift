public import BongsuModel

/// Totals of the groups of one level over one window.
///
/// Per gauge: sum, count and extremes over samples; the ticks at which anybody reported it; and the extremes over ticks
/// of the level's total. Per field: sum and extremes over ticks. Folding ticks and merging shorter windows give the same
/// integers, whatever the order.
///
///     | gauge 0: sum count min max ticks totalMin totalMax | gauge 1 … | field 0: sum min max | … | power: sum ticks min max |
public struct WindowTable: Hashable, Sendable {
  /// The level of the groups; `nil` for the window of a single node, see ``NodeFolder``.
  public let level: RollupLevel?
  public let length: WindowLength
  /// The tick that ends the window.
  public let end: Tick
  /// Groups in the table.
  public let count: Int
  /// Ticks that were folded in.
  public private(set) var ticks: Int64 = 0
  /// The table as it is stored: ``wordsPerGroup`` words for each group.
  public private(set) var words: [Int64]

  /// A gauge over a window.
  public struct Gauge: Hashable, Sendable {
    /// Over samples.
    public let samples: GaugeTotals
    /// Ticks at which at least one sample was present.
    public let ticks: Int64
    /// Extremes over those ticks of the group's total; `nil` when there is none.
    public let totalMin: Int64?
    public let totalMax: Int64?
    /// Mean over those ticks of the group's total: watts stay watts. `nil` when there is none.
    public var meanTotal: Double? { ticks > 0 ? Double(samples.sum) / Double(ticks) : nil }
    /// Mean over samples.
    public var mean: Double? { samples.count > 0 ? Double(samples.sum) / Double(samples.count) : nil }
  }

  /// A quantity of the group over the ticks of a window.
  public struct Course: Hashable, Sendable {
    /// Sum over ticks.
    public let sum: Int64
    /// Ticks that had it.
    public let ticks: Int64
    /// Extremes over those ticks; `nil` when there is none.
    public let min: Int64?
    public let max: Int64?
    /// Mean over those ticks.
    public var mean: Double? { ticks > 0 ? Double(sum) / Double(ticks) : nil }
  }

  /// Powers that are formed from several fields, or read at a meter.
  public enum Power: Int, Sendable, CaseIterable {
    /// IT power, measured and estimated.
    case total
    /// Its estimated part.
    case estimated
    /// Power with cooling and losses: of meters, factories and the nation.
    case facility
  }

  static let gaugeWords = 7
  static let fieldBase = gaugeWords * CellLayout.gaugeCount
  static let powerBase = fieldBase + 3 * RolledField.allCases.count
  public static let wordsPerGroup = powerBase + 4 * Power.allCases.count

  /// A window into which nothing was folded.
  public init(_ level: RollupLevel?, _ length: WindowLength, end: Tick, count: Int) {
    self.level = level
    self.length = length
    self.end = end
    self.count = count
    words = []
    words.reserveCapacity(count * Self.wordsPerGroup)
    for _ in 0..<count { words.append(contentsOf: Self.emptyGroup) }
  }

  /// A window as it was stored; `nil` when `words` do not have the shape of `count` groups.
  public init?(
    _ level: RollupLevel?, _ length: WindowLength, end: Tick, count: Int, ticks: Int64, words: [Int64]
  ) {
    guard words.count == count * Self.wordsPerGroup, ticks >= 0 else { return nil }
    self.level = level
    self.length = length
    self.end = end
    self.count = count
    self.ticks = ticks
    self.words = words
  }

  private static let emptyGroup: [Int64] = {
    var group = [Int64](repeating: 0, count: wordsPerGroup)
    for slot in 0..<CellLayout.gaugeCount {
      group[slot * gaugeWords + 2] = .max
      group[slot * gaugeWords + 3] = .min
      group[slot * gaugeWords + 5] = .max
      group[slot * gaugeWords + 6] = .min
    }
    for field in RolledField.allCases.indices {
      group[fieldBase + 3 * field + 1] = .max
      group[fieldBase + 3 * field + 2] = .min
    }
    for power in Power.allCases.indices {
      group[powerBase + 4 * power + 2] = .max
      group[powerBase + 4 * power + 3] = .min
    }
    return group
  }()

  // MARK: - Reading

  public func gauge(slot: Int, _ group: Int) -> Gauge {
    let base = group * Self.wordsPerGroup + slot * Self.gaugeWords
    let ticks = words[base + 4]
    return Gauge(
      samples: GaugeTotals(
        sum: words[base], count: words[base + 1], minimum: words[base + 2], maximum: words[base + 3]),
      ticks: ticks, totalMin: ticks > 0 ? words[base + 5] : nil, totalMax: ticks > 0 ? words[base + 6] : nil)
  }

  /// A gauge of the window; `nil` when the metric is not rolled up.
  public func gauge(_ metric: MetricID, _ group: Int) -> Gauge? {
    RolledMetric.slot(of: metric).map { gauge(slot: $0, group) }
  }

  /// A field over all ticks of the window.
  public func field(_ field: RolledField, _ group: Int) -> Course {
    let base = group * Self.wordsPerGroup + Self.fieldBase + 3 * field.rawValue
    return Course(
      sum: words[base], ticks: ticks, min: ticks > 0 ? words[base + 1] : nil, max: ticks > 0 ? words[base + 2] : nil)
  }

  /// A power over the ticks at which somebody reported or was estimated.
  public func power(_ power: Power, _ group: Int) -> Course {
    let base = group * Self.wordsPerGroup + Self.powerBase + 4 * power.rawValue
    let ticks = words[base + 1]
    return Course(
      sum: words[base], ticks: ticks, min: ticks > 0 ? words[base + 2] : nil, max: ticks > 0 ? words[base + 3] : nil)
  }

  /// Covered ÷ expected GPUs over the window; `nil` when none was expected.
  public func coverage(_ group: Int) -> Double? {
    let expected = field(.expectedGPUs, group).sum
    return expected > 0 ? Double(field(.coveredGPUs, group).sum) / Double(expected) : nil
  }

  // MARK: - Folding

  /// Adds one tick. It lies in the window, and each tick is folded once.
  public mutating func fold(_ tick: ClosedTick) {
    guard let level else { preconditionFailure("a closed tick folded into the window of one node") }
    fold(tick[level], at: tick.tick) { tick.facilityMilliwatts(level, $0) }
  }

  /// Adds one tick's cells, as they were closed or corrected since. `facility` gives a group's power with cooling and
  /// losses, `nil` where that is not known.
  public mutating func fold(_ cells: CellTable, at tick: Tick, facility: (Int) -> Int64?) {
    precondition(length.end(of: tick) == end, "tick \(tick.unixMilliseconds) is not in the window to \(end)")
    precondition(cells.count == count, "\(cells.count) cells folded into \(count) groups")
    ticks += 1
    for group in 0..<count {
      foldGroup(cells.words.span, group * CellLayout.words, to: group * Self.wordsPerGroup)
      let isKnown = cells.field(.reportingNodes, group) > 0 || cells.field(.estimatedGPUs, group) > 0
      if isKnown {
        foldPower(.total, group, cells.totalMilliwatts(group))
        foldPower(.estimated, group, cells.estimatedMilliwatts(group))
      }
      if let milliwatts = facility(group) { foldPower(.facility, group, milliwatts) }
    }
  }

  private mutating func foldGroup(_ cells: borrowing Span<Int64>, _ from: Int, to base: Int) {
    var target = words.mutableSpan
    for slot in 0..<CellLayout.gaugeCount {
      let source = from &+ CellLayout.gauge(slot)
      let count = cells[source &+ 1]
      guard count > 0 else { continue }
      let word = base &+ slot &* Self.gaugeWords
      let sum = cells[source]
      target[word] &+= sum
      target[word &+ 1] &+= count
      target[word &+ 2] = min(target[word &+ 2], cells[source &+ 2])
      target[word &+ 3] = max(target[word &+ 3], cells[source &+ 3])
      target[word &+ 4] &+= 1
      target[word &+ 5] = min(target[word &+ 5], sum)
      target[word &+ 6] = max(target[word &+ 6], sum)
    }
    for field in 0..<RolledField.allCases.count {
      let value = cells[from &+ CellLayout.fieldBase &+ field]
      let word = base &+ Self.fieldBase &+ 3 &* field
      target[word] &+= value
      target[word &+ 1] = min(target[word &+ 1], value)
      target[word &+ 2] = max(target[word &+ 2], value)
    }
  }

  private mutating func foldPower(_ power: Power, _ group: Int, _ milliwatts: Int64) {
    let word = group * Self.wordsPerGroup + Self.powerBase + 4 * power.rawValue
    words[word] &+= milliwatts
    words[word + 1] &+= 1
    words[word + 2] = min(words[word + 2], milliwatts)
    words[word + 3] = max(words[word + 3], milliwatts)
  }

  /// Adds a shorter window that lies in this one; each is merged once.
  public mutating func merge(_ shorter: WindowTable) {
    precondition(length.end(of: shorter.end) == end, "window to \(shorter.end) is not in the window to \(end)")
    precondition(shorter.count == count && shorter.level == level, "windows of different groups")
    ticks += shorter.ticks
    let groups = count
    var target = words.mutableSpan
    let source = shorter.words.span
    for group in 0..<groups {
      let base = group &* Self.wordsPerGroup
      for slot in 0..<CellLayout.gaugeCount {
        let word = base &+ slot &* Self.gaugeWords
        target[word] &+= source[word]
        target[word &+ 1] &+= source[word &+ 1]
        target[word &+ 2] = min(target[word &+ 2], source[word &+ 2])
        target[word &+ 3] = max(target[word &+ 3], source[word &+ 3])
        target[word &+ 4] &+= source[word &+ 4]
        target[word &+ 5] = min(target[word &+ 5], source[word &+ 5])
        target[word &+ 6] = max(target[word &+ 6], source[word &+ 6])
      }
      for field in 0..<RolledField.allCases.count {
        let word = base &+ Self.fieldBase &+ 3 &* field
        target[word] &+= source[word]
        target[word &+ 1] = min(target[word &+ 1], source[word &+ 1])
        target[word &+ 2] = max(target[word &+ 2], source[word &+ 2])
      }
      for power in 0..<Power.allCases.count {
        let word = base &+ Self.powerBase &+ 4 &* power
        target[word] &+= source[word]
        target[word &+ 1] &+= source[word &+ 1]
        target[word &+ 2] = min(target[word &+ 2], source[word &+ 2])
        target[word &+ 3] = max(target[word &+ 3], source[word &+ 3])
      }
    }
  }
}
