import BongsuFleet
public import BongsuModel

/// Energy per group of every level since a data directory was begun, late rows included: the ``EnergyLedger``s of all shards
/// added up.
public struct EnergyTotals: Sendable {
  /// Tick of the first row that was counted; `nil` before it.
  public let since: Tick?
  /// Wider than the ledgers' own: 64 bits of millijoules are a nation's year and a half.
  private var totals: [[Int128]]

  /// Takes time with the plan's leaf cells.
  public init(_ plan: RollupPlan, _ parts: [EnergyLedger.Sums] = []) {
    since = parts.lazy.compactMap(\.since).min()
    totals = RollupLevel.allCases.map { [Int128](repeating: 0, count: plan.groupCount($0)) }
    for part in parts {
      for (leaf, joules) in part.leaves.enumerated() where joules != 0 {
        self[.rack, Int(plan.leafRack[leaf])] += Int128(joules)
        self[.factoryAllocation, Int(plan.leafPair[leaf])] += Int128(joules)
      }
    }
    let tree = plan.tree
    for rack in tree.racks.indices { self[.hall, tree.racks[rack].hall.position] += self[.rack, rack] }
    for hall in tree.halls.indices { self[.factory, tree.halls[hall].factory.position] += self[.hall, hall] }
    for factory in tree.factories.indices { self[.nation, 0] += self[.factory, factory] }
    // Parents stand before their children.
    for pair in plan.pairs.indices.reversed() {
      let parent = Int(plan.pairParent[pair])
      if parent >= 0 { self[.factoryAllocation, parent] += self[.factoryAllocation, pair] }
      self[.allocation, plan.pairs[pair].allocation.position] += self[.factoryAllocation, pair]
    }
    for part in parts { for (place, joules) in part.elsewhere { add(place, Int128(joules), plan) } }
    for (hall, entry) in tree.halls.enumerated() {
      if let meter = entry.meter { self[.meter, meter.position] += self[.hall, hall] }
    }
  }

  /// Energy of group number `group` of `level`, mJ.
  public func millijoules(_ level: RollupLevel, _ group: Int) -> Int64 {
    Int64(clamping: totals[level.rawValue][group])
  }

  /// The same in whole joules.
  public func joules(_ level: RollupLevel, _ group: Int) -> Int64 {
    Int64(clamping: totals[level.rawValue][group] / 1000)
  }

  private subscript(_ level: RollupLevel, _ group: Int) -> Int128 {
    get { totals[level.rawValue][group] }
    set { totals[level.rawValue][group] = newValue }
  }

  /// Adds what was drawn in a place that is no leaf cell any more, at every level that still has it.
  private mutating func add(_ place: EnergyPlace, _ joules: Int128, _ plan: RollupPlan) {
    let tree = plan.tree
    self[.nation, 0] += joules
    let factory = tree.factory(place.factory)
    if let factory {
      self[.factory, factory.position] += joules
      if let hall = tree[factory].halls.first(where: { tree.halls[$0].id == place.hall }) {
        self[.hall, hall] += joules
        if let rack = tree.halls[hall].racks.first(where: { tree.racks[$0].id == place.rack }) {
          self[.rack, rack] += joules
        }
      }
    }
    // The longest path that the plan has, and what it is part of.
    var names = place.allocation.split(separator: "/")
    while !names.isEmpty, tree.allocation(names.joined(separator: "/")) == nil { names.removeLast() }
    while !names.isEmpty {
      if let allocation = tree.allocation(names.joined(separator: "/")) {
        self[.allocation, allocation.position] += joules
        if let factory,
          let pair = plan.pairs.firstIndex(where: { $0.factory == factory && $0.allocation == allocation })
        {
          self[.factoryAllocation, pair] += joules
        }
      }
      names.removeLast()
    }
  }
}
