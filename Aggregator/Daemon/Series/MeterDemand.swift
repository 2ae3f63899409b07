import BongsuModel
import BongsuRollup
import BongsuSeries

/// What is billed of each meter as series: how its demand stands at the newest closed tick, and as it was kept of the last
/// minutes; see ``DemandCourse``.
///
/// A series that has no number at a tick ends there with a stale marker, and goes on when it has one again.
struct MeterDemand: SeriesPart {
  let catalogue: RollupCatalogue
  /// The newest closed tick; `nil` before the first.
  let newest: @Sendable () -> Tick?
  /// Where the demand of a meter stands, by number of the meter; `nil` where nobody follows it.
  let outlook: @Sendable (Int) -> DemandMeter.Outlook?
  /// How the demand of a meter stood at kept ticks in a range, ascending.
  let course: @Sendable (Int, ClosedRange<Tick>) -> [DemandCourse.Entry]

  func canHold(name: String) -> Bool { series(name) != nil }

  func visit(
    _ selection: SeriesSelection, _ filter: SeriesFilter, _ visit: (LabelSet, SampleBuffer) throws -> Void
  ) throws {
    let wanted = wanted(filter)
    guard !wanted.isEmpty, selection.startMilliseconds <= selection.endMilliseconds else { return }
    var groups = RollupGroupFilter(filter, catalogue)
    let labels = catalogue.groups(.meter)
    var buffer = SampleBuffer()
    for meter in groups.groups(.meter) {
      let entries = entries(meter, selection)
      for (name, series) in wanted {
        buffer.removeAll()
        for entry in entries { append(entry.outlook.flatMap { series.value($0) }, at: entry.tick, to: &buffer) }
        if !buffer.isEmpty { try visit(labels[meter].named(name), buffer) }
      }
    }
  }

  func visitLabelSets(_ filter: SeriesFilter, _ span: TimeSpan, _ visit: (LabelSet) throws -> Void) throws {
    let selection = SeriesSelection(
      matchers: filter.matchers, startMilliseconds: span.lowerBound, endMilliseconds: span.upperBound,
      stepMilliseconds: 1000)
    try self.visit(selection, filter) { labels, _ in try visit(labels) }
  }

  /// What a selection wants to know of one meter, ascending.
  private func entries(_ meter: Int, _ selection: SeriesSelection) -> [DemandCourse.Entry] {
    let newest = newest()
    let span = selection.startMilliseconds...selection.endMilliseconds
    let isNewestWanted = newest.map { span.contains($0.unixMilliseconds) } ?? false
    if selection.wantsNewestOnly, isNewestWanted, let newest { return [(newest, outlook(meter))] }
    let limits = Limits.tickRange
    let first = max(limits.lowerBound, Tick(unixMilliseconds: span.lowerBound))
    let last = min(limits.upperBound, Tick(unixMilliseconds: span.upperBound))
    guard first <= last else { return [] }
    var entries = course(meter, first...last)
    // Ticks after the last row that was kept, as far as they are asked for.
    if isNewestWanted, let newest, (entries.last?.tick).map({ $0 < newest }) ?? true {
      entries.append((newest, outlook(meter)))
    }
    return selection.wantsNewestOnly ? Array(entries.suffix(1)) : entries
  }

  private func append(_ value: Double?, at tick: Tick, to buffer: inout SampleBuffer) {
    let time = tick.unixMilliseconds
    if let value {
      buffer.append(timestamp: time, value: value)
    } else if let last = buffer.values.last, !StaleMarker.isStale(last) {
      buffer.append(timestamp: time, value: StaleMarker.value)
    }
  }

  private func wanted(_ filter: SeriesFilter) -> [(name: String, series: DemandSeries)] {
    catalogue.entries(filter).compactMap { name, entry in
      if case .demand(let series) = entry { (name, series) } else { nil }
    }
  }

  private func series(_ name: String) -> DemandSeries? {
    if case .demand(let series) = catalogue[name] { series } else { nil }
  }
}
