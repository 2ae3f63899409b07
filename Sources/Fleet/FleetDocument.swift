import BongsuModel
import Yams

/// What a fleet file says, entry by entry, with the place of each: types and ranges are checked, references are not
/// resolved yet. ``FleetBuilder`` turns it into a ``FleetTree``.
struct FleetDocument {
  var nation = ""
  var name = ""
  var timeZone = TimeZoneOffset.utc
  var planGPUs: Int?
  var models: [(model: GPUModel, position: FilePosition)] = []
  var factories: [FactoryEntry] = []
  var allocations: [AllocationEntry] = []
  var maintenance: [MaintenanceEntry] = []
  var carbonFactors: [(factor: CarbonFactor, position: FilePosition)] = []

  /// What racks inherit from their hall, and halls from their factory.
  struct NodeDefaults {
    var model: (key: String, position: FilePosition)?
    var gpusPerNode: Int?
  }

  struct FactoryEntry {
    var position: FilePosition
    var id = ""
    var name = ""
    var operatorName = ""
    var location = ""
    var puePermille: Int?
    var rampLimit10sMilliwatts: Int64?
    var rampLimit60sMilliwatts: Int64?
    var halls: [HallEntry] = []
    var meters: [MeterEntry] = []
  }

  struct HallEntry {
    var position: FilePosition
    var id = ""
    var name = ""
    var service = ServiceState.planned
    var powerLimit: PowerLimit?
    var racks: [RackEntry] = []
  }

  struct RackEntry {
    var position: FilePosition
    var ids: NamePattern
    /// Node pattern that may hold `{factory}`, `{hall}` and `{rack}`.
    var nodes: (text: String, position: FilePosition)
    var defaults: NodeDefaults
    var powerLimit: PowerLimit?
  }

  struct MeterEntry {
    var position: FilePosition
    var id = ""
    var name = ""
    /// Empty = all halls of the factory.
    var halls: [(text: String, position: FilePosition)] = []
    var contract: PowerLimit?
    var puePermille: Int?
    var source: (id: NodeID, position: FilePosition)?
    var clockOffsetSeconds = 0
    var ratchetMonths: [Int] = []
  }

  struct AllocationEntry {
    var position: FilePosition
    var path = ""
    var name = ""
    var grantedGPUs: Int?
    var isOutsidePlan = false
    var budget: PowerLimit?
    var members: [MemberEntry] = []
  }

  struct MemberEntry {
    var patterns: [(text: String, position: FilePosition)]
    var from: Tick
    var until: Tick
  }

  struct MaintenanceEntry {
    var position: FilePosition
    var from: Tick
    var until: Tick
    var reason = ""
    var nodes: [(text: String, position: FilePosition)] = []
    /// Patterns of `FACTORY/HALL/RACK` and of `FACTORY/HALL`.
    var racks: [(text: String, position: FilePosition)] = []
    var halls: [(text: String, position: FilePosition)] = []
  }
}
