/// The rows of a level as a data source hands them to the API, before they are sorted and cut.
public struct TopRows: Sendable {
  /// The newest tick that every row has closed, milliseconds since 1970; `nil` before the first.
  public var closedTickUnixMilliseconds: Int64?
  /// From when ``TopRow/energyMillijoules`` counts, milliseconds since 1970; `nil` when no row has it.
  public var energySinceUnixMilliseconds: Int64?
  /// The rows in any order. A source may leave out rows that cannot be among the first `limit`.
  public var rows: [TopRow]
  /// How many rows the filter matched, those left out included.
  public var matched: Int
  /// Whether ``TopRow/estimatedMilliwatts`` is known; nodes, GPUs and cuts that no level keeps have no estimates.
  public var hasEstimates: Bool

  /// Hands over `rows`; `matched` is their number unless the source left some out.
  public init(
    closedTickUnixMilliseconds: Int64?, energySinceUnixMilliseconds: Int64? = nil, rows: [TopRow], matched: Int? = nil,
    hasEstimates: Bool = true
  ) {
    self.closedTickUnixMilliseconds = closedTickUnixMilliseconds
    self.energySinceUnixMilliseconds = energySinceUnixMilliseconds
    self.rows = rows
    self.matched = matched ?? rows.count
    self.hasEstimates = hasEstimates
  }
}

/// The answer of `/api/bongsu/v1/top/{level}`: sorted, at most `limit` rows.
public struct TopReport: Codable, Hashable, Sendable {
  public var level: TopLevel
  public var order: TopOrder
  /// See ``TopRows/closedTickUnixMilliseconds``.
  public var closedTickUnixMilliseconds: Int64?
  /// See ``TopRows/energySinceUnixMilliseconds``.
  public var energySinceUnixMilliseconds: Int64?
  /// How many rows the filter matched; more than `rows` when the limit cut some off.
  public var matched: Int
  /// See ``TopRows/hasEstimates``.
  public var hasEstimates: Bool
  public var rows: [TopRow]

  private enum CodingKeys: String, CodingKey {
    case level
    case order = "by"
    case closedTickUnixMilliseconds = "closed_tick_ms"
    case energySinceUnixMilliseconds = "energy_since_ms"
    case matched
    case hasEstimates = "has_estimates"
    case rows
  }

  /// Sorts and cuts what a source answered to `request`.
  public init(_ answer: TopRows, to request: TopRequest) {
    level = request.level
    order = request.order
    closedTickUnixMilliseconds = answer.closedTickUnixMilliseconds
    energySinceUnixMilliseconds = answer.energySinceUnixMilliseconds
    // A source that looked for the text itself has left nothing for this to remove.
    let found = request.search.isEmpty ? answer.rows : TopSelection.found(request.search, in: answer.rows)
    matched = answer.matched - (answer.rows.count - found.count)
    hasEstimates = answer.hasEstimates
    rows = TopSelection.rows(found, order: request.order, limit: request.limit)
  }
}
