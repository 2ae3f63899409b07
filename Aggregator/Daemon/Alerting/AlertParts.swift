import BongsuAlerts
import BongsuSeries

/// Power functions and thresholds for everybody who asks, beside the rollups that have a part of their own.
struct PowerPart: SeriesPart {
  let feed: AlertFeed
  let catalogue: RollupCatalogue

  func canHold(name: String) -> Bool { catalogue[name] == nil && feed.series.canHold(name: name) }

  func visit(
    _ selection: SeriesSelection, _ filter: SeriesFilter, _ visit: (LabelSet, SampleBuffer) throws -> Void
  ) throws {
    try feed.series.visitSeries(selection) { labels, samples in
      if catalogue[labels.metricName] == nil { try visit(labels, samples) }
    }
  }

  func visitLabelSets(_ filter: SeriesFilter, _ span: TimeSpan, _ visit: (LabelSet) throws -> Void) throws {
    for labels in try feed.series.labelSets(
      matchingAnyOf: [filter.matchers], from: span.lowerBound, through: span.upperBound)
    where catalogue[labels.metricName] == nil { try visit(labels) }
  }
}

/// What rules wrote: recorded series, `ALERTS`, `ALERTS_FOR_STATE`.
struct RulePart: SeriesPart {
  let series: RuleSeries

  func canHold(name: String) -> Bool { series.canHold(name: name) }

  func visit(
    _ selection: SeriesSelection, _ filter: SeriesFilter, _ visit: (LabelSet, SampleBuffer) throws -> Void
  ) throws {
    try series.visitSeries(selection, visit)
  }

  func visitLabelSets(_ filter: SeriesFilter, _ span: TimeSpan, _ visit: (LabelSet) throws -> Void) throws {
    for labels in try series.labelSets(
      matchingAnyOf: [filter.matchers], from: span.lowerBound, through: span.upperBound)
    { try visit(labels) }
  }
}
