import BongsuFleet
import BongsuModel
import BongsuSeries

/// The labels of all series of one node, made once for as long as its layout and its allocation stay the same.
final class LiveNodeLabels: Sendable {
  let id: NodeID
  /// The version of the layout that they were made for; see `LiveRow`.
  let layoutVersion: UInt32
  let layout: RowLayout
  /// Where it stands; `nil` for the source of a meter, which stands nowhere.
  let rack: RackIndex?
  /// Whose it is; `nil` for the source of a meter.
  let allocation: AllocationIndex?
  /// The ticks for which the allocation holds: `from` ≤ tick < `until`.
  let from: Tick
  let until: Tick
  /// The family of all its sets.
  let family: LabelFamily
  /// Labels without metric name, per scope and device in the order of the layout.
  private let sets: [[LabelSet]]

  init(_ id: NodeID, _ layout: RowLayout, version: UInt32, at tick: Tick, _ labels: SeriesLabels) {
    self.id = id
    layoutVersion = version
    self.layout = layout
    let tree = labels.tree
    let place = NodePlace(id, tree, at: tick)
    rack = place?.rack
    allocation = place?.allocation
    (from, until) = tree.node(id).map { tree.membershipSpan(of: $0, at: tick) } ?? (Tick.first, Tick.last)
    let allocation = place?.allocation
    // Made once for all devices: a nation has 300,000 of them.
    let family = LabelFamily(differing: SeriesLabels.ofDevices)
    self.family = family
    let shared = labels.shared(of: id, allocation).map { Label(name: $0.name, value: $0.value) }
    sets = DeviceScope.allCases.map { scope in
      layout.devices(in: scope).map { device in
        let own = labels.own(of: device).map { Label(name: $0.name, value: $0.value) }
        return LabelSet(metricName: "", labels: shared + own, family: family)
      }
    }
  }

  /// Labels of the devices of a scope, in the order of the layout.
  func devices(_ scope: DeviceScope) -> [LabelSet] { sets[Int(scope.rawValue)] }

  /// Whether they hold for a row of this tick and layout.
  func hold(at tick: Tick, layoutVersion version: UInt32) -> Bool {
    version == layoutVersion && from <= tick && tick < until
  }
}

extension Tick {
  /// Before and after everything.
  static let first = Tick(unixMilliseconds: .min)
  static let last = Tick(unixMilliseconds: .max)
}

extension FleetTree {
  /// The span around `tick` in which the node's allocation does not change: `from` ≤ `tick` < `until`.
  func membershipSpan(of node: NodeIndex, at tick: Tick) -> (from: Tick, until: Tick) {
    var from = Tick.first
    var until = Tick.last
    for membership in memberships[self[node].memberships] {
      for edge in [membership.from, membership.until] {
        if edge <= tick { from = max(from, edge) } else { until = min(until, edge) }
      }
    }
    return (from, until)
  }
}
