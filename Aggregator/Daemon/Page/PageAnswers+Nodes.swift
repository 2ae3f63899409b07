import BongsuAPI
import BongsuFleet
import BongsuIngest
import BongsuModel
import BongsuRollup

/// A rack with its nodes, and a node with its GPUs: from the shards' live rows.
extension PageAnswers {
  /// Nodes that the fleet file puts in the rack, or those that it does not know.
  private func nodes(of rack: RackIndex) async -> [NodeID] {
    guard rack == tree.unassignedRack else { return tree[rack].nodes.map { tree.nodes[$0].id } }
    let fleet = tree
    let found = await engine.ask { shard in
      var strangers: [NodeID] = []
      shard.forEachNode { node in
        guard strangers.count < APILimits.nodesPerFrameMax, fleet.node(node.id) == nil,
          !fleet.standsNowhere(node.id)
        else { return }
        strangers.append(node.id)
      }
      return strangers
    }
    return Array(found.flatMap(\.self).sorted { $0.name < $1.name }.prefix(APILimits.nodesPerFrameMax))
  }

  /// The nodes of a rack that the scope covers.
  private func nodes(of rack: RackIndex, _ scope: PageScope) async -> [NodeID] {
    let all = await nodes(of: rack)
    guard !scope.scope.isUnlimited else { return all }
    let tick = engine.newest?.closed.tick
    return all.filter { id in NodePlace(id, tree, at: tick).map { scope.sees(id, at: $0) } ?? false }
  }

  func rackOpening(_ rack: RackIndex, _ scope: PageScope) async throws -> PageOpening {
    let hall = tree.hall(of: rack)
    let ids = await nodes(of: rack, scope)
    guard !ids.isEmpty || scope.scope.isUnlimited else {
      throw APIError.unknownName("rack", "\(tree[tree[hall].factory].id)/\(tree[hall].id)/\(tree[rack].id)")
    }
    var subject = PageGroup(id: tree[rack].id, name: tree[rack].id)
    subject.factory = tree[tree[hall].factory].id
    subject.hall = tree[hall].id
    subject.rack = tree[rack].id
    subject.limitWatts = tree[rack].powerLimit.map { $0.milliwatts / 1000 }
    var opening = opening(subject, scope)
    let tick = engine.newest?.closed.tick ?? Tick(unixMilliseconds: 0)
    opening.nodes = ids.map { id in
      guard let index = tree.node(id) else {
        return PageNode(id: id.name, model: "", gpus: 0, allocation: FleetTree.unassignedID)
      }
      return PageNode(
        id: id.name, model: tree.model(of: index).key, gpus: tree[index].gpus,
        allocation: tree[tree.allocation(of: index, at: tick)].path)
    }
    return opening
  }

  func rackFigures(_ rack: RackIndex, _ scope: PageScope, _ snapshot: RollupSnapshot) async -> PageFigures {
    let tick = snapshot.closed.tick
    var figures = PageFigures(tickUnixMilliseconds: tick.unixMilliseconds)
    if scope.sees(.rack, rack.position) { figures.subject = PageRow(snapshot, .rack, rack.position) }
    let ids = await nodes(of: rack, scope)
    let answers = await engine.ask { shard in ids.map { id in shard.node(id) { PageNodeRow($0, newest: tick) } } }
    figures.nodes = ids.enumerated().map { position, id in
      answers.lazy.compactMap { $0[position] }.first ?? unheard(id, at: tick)
    }
    return figures
  }

  /// The row of a node that never came.
  private func unheard(_ id: NodeID, at tick: Tick) -> PageNodeRow {
    let isExpected = tree.node(id).map { tree.isInService($0, at: tick) && !tree.isInMaintenance($0, at: tick) }
    return PageNodeRow(isExpected ?? true ? .missing : .unexpected)
  }

  func nodeOpening(_ name: String, _ scope: PageScope) async throws -> PageOpening {
    guard let id = NodeID(name), let place = NodePlace(id, tree, at: engine.newest?.closed.tick),
      scope.sees(id, at: place)
    else { throw APIError.unknownName("node", name) }
    if tree.node(id) == nil {
      let isLive = await engine.ask { shard in shard.node(id) { _ in true } ?? false }.contains(true)
      guard isLive else { throw APIError.unknownName("node", name) }
    }
    var subject = PageGroup(id: id.name, name: id.name)
    subject.factory = tree[place.factory].id
    subject.hall = tree[place.hall].id
    subject.rack = tree[place.rack].id
    subject.allocation = tree[place.allocation].path
    subject.remark = tree.node(id).map { tree.model(of: $0).key }
    return opening(subject, scope)
  }

  func nodeFigures(_ name: String, _ scope: PageScope, _ snapshot: RollupSnapshot) async -> PageFigures? {
    let tick = snapshot.closed.tick
    // Asked at every tick: a node may change its owner while it is looked at.
    guard let id = NodeID(name), let place = NodePlace(id, tree, at: tick), scope.sees(id, at: place) else {
      return nil
    }
    var figures = PageFigures(tickUnixMilliseconds: tick.unixMilliseconds)
    let answers = await engine.ask { shard in
      shard.node(id) { node in (PageNodeRow(node, newest: tick), PageGPURow.rows(of: node, newest: tick)) }
    }
    let found = answers.compactMap(\.self).first
    figures.nodes = [found?.0 ?? unheard(id, at: tick)]
    figures.gpus = found?.1 ?? []
    return figures
  }
}

extension PageNodeRow {
  init(_ node: LiveNode, newest: Tick) {
    self.init(node.isCurrent(newest) ? .current : .silent)
    guard state == .current, let layout = node.layout else { return }
    let totals = LiveTotals(node, newest: newest)
    reporting = totals.reporting
    busy = totals.busy
    let gpus = 0..<totals.gpus
    let powers = gpus.compactMap { node.value(.gpuPower, $0) }
    gpuWatts = powers.isEmpty ? nil : powers.reduce(0, &+) / 1000
    if totals.utilizationSamples > 0 { utilizationPermille = totals.utilizationSum / Int64(totals.utilizationSamples) }
    hottestDecicelsius = gpus.compactMap { node.value(.gpuTemperature, $0) }.max()
    if let column = layout.column(of: .nodePower) {
      nodeWatts = node.value(column: column, device: 0).reading.map { $0 / 1000 }
    }
  }
}

extension PageGPURow {
  private static let metrics: [MetricID] = [
    .gpuPower, .gpuPowerLimit, .gpuUtilization, .gpuMemoryUsed, .gpuMemoryTotal, .gpuTemperature, .gpuSMClock,
    .gpuClockEventReasons,
  ]

  static func rows(of node: LiveNode, newest: Tick) -> [PageGPURow] {
    guard let layout = node.layout else { return [] }
    let isCurrent = node.isCurrent(newest)
    return layout.devices(in: .gpu).prefix(APILimits.gpusPerFrameMax).enumerated().map { position, device in
      PageGPURow(
        index: Int(device.index), key: device.key, model: device.model,
        readings: metrics.map { isCurrent ? node.value($0, position) : nil })
    }
  }
}
