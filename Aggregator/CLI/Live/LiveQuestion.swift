internal import BongsuReports

/// What the live view asks the aggregator once a second.
struct LiveQuestion: Hashable, Sendable {
  var level: TopLevel
  var order: TopOrder
  var filter: TopFilter
  /// Only rows whose identifier or name contains this; empty for all.
  var search: String
  var limit: Int

  /// Parameters of `/api/bongsu/v1/top/{level}`.
  var parameters: [(name: String, value: String?)] {
    [
      ("by", order.rawValue), ("limit", String(limit)), ("factory", filter.factory), ("hall", filter.hall),
      ("rack", filter.rack), ("allocation", filter.allocation), ("node", filter.node),
      ("search", search.isEmpty ? nil : search),
    ]
  }

  /// The question whose first row is the sum of what is looked at: the row of the narrowest place.
  var total: LiveQuestion {
    let level: TopLevel =
      filter.node != nil
      ? .nodes
      : filter.rack != nil
        ? .racks
        : filter.hall != nil
          ? .halls : filter.factory != nil ? .factories : filter.allocation != nil ? .allocations : .nation
    return LiveQuestion(level: level, order: .power, filter: filter, search: "", limit: 1)
  }

  /// Whether an answer to `other` may be shown for this question: it differs in the number of rows at most.
  func isAnswered(by other: LiveQuestion) -> Bool {
    var other = other
    other.limit = limit
    return self == other
  }
}
