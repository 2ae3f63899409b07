import BongsuModel
import BongsuRollup
import BongsuSeries

/// The closed ticks of the last minutes as series: every level, every rolled-up metric, one sample a tick.
///
/// Racks and the demand of meters have a sample at the newest tick only. A series that has no number at a tick ends there
/// with a stale marker, and goes on when it has one again.
struct NewestRollups: SeriesPart {
  let catalogue: RollupCatalogue
  /// The newest closed tick; `nil` before the first.
  let newest: @Sendable () -> ClosedTick?
  /// Closed ticks that are kept, in a range, ascending; racks may be left out of them.
  let recent: @Sendable (ClosedRange<Tick>) -> [ClosedTick]
  /// Where the demand of a meter stands, by number of the meter; `nil` where nobody follows it.
  let outlook: @Sendable (Int) -> DemandMeter.Outlook?

  func canHold(name: String) -> Bool { catalogue[name] != nil }

  func visit(
    _ selection: SeriesSelection, _ filter: SeriesFilter, _ visit: (LabelSet, SampleBuffer) throws -> Void
  ) throws {
    let ticks = ticks(selection)
    guard let last = ticks.last else { return }
    let isNewest = newest()?.tick == last.tick
    var groups = RollupGroupFilter(filter, catalogue)
    var buffer = SampleBuffer()
    for (name, entry) in catalogue.entries(filter) {
      let labels = catalogue.groups(entry.level)
      for group in groups.groups(entry.level) {
        buffer.removeAll()
        for tick in ticks {
          let isLast = tick.tick == last.tick
          append(value(entry, tick, group, isNewest: isLast && isNewest), at: tick, to: &buffer)
        }
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
    for (name, entry) in catalogue.entries(filter) {
      if groups.groups(entry.level).contains(where: { value(entry, tick, $0, isNewest: true) != nil }) {
        values.insert(name)
      }
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
        guard value(entry, tick, group, isNewest: true) != nil else { return true }
        try body(labels[group])
        return false
      }
    }
  }

  private func value(
    _ entry: RollupCatalogue.Entry, _ tick: ClosedTick, _ group: Int, isNewest: Bool
  ) -> Double? {
    switch entry {
    case .level(let level, let series): group < tick[level].count ? series.value(tick, level, group) : nil
    case .demand(let series): isNewest ? outlook(group).flatMap { series.value($0) } : nil
    }
  }
}
