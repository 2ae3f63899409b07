public import BongsuSeries

/// Series that are in memory as a whole, so that finding and reading them is one thing.
public protocol MemorySource: SeriesSource {
  /// Whether there are series of this name.
  func canHold(name: String) -> Bool
}

extension MemorySource {
  public func labelSets(
    matchingAnyOf selections: [[LabelMatcher]], from startMilliseconds: Int64, through endMilliseconds: Int64
  ) throws -> [LabelSet] {
    var found: Set<LabelSet> = []
    for matchers in selections.isEmpty ? [[]] : selections {
      let selection = SeriesSelection(
        matchers: matchers, startMilliseconds: startMilliseconds, endMilliseconds: endMilliseconds,
        rangeMilliseconds: 1)
      try visitSeries(selection) { labels, _ in found.insert(labels) }
    }
    return Array(found)
  }
}
