/// What the rows of a `top` answer stand for.
///
/// The raw value is the last part of the address: `/api/bongsu/v1/top/factories`.
public enum TopLevel: String, Codable, Sendable, CaseIterable {
  case nation
  case factories
  case halls
  case racks
  case nodes
  case gpus
  /// A tree: rows come depth first and name their parent.
  case allocations
}

/// What `top` sorts by, largest first unless said otherwise.
public enum TopOrder: String, Codable, Sendable, CaseIterable {
  /// Measured plus estimated power, so that a row whose agents vanish does not sink.
  case power
  /// Mean utilization of the GPUs that report it.
  case utilization
  /// Energy since the start that the answer names.
  case energy
  /// Estimated power.
  case estimated
  /// The least covered first.
  case coverage
  /// GPUs that report and are not busy.
  case idle
  /// By identifier, from A.
  case name
}

/// Which part of the nation `top` looks at. Each field narrows further; an empty filter is the whole nation.
///
/// Place and allocation cut across each other: `factories` filtered by an allocation shows each factory's share of that
/// allocation. Since every rollup is a sum over (rack, allocation) cells, any combination is exact.
public struct TopFilter: Hashable, Codable, Sendable {
  /// Identifier of a factory.
  public var factory: String?
  /// Identifier of a hall, as `factory/hall` or as a bare name together with a factory.
  public var hall: String?
  /// Identifier of a rack, as `factory/hall/rack` or as a bare name together with a hall.
  public var rack: String?
  /// Path of an allocation; its whole subtree is meant.
  public var allocation: String?
  /// Name of a node; only for the levels `nodes` and `gpus`.
  public var node: String?

  /// Looks at the part that the given names describe, `nil` meaning no bound.
  public init(
    factory: String? = nil, hall: String? = nil, rack: String? = nil, allocation: String? = nil, node: String? = nil
  ) {
    self.factory = factory
    self.hall = hall
    self.rack = rack
    self.allocation = allocation
    self.node = node
  }

  /// Whether nothing is narrowed.
  public var isEmpty: Bool { self == TopFilter() }

  /// Whether `path` is the allocation `subtree` or lies below it: `msit/naver-hosted` lies below `msit`, `msit2` does not.
  public static func allocation(_ path: String, isWithin subtree: String) -> Bool {
    guard path.utf8.starts(with: subtree.utf8) else { return false }
    return path.utf8.count == subtree.utf8.count || path.utf8.dropFirst(subtree.utf8.count).first == 0x2F
  }
}

/// One question to `top`.
public struct TopRequest: Hashable, Sendable {
  /// What the rows stand for.
  public var level: TopLevel
  /// What they are sorted by.
  public var order: TopOrder
  /// How many rows at most, 1 to ``ReportLimits/topRowsMax``.
  public var limit: Int
  /// The part of the nation looked at.
  public var filter: TopFilter
  /// Only rows whose identifier or name contains this text, whatever the case; empty for all. Figures are not cut by it.
  public var search: String

  /// Asks for the `limit` largest rows of `level`.
  public init(
    level: TopLevel, order: TopOrder = .power, limit: Int = ReportLimits.topRowsDefault,
    filter: TopFilter = TopFilter(),
    search: String = ""
  ) {
    self.level = level
    self.order = order
    self.limit = limit
    self.filter = filter
    self.search = search
  }
}
