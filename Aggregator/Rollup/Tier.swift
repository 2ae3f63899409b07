public import BongsuModel

/// The resolutions at which history is kept.
public enum Tier: Int, Sendable, CaseIterable, Comparable {
  case second = 1
  case tenSeconds = 10
  case minute = 60
  case quarterHour = 900
  case hour = 3600

  public var milliseconds: Int64 { Int64(rawValue) * 1000 }

  /// The window of the tier; `nil` for single ticks.
  public var window: WindowLength? { WindowLength(rawValue: rawValue) }

  /// End of the window, or tick, that holds `tick`.
  public func end(of tick: Tick) -> Tick {
    let time = tick.unixMilliseconds
    return Tick(unixMilliseconds: (time + milliseconds - 1).flooredDivision(by: milliseconds) * milliseconds)
  }

  public static func < (left: Tier, right: Tier) -> Bool { left.rawValue < right.rawValue }
}

/// The levels at which history is kept: single nodes, and those of the rollup.
public enum TierLevel: Hashable, Sendable {
  case node
  case rollup(RollupLevel)

  public static let all: [TierLevel] = [.node] + RollupLevel.allCases.map { .rollup($0) }

  /// How the level is spelled in series names.
  public var prefix: String {
    switch self {
    case .node: "node"
    case .rollup(let level): level.prefix
    }
  }

  /// The finest tier that is stored; anything finer is computed from raw rows.
  public var finestTier: Tier {
    switch self {
    case .node: .minute
    case .rollup(.rack): .tenSeconds
    case .rollup: .second
    }
  }

  /// Whether quantile sketches are kept, from a minute up.
  public var hasSketches: Bool {
    if case .rollup(let level) = self { return LevelSketches.levels.contains(level) }
    return false
  }
}

/// A group of history: a hall, an allocation, a node.
public struct TierGroup: Sendable {
  public let level: TierLevel
  /// Labels in the order in which they are printed.
  public let labels: [(name: String, value: String)]

  public init(level: TierLevel, labels: [(name: String, value: String)]) {
    self.level = level
    self.labels = labels
  }
}

/// Which part of history is wanted.
public struct TierQuestion: Sendable {
  public var level: TierLevel
  public var tier: Tier
  /// Ends of windows, or ticks, that are wanted.
  public var range: ClosedRange<Tick>
  /// What is wanted of each; order of the answer's columns.
  public var series: [RollupSeries]
  /// Which groups are wanted, by their labels.
  public var includes: @Sendable ([(name: String, value: String)]) -> Bool

  public init(
    _ level: TierLevel, _ tier: Tier, in range: ClosedRange<Tick>, _ series: [RollupSeries],
    where includes: @escaping @Sendable ([(name: String, value: String)]) -> Bool = { _ in true }
  ) {
    self.level = level
    self.tier = tier
    self.range = range
    self.series = series
    self.includes = includes
  }
}

/// The course of one group: exposed numbers by window.
public struct TierCourse: Hashable, Sendable {
  /// Ends of the windows, or ticks, in Unix milliseconds, ascending. Windows in which nothing is known of the group may be
  /// missing.
  public var ends: [Int64] = []
  /// For each series of the question as many numbers as there are ends; NaN where there is none.
  public var values: [[Double]]

  public init(series: Int) {
    values = Array(repeating: [], count: series)
  }
}

/// Something that holds a part of history.
///
/// Thread rule: from any thread; may block on disk.
public protocol TierReader: Sendable {
  /// Ends of the oldest and the newest window held; `nil` when there is none.
  func extent(_ level: TierLevel, _ tier: Tier) throws -> ClosedRange<Tick>?

  /// Hands the course of each group with something in the range to `body`, one at a time, until that answers `false`.
  /// Running windows are not among them. Damaged parts are left out, never guessed.
  func visit(_ question: TierQuestion, _ body: (TierGroup, TierCourse) throws -> Bool) throws
}
