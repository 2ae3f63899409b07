/// Which gap records `/api/bongsu/v1/gaps` lists.
public struct GapRequest: Hashable, Sendable {
  /// Only this node, or nodes of this factory or allocation; an allocation is meant with all below it.
  public var node: String?
  public var factory: String?
  public var allocation: String?
  /// Gaps that touch this time, milliseconds since 1970, both ends included.
  public var startUnixMilliseconds: Int64
  public var endUnixMilliseconds: Int64
  /// Records at most, 1 to ``ReportLimits/gapRowsMax``.
  public var limit: Int

  public init(
    node: String? = nil, factory: String? = nil, allocation: String? = nil, startUnixMilliseconds: Int64,
    endUnixMilliseconds: Int64, limit: Int = ReportLimits.gapRowsDefault
  ) {
    self.node = node
    self.factory = factory
    self.allocation = allocation
    self.startUnixMilliseconds = startUnixMilliseconds
    self.endUnixMilliseconds = endUnixMilliseconds
    self.limit = limit
  }
}

/// Ticks of one node whose rows will never come, and why.
public struct GapReport: Codable, Hashable, Sendable {
  public var node: String
  /// Where the node stood at the first lost tick; `nil` for nodes that no fleet file names.
  public var factory: String?
  public var allocation: String?
  /// Stable name of the reason, what is the matter and what to do.
  public var reason: String
  public var text: String
  public var nextStep: String
  /// First and last tick that may be lost, milliseconds since 1970; `nil` where rows are missing whose ticks nobody knows.
  public var firstTickUnixMilliseconds: Int64?
  public var lastTickUnixMilliseconds: Int64?
  /// Rows that were numbered and are lost; `nil` when the agent's numbering was lost too.
  public var rows: Int64?

  private enum CodingKeys: String, CodingKey {
    case node, factory, allocation, reason, text, rows
    case nextStep = "next_step"
    case firstTickUnixMilliseconds = "first_tick_ms"
    case lastTickUnixMilliseconds = "last_tick_ms"
  }

  public init(node: String, reason: String, text: String, nextStep: String) {
    self.node = node
    self.reason = reason
    self.text = text
    self.nextStep = nextStep
  }
}

/// The answer of `/api/bongsu/v1/gaps`: the newest records that fit, oldest first.
public struct GapList: Codable, Hashable, Sendable {
  /// How many records matched; more than `gaps` when the limit cut older ones off.
  public var matched: Int
  /// Records that failed their checksum and are left out.
  public var damaged: Int
  public var gaps: [GapReport]

  /// Keeps the newest `limit` of `gaps`, which are in order of time.
  public init(_ gaps: [GapReport], damaged: Int, limit: Int) {
    matched = gaps.count
    self.damaged = damaged
    self.gaps = Array(gaps.suffix(max(0, limit)))
  }
}
