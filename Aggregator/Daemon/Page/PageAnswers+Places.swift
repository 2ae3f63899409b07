import BongsuAPI
import BongsuFleet
import BongsuIngest
import BongsuModel
import BongsuRollup

/// The nation, a factory, an allocation: rows of rollups that the scope covers.
extension PageAnswers {
  private func factories(_ scope: PageScope) -> [(index: FactoryIndex, cells: [PageCell])] {
    tree.factories.indices.map { (FactoryIndex($0), scope.cells(of: FactoryIndex($0))) }.filter { !$0.cells.isEmpty }
  }

  private func allocations(_ scope: PageScope) -> [(index: AllocationIndex, cells: [PageCell])] {
    tree.allocations.indices.map { (AllocationIndex($0), scope.cells(of: AllocationIndex($0))) }
      .filter { !$0.cells.isEmpty }
  }

  func summaryOpening(_ scope: PageScope) -> PageOpening {
    let whole = scope.nation()
    var opening = opening(PageGroup(id: tree.nation, name: tree.name), scope)
    opening.isWithCooling = whole.allSatisfy { $0.level == .nation || $0.level == .factory } && !whole.isEmpty
    return opening
  }

  func summaryFigures(_ scope: PageScope, _ snapshot: RollupSnapshot) -> PageFigures {
    var figures = PageFigures(tickUnixMilliseconds: snapshot.closed.tick.unixMilliseconds)
    figures.subject = PageRow(snapshot, scope.nation())
    return figures
  }

  func nationOpening(_ scope: PageScope) -> PageOpening {
    let factories = factories(scope)
    let allocations = allocations(scope)
    let whole = scope.nation()
    var opening = summaryOpening(scope)
    opening.factories = factories.map { group($0.index, $0.cells) }
    opening.allocations = allocations.map { group($0.index) }
    opening.meters = scope.meters().map { meter(tree.meters[$0]) }
    opening.course = course(whole, factories: factories.map(\.cells), allocations: allocations.map(\.cells))
    return opening
  }

  func nationFigures(_ scope: PageScope, _ snapshot: RollupSnapshot) -> PageFigures {
    var figures = PageFigures(tickUnixMilliseconds: snapshot.closed.tick.unixMilliseconds)
    figures.subject = PageRow(snapshot, scope.nation())
    figures.factories = factories(scope).map { PageRow(snapshot, $0.cells) }
    figures.allocations = allocations(scope).map { PageRow(snapshot, $0.cells) }
    figures.meters = scope.meters().map { row($0, snapshot) }
    return figures
  }

  // MARK: A factory

  /// Halls whose racks are shown: whole ones only, since a rack's totals hold everybody's share.
  private func halls(of factory: FactoryIndex, _ scope: PageScope) -> [Int] {
    tree[factory].halls.filter { scope.sees(.hall, $0) }
  }

  func factoryOpening(_ factory: FactoryIndex, _ scope: PageScope) throws -> PageOpening {
    let cells = scope.cells(of: factory)
    guard !cells.isEmpty else { throw APIError.unknownName("factory", tree[factory].id) }
    let shares = scope.shares(of: factory)
    var opening = opening(group(factory, cells), scope)
    opening.isWithCooling = cells[0].level == .factory
    opening.meters = scope.meters(of: factory).map { meter(tree.meters[$0]) }
    opening.halls = halls(of: factory, scope).map { position in
      let hall = tree.halls[position]
      let racks = tree.racks[hall.racks]
      let isInService = engine.newest.map { tree.isInService(HallIndex(position), at: $0.closed.tick) } ?? false
      return PageHall(
        id: hall.id, name: hall.name, isInService: isInService,
        limitWatts: hall.powerLimit.map { $0.milliwatts / 1000 }, racks: racks.map(\.id),
        rackLimits: racks.map { $0.powerLimit.map { $0.milliwatts / 1000 } })
    }
    opening.allocations = shares.map { group(plan.pairs[$0].allocation) }
    opening.course = course(cells, allocations: shares.map { [PageCell(.factoryAllocation, $0)] })
    return opening
  }

  func factoryFigures(
    _ factory: FactoryIndex, _ heat: HeatFigure, _ scope: PageScope, _ snapshot: RollupSnapshot
  ) -> PageFigures? {
    let tick = snapshot.closed
    let halls = halls(of: factory, scope)
    let racks = halls.reduce(0) { $0 + tree.halls[$1].racks.count }
    // A factory of many thousands of racks is told of every other tick, or more rarely.
    let pace = Int64((racks + APILimits.racksPerFrameMax - 1) / APILimits.racksPerFrameMax)
    if pace > 1, tick.tick.unixMilliseconds / Int64(tick.interval.milliseconds) % pace != 0 { return nil }
    var figures = PageFigures(tickUnixMilliseconds: tick.tick.unixMilliseconds)
    figures.subject = PageRow(snapshot, scope.cells(of: factory))
    figures.meters = scope.meters(of: factory).map { row($0, snapshot) }
    figures.halls = halls.map { PageRow(snapshot, .hall, $0) }
    figures.allocations = scope.shares(of: factory).map { PageRow(snapshot, .factoryAllocation, $0) }
    figures.racks = halls.flatMap { tree.halls[$0].racks.map { rack in figure(heat, rack, tick[.rack]) } }
    return figures
  }

  private func figure(_ heat: HeatFigure, _ rack: Int, _ table: CellTable) -> Int64? {
    guard rack < table.count else { return nil }
    switch heat {
    case .power: return table.isKnown(rack) ? table.totalMilliwatts(rack) / 1000 : nil
    case .utilization:
      guard let gauge = table.gauge(.gpuUtilization, rack), gauge.count > 0 else { return nil }
      return gauge.sum / gauge.count
    case .temperature: return table.gauge(.gpuTemperature, rack)?.max
    case .coverage: return table.coverage(rack).map { Int64($0 * 1000) }
    }
  }

  // MARK: An allocation

  private func parts(
    of allocation: AllocationIndex, _ scope: PageScope
  ) -> [(index: AllocationIndex, cells: [PageCell])] {
    allocations(scope).filter { tree[$0.index].parent == allocation }
  }

  func allocationOpening(_ allocation: AllocationIndex, _ scope: PageScope) throws -> PageOpening {
    let cells = scope.cells(of: allocation)
    guard !cells.isEmpty else { throw APIError.unknownName("allocation", tree[allocation].path) }
    let places = scope.places(of: allocation)
    let parts = parts(of: allocation, scope)
    var opening = opening(group(allocation), scope)
    opening.factories = places.map { group(plan.pairs[$0].factory, [PageCell(.factoryAllocation, $0)]) }
    opening.allocations = parts.map { group($0.index) }
    opening.course = course(
      cells, factories: places.map { [PageCell(.factoryAllocation, $0)] }, allocations: parts.map(\.cells))
    return opening
  }

  func allocationFigures(
    _ allocation: AllocationIndex, _ scope: PageScope, _ snapshot: RollupSnapshot
  ) -> PageFigures {
    var figures = PageFigures(tickUnixMilliseconds: snapshot.closed.tick.unixMilliseconds)
    figures.subject = PageRow(snapshot, scope.cells(of: allocation))
    figures.factories = scope.places(of: allocation).map { PageRow(snapshot, .factoryAllocation, $0) }
    figures.allocations = parts(of: allocation, scope).map { PageRow(snapshot, $0.cells) }
    return figures
  }
}
