import BongsuAlerts
import BongsuSeries

/// What alarms add for everybody who asks: power functions and thresholds, and what rules wrote (recorded series, `ALERTS`,
/// `ALERTS_FOR_STATE`). Rollups that alarms keep as well have a part of their own and are left to it.
struct MemoryPart<Source: MemorySource>: SeriesPart {
  let series: Source
  let catalogue: RollupCatalogue

  func canHold(name: String) -> Bool { catalogue[name] == nil && series.canHold(name: name) }

  func visit(
    _ selection: SeriesSelection, _ filter: SeriesFilter, _ visit: (LabelSet, SampleBuffer) throws -> Void
  ) throws {
    try series.visitSeries(selection) { labels, samples in
      if catalogue[labels.metricName] == nil { try visit(labels, samples) }
    }
  }

  func visitLabelSets(_ filter: SeriesFilter, _ span: TimeSpan, _ visit: (LabelSet) throws -> Void) throws {
    for labels in try series.labelSets(
      matchingAnyOf: [filter.matchers], from: span.lowerBound, through: span.upperBound)
    where catalogue[labels.metricName] == nil { try visit(labels) }
  }
}
