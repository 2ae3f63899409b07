import BongsuAPI
import BongsuAdmission
import BongsuFleet
import BongsuIngest
import BongsuModel
import BongsuReports
import BongsuRollup
import BongsuStore

extension LiveAnswers {
  func nodes(matching filter: NodeFilter) async throws -> [NodeReport] {
    if let id = filter.factory, tree.factory(id) == nil {
      throw APIError.unknownName("factory", id, known: tree.factories.map(\.id))
    }
    let tree = tree
    let newest = engine.newest?.closed.tick
    var reports = await engine.ask { shard in
      var reports: [NodeReport] = []
      shard.forEachNode { reports.append(NodeReport($0, tree, newest: newest)) }
      return reports
    }.flatMap(\.self)
    if !filter.isUnassignedOnly { reports += missing(besides: Set(reports.map(\.id)), at: newest) }
    identify(&reports)
    return reports.filter { report in
      if let state = filter.state, report.state != state { return false }
      if let factory = filter.factory, report.factory != factory { return false }
      return !filter.isUnassignedOnly || report.factory == nil
    }
  }

  func node(named name: String) async throws -> NodeReport? {
    guard let id = NodeID(name) else { return nil }
    let tree = tree
    let newest = engine.newest?.closed.tick
    let found = await engine.ask { shard in shard.node(id) { NodeReport($0, tree, newest: newest) } }
    let member = keys?.member(id)
    guard
      var report = found.compactMap(\.self).first ?? tree.node(id).map({ NodeReport(missing: $0, tree, at: newest) })
    else { return member.map { NodeReport(joined: $0) } }
    if let member { report.identify(member) }
    return report
  }

  /// Adds what the registry knows, and the nodes that only the registry knows.
  private func identify(_ reports: inout [NodeReport]) {
    guard let keys else { return }
    var members = Dictionary(keys.members.map { ($0.node.name, $0) }, uniquingKeysWith: { first, _ in first })
    for index in reports.indices {
      if let member = members.removeValue(forKey: reports[index].id) { reports[index].identify(member) }
    }
    reports += members.values.map { NodeReport(joined: $0) }
  }

  /// Nodes in service that never came.
  private func missing(besides known: Set<String>, at newest: Tick?) -> [NodeReport] {
    guard let newest else { return [] }
    return tree.expectedGPUs(at: newest).enumerated().compactMap { position, gpus in
      guard gpus > 0, !known.contains(tree.nodes[position].id.name) else { return nil }
      return NodeReport(missing: NodeIndex(position), tree, at: newest)
    }
  }
}

extension NodeReport {
  /// A node that has spoken.
  init(_ node: LiveNode, _ tree: FleetTree, newest: Tick?) {
    self.init(id: node.id.name, state: node.isConnected ? .connected : .silent)
    gpus = node.layout?.devices.count { $0.scope == .gpu } ?? 0
    lastTickUnixMilliseconds = node.tick?.unixMilliseconds
    skewMilliseconds = node.agentVersion.isEmpty ? nil : node.skewMilliseconds
    agentVersion = node.agentVersion.isEmpty ? nil : node.agentVersion
    if node.isKeyShared {
      remark = "two machines use its key; revoke it and let each of them join by itself"
    } else if tree.node(node.id) == nil {
      remark = "no rack of the fleet file names it; add it there, or stop its agent"
    } else if let place = NodePlace(node.id, tree, at: node.tick) {
      stand(at: place, tree)
    }
  }

  /// A node of the fleet file that has never spoken.
  init(missing index: NodeIndex, _ tree: FleetTree, at tick: Tick?) {
    self.init(id: tree[index].id.name, state: .missing, gpus: tree[index].gpus)
    if let place = NodePlace(tree[index].id, tree, at: tick) { stand(at: place, tree) }
    remark = "the fleet file expects it and no agent has spoken for it; install one"
  }

  private mutating func stand(at place: NodePlace, _ tree: FleetTree) {
    factory = tree[place.factory].id
    hall = tree[place.hall].id
    rack = tree[place.rack].id
    allocation = tree[place.allocation].path
  }
}
