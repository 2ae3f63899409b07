internal import BongsuQuery
internal import BongsuSeries

/// What rules of a slow group read at one instant, taken from another source at once and kept for all of them.
///
/// The live table keeps the rows of a few ticks. Rules over every GPU of a nation take longer than that one after the
/// other, and what the first finds in memory the last would have to look up in storage, at a hundred times the cost.
///
/// Kept are the newest samples that instant selectors without an offset read. Everything else is asked of the source.
struct HeldInstant: SeriesSource {
  private struct Held {
    let matchers: [LabelMatcher]
    var labels: [LabelSet] = []
    var timestamps: [Int64] = []
    var values: [Double] = []
  }

  private let source: any SeriesSource
  private let time: Int64
  private let start: Int64
  private var held: [Held] = []

  /// Reads what `rules` will ask for at `time`. What cannot be read is not kept: the rule that asks is told why.
  ///
  /// - Parameter isElsewhere: names that are not asked of the source.
  init(_ rules: [Rule], at time: Int64, of source: any SeriesSource, isElsewhere: (String) -> Bool) {
    self.source = source
    self.time = time
    start = time - QueryLimits.lookbackMilliseconds
    var selectors: [VectorSelector] = []
    for rule in rules { rule.expression.collectInstants(into: &selectors) }
    for selector in selectors {
      let names = selector.matchers.filter { $0.name == Label.metricName }.lazy.compactMap(\.exactValues).first ?? []
      guard !names.isEmpty, !names.contains(where: isElsewhere),
        !held.contains(where: { Self.isSame($0.matchers, selector.matchers) })
      else { continue }
      var new = Held(matchers: selector.matchers)
      let selection = SeriesSelection(
        matchers: selector.matchers, startMilliseconds: start, endMilliseconds: time)
      let isRead: Void? = try? source.visitSeries(selection) { labels, samples in
        guard let timestamp = samples.timestamps.last, let value = samples.values.last else { return }
        new.labels.append(labels)
        new.timestamps.append(timestamp)
        new.values.append(value)
      }
      if isRead != nil { held.append(new) }
    }
  }

  private static func isSame(_ one: [LabelMatcher], _ other: [LabelMatcher]) -> Bool {
    one.count == other.count && one.allSatisfy { matcher in other.contains { matcher.isSame(as: $0) } }
  }

  func visitSeries(_ selection: SeriesSelection, _ visit: (LabelSet, SampleBuffer) throws -> Void) throws {
    guard selection.wantsNewestOnly, !selection.isSorted, selection.endMilliseconds == time,
      selection.startMilliseconds >= start,
      let kept = held.first(where: { held in
        held.matchers.allSatisfy { matcher in selection.matchers.contains { $0.isSame(as: matcher) } }
      })
    else { return try source.visitSeries(selection, visit) }
    let rest = selection.matchers.filter { matcher in !kept.matchers.contains { $0.isSame(as: matcher) } }
    var buffer = SampleBuffer()
    for index in kept.labels.indices where kept.timestamps[index] >= selection.startMilliseconds {
      let labels = kept.labels[index]
      guard rest.allSatisfy({ $0.matches(labels) }) else { continue }
      buffer.removeAll()
      buffer.append(timestamp: kept.timestamps[index], value: kept.values[index])
      try visit(labels, buffer)
    }
  }

  func labelSets(
    matchingAnyOf selections: [[LabelMatcher]], from startMilliseconds: Int64, through endMilliseconds: Int64
  ) throws -> [LabelSet] {
    try source.labelSets(matchingAnyOf: selections, from: startMilliseconds, through: endMilliseconds)
  }
}

extension Expression {
  /// Adds the selectors that read the newest sample at the evaluation's time.
  fileprivate func collectInstants(into selectors: inout [VectorSelector]) {
    switch self {
    case .number, .string, .window, .subquery: break
    case .selector(let selector):
      if selector.time.anchor == nil, selector.time.offsetMilliseconds == 0 { selectors.append(selector) }
    case .parenthesized(let inner, _), .unary(_, let inner, _): inner.collectInstants(into: &selectors)
    case .binary(let binary):
      binary.left.collectInstants(into: &selectors)
      binary.right.collectInstants(into: &selectors)
    case .aggregate(let aggregate):
      aggregate.parameter?.collectInstants(into: &selectors)
      aggregate.expression.collectInstants(into: &selectors)
    case .call(let call):
      for argument in call.arguments { argument.collectInstants(into: &selectors) }
    }
  }
}
