import BongsuFleet
import BongsuRollup
import BongsuSeries

/// The names and labels of all rollup series, made once.
struct RollupCatalogue: Sendable {
  /// What a name stands for.
  enum Entry: Sendable {
    case level(RollupLevel, RollupSeries)
    case demand(DemandSeries)

    var level: RollupLevel {
      switch self {
      case .level(let level, _): level
      case .demand: .meter
      }
    }
  }

  let plan: RollupPlan
  let names: [String]
  private let entries: [String: Entry]
  /// Labels without metric name, per level and group.
  private let labels: [[LabelSet]]

  init(_ plan: RollupPlan) {
    self.plan = plan
    var entries: [String: Entry] = [:]
    for level in RollupLevel.allCases {
      for series in RollupSeries.all { entries[series.name(level)] = .level(level, series) }
    }
    for series in DemandSeries.allCases { entries[series.rawValue] = .demand(series) }
    self.entries = entries
    names = entries.keys.sorted(by: ByteOrder.precedes)
    labels = RollupLevel.allCases.map { level in
      (0..<plan.groupCount(level)).map { group in
        LabelSet(
          metricName: "", labels: plan.labels(level, group).map { Label(name: $0.name, value: $0.value) })
      }
    }
  }

  subscript(name: String) -> Entry? { entries[name] }

  /// Labels of the groups of a level, without metric name.
  func groups(_ level: RollupLevel) -> [LabelSet] { labels[level.rawValue] }

  /// The entries that a selector can mean.
  func entries(_ filter: SeriesFilter) -> [(name: String, entry: Entry)] {
    let candidates = filter.exactNames ?? names
    return candidates.compactMap { name in
      guard let entry = entries[name], filter.includes(name: name) else { return nil }
      return (name, entry)
    }
  }
}

/// Which groups of each level a selector means, looked at once.
struct RollupGroupFilter {
  private let filter: SeriesFilter
  private let catalogue: RollupCatalogue
  private var chosen: [[Int]?]

  init(_ filter: SeriesFilter, _ catalogue: RollupCatalogue) {
    self.filter = filter
    self.catalogue = catalogue
    chosen = Array(repeating: nil, count: RollupLevel.allCases.count)
  }

  /// Numbers of the groups that are meant, ascending.
  mutating func groups(_ level: RollupLevel) -> [Int] {
    if let known = chosen[level.rawValue] { return known }
    let groups = catalogue.groups(level)
    let found = groups.indices.filter { filter.includes(labels: groups[$0]) }
    chosen[level.rawValue] = found
    return found
  }
}
