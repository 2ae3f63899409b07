/// Which samples of which series a query wants.
public struct SeriesSelection: Sendable {
  /// All must hold. At least one does not match the empty value.
  public var matchers: [LabelMatcher]
  /// First instant wanted, inclusive, in milliseconds since 1970.
  public var startMilliseconds: Int64
  /// Last instant wanted, inclusive, in milliseconds since 1970.
  public var endMilliseconds: Int64
  /// The step of the query, zero for one instant: a store with tiers may answer an instant selector from a coarse one.
  public var stepMilliseconds: Int64
  /// The window of the range selector, zero for an instant selector, which needs the newest sample per step only.
  public var rangeMilliseconds: Int64
  /// How far back of each step an instant selector looks; part of the span that begins at the start.
  public var lookbackMilliseconds: Int64 = 0
  /// Whether series must be visited in order of their labels. Otherwise the order is the source's own.
  public var isSorted: Bool
  /// Where the source tells how it answered; `nil` when nobody wants to know.
  public var annotations: SeriesAnnotations?

  /// Whether the newest sample not after the end is all that is needed: an instant selector at one instant. A source may
  /// then leave out all others.
  public var wantsNewestOnly: Bool { stepMilliseconds == 0 && rangeMilliseconds == 0 }

  public init(
    matchers: [LabelMatcher], startMilliseconds: Int64, endMilliseconds: Int64, stepMilliseconds: Int64 = 0,
    rangeMilliseconds: Int64 = 0, isSorted: Bool = false
  ) {
    self.matchers = matchers
    self.startMilliseconds = startMilliseconds
    self.endMilliseconds = endMilliseconds
    self.stepMilliseconds = stepMilliseconds
    self.rangeMilliseconds = rangeMilliseconds
    self.isSorted = isSorted
  }
}

/// Where query and store meet: anything whose series PromQL can read.
///
/// Implementations are called from any thread, several at once; one visit sees one consistent state.
public protocol SeriesSource: Sendable {
  /// Visits every series that matches, with its samples between start and end, both inclusive, in order of time.
  ///
  /// Series without a sample in the range may be visited with an empty buffer or left out. The buffer is valid during
  /// the call only. A label set is visited at most once. An error that `visit` throws ends the walk and is passed on,
  /// which is how limits and cancellation work.
  func visitSeries(_ selection: SeriesSelection, _ visit: (LabelSet, SampleBuffer) throws -> Void) throws

  /// Visits what ``visitSeries(_:_:)`` visits, for a selection of the newest samples; several series of one family may be
  /// handed over at once, where whoever asks has no need to tell them apart.
  ///
  /// A source that knows no families visits series one by one.
  func visitFamilies(
    _ selection: SeriesSelection, _ families: FamilyVisit, _ visit: (LabelSet, SampleBuffer) throws -> Void
  ) throws

  /// Label sets with a sample in the range that match any of the selections, unsorted, each once.
  /// An empty list of selections stands for all series.
  func labelSets(
    matchingAnyOf selections: [[LabelMatcher]], from startMilliseconds: Int64, through endMilliseconds: Int64
  )
    throws -> [LabelSet]

  /// Names of labels in the range, sorted by bytes, each once; `__name__` among them.
  func labelNames(
    matchingAnyOf selections: [[LabelMatcher]], from startMilliseconds: Int64, through endMilliseconds: Int64
  )
    throws -> [String]

  /// Values of a label in the range, sorted by bytes, each once.
  func labelValues(
    of name: String, matchingAnyOf selections: [[LabelMatcher]], from startMilliseconds: Int64,
    through endMilliseconds: Int64
  ) throws -> [String]
}

/// How series of one family are taken at once.
public struct FamilyVisit {
  /// Whether the members of a family need not be told apart.
  public let isTakenWhole: (LabelFamily) -> Bool
  /// Takes the newest values of some members, in their order, none of them a stale marker, and the labels of any one of
  /// them. The array is valid during the call only.
  public let visit: (LabelSet, [Double]) throws -> Void

  public init(isTakenWhole: @escaping (LabelFamily) -> Bool, visit: @escaping (LabelSet, [Double]) throws -> Void) {
    self.isTakenWhole = isTakenWhole
    self.visit = visit
  }
}

extension SeriesSource {
  public func visitFamilies(
    _ selection: SeriesSelection, _ families: FamilyVisit, _ visit: (LabelSet, SampleBuffer) throws -> Void
  ) throws { try visitSeries(selection, visit) }

  public func labelNames(
    matchingAnyOf selections: [[LabelMatcher]], from startMilliseconds: Int64, through endMilliseconds: Int64
  ) throws -> [String] {
    var names: Set<String> = []
    for labels in try labelSets(matchingAnyOf: selections, from: startMilliseconds, through: endMilliseconds) {
      if !labels.metricName.isEmpty { names.insert(Label.metricName) }
      for label in labels.labelsWithoutName { names.insert(label.name) }
    }
    return names.sorted(by: ByteOrder.precedes)
  }

  public func labelValues(
    of name: String, matchingAnyOf selections: [[LabelMatcher]], from startMilliseconds: Int64,
    through endMilliseconds: Int64
  ) throws -> [String] {
    var values: Set<String> = []
    for labels in try labelSets(matchingAnyOf: selections, from: startMilliseconds, through: endMilliseconds) {
      let value = labels[name]
      if !value.isEmpty { values.insert(value) }
    }
    return values.sorted(by: ByteOrder.precedes)
  }
}

/// Why a source cannot answer. Other errors are failures of the source that nobody who asks can mend.
public enum SeriesSourceError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Not now: starting, stopping, or too busy to answer in time.
  case unavailable(String)
  /// The question wants more than a source gives out at once.
  case tooLarge(String)

  public var description: String {
    switch self {
    case .unavailable(let reason), .tooLarge(let reason): reason
    }
  }
}
