import BongsuModel
import BongsuRollup
import BongsuSeries

/// The newest closed tick as series: every level, every rolled-up metric, one sample each.
struct NewestRollups: SeriesPart {
  let catalogue: RollupCatalogue
  /// The newest closed tick; `nil` before the first.
  let newest: @Sendable () -> ClosedTick?
  /// Where the demand of a meter stands, by number of the meter; `nil` where nobody follows it.
  let outlook: @Sendable (Int) -> DemandMeter.Outlook?

  func canHold(name: String) -> Bool { catalogue[name] != nil }

  func visit(
    _ selection: SeriesSelection, _ filter: SeriesFilter, _ visit: (LabelSet, SampleBuffer) throws -> Void
  ) throws {
    guard let tick = newest() else { return }
    let time = tick.tick.unixMilliseconds
    guard time >= selection.startMilliseconds, time <= selection.endMilliseconds else { return }
    var groups = RollupGroupFilter(filter, catalogue)
    var buffer = SampleBuffer()
    for (name, entry) in catalogue.entries(filter) {
      let labels = catalogue.groups(entry.level)
      for group in groups.groups(entry.level) {
        guard let value = value(entry, tick, group) else { continue }
        buffer.removeAll()
        buffer.append(timestamp: time, value: value)
        try visit(labels[group].named(name), buffer)
      }
    }
  }

  func visitLabelSets(_ filter: SeriesFilter, _ span: TimeSpan, _ visit: (LabelSet) throws -> Void) throws {
    let selection = SeriesSelection(
      matchers: filter.matchers, startMilliseconds: span.lowerBound, endMilliseconds: span.upperBound)
    try self.visit(selection, filter) { labels, _ in try visit(labels) }
  }

  func addLabelNames(_ filter: SeriesFilter, _ span: TimeSpan, to names: inout Set<String>) throws {
    try forEachGroup(filter, span) { labels in
      names.insert(Label.metricName)
      for label in labels.labelsWithoutName { names.insert(label.name) }
    }
  }

  func addLabelValues(of name: String, _ filter: SeriesFilter, _ span: TimeSpan, to values: inout Set<String>) throws {
    guard name == Label.metricName else {
      return try forEachGroup(filter, span) { labels in
        let value = labels[name]
        if !value.isEmpty { values.insert(value) }
      }
    }
    guard let tick = newest(), span.contains(tick.tick.unixMilliseconds) else { return }
    var groups = RollupGroupFilter(filter, catalogue)
    for (name, entry) in catalogue.entries(filter) {
      if groups.groups(entry.level).contains(where: { value(entry, tick, $0) != nil }) { values.insert(name) }
    }
  }

  /// Every group with any series that is meant, once: a nation's racks have a hundred series each with the same labels.
  private func forEachGroup(_ filter: SeriesFilter, _ span: TimeSpan, _ body: (LabelSet) throws -> Void) throws {
    guard let tick = newest(), span.contains(tick.tick.unixMilliseconds) else { return }
    var groups = RollupGroupFilter(filter, catalogue)
    var left: [RollupLevel: [Int]] = [:]
    for (_, entry) in catalogue.entries(filter) {
      let labels = catalogue.groups(entry.level)
      left[entry.level] = try (left[entry.level] ?? groups.groups(entry.level)).filter { group in
        guard value(entry, tick, group) != nil else { return true }
        try body(labels[group])
        return false
      }
    }
  }

  private func value(_ entry: RollupCatalogue.Entry, _ tick: ClosedTick, _ group: Int) -> Double? {
    switch entry {
    case .level(let level, let series): series.value(tick, level, group)
    case .demand(let series): outlook(group).flatMap { series.value($0) }
    }
  }
}
