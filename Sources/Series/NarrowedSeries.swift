/// A source seen through matchers that every question has to satisfy besides its own: what a token may see.
///
/// Whoever reads through it learns of other series neither samples nor names nor values of labels.
public struct NarrowedSeries: SeriesSource {
  private let base: any SeriesSource
  private let matchers: [LabelMatcher]

  /// Adds `matchers` to every selection.
  public init(_ base: any SeriesSource, to matchers: [LabelMatcher]) {
    self.base = base
    self.matchers = matchers
  }

  public func visitSeries(_ selection: SeriesSelection, _ visit: (LabelSet, SampleBuffer) throws -> Void) throws {
    var selection = selection
    selection.matchers += matchers
    try base.visitSeries(selection, visit)
  }

  public func visitFamilies(
    _ selection: SeriesSelection, _ families: FamilyVisit, _ visit: (LabelSet, SampleBuffer) throws -> Void
  ) throws {
    var selection = selection
    selection.matchers += matchers
    try base.visitFamilies(selection, families, visit)
  }

  public func labelSets(
    matchingAnyOf selections: [[LabelMatcher]], from startMilliseconds: Int64, through endMilliseconds: Int64
  ) throws -> [LabelSet] {
    try base.labelSets(matchingAnyOf: narrowed(selections), from: startMilliseconds, through: endMilliseconds)
  }

  public func labelNames(
    matchingAnyOf selections: [[LabelMatcher]], from startMilliseconds: Int64, through endMilliseconds: Int64
  ) throws -> [String] {
    try base.labelNames(matchingAnyOf: narrowed(selections), from: startMilliseconds, through: endMilliseconds)
  }

  public func labelValues(
    of name: String, matchingAnyOf selections: [[LabelMatcher]], from startMilliseconds: Int64,
    through endMilliseconds: Int64
  ) throws -> [String] {
    try base.labelValues(
      of: name, matchingAnyOf: narrowed(selections), from: startMilliseconds, through: endMilliseconds)
  }

  /// No selection stands for all series, which are those that the matchers leave.
  private func narrowed(_ selections: [[LabelMatcher]]) -> [[LabelMatcher]] {
    selections.isEmpty ? [matchers] : selections.map { $0 + matchers }
  }
}
