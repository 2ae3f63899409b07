import BongsuFleet
import BongsuModel

/// Chooses which nodes of a fleet to simulate when not all of them are.
enum NodeSelection {
  /// `count` nodes, spread so that every allocation at every factory has at least one, and the rest in proportion to
  /// their nodes; within a group evenly over its racks. Ascending by position. All of them when `count` is larger.
  ///
  /// - Parameter excluded: nodes that real agents speak for.
  static func spread(_ count: Int, over tree: FleetTree, at tick: Tick, excluded: Set<NodeID>) -> [NodeIndex] {
    var groups: [Group: [NodeIndex]] = [:]
    var order: [Group] = []
    for position in tree.nodes.indices where !excluded.contains(tree.nodes[position].id) {
      let node = NodeIndex(position)
      let group = Group(factory: tree.factory(of: tree[node].rack), allocation: tree.allocation(of: node, at: tick))
      if groups[group] == nil { order.append(group) }
      groups[group, default: []].append(node)
    }
    let total = groups.values.reduce(0) { $0 + $1.count }
    var chosen: [NodeIndex] = []
    var left = min(count, total)
    var nodesLeft = total
    for (index, group) in order.enumerated() {
      guard let members = groups[group], left > 0 else { break }
      // One each for the groups still to come, the rest in proportion.
      let reserved = min(left - 1, order.count - index - 1)
      let share = (left * members.count + nodesLeft / 2) / max(nodesLeft, 1)
      let take = min(max(1, share), left - reserved, members.count)
      for pick in 0..<take { chosen.append(members[pick * members.count / take]) }
      left -= take
      nodesLeft -= members.count
    }
    return chosen.sorted()
  }

  private struct Group: Hashable {
    let factory: FactoryIndex
    let allocation: AllocationIndex
  }
}
