import BongsuAPI
import BongsuFleet
import BongsuIngest
import BongsuModel
import BongsuRollup
import BongsuSeries

/// A group of one level, whose cells a row adds up.
struct PageCell: Hashable {
  let level: RollupLevel
  let group: Int

  init(_ level: RollupLevel, _ group: Int) {
    self.level = level
    self.group = group
  }
}

/// Which rollups somebody may see. Every group has labels, and the scope says which labels it covers: a factory of which
/// it covers a share only is shown by that share.
struct PageScope {
  let scope: AccessScope
  let catalogue: RollupCatalogue

  private var plan: RollupPlan { catalogue.plan }
  private var tree: FleetTree { catalogue.plan.tree }

  func sees(_ level: RollupLevel, _ group: Int) -> Bool {
    scope.isUnlimited || scope.includes(catalogue.groups(level)[group])
  }

  /// The whole nation, or all that is seen of it: no GPU twice.
  func nation() -> [PageCell] {
    sees(.nation, 0) ? [PageCell(.nation, 0)] : tree.factories.indices.flatMap { cells(of: FactoryIndex($0)) }
  }

  /// A factory, or what is seen of it: halls, racks, or the shares of allocations; empty when nothing is.
  func cells(of factory: FactoryIndex) -> [PageCell] {
    if sees(.factory, factory.position) { return [PageCell(.factory, factory.position)] }
    let halls = tree[factory].halls.flatMap { hall in
      sees(.hall, hall)
        ? [PageCell(.hall, hall)] : tree.halls[hall].racks.filter { sees(.rack, $0) }.map { PageCell(.rack, $0) }
    }
    guard halls.isEmpty else { return halls }
    return shares(of: factory).filter { !isWithinAnother($0) }.map { PageCell(.factoryAllocation, $0) }
  }

  /// An allocation, or what is seen of it: its parts at some factories; empty when nothing is.
  func cells(of allocation: AllocationIndex) -> [PageCell] {
    if sees(.allocation, allocation.position) { return [PageCell(.allocation, allocation.position)] }
    return places(of: allocation).map { PageCell(.factoryAllocation, $0) }
  }

  /// Pairs of a factory with allocations, and of an allocation with factories.
  func shares(of factory: FactoryIndex) -> [Int] {
    plan.pairs.indices.filter { plan.pairs[$0].factory == factory && sees(.factoryAllocation, $0) }
  }

  func places(of allocation: AllocationIndex) -> [Int] {
    plan.pairs.indices.filter { plan.pairs[$0].allocation == allocation && sees(.factoryAllocation, $0) }
  }

  func meters(of factory: FactoryIndex? = nil) -> [Int] {
    tree.meters.indices.filter { factory ?? tree.meters[$0].factory == tree.meters[$0].factory && sees(.meter, $0) }
  }

  /// Whether a node may be seen.
  func sees(_ id: NodeID, at place: NodePlace) -> Bool {
    guard !scope.isUnlimited else { return true }
    return scope.includes([
      "node": id.name, "factory": tree[place.factory].id, "hall": tree[place.hall].id, "rack": tree[place.rack].id,
      "allocation": tree[place.allocation].path,
    ])
  }

  /// Whether the pair of the allocation above is seen too, which contains this one.
  private func isWithinAnother(_ pair: Int) -> Bool {
    let (factory, allocation) = plan.pairs[pair]
    guard let parent = tree[allocation].parent else { return false }
    return plan.pairs.indices.contains {
      plan.pairs[$0].factory == factory && plan.pairs[$0].allocation == parent && sees(.factoryAllocation, $0)
    }
  }
}
