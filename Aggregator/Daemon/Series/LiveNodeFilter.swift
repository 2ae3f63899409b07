import BongsuFleet
import BongsuModel
import BongsuSeries

/// Decides which nodes, metrics and devices of the live table a selector can mean.
///
/// Places and allocations are looked at once per rack and per allocation, not once per node: a nation's nodes take a
/// fraction of a millisecond.
struct LiveNodeFilter {
  let filter: SeriesFilter
  let tree: FleetTree
  /// Whether labels that no live series has, and the nation, leave anything at all.
  private let isPossible: Bool
  private let node: [LabelMatcher]
  /// Matchers of labels that differ between the devices of a node.
  let device: [LabelMatcher]
  private var racks: [Verdict]
  private var allocations: [Verdict]
  private var metrics: [UInt16: (name: String, isWanted: Bool)] = [:]
  private let standsNowhere: Bool
  private let belongsToNobody: Bool

  private enum Verdict {
    case open
    case yes
    case no
  }

  /// Labels of live series.
  static let place: Set<String> = ["factory", "hall", "rack"]
  static let ofDevices = Set(SeriesLabels.ofDevices)

  init(_ filter: SeriesFilter, _ tree: FleetTree) {
    self.filter = filter
    self.tree = tree
    let known = Self.place.union(Self.ofDevices).union(["nation", "node", "allocation", Label.metricName])
    isPossible =
      filter.includes("nation", tree.nation) && filter.matchers.allSatisfy { known.contains($0.name) || $0.matches("") }
    node = filter.matchers.filter { $0.name == "node" }
    device = filter.matchers.filter { Self.ofDevices.contains($0.name) }
    racks = Array(repeating: .open, count: tree.racks.count)
    allocations = Array(repeating: .open, count: tree.allocations.count)
    standsNowhere = Self.place.allSatisfy { filter.includes($0, "") }
    belongsToNobody = filter.includes("allocation", "")
  }

  /// Whether series of the node can be meant.
  mutating func includes(_ labels: LiveNodeLabels) -> Bool {
    guard isPossible else { return false }
    guard let rack = labels.rack, let allocation = labels.allocation else {
      return standsNowhere && belongsToNobody && includes(name: labels.id)
    }
    return includes(rack) && includes(allocation) && includes(name: labels.id)
  }

  /// Whether a column holds a metric that is meant.
  mutating func includes(_ metric: Metric) -> Bool {
    if let known = metrics[metric.id.rawValue], known.name == metric.name { return known.isWanted }
    let isWanted = filter.includes(name: metric.name)
    metrics[metric.id.rawValue] = (metric.name, isWanted)
    return isWanted
  }

  /// Whether a device is meant.
  func includes(device labels: LabelSet) -> Bool {
    for matcher in device where !matcher.matches(labels[matcher.name]) { return false }
    return true
  }

  /// Whether nodes in a rack can be meant.
  mutating func mayStand(in rack: RackIndex) -> Bool { isPossible && includes(rack) }

  /// Whether nodes can be meant that no fleet file names, or sources of meters.
  mutating func mayMeanUnassigned() -> Bool {
    isPossible && (includes(tree.unassignedRack) || standsNowhere && belongsToNobody)
  }

  private func includes(name id: NodeID) -> Bool {
    for matcher in node where !matcher.matches(id.name) { return false }
    return true
  }

  private mutating func includes(_ rack: RackIndex) -> Bool {
    if racks[rack.position] == .open {
      let hall = tree.hall(of: rack)
      let isWanted =
        filter.includes("factory", tree[tree[hall].factory].id) && filter.includes("hall", tree[hall].id)
        && filter.includes("rack", tree[rack].id)
      racks[rack.position] = isWanted ? .yes : .no
    }
    return racks[rack.position] == .yes
  }

  private mutating func includes(_ allocation: AllocationIndex) -> Bool {
    if allocations[allocation.position] == .open {
      allocations[allocation.position] = filter.includes("allocation", tree[allocation].path) ? .yes : .no
    }
    return allocations[allocation.position] == .yes
  }
}
