import BongsuSeries

/// Everything the aggregator can be asked for, as one source: parts that share no series.
struct AggregatorSeries: SeriesSource {
  let parts: [any SeriesPart]

  /// Label sets that one listing gives out; more are refused, since nobody reads them and they take a gigabyte.
  static let listedSeriesMax = 1_000_000

  func visitSeries(_ selection: SeriesSelection, _ visit: (LabelSet, SampleBuffer) throws -> Void) throws {
    let filter = SeriesFilter(selection.matchers)
    guard selection.isSorted else {
      for part in parts(filter) { try part.visit(selection, filter, visit) }
      return
    }
    var found: [(LabelSet, SampleBuffer)] = []
    for part in parts(filter) { try part.visit(selection, filter) { found.append(($0, $1)) } }
    for (labels, samples) in found.sorted(by: { $0.0 < $1.0 }) { try visit(labels, samples) }
  }

  func visitFamilies(
    _ selection: SeriesSelection, _ families: FamilyVisit, _ visit: (LabelSet, SampleBuffer) throws -> Void
  ) throws {
    guard selection.wantsNewestOnly, !selection.isSorted else { return try visitSeries(selection, visit) }
    let filter = SeriesFilter(selection.matchers)
    for part in parts(filter) { try part.visit(selection, filter, families: families, visit) }
  }

  func labelSets(
    matchingAnyOf selections: [[LabelMatcher]], from startMilliseconds: Int64, through endMilliseconds: Int64
  ) throws -> [LabelSet] {
    var found: Set<LabelSet> = []
    try forEach(selections, startMilliseconds, endMilliseconds) { part, filter, span in
      try part.visitLabelSets(filter, span) { labels in
        found.insert(labels)
        guard found.count <= Self.listedSeriesMax else {
          throw SeriesSourceError.tooLarge(
            "more than \(Self.listedSeriesMax) series match; narrow match[] by a metric name, a factory or an allocation"
          )
        }
      }
    }
    return Array(found)
  }

  func labelNames(
    matchingAnyOf selections: [[LabelMatcher]], from startMilliseconds: Int64, through endMilliseconds: Int64
  ) throws -> [String] {
    var names: Set<String> = []
    try forEach(selections, startMilliseconds, endMilliseconds) { part, filter, span in
      try part.addLabelNames(filter, span, to: &names)
    }
    return names.sorted(by: ByteOrder.precedes)
  }

  func labelValues(
    of name: String, matchingAnyOf selections: [[LabelMatcher]], from startMilliseconds: Int64,
    through endMilliseconds: Int64
  ) throws -> [String] {
    var values: Set<String> = []
    try forEach(selections, startMilliseconds, endMilliseconds) { part, filter, span in
      try part.addLabelValues(of: name, filter, span, to: &values)
    }
    return values.sorted(by: ByteOrder.precedes)
  }

  /// The parts that can have series for a selector.
  private func parts(_ filter: SeriesFilter) -> [any SeriesPart] {
    guard let names = filter.exactNames else { return parts }
    // A name belongs to one part: the live table takes whatever agents announce, so it comes last.
    let wanted = Set(names.compactMap { name in parts.firstIndex { $0.canHold(name: name) } })
    return wanted.sorted().map { parts[$0] }
  }

  private func forEach(
    _ selections: [[LabelMatcher]], _ start: Int64, _ end: Int64,
    _ body: (any SeriesPart, SeriesFilter, TimeSpan) throws -> Void
  ) throws {
    guard start <= end else { return }
    for matchers in selections.isEmpty ? [[]] : selections {
      let filter = SeriesFilter(matchers)
      for part in parts(filter) { try body(part, filter, start...end) }
    }
  }
}
