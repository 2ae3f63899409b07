public import BongsuSeries

/// What rules read: first the rollups of the newest ticks in memory, then what rules themselves wrote, then everything
/// else the aggregator can be asked for. A name belongs to the first part that holds it.
public struct RuleSource: SeriesSource {
  public let live: TickSeries
  public let written: RuleSeries
  /// `nil`: there is nothing else.
  public let others: (any SeriesSource)?

  /// What every alerting rule writes; belongs to the rules even while there are no alerts.
  static let alertNames: Set<String> = ["ALERTS", "ALERTS_FOR_STATE"]

  /// Puts the parts together, in the order in which a name is looked for.
  public init(live: TickSeries, written: RuleSeries, others: (any SeriesSource)?) {
    self.live = live
    self.written = written
    self.others = others
  }

  /// The same source with what `rules` read at `time` taken at once, from whatever is not in memory already.
  func holding(_ rules: [Rule], at time: Int64) -> RuleSource {
    guard let others else { return self }
    return RuleSource(
      live: live, written: written,
      others: HeldInstant(rules, at: time, of: others, isElsewhere: isInMemory))
  }

  /// Whether the rollups in memory or what rules write have the name, so that nobody else is asked for it.
  private func isInMemory(_ name: String) -> Bool {
    live.canHold(name: name) || written.canHold(name: name) || Self.alertNames.contains(name)
  }

  public func visitSeries(_ selection: SeriesSelection, _ visit: (LabelSet, SampleBuffer) throws -> Void) throws {
    let names = selection.matchers.filter { $0.name == Label.metricName }
    if let exact = names.lazy.compactMap(\.exactValues).first {
      let wanted = exact.filter { candidate in names.allSatisfy { $0.matches(candidate) } }
      if wanted.allSatisfy({ live.canHold(name: $0) }) { return try live.visitSeries(selection, visit) }
      if wanted.allSatisfy({ Self.alertNames.contains($0) || written.canHold(name: $0) }) {
        return try written.visitSeries(selection, visit)
      }
      if let others, !wanted.contains(where: isInMemory) { return try others.visitSeries(selection, visit) }
    }
    var found: [(labels: LabelSet, samples: SampleBuffer)] = []
    var seen: Set<LabelSet> = []
    for part in [live, written, others].compactMap({ $0 as (any SeriesSource)? }) {
      try part.visitSeries(selection) { labels, samples in
        guard seen.insert(labels).inserted else { return }
        if selection.isSorted { found.append((labels, samples)) } else { try visit(labels, samples) }
      }
    }
    for entry in found.sorted(by: { $0.labels < $1.labels }) { try visit(entry.labels, entry.samples) }
  }

  public func labelSets(
    matchingAnyOf selections: [[LabelMatcher]], from startMilliseconds: Int64, through endMilliseconds: Int64
  ) throws -> [LabelSet] {
    var found: Set<LabelSet> = []
    for part in [live, written, others].compactMap({ $0 as (any SeriesSource)? }) {
      found.formUnion(
        try part.labelSets(matchingAnyOf: selections, from: startMilliseconds, through: endMilliseconds))
    }
    return Array(found)
  }
}
