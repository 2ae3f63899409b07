import BongsuAPI
import BongsuFleet
import BongsuIngest
import BongsuModel
import BongsuReports
import BongsuRollup

extension LiveAnswers {
  func topRows(for request: TopRequest, within access: AccessScope) async throws -> TopRows {
    let scope = try FleetScope(request.filter, tree, within: access)
    guard !scope.isNothing else {
      return TopRows(closedTickUnixMilliseconds: engine.newest?.closed.tick.unixMilliseconds, rows: [])
    }
    switch request.level {
    case .nodes, .gpus: return await liveRows(request, scope)
    case .nation, .factories, .halls, .racks, .allocations:
      guard let source = RollupSource(request.level, scope) else { return await summedRows(request.level, scope) }
      return rollupRows(source, scope)
    }
  }

  /// Rows straight from the cells of the newest closed tick.
  private func rollupRows(_ source: RollupSource, _ scope: FleetScope) -> TopRows {
    guard let snapshot = engine.newest else { return TopRows(closedTickUnixMilliseconds: nil, rows: []) }
    let table = snapshot.closed[source.level]
    var rows: [TopRow] = []
    for group in 0..<table.count {
      guard var row = source.row(group, engine.plan, scope) else { continue }
      row.take(table, group, energy: snapshot.energy.millijoules(source.level, group))
      // A place where nothing is expected and nothing reports is no news.
      guard row.gpusExpected > 0 || row.gpusReporting > 0 || row.gpusGranted != nil else { continue }
      rows.append(row)
    }
    return TopRows(
      closedTickUnixMilliseconds: snapshot.closed.tick.unixMilliseconds,
      energySinceUnixMilliseconds: snapshot.energy.since?.unixMilliseconds, rows: rows)
  }

  /// Rows for a cut that no level keeps (a hall's share of an allocation, say): summed from the live rows of its nodes.
  private func summedRows(_ level: TopLevel, _ scope: FleetScope) async -> TopRows {
    let tree = tree
    let now = engine.newest?.closed.tick
    let parts = await engine.ask { shard in
      var groups: [String: TopRow] = [:]
      shard.forEachNode { node in
        guard let place = NodePlace(node.id, tree, at: node.tick), scope.contains(place, node.id) else { return }
        let live = LiveTotals(node, newest: now)
        for (id, name, depth, parent) in place.groups(level, tree) where scope.shows(group: id, level) {
          groups[id, default: TopRow(id: id, name: name, depth: depth, parent: parent)].add(live)
        }
      }
      return groups
    }
    var merged: [String: TopRow] = [:]
    for part in parts {
      for (id, row) in part { merged[id] = merged[id].map { $0.merged(with: row) } ?? row }
    }
    if let now {
      for (id, expected) in scope.expected(level, tree, at: now) { merged[id]?.gpusExpected = expected }
    }
    return TopRows(closedTickUnixMilliseconds: now?.unixMilliseconds, rows: Array(merged.values), hasEstimates: false)
  }

  /// Rows of nodes or of single GPUs, from the live table.
  private func liveRows(_ request: TopRequest, _ scope: FleetScope) async -> TopRows {
    let tree = tree
    let newest = engine.newest?.closed.tick
    let pickers = await engine.ask { shard in
      var picker = TopPicker(order: request.order, limit: request.limit, search: request.search)
      shard.forEachNode { node in
        guard let place = NodePlace(node.id, tree, at: node.tick), scope.contains(place, node.id) else { return }
        if request.level == .nodes {
          picker.offer(TopRow(node, place, tree, newest: newest))
        } else {
          for row in TopRow.gpus(of: node, place, tree, newest: newest) { picker.offer(row) }
        }
      }
      return picker
    }
    return TopRows(
      closedTickUnixMilliseconds: newest?.unixMilliseconds, rows: pickers.flatMap { $0.sorted() },
      matched: pickers.reduce(0) { $0 + $1.offered }, hasEstimates: false)
  }
}

/// Which table of a closed tick answers a question; `nil` when none does.
struct RollupSource {
  let level: RollupLevel
  private let question: TopLevel

  init?(_ question: TopLevel, _ scope: FleetScope) {
    self.question = question
    guard scope.node == nil, !scope.needsNodes else { return nil }
    let isOfAll = scope.allocation == nil && !scope.hasSeveralAllocations
    switch question {
    case .nation where scope.isEmpty: level = .nation
    // What is left of the nation may be one cell.
    case .nation where !scope.isOneCell: return nil
    case .nation where scope.factory == nil: level = .allocation
    case .nation where scope.allocation == nil: level = .factory
    case .nation: level = .factoryAllocation
    case .factories where isOfAll && scope.hall == nil && scope.rack == nil: level = .factory
    case .halls where isOfAll && scope.rack == nil: level = .hall
    case .racks where isOfAll: level = .rack
    case .allocations where scope.factory == nil && !scope.hasSeveralFactories: level = .allocation
    // A pair of factory and allocation has its own cells, inner allocations included.
    case .factories where scope.isOneAllocation: level = .factoryAllocation
    case .allocations where scope.hall == nil && scope.rack == nil && scope.factory != nil: level = .factoryAllocation
    default: return nil
    }
  }

  /// The row of group number `group` without its figures, `nil` when the scope leaves it out.
  func row(_ group: Int, _ plan: RollupPlan, _ scope: FleetScope) -> TopRow? {
    let tree = plan.tree
    if question == .nation {
      guard isNation(group, plan, scope) else { return nil }
      return TopRow(id: tree.nation, name: tree.name)
    }
    switch level {
    case .nation: return nil
    case .factory: return factory(FactoryIndex(group), tree, scope)
    case .hall:
      let hall = tree.halls[group]
      guard scope.contains(factory: hall.factory), scope.hall ?? HallIndex(group) == HallIndex(group) else {
        return nil
      }
      var row = TopRow(id: "\(tree[hall.factory].id)/\(hall.id)", name: hall.name)
      row.factory = tree[hall.factory].id
      row.hall = hall.id
      return row
    case .rack: return rack(RackIndex(group), tree, scope)
    case .allocation: return allocation(AllocationIndex(group), tree, scope)
    case .factoryAllocation:
      let pair = plan.pairs[group]
      if question == .factories {
        // Only the asked-for allocation itself: its cells hold its subtree.
        guard pair.allocation == scope.allocation else { return nil }
        return factory(pair.factory, tree, scope)
      }
      guard scope.contains(factory: pair.factory) else { return nil }
      return allocation(pair.allocation, tree, scope)
    case .meter: return nil
    }
  }

  /// Whether a cell is all that the scope leaves of the nation.
  private func isNation(_ group: Int, _ plan: RollupPlan, _ scope: FleetScope) -> Bool {
    switch level {
    case .nation: true
    case .factory: FactoryIndex(group) == scope.factory
    case .allocation: AllocationIndex(group) == scope.allocation
    case .factoryAllocation:
      plan.pairs[group].factory == scope.factory && plan.pairs[group].allocation == scope.allocation
    case .hall, .rack, .meter: false
    }
  }

  private func factory(_ index: FactoryIndex, _ tree: FleetTree, _ scope: FleetScope) -> TopRow? {
    guard scope.contains(factory: index) else { return nil }
    var row = TopRow(id: tree[index].id, name: tree[index].name)
    row.factory = tree[index].id
    return row
  }

  private func rack(_ index: RackIndex, _ tree: FleetTree, _ scope: FleetScope) -> TopRow? {
    let hallIndex = tree.hall(of: index)
    let hall = tree[hallIndex]
    guard scope.contains(factory: hall.factory), scope.hall ?? hallIndex == hallIndex, scope.rack ?? index == index
    else { return nil }
    let factory = tree[hall.factory].id
    var row = TopRow(id: "\(factory)/\(hall.id)/\(tree[index].id)", name: tree[index].id)
    row.factory = factory
    row.hall = hall.id
    row.rack = tree[index].id
    return row
  }

  private func allocation(_ index: AllocationIndex, _ tree: FleetTree, _ scope: FleetScope) -> TopRow? {
    let allocation = tree[index]
    guard scope.shows(group: allocation.path, .allocations) else { return nil }
    if let wanted = scope.allocation {
      guard TopFilter.allocation(allocation.path, isWithin: tree[wanted].path) else { return nil }
    }
    var row = TopRow(
      id: allocation.path, name: allocation.name, depth: allocation.depth - 1,
      parent: allocation.parent.map { tree[$0].path })
    row.allocation = allocation.path
    row.gpusGranted = allocation.grantedGPUs
    return row
  }
}

extension TopRow {
  /// Takes the figures of a cell.
  mutating func take(_ table: CellTable, _ cell: Int, energy: Int64) {
    if let power = table.gauge(.gpuPower, cell) { measuredMilliwatts = power.sum }
    estimatedMilliwatts = table.field(.missingGPUPower, cell)
    if let utilization = table.gauge(.gpuUtilization, cell) {
      utilizationPermilleSum = utilization.sum
      utilizationSamples = Int(utilization.count)
    }
    energyMillijoules = energy
    gpusExpected = Int(table.field(.expectedGPUs, cell))
    gpusReporting = Int(table.field(.reportingGPUs, cell))
    gpusBusy = Int(table.field(.busyGPUs, cell))
  }
}
