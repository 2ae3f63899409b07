import BongsuModel
import BongsuRollup
import BongsuSeries

/// The closed ticks of the last minutes as series: every level, every rolled-up metric, one sample a tick.
///
/// Racks have a sample at the newest tick only; the demand of meters is ``MeterDemand``. A series that has no number at a
/// tick ends there with a stale marker, and goes on when it has one again.
struct NewestRollups: SeriesPart {
  let catalogue: RollupCatalogue
  /// The newest closed tick; `nil` before the first.
  let newest: @Sendable () -> ClosedTick?
  /// Closed ticks that are kept, in a range, ascending; racks may be left out of them.
  let recent: @Sendable (ClosedRange<Tick>) -> [ClosedTick]

  func canHold(name: String) -> Bool {
    if case .level = catalogue[name] { true } else { false }
  }

  func visit(
    _ selection: SeriesSelection, _ filter: SeriesFilter, _ visit: (LabelSet, SampleBuffer) throws -> Void
  ) throws {
    let ticks = ticks(selection)
    guard !ticks.isEmpty else { return }
    var groups = RollupGroupFilter(filter, catalogue)
    var buffer = SampleBuffer()
    for (name, level, series) in entries(filter) {
      let labels = catalogue.groups(level)
      for group in groups.groups(level) {
        buffer.removeAll()
        for tick in ticks { append(value(series, tick, level, group), at: tick, to: &buffer) }
        if !buffer.isEmpty { try visit(labels[group].named(name), buffer) }
      }
    }
  }

  /// The ticks that a selection wants, ascending; the newest one with its racks.
  private func ticks(_ selection: SeriesSelection) -> [ClosedTick] {
    guard let newest = newest(), selection.startMilliseconds <= selection.endMilliseconds else { return [] }
    let span = selection.startMilliseconds...selection.endMilliseconds
    if selection.wantsNewestOnly, span.contains(newest.tick.unixMilliseconds) { return [newest] }
    var ticks = recent(Tick(unixMilliseconds: span.lowerBound)...Tick(unixMilliseconds: span.upperBound))
    if selection.wantsNewestOnly { ticks = Array(ticks.suffix(1)) }
    if ticks.last?.tick == newest.tick {
      ticks[ticks.count - 1] = newest
    } else if span.contains(newest.tick.unixMilliseconds), (ticks.last?.tick).map({ $0 < newest.tick }) ?? true {
      ticks.append(newest)
    }
    return ticks
  }

  private func append(_ value: Double?, at tick: ClosedTick, to buffer: inout SampleBuffer) {
    let time = tick.tick.unixMilliseconds
    if let value {
      buffer.append(timestamp: time, value: value)
    } else if let last = buffer.values.last, !StaleMarker.isStale(last) {
      buffer.append(timestamp: time, value: StaleMarker.value)
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
    for (name, level, series) in entries(filter) {
      if groups.groups(level).contains(where: { value(series, tick, level, $0) != nil }) { values.insert(name) }
    }
  }

  /// Every group with any series that is meant, once: a nation's racks have a hundred series each with the same labels.
  private func forEachGroup(_ filter: SeriesFilter, _ span: TimeSpan, _ body: (LabelSet) throws -> Void) throws {
    guard let tick = newest(), span.contains(tick.tick.unixMilliseconds) else { return }
    var groups = RollupGroupFilter(filter, catalogue)
    var left: [RollupLevel: [Int]] = [:]
    for (_, level, series) in entries(filter) {
      let labels = catalogue.groups(level)
      left[level] = try (left[level] ?? groups.groups(level)).filter { group in
        guard value(series, tick, level, group) != nil else { return true }
        try body(labels[group])
        return false
      }
    }
  }

  private func value(_ series: RollupSeries, _ tick: ClosedTick, _ level: RollupLevel, _ group: Int) -> Double? {
    group < tick[level].count ? series.value(tick, level, group) : nil
  }

  private func entries(_ filter: SeriesFilter) -> [(name: String, level: RollupLevel, series: RollupSeries)] {
    catalogue.entries(filter).compactMap { name, entry in
      if case .level(let level, let series) = entry { (name, level, series) } else { nil }
    }
  }
}
