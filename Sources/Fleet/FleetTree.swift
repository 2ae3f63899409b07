public import BongsuModel

/// A share of a power figure at which people are warned, attached to the figure.
public struct PowerLimit: Hashable, Sendable {
  /// Contract power, rating or budget, milliwatts.
  public let milliwatts: Int64
  /// Thousandths of it at which a warning is due, and a critical alert.
  public let warnPermille: Int
  public let criticalPermille: Int
}

/// When a hall counts.
public enum ServiceState: Hashable, Sendable {
  /// Not yet: its nodes are known, and none is expected to report.
  case planned
  /// From this instant on its GPUs are expected to report.
  case inService(since: Tick)
}

/// An AI factory: one site.
public struct Factory: Hashable, Sendable {
  /// Label value, unique in the nation.
  public let id: String
  public let name: String
  /// Who runs the site; empty when the file does not say.
  public let operatorName: String
  public let location: String
  /// Its halls, as positions in ``FleetTree/halls``.
  public let halls: Range<Int>
  /// Facility power ÷ IT power, thousandths, where no meter says otherwise.
  public let puePermille: Int
  /// Largest change of power within 10 s and 60 s before people are warned, milliwatts; `nil` = no such alert.
  public let rampLimit10sMilliwatts: Int64?
  public let rampLimit60sMilliwatts: Int64?
}

/// A hall of a factory.
public struct Hall: Hashable, Sendable {
  /// Label value, unique in its factory.
  public let id: String
  public let name: String
  public let factory: FactoryIndex
  /// Its racks, as positions in ``FleetTree/racks``.
  public let racks: Range<Int>
  public let service: ServiceState
  /// Rating of what feeds the hall.
  public let powerLimit: PowerLimit?
  /// The meter that the hall hangs on.
  public let meter: MeterIndex?
}

/// A rack of a hall.
public struct Rack: Hashable, Sendable {
  /// Label value, unique in its hall.
  public let id: String
  public let hall: HallIndex
  /// Its nodes, as positions in ``FleetTree/nodes``.
  public let nodes: Range<Int>
  /// Rating of the rack's feed.
  public let powerLimit: PowerLimit?
}

/// A node: one machine with GPUs and one agent.
public struct FleetNode: Hashable, Sendable {
  public let id: NodeID
  public let rack: RackIndex
  /// Position in ``FleetTree/models``.
  public let model: Int
  /// GPUs it has.
  public let gpus: Int
  /// Its dated memberships, as positions in ``FleetTree/memberships``, ascending in time and without overlap.
  public let memberships: Range<Int>
}

/// A time during which a node belongs to an allocation: `from` is inside, `until` is not.
public struct Membership: Hashable, Sendable {
  public let allocation: AllocationIndex
  public let from: Tick
  public let until: Tick
}

/// A share of the nation's GPUs that somebody was granted: a ministry, a company, or a part of such a share.
public struct Allocation: Hashable, Sendable {
  /// Label value: names from the top down, joined by `/`.
  public let path: String
  public let name: String
  public let parent: AllocationIndex?
  /// 1 at the top of the tree.
  public let depth: Int
  /// GPUs granted, those of its children included; `nil` when the file does not say.
  public let grantedGPUs: Int?
  /// Whether the grant counts towards the nation's plan; children follow their parent.
  public let isInPlan: Bool
  /// The power it should stay within.
  public let budget: PowerLimit?
}

/// A utility meter: where a contract is billed.
public struct Meter: Hashable, Sendable {
  /// Label value, unique in the nation.
  public let id: String
  public let name: String
  public let factory: FactoryIndex
  /// Halls it feeds.
  public let halls: [HallIndex]
  /// Contract power and its warning levels.
  public let contract: PowerLimit?
  /// Facility power ÷ IT power, thousandths: used while no real reading is there.
  public let puePermille: Int
  /// The name under which the real meter's readings arrive (`bongsu_node_power_watts`); `nil` = computed from IT power.
  public let sourceNode: NodeID?
  /// Seconds that the meter's clock is ahead of UTC: its quarter-hours end that much earlier.
  public let clockOffsetSeconds: Int
  /// Months (1 to 12) whose peaks set the base charge for a year, besides the current month.
  public let ratchetMonths: [Int]
}

/// A time during which nodes are not expected to report.
public struct MaintenanceWindow: Hashable, Sendable {
  public let from: Tick
  public let until: Tick
  public let reason: String
  /// The nodes concerned, ascending.
  public let nodes: [NodeIndex]
}

/// Grid carbon intensity from an instant on.
public struct CarbonFactor: Hashable, Sendable {
  public let from: Tick
  /// Milligrams of CO2 equivalent per kilowatt-hour.
  public let milligramsPerKilowattHour: Int
}

/// The nation as a fleet file describes it: validated, immutable, and addressed by small integers.
///
/// Halls of a factory, racks of a hall and nodes of a rack are neighbours in their tables, in file order. The last
/// factory, hall, rack and allocation are `unassigned`: what no file places belongs there, so that sums always close.
/// A value of some arrays: copying it is cheap, and it can be read from any thread.
public struct FleetTree: Sendable {
  /// Label value and name of the nation.
  public let nation: String
  public let name: String
  /// The zone of its days and months.
  public let timeZone: TimeZoneOffset
  /// GPUs of the national plan, `nil` when the file does not say.
  public let planGPUs: Int?

  public let factories: [Factory]
  public let halls: [Hall]
  public let racks: [Rack]
  public let nodes: [FleetNode]
  public let allocations: [Allocation]
  public let meters: [Meter]
  public let models: [GPUModel]
  /// Memberships of all nodes, grouped by node.
  public let memberships: [Membership]
  /// Ascending by start.
  public let maintenance: [MaintenanceWindow]
  /// Ascending by start.
  public let carbonFactors: [CarbonFactor]
  /// Whether planned halls were switched on for a demonstration.
  public let isDemonstration: Bool
  /// Every instant at which a node's membership, its hall's service or its maintenance changes, ascending.
  public let changeInstants: [Tick]

  let nodeByID: [NodeID: NodeIndex]
  let allocationByPath: [String: AllocationIndex]
  let meterBySource: [NodeID: MeterIndex]
  /// Position of each hall's factory, and so on upwards, for lookups without touching names.
  let hallOfRack: [HallIndex]

  /// The label value of what nobody has placed.
  public static let unassignedID = "unassigned"
}
