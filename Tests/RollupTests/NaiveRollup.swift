import BongsuFleet
import BongsuModel
import BongsuRollup

/// The rollup as one would write it on a blackboard: keeps every row and adds up what a question needs, reading the
/// fleet tree anew for every node and tick.
struct NaiveRollup {
  struct Entry {
    var node: NodeID
    var layout: RowLayout
    var tick: Tick
    var row: [Int64]
  }

  let tree: FleetTree
  var entries: [Entry] = []

  /// Whether an entry is part of group `group` of `level`.
  func contains(_ level: RollupLevel, _ group: Int, _ entry: Entry, _ plan: RollupPlan) -> Bool {
    let node = tree.node(entry.node)
    let rack = node.map { tree.rack(of: $0) } ?? tree.unassignedRack
    let allocation = node.map { tree.allocation(of: $0, at: entry.tick) } ?? tree.unassignedAllocation
    switch level {
    case .nation: return true
    case .factory: return tree.factory(of: rack).position == group
    case .hall: return tree.hall(of: rack).position == group
    case .rack: return rack.position == group
    case .allocation: return tree.lineage(of: allocation).contains(AllocationIndex(group))
    case .factoryAllocation:
      return tree.factory(of: rack) == plan.pairs[group].factory
        && tree.lineage(of: allocation).contains(plan.pairs[group].allocation)
    case .meter: return tree[tree.hall(of: rack)].meter?.position == group
    }
  }

  /// Sum, count and extremes of a gauge over the entries of one tick.
  func gauge(_ metric: MetricID, _ entries: [Entry]) -> (sum: Int64, count: Int64, min: Int64?, max: Int64?) {
    var readings: [Int64] = []
    for entry in entries {
      guard let column = entry.layout.column(of: metric) else { continue }
      readings += entry.row[entry.layout.range(of: column)].filter { $0 != SampleValue.absent.bits }
    }
    return (readings.reduce(0, +), Int64(readings.count), readings.min(), readings.max())
  }

  /// GPUs with a power or utilization reading.
  func reportingGPUs(_ entries: [Entry]) -> Int64 {
    var count: Int64 = 0
    for entry in entries {
      let power = readings(.gpuPower, entry)
      let utilization = readings(.gpuUtilization, entry)
      count += Int64(zip(power, utilization).count { $0 != SampleValue.absent.bits || $1 != SampleValue.absent.bits })
    }
    return count
  }

  func readings(_ metric: MetricID, _ entry: Entry) -> [Int64] {
    guard let column = entry.layout.column(of: metric) else { return [] }
    return Array(entry.row[entry.layout.range(of: column)])
  }
}
