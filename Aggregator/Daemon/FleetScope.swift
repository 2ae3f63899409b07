import BongsuAPI
import BongsuFleet
import BongsuModel
import BongsuReports

/// A `top` filter with its names looked up.
struct FleetScope: Sendable {
  private(set) var factory: FactoryIndex?
  private(set) var hall: HallIndex?
  private(set) var rack: RackIndex?
  private(set) var allocation: AllocationIndex?
  private(set) var node: NodeID?
  /// Whether the filter and what may be seen have nothing in common.
  private(set) var isNothing = false
  /// Whether several allocations beside each other may be seen and not what is above them.
  private(set) var hasSeveralAllocations = false
  /// What may be seen, the filter left aside.
  private let access: AccessScope
  /// What of the fleet that is, by position; `nil`: no limit.
  private var factories: [Bool]?
  private var halls: [Bool]?
  private var racks: [Bool]?
  private var allocations: [Bool]?

  /// Looks names up, and narrows them to what may be seen.
  ///
  /// - Throws: ``APIError`` of `unknown_name` for a name that the fleet does not have.
  init(_ filter: TopFilter, _ tree: FleetTree, within access: AccessScope = .unlimited) throws {
    self.access = access
    if let id = filter.factory {
      guard let found = tree.factory(id) else {
        throw APIError.unknownName("factory", id, known: tree.factories.map(\.id))
      }
      factory = found
    }
    if let path = filter.allocation {
      guard let found = tree.allocation(path) else {
        throw APIError.unknownName("allocation", path, known: tree.allocations.map(\.path))
      }
      allocation = found
    }
    if let name = filter.hall { try look(upHall: name, tree) }
    if let name = filter.rack { try look(upRack: name, tree) }
    if let name = filter.node {
      guard let id = NodeID(name) else { throw APIError.unknownName("node", name) }
      node = id
    }
    if !access.isUnlimited { narrow(tree) }
  }

  /// Whether nothing is narrowed.
  var isEmpty: Bool {
    factory == nil && hall == nil && rack == nil && allocation == nil && node == nil && access.isUnlimited
  }

  /// Whether only nodes can tell what may be seen, since no total of a level is limited like that.
  var needsNodes: Bool { access.limits("hall") || access.limits("rack") || access.limits("node") }
  /// Whether several factories may be seen and not all of them.
  var hasSeveralFactories: Bool { factories != nil && factory == nil }

  /// Whether one factory, one allocation or the one's share in the other is meant, which have cells.
  var isOneCell: Bool {
    hall == nil && rack == nil && !hasSeveralFactories && !hasSeveralAllocations
      && (factory != nil || allocation != nil)
  }

  /// Whether one allocation with all below it is meant, in whatever factories.
  var isOneAllocation: Bool { hall == nil && rack == nil && allocation != nil && !hasSeveralAllocations }

  func contains(factory index: FactoryIndex) -> Bool {
    factory ?? index == index && factories?[index.position] ?? true
  }

  /// Whether a node at `place` is meant.
  func contains(_ place: NodePlace, _ id: NodeID) -> Bool {
    contains(factory: place.factory) && (hall ?? place.hall) == place.hall && (rack ?? place.rack) == place.rack
      && (node ?? id) == id && (allocation.map { place.lineage.contains($0) } ?? true)
      && halls?[place.hall.position] ?? true && racks?[place.rack.position] ?? true
      && allocations?[place.allocation.position] ?? true && access.covers("node", id.name)
  }

  /// Whether the row of a group may be shown: of an allocation above those that may be seen not even the name is.
  func shows(group id: String, _ level: TopLevel) -> Bool {
    level == .allocations ? access.covers("allocation", id) : true
  }

  /// Takes in what may be seen. Where a single factory or allocation is left, it becomes the filter's, so that the totals
  /// of closed ticks answer; what may be seen of allocations is so with everything below.
  private mutating func narrow(_ tree: FleetTree) {
    func covered(_ label: String, _ values: [String]) -> [Bool]? {
      access.limits(label) ? values.map { access.covers(label, $0) } : nil
    }
    factories = covered("factory", tree.factories.map(\.id))
    halls = covered("hall", tree.halls.map(\.id))
    racks = covered("rack", tree.racks.map(\.id))
    allocations = covered("allocation", tree.allocations.map(\.path))
    if let factories {
      let left = factories.indices.filter { factories[$0] && (factory.map { $0.position } ?? $0) == $0 }
      isNothing = isNothing || left.isEmpty
      if left.count == 1 { factory = FactoryIndex(left[0]) }
    }
    if let allocations {
      let tops = allocations.indices.filter { index in
        guard allocations[index] else { return false }
        let allocation = tree.allocations[index]
        if let asked = self.allocation {
          // The asked-for one itself, or the highest below it that may be seen.
          if index == asked.position { return true }
          guard TopFilter.allocation(allocation.path, isWithin: tree[asked].path) else { return false }
          return !(allocation.parent.map { allocations[$0.position] } ?? false)
        }
        return !(allocation.parent.map { allocations[$0.position] } ?? false)
      }
      isNothing = isNothing || tops.isEmpty
      if tops.count == 1 { allocation = AllocationIndex(tops[0]) } else { hasSeveralAllocations = true }
    }
    if let node, !access.covers("node", node.name) { isNothing = true }
  }

  /// GPUs expected in the scope at `tick`, per group of `level`.
  func expected(_ level: TopLevel, _ tree: FleetTree, at tick: Tick) -> [String: Int] {
    var expected: [String: Int] = [:]
    for (position, gpus) in tree.expectedGPUs(at: tick).enumerated() where gpus > 0 {
      let id = tree.nodes[position].id
      guard let place = NodePlace(id, tree, at: tick), contains(place, id) else { continue }
      for group in place.groups(level, tree) { expected[group.id, default: 0] += Int(gpus) }
    }
    return expected
  }

  /// `factory/hall`, or a bare name together with a factory.
  private mutating func look(upHall name: String, _ tree: FleetTree) throws {
    let parts = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    for (position, candidate) in tree.halls.enumerated() {
      let owner = candidate.factory
      let isMeant =
        parts.count == 2
        ? tree[owner].id == parts[0] && candidate.id == parts[1] : candidate.id == name && factory == owner
      guard isMeant, contains(factory: owner) else { continue }
      hall = HallIndex(position)
      factory = owner
      return
    }
    throw APIError.unknownName(
      "hall", name, known: tree.halls.map { "\(tree[$0.factory].id)/\($0.id)" })
  }

  /// `factory/hall/rack`, or a bare name together with a hall.
  private mutating func look(upRack name: String, _ tree: FleetTree) throws {
    let parts = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    if parts.count == 3 { try look(upHall: "\(parts[0])/\(parts[1])", tree) }
    guard let hall else { throw APIError.unknownName("rack", name) }
    let racks = tree[hall].racks
    guard let found = racks.first(where: { tree.racks[$0].id == parts[parts.count - 1] }) else {
      throw APIError.unknownName("rack", name, known: racks.map { tree.racks[$0].id })
    }
    rack = RackIndex(found)
  }
}

/// Where a node stands and to whom it belongs.
struct NodePlace: Sendable {
  let factory: FactoryIndex
  let hall: HallIndex
  let rack: RackIndex
  let allocation: AllocationIndex
  /// The allocation and all above it.
  let lineage: [AllocationIndex]

  /// The place of `id` at `tick`; that of unknown nodes is `unassigned`. `nil` for the source of a meter and
  /// for a controller, which are no nodes of the fleet.
  init?(_ id: NodeID, _ tree: FleetTree, at tick: Tick?) {
    guard !tree.standsNowhere(id) else { return nil }
    if let node = tree.node(id) {
      rack = tree[node].rack
      allocation = tree.allocation(of: node, at: tick ?? Tick(unixMilliseconds: 0))
    } else {
      rack = tree.unassignedRack
      allocation = tree.unassignedAllocation
    }
    hall = tree.hall(of: rack)
    factory = tree.factory(of: rack)
    lineage = tree.lineage(of: allocation)
  }

  /// The groups of `level` that the node belongs to: one, or its allocation and those above it.
  func groups(_ level: TopLevel, _ tree: FleetTree) -> [(id: String, name: String, depth: Int, parent: String?)] {
    let factoryID = tree[factory].id
    switch level {
    case .nation: return [(tree.nation, tree.name, 0, nil)]
    case .factories: return [(factoryID, tree[factory].name, 0, nil)]
    case .halls: return [("\(factoryID)/\(tree[hall].id)", tree[hall].name, 0, nil)]
    case .racks: return [("\(factoryID)/\(tree[hall].id)/\(tree[rack].id)", tree[rack].id, 0, nil)]
    case .allocations:
      return lineage.map { index in
        let allocation = tree[index]
        return (allocation.path, allocation.name, allocation.depth - 1, allocation.parent.map { tree[$0].path })
      }
    case .nodes, .gpus: return []
    }
  }
}
