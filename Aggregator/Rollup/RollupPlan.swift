public import BongsuFleet
import BongsuModel

/// The levels at which totals are formed.
public enum RollupLevel: Int, Sendable, CaseIterable {
  case rack
  case hall
  case factory
  case nation
  /// Each allocation with all that lies in it; sum only over one depth.
  case allocation
  /// Each allocation at each factory where it has nodes.
  case factoryAllocation
  /// The halls that hang on one meter.
  case meter

  /// How the level is spelled in series names.
  public var prefix: String {
    switch self {
    case .rack: "rack"
    case .hall: "hall"
    case .factory: "factory"
    case .nation: "nation"
    case .allocation: "allocation"
    case .factoryAllocation: "factory_allocation"
    case .meter: "meter"
    }
  }
}

/// Which cell every node adds to, and which cells every group is the sum of: derived once from a fleet.
///
/// A *leaf cell* is a rack and an allocation that shares it. A node adds its rows to one leaf cell; every level is a sum
/// of leaf cells, so each GPU is in each level exactly once, and levels agree with each other exactly.
///
///     node ──▶ leaf (rack, allocation) ─┬▶ rack ──▶ hall ──▶ factory ──▶ nation
///                                       │            └────▶ meter
///                                       └▶ factory × allocation ──▶ allocation ──▶ … its parents
///
/// Immutable; read by all shards. What a tree does not know goes to the leaf of `unassigned`.
public struct RollupPlan: Sendable {
  /// The fleet it was made from.
  public let tree: FleetTree
  /// Rack of each leaf cell; ascending.
  let leafRack: [Int32]
  /// Allocation of each leaf cell.
  let leafAllocation: [Int32]
  /// First leaf cell of each rack, and one past the last.
  private let rackLeaves: [Int32]
  /// Position of each leaf cell's factory × allocation group.
  let leafPair: [Int32]
  /// Hall × allocation share of each leaf cell, and those shares: what quantile sketches are kept for.
  let leafHallShare: [Int32]
  let hallShares: [(hall: HallIndex, allocation: AllocationIndex)]
  /// Groups of ``RollupLevel/factoryAllocation``: every allocation, parents included, at every factory where it occurs.
  public let pairs: [(factory: FactoryIndex, allocation: AllocationIndex)]
  /// For each pair the pair of the same factory one level up, -1 at the top.
  let pairParent: [Int32]

  /// Derives the plan. Takes time with the number of nodes.
  public init(_ tree: FleetTree) {
    self.tree = tree
    var rackAllocations = [Set<Int32>](repeating: [], count: tree.racks.count)
    for node in tree.nodes {
      let spans = tree.memberships[node.memberships]
      for membership in spans { rackAllocations[node.rack.position].insert(membership.allocation.rawValue) }
      if !Self.coverAllTime(spans) {
        rackAllocations[node.rack.position].insert(tree.unassignedAllocation.rawValue)
      }
    }
    rackAllocations[tree.unassignedRack.position].insert(tree.unassignedAllocation.rawValue)
    var leafRack: [Int32] = []
    var leafAllocation: [Int32] = []
    var rackLeaves: [Int32] = [0]
    for (rack, allocations) in rackAllocations.enumerated() {
      for allocation in allocations.sorted() {
        leafRack.append(Int32(rack))
        leafAllocation.append(allocation)
      }
      rackLeaves.append(Int32(leafRack.count))
    }
    self.leafRack = leafRack
    self.leafAllocation = leafAllocation
    self.rackLeaves = rackLeaves

    var shares: [(hall: HallIndex, allocation: AllocationIndex)] = []
    var shareByKey: [Int64: Int32] = [:]
    leafHallShare = leafRack.indices.map { leaf in
      let hall = tree.hall(of: RackIndex(Int(leafRack[leaf])))
      let key = Int64(hall.rawValue) << 32 | Int64(leafAllocation[leaf])
      if let known = shareByKey[key] { return known }
      shareByKey[key] = Int32(shares.count)
      shares.append((hall, AllocationIndex(Int(leafAllocation[leaf]))))
      return Int32(shares.count - 1)
    }
    hallShares = shares

    var pairs: [(factory: FactoryIndex, allocation: AllocationIndex)] = []
    var pairParent: [Int32] = []
    var pairByKey: [Int64: Int32] = [:]
    func pair(_ factory: FactoryIndex, _ allocation: AllocationIndex) -> Int32 {
      let key = Int64(factory.rawValue) << 32 | Int64(allocation.rawValue)
      if let known = pairByKey[key] { return known }
      // The parent comes first, so that one pass from the end adds every child to a parent that is complete by then.
      let parent = tree[allocation].parent.map { pair(factory, $0) } ?? -1
      let index = Int32(pairs.count)
      pairByKey[key] = index
      pairs.append((factory, allocation))
      pairParent.append(parent)
      return index
    }
    leafPair = leafRack.indices.map { leaf in
      pair(tree.factory(of: RackIndex(Int(leafRack[leaf]))), AllocationIndex(Int(leafAllocation[leaf])))
    }
    self.pairs = pairs
    self.pairParent = pairParent
  }

  /// Leaf cells.
  public var leafCount: Int { leafRack.count }

  /// Groups of `level`, in the order of the fleet's table of that kind; the pairs' own order for factory × allocation.
  public func groupCount(_ level: RollupLevel) -> Int {
    switch level {
    case .rack: tree.racks.count
    case .hall: tree.halls.count
    case .factory: tree.factories.count
    case .nation: 1
    case .allocation: tree.allocations.count
    case .factoryAllocation: pairs.count
    case .meter: tree.meters.count
    }
  }

  /// Labels of group number `group` of `level`, in the order in which they are printed.
  public func labels(_ level: RollupLevel, _ group: Int) -> [(name: String, value: String)] {
    let nation = (name: "nation", value: tree.nation)
    func factory(_ index: FactoryIndex) -> (name: String, value: String) { ("factory", tree[index].id) }
    func allocation(_ index: AllocationIndex) -> [(name: String, value: String)] {
      [("allocation", tree[index].path), ("depth", String(tree[index].depth))]
    }
    switch level {
    case .nation: return [nation]
    case .factory: return [nation, factory(FactoryIndex(group))]
    case .hall: return [nation, factory(tree.halls[group].factory), ("hall", tree.halls[group].id)]
    case .rack:
      let hall = tree[tree.racks[group].hall]
      return [nation, factory(hall.factory), ("hall", hall.id), ("rack", tree.racks[group].id)]
    case .allocation: return [nation] + allocation(AllocationIndex(group))
    case .factoryAllocation: return [nation, factory(pairs[group].factory)] + allocation(pairs[group].allocation)
    case .meter: return [nation, factory(tree.meters[group].factory), ("meter", tree.meters[group].id)]
    }
  }

  /// The leaf cell to which `node` adds at `tick`; `nil` is a node that the tree does not know.
  func leaf(of node: NodeIndex?, at tick: Tick) -> Int {
    guard let node else { return leaf(rack: tree.unassignedRack, tree.unassignedAllocation) }
    return leaf(rack: tree[node].rack, tree.allocation(of: node, at: tick))
  }

  /// The span around `tick` in which no node changes its leaf, its service or its maintenance: `from` ≤ `tick` < `until`.
  func era(at tick: Tick) -> (from: Tick, until: Tick) {
    let instants = tree.changeInstants
    var low = 0
    var high = instants.count
    while low < high {
      let middle = (low + high) / 2
      if instants[middle] > tick { high = middle } else { low = middle + 1 }
    }
    return (low > 0 ? instants[low - 1] : .earliest, low < instants.count ? instants[low] : .latest)
  }

  /// Whether a node always belongs to somebody. Before, between and after its memberships it is nobody's.
  private static func coverAllTime(_ spans: ArraySlice<Membership>) -> Bool {
    var end = BongsuModel.Limits.tickRange.lowerBound
    for span in spans {
      guard span.from <= end else { return false }
      end = span.until
    }
    return end >= BongsuModel.Limits.tickRange.upperBound
  }

  private func leaf(rack: RackIndex, _ allocation: AllocationIndex) -> Int {
    for leaf in rackLeaves[rack.position]..<rackLeaves[rack.position + 1]
    where leafAllocation[Int(leaf)] == allocation.rawValue {
      return Int(leaf)
    }
    preconditionFailure("rack \(rack.position) has no leaf for allocation \(allocation.position)")
  }
}

extension Tick {
  /// Before and after everything.
  static let earliest = Tick(unixMilliseconds: .min)
  static let latest = Tick(unixMilliseconds: .max)
}
