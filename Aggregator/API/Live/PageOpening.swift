/// What the page is told once when it opens a view. Rows of later figures come in the order of these lists.
public struct PageOpening: Encodable, Sendable {
  /// Release of the aggregator: a page of another release loads itself again.
  public var version: String
  public var nation: String
  /// The fleet's time zone, and its seconds ahead of UTC.
  public var zone: String
  public var secondsEast: Int
  /// From when energy is counted, milliseconds since 1970.
  public var energySinceUnixMilliseconds: Int64
  /// Whether planned halls count as in service, for demonstrations.
  public var isDemonstration: Bool
  /// What the view is about: the nation, a factory, a rack, a node or an allocation.
  public var subject: PageGroup
  /// Whether the subject's power is that with cooling and losses; IT power otherwise.
  public var isWithCooling = false
  /// What the viewer's token sees, as matchers; empty: everything.
  public var scope: [String] = []
  public var factories: [PageGroup] = []
  public var allocations: [PageGroup] = []
  public var meters: [PageMeter] = []
  public var halls: [PageHall] = []
  public var nodes: [PageNode] = []
  /// How power went; `nil` where the view has no such rows.
  public var course: PageCourse?

  public init(
    version: String, nation: String, zone: String, secondsEast: Int, energySinceUnixMilliseconds: Int64,
    isDemonstration: Bool, subject: PageGroup
  ) {
    self.version = version
    self.nation = nation
    self.zone = zone
    self.secondsEast = secondsEast
    self.energySinceUnixMilliseconds = energySinceUnixMilliseconds
    self.isDemonstration = isDemonstration
    self.subject = subject
  }

  private enum CodingKeys: String, CodingKey {
    case version, nation, zone, subject, scope, factories, allocations, meters, halls, nodes, course
    case secondsEast = "seconds_east"
    case energySinceUnixMilliseconds = "energy_since_ms"
    case isDemonstration = "demonstration"
    case isWithCooling = "with_cooling"
  }
}

/// A place or an allocation that a row stands for.
public struct PageGroup: Encodable, Hashable, Sendable {
  /// Identifier of a factory, path of an allocation, name of a node.
  public var id: String
  public var name: String
  /// Who runs it, or where it is; `nil` when nobody says.
  public var remark: String?
  /// Distance from the root of the tree of allocations.
  public var depth: Int?
  public var parent: String?
  /// GPUs granted to an allocation.
  public var granted: Int?
  /// Watts that it should stay within: the budget of an allocation, the rating of a rack.
  public var limitWatts: Int64?
  /// Where a node or a rack stands, and whose a node is.
  public var factory: String?
  public var hall: String?
  public var rack: String?
  public var allocation: String?
  /// Whether a factory's power is that with cooling and losses, and its contracts are told: not of a share of it.
  public var isWhole: Bool?

  public init(id: String, name: String) {
    self.id = id
    self.name = name
  }

  private enum CodingKeys: String, CodingKey {
    case id, name, remark, depth, parent, granted, factory, hall, rack, allocation
    case limitWatts = "limit_w"
    case isWhole = "whole"
  }
}

/// A utility meter.
public struct PageMeter: Encodable, Hashable, Sendable {
  public var id: String
  public var name: String
  public var factory: String
  /// Names of the halls that it feeds.
  public var halls: [String]
  /// Contract power, watts, and the parts of it, in thousandths, at which people are warned; `nil` without a contract.
  public var contractWatts: Int64?
  public var warnPermille: Int?
  public var criticalPermille: Int?

  public init(
    id: String, name: String, factory: String, halls: [String], contractWatts: Int64?, warnPermille: Int?,
    criticalPermille: Int?
  ) {
    self.id = id
    self.name = name
    self.factory = factory
    self.halls = halls
    self.contractWatts = contractWatts
    self.warnPermille = warnPermille
    self.criticalPermille = criticalPermille
  }

  private enum CodingKeys: String, CodingKey {
    case id, name, factory, halls
    case contractWatts = "contract_w"
    case warnPermille = "warn_permille"
    case criticalPermille = "critical_permille"
  }
}

/// A hall and its racks.
public struct PageHall: Encodable, Hashable, Sendable {
  public var id: String
  public var name: String
  /// Whether it is in service.
  public var isInService: Bool
  public var limitWatts: Int64?
  public var racks: [String]
  /// Rating of the racks' feeds, watts, `nil` where unknown; one number when all are alike.
  public var rackLimits: [Int64?]

  public init(
    id: String, name: String, isInService: Bool, limitWatts: Int64?, racks: [String], rackLimits: [Int64?]
  ) {
    self.id = id
    self.name = name
    self.isInService = isInService
    self.limitWatts = limitWatts
    self.racks = racks
    self.rackLimits = Set(rackLimits).count == 1 ? [rackLimits[0]] : rackLimits
  }

  private enum CodingKeys: String, CodingKey {
    case id, name, racks
    case isInService = "in_service"
    case limitWatts = "limit_w"
    case rackLimits = "rack_limits_w"
  }
}

/// A node of a rack.
public struct PageNode: Encodable, Hashable, Sendable {
  public var id: String
  public var model: String
  public var gpus: Int
  public var allocation: String

  public init(id: String, model: String, gpus: Int, allocation: String) {
    self.id = id
    self.model = model
    self.gpus = gpus
    self.allocation = allocation
  }
}

/// Power of the last minutes, for the first look at a row: one number each `stepMilliseconds`, the last one at
/// `endUnixMilliseconds`, `nil` where nothing was known.
public struct PageCourse: Encodable, Hashable, Sendable {
  public var endUnixMilliseconds: Int64
  public var stepMilliseconds: Int64
  public var subject: [Int64?] = []
  public var factories: [[Int64?]] = []
  public var allocations: [[Int64?]] = []

  public init(endUnixMilliseconds: Int64, stepMilliseconds: Int64) {
    self.endUnixMilliseconds = endUnixMilliseconds
    self.stepMilliseconds = stepMilliseconds
  }

  private enum CodingKeys: String, CodingKey {
    case subject, factories, allocations
    case endUnixMilliseconds = "end_ms"
    case stepMilliseconds = "step_ms"
  }
}
