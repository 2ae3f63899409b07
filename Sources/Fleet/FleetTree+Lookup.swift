public import BongsuModel

extension FleetTree {
  /// Where nodes stand that the file does not name.
  public var unassignedFactory: FactoryIndex { FactoryIndex(factories.count - 1) }
  public var unassignedHall: HallIndex { HallIndex(halls.count - 1) }
  public var unassignedRack: RackIndex { RackIndex(racks.count - 1) }
  /// Whom nodes belong to at times that no membership covers.
  public var unassignedAllocation: AllocationIndex { AllocationIndex(allocations.count - 1) }

  public subscript(_ index: FactoryIndex) -> Factory { factories[index.position] }
  public subscript(_ index: HallIndex) -> Hall { halls[index.position] }
  public subscript(_ index: RackIndex) -> Rack { racks[index.position] }
  public subscript(_ index: NodeIndex) -> FleetNode { nodes[index.position] }
  public subscript(_ index: AllocationIndex) -> Allocation { allocations[index.position] }
  public subscript(_ index: MeterIndex) -> Meter { meters[index.position] }

  /// The node called `id`, `nil` when the file does not name it. Takes constant time.
  public func node(_ id: NodeID) -> NodeIndex? { nodeByID[id] }

  /// The meter whose readings arrive under the name `id`. Takes constant time.
  public func meter(readBy id: NodeID) -> MeterIndex? { meterBySource[id] }

  /// The node whose machine is read under the name `id`, by its controller; `nil` when `id` is no such name, or the fleet
  /// has a node or a meter's source that is really called so. The node may be one that the fleet does not know.
  public func node(controlledBy id: NodeID) -> NodeID? {
    guard let node = id.controlled, nodeByID[id] == nil, meterBySource[id] == nil else { return nil }
    return node
  }

  /// Whether what is read under the name `id` is no node, and stands nowhere in the fleet: a meter's source or the
  /// controller of a node. Its readings are parts of others', never to be added to them.
  public func standsNowhere(_ id: NodeID) -> Bool { meter(readBy: id) != nil || node(controlledBy: id) != nil }

  /// The allocation with this full path. Takes constant time.
  public func allocation(_ path: String) -> AllocationIndex? { allocationByPath[path] }

  /// The factory called `id`. Takes time with the number of factories.
  public func factory(_ id: String) -> FactoryIndex? {
    factories.firstIndex { $0.id == id }.map { FactoryIndex($0) }
  }

  public func hall(of rack: RackIndex) -> HallIndex { hallOfRack[rack.position] }
  public func factory(of rack: RackIndex) -> FactoryIndex { self[hall(of: rack)].factory }
  public func rack(of node: NodeIndex) -> RackIndex { self[node].rack }
  public func hall(of node: NodeIndex) -> HallIndex { hall(of: self[node].rack) }
  public func factory(of node: NodeIndex) -> FactoryIndex { factory(of: self[node].rack) }
  public func model(of node: NodeIndex) -> GPUModel { models[self[node].model] }

  /// Whom `node` belongs to at `tick`; ``unassignedAllocation`` when no membership covers it.
  public func allocation(of node: NodeIndex, at tick: Tick) -> AllocationIndex {
    for membership in memberships[self[node].memberships] where membership.from <= tick && tick < membership.until {
      return membership.allocation
    }
    return unassignedAllocation
  }

  /// Whether `node` stands in a hall that is in service at `tick`. Maintenance is not looked at.
  public func isInService(_ node: NodeIndex, at tick: Tick) -> Bool {
    isInService(hall(of: node), at: tick)
  }

  /// Whether `hall` is in service at `tick`.
  public func isInService(_ hall: HallIndex, at tick: Tick) -> Bool {
    switch self[hall].service {
    case .planned: false
    case .inService(let since): since <= tick
    }
  }

  /// Whether `node` is in a maintenance window at `tick`. Takes time with the number of windows.
  public func isInMaintenance(_ node: NodeIndex, at tick: Tick) -> Bool {
    maintenance.contains { window in
      guard window.from <= tick, tick < window.until else { return false }
      let position = window.nodes.partitioningIndex { $0 >= node }
      return position < window.nodes.count && window.nodes[position] == node
    }
  }

  /// GPUs that are expected to report at `tick`, per node in table order: those of nodes in service and not in
  /// maintenance. Takes time with the number of nodes; constant between two ``changeInstants``.
  public func expectedGPUs(at tick: Tick) -> [Int32] {
    var expected = [Int32](repeating: 0, count: nodes.count)
    for hall in halls.indices where isInService(HallIndex(hall), at: tick) {
      for rack in halls[hall].racks {
        for node in racks[rack].nodes { expected[node] = Int32(nodes[node].gpus) }
      }
    }
    for window in maintenance where window.from <= tick && tick < window.until {
      for node in window.nodes { expected[node.position] = 0 }
    }
    return expected
  }

  /// The path and all paths above it, from `allocation` up to the top.
  public func lineage(of allocation: AllocationIndex) -> [AllocationIndex] {
    var lineage = [allocation]
    while let parent = self[lineage[lineage.count - 1]].parent { lineage.append(parent) }
    return lineage
  }

  /// The carbon factor in force at `tick`; `nil` before the first.
  public func carbonFactor(at tick: Tick) -> CarbonFactor? {
    let after = carbonFactors.partitioningIndex { $0.from > tick }
    return after > 0 ? carbonFactors[after - 1] : nil
  }

  /// Planning figure of what `node` draws when busy, milliwatts, the node's non-GPU share included.
  public func typicalMilliwatts(of node: NodeIndex) -> Int64 {
    let model = model(of: node)
    return model.estimatedNodeMilliwatts(gpuMilliwatts: Int64(model.typicalWatts) * 1000 * Int64(self[node].gpus))
  }
}

extension Array {
  /// First position whose element satisfies `belongsAfter`, given that all such elements come last.
  func partitioningIndex(where belongsAfter: (Element) -> Bool) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if belongsAfter(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
