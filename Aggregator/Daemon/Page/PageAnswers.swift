import BongsuAPI
import BongsuFleet
import BongsuIngest
import BongsuModel
import BongsuRollup

/// What the web page shows, from the newest closed tick, the ticks of the last minutes, and for single racks and nodes from
/// the shards' live rows.
struct PageAnswers: PageSource {
  let engine: IngestEngine
  let catalogue: RollupCatalogue
  /// Where the demand of a meter stands, by number of the meter.
  let outlook: @Sendable (Int) -> DemandMeter.Outlook?
  /// From when energy is counted where nothing was stored before.
  let startedUnixMilliseconds: Int64

  var plan: RollupPlan { engine.plan }
  var tree: FleetTree { engine.plan.tree }

  func forEachClosedTick(_ body: @Sendable () async -> Void) async {
    for await _ in engine.closedTicks() { await body() }
  }

  func opening(of view: PageView, for scope: AccessScope) async throws -> PageOpening {
    let scope = PageScope(scope: scope, catalogue: catalogue)
    switch view {
    case .nation: return nationOpening(scope)
    case .summary: return summaryOpening(scope)
    case .factory(let id, _): return try factoryOpening(try factory(id, scope), scope)
    case .rack(let factory, let hall, let rack): return try await rackOpening(index(factory, hall, rack), scope)
    case .node(let name): return try await nodeOpening(name, scope)
    case .allocation(let path): return try allocationOpening(try allocation(path, scope), scope)
    }
  }

  func figures(of view: PageView, for scope: AccessScope) async throws -> PageFigures? {
    guard let snapshot = engine.newest else { return nil }
    let scope = PageScope(scope: scope, catalogue: catalogue)
    switch view {
    case .nation: return nationFigures(scope, snapshot)
    case .summary: return summaryFigures(scope, snapshot)
    case .factory(let id, let heat): return factoryFigures(try factory(id, scope), heat, scope, snapshot)
    case .rack(let factory, let hall, let rack):
      return await rackFigures(try index(factory, hall, rack), scope, snapshot)
    case .node(let name): return await nodeFigures(name, scope, snapshot)
    case .allocation(let path): return allocationFigures(try allocation(path, scope), scope, snapshot)
    }
  }

  // MARK: Names

  /// What exists is not told to somebody who sees a part only.
  private func known(_ names: @autoclosure () -> [String], _ scope: PageScope) -> [String] {
    scope.scope.isUnlimited ? names() : []
  }

  private func factory(_ id: String, _ scope: PageScope) throws(APIError) -> FactoryIndex {
    guard let found = tree.factory(id) else {
      throw APIError.unknownName("factory", id, known: known(tree.factories.map(\.id), scope))
    }
    return found
  }

  private func allocation(_ path: String, _ scope: PageScope) throws(APIError) -> AllocationIndex {
    guard let found = tree.allocation(path) else {
      throw APIError.unknownName("allocation", path, known: known(tree.allocations.map(\.path), scope))
    }
    return found
  }

  private func index(_ factory: String, _ hall: String, _ rack: String) throws(APIError) -> RackIndex {
    if let factory = tree.factory(factory) {
      for position in tree[factory].halls where tree.halls[position].id == hall {
        if let found = tree.halls[position].racks.first(where: { tree.racks[$0].id == rack }) {
          return RackIndex(found)
        }
      }
    }
    throw APIError.unknownName("rack", "\(factory)/\(hall)/\(rack)")
  }

  /// An opening that has its subject only.
  func opening(_ subject: PageGroup, _ scope: PageScope) -> PageOpening {
    var opening = PageOpening(
      version: Release.version, nation: tree.name, zone: tree.timeZone.name, secondsEast: tree.timeZone.secondsEast,
      energySinceUnixMilliseconds: engine.newest?.energy.since?.unixMilliseconds ?? startedUnixMilliseconds,
      isDemonstration: tree.isDemonstration, subject: subject)
    opening.scope = scope.scope.texts
    return opening
  }

  func group(_ index: FactoryIndex, _ cells: [PageCell]) -> PageGroup {
    var group = PageGroup(id: tree[index].id, name: tree[index].name)
    group.remark = tree[index].operatorName.isEmpty ? nil : tree[index].operatorName
    group.isWhole = cells.allSatisfy { $0.level == .factory }
    return group
  }

  func group(_ index: AllocationIndex) -> PageGroup {
    let allocation = tree[index]
    var group = PageGroup(id: allocation.path, name: allocation.name)
    group.depth = allocation.depth - 1
    group.parent = allocation.parent.map { tree[$0].path }
    group.granted = allocation.grantedGPUs
    group.limitWatts = allocation.budget.map { $0.milliwatts / 1000 }
    return group
  }

  func meter(_ meter: Meter) -> PageMeter {
    PageMeter(
      id: meter.id, name: meter.name, factory: tree[meter.factory].id, halls: meter.halls.map { tree[$0].id },
      contractWatts: meter.contract.map { $0.milliwatts / 1000 }, warnPermille: meter.contract?.warnPermille,
      criticalPermille: meter.contract?.criticalPermille)
  }
}
