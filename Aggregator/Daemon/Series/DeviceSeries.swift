import BongsuModel
import BongsuSeries

/// The series of GPUs, boards and nodes: the live table for what is true now, stored rows for everything else.
///
/// An instant about now, or a few ticks ago as rules ask, is answered from memory alone. Nodes whose rows there all lie
/// behind the instant (the asker asks for the past, or is far behind) are looked up in storage, a few ticks deep:
/// a series older than three intervals has ended, so no more can matter. An instant from before the start is looked up
/// in storage for all nodes: some that reported then may not have come back, and the live table need not know them.
struct DeviceSeries: SeriesPart {
  let live: LiveSeries
  let stored: StoredSeries
  /// When this process began to take rows.
  let start: Tick

  func canHold(name: String) -> Bool { live.canHold(name: name) }

  func visit(
    _ selection: SeriesSelection, _ filter: SeriesFilter, _ visit: (LabelSet, SampleBuffer) throws -> Void
  ) throws { try self.visit(selection, filter, families: nil, visit) }

  func visit(
    _ selection: SeriesSelection, _ filter: SeriesFilter, families: FamilyVisit?,
    _ visit: (LabelSet, SampleBuffer) throws -> Void
  ) throws {
    guard selection.wantsNewestOnly else {
      // A series lives three intervals at most behind its last tick, so an instant selector looks no further back.
      let spare = max(0, selection.lookbackMilliseconds - 3 * live.intervalMillisecondsMax)
      return try stored.visit(selection, filter, from: selection.startMilliseconds + spare, visit)
    }
    guard selection.endMilliseconds >= start.unixMilliseconds else {
      return try visitNewestStored(selection, filter, reach: 3 * live.intervalMillisecondsMax, only: nil, visit)
    }
    let ahead = try live.visit(selection, filter, families: families, visit)
    guard !ahead.nodes.isEmpty else { return }
    let reach = 3 * Int64(ahead.intervalMillisecondsMax)
    try visitNewestStored(selection, filter, reach: reach, only: ahead.nodes, visit)
  }

  /// The newest stored sample of each series that has one in the last `reach` milliseconds of the selection.
  private func visitNewestStored(
    _ selection: SeriesSelection, _ filter: SeriesFilter, reach: Int64, only: Set<NodeID>?,
    _ visit: (LabelSet, SampleBuffer) throws -> Void
  ) throws {
    let start = max(selection.startMilliseconds, selection.endMilliseconds - reach)
    var newest = SampleBuffer()
    try stored.visit(selection, filter, from: start, only: only) { labels, samples in
      guard let last = samples.values.last, !StaleMarker.isStale(last) else { return }
      newest.removeAll()
      newest.append(timestamp: samples.timestamps[samples.count - 1], value: last)
      try visit(labels, newest)
    }
  }

  func visitLabelSets(_ filter: SeriesFilter, _ span: TimeSpan, _ visit: (LabelSet) throws -> Void) throws {
    guard isPast(span) else { return try live.visitLabelSets(filter, span, visit) }
    try stored.visitLabelSets(filter, span, visit)
  }

  func addLabelNames(_ filter: SeriesFilter, _ span: TimeSpan, to names: inout Set<String>) throws {
    guard isPast(span) else { return try live.addLabelNames(filter, span, to: &names) }
    try stored.visitLabelSets(filter, span) { labels in
      names.insert(Label.metricName)
      for label in labels.labelsWithoutName { names.insert(label.name) }
    }
  }

  func addLabelValues(of name: String, _ filter: SeriesFilter, _ span: TimeSpan, to values: inout Set<String>) throws {
    guard isPast(span) else { return try live.addLabelValues(of: name, filter, span, to: &values) }
    try stored.visitLabelSets(filter, span) { labels in
      let value = labels[name]
      if !value.isEmpty { values.insert(value) }
    }
  }

  /// Whether a listing asks for the past alone. One that reaches to the present lists what the live table has, which is
  /// every node since the start with its present devices.
  private func isPast(_ span: TimeSpan) -> Bool {
    guard let newest = live.newestTick else { return true }
    return span.upperBound < newest.unixMilliseconds
  }
}
