import BongsuSeries

/// The matchers of one selector, sorted out by what they look at.
struct SeriesFilter: Sendable {
  let matchers: [LabelMatcher]
  /// Matchers of the metric name.
  let name: [LabelMatcher]
  /// The only metric names that can match, when they are few and known.
  let exactNames: [String]?

  init(_ matchers: [LabelMatcher]) {
    self.matchers = matchers
    name = matchers.filter { $0.name == Label.metricName }
    exactNames = name.lazy.compactMap(\.exactValues).first
  }

  /// Whether a series of this metric can match.
  func includes(name candidate: String) -> Bool { name.allSatisfy { $0.matches(candidate) } }

  /// Whether a series matches, its metric name left aside.
  func includes(labels: LabelSet) -> Bool {
    for matcher in matchers where matcher.name != Label.metricName && !matcher.matches(labels[matcher.name]) {
      return false
    }
    return true
  }

  /// Whether a value of this label can match.
  func includes(_ label: String, _ value: String) -> Bool {
    for matcher in matchers where matcher.name == label && !matcher.matches(value) { return false }
    return true
  }
}

/// A span of time that series are asked for, both ends included, milliseconds since 1970.
typealias TimeSpan = ClosedRange<Int64>

/// A part of what the aggregator can be asked for: the live table, rollups, its own metrics.
///
/// Thread rule: any thread, several at once; may block for a while.
protocol SeriesPart: Sendable {
  /// Whether a metric of this name can be among the part's series.
  func canHold(name: String) -> Bool

  /// Visits matching series with their samples, in any order; see ``SeriesSource``.
  func visit(
    _ selection: SeriesSelection, _ filter: SeriesFilter, _ visit: (LabelSet, SampleBuffer) throws -> Void
  ) throws

  /// The same for the newest samples; several series of one family may be handed over at once.
  func visit(
    _ selection: SeriesSelection, _ filter: SeriesFilter, families: FamilyVisit?,
    _ visit: (LabelSet, SampleBuffer) throws -> Void
  ) throws

  /// Visits the label sets of matching series with a sample in the span.
  func visitLabelSets(_ filter: SeriesFilter, _ span: TimeSpan, _ visit: (LabelSet) throws -> Void) throws

  /// Adds the names of labels of matching series.
  func addLabelNames(_ filter: SeriesFilter, _ span: TimeSpan, to names: inout Set<String>) throws

  /// Adds the values of a label of matching series.
  func addLabelValues(of name: String, _ filter: SeriesFilter, _ span: TimeSpan, to values: inout Set<String>) throws
}

extension SeriesPart {
  func visit(
    _ selection: SeriesSelection, _ filter: SeriesFilter, families: FamilyVisit?,
    _ visit: (LabelSet, SampleBuffer) throws -> Void
  ) throws { try self.visit(selection, filter, visit) }

  func addLabelNames(_ filter: SeriesFilter, _ span: TimeSpan, to names: inout Set<String>) throws {
    try visitLabelSets(filter, span) { labels in
      if !labels.metricName.isEmpty { names.insert(Label.metricName) }
      for label in labels.labelsWithoutName { names.insert(label.name) }
    }
  }

  func addLabelValues(of name: String, _ filter: SeriesFilter, _ span: TimeSpan, to values: inout Set<String>) throws {
    try visitLabelSets(filter, span) { labels in
      let value = labels[name]
      if !value.isEmpty { values.insert(value) }
    }
  }
}
