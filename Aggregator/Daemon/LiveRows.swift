import BongsuFleet
import BongsuIngest
import BongsuModel
import BongsuReports
import BongsuRollup

/// What a node's newest row says, added up over its GPUs. Empty when the row is older than three intervals.
struct LiveTotals {
  var gpus = 0
  var reporting = 0
  var busy = 0
  var milliwatts: Int64 = 0
  var utilizationSum: Int64 = 0
  var utilizationSamples = 0

  init(_ node: LiveNode, newest: Tick?) {
    guard let layout = node.layout else { return }
    gpus = layout.devices.count { $0.scope == .gpu }
    guard node.isCurrent(newest) else { return }
    for gpu in 0..<gpus {
      let power = node.value(.gpuPower, gpu)
      let utilization = node.value(.gpuUtilization, gpu)
      reporting += power == nil && utilization == nil ? 0 : 1
      milliwatts += power ?? 0
      if let utilization {
        utilizationSum += utilization
        utilizationSamples += 1
        busy += utilization >= BongsuRollup.Limits.busyUtilizationPermille ? 1 : 0
      }
    }
  }
}

extension LiveNode {
  /// Whether the row is at most three intervals older than the newest closed tick.
  func isCurrent(_ newest: Tick?) -> Bool {
    guard let tick, let layout else { return false }
    guard let newest else { return true }
    return newest.unixMilliseconds - tick.unixMilliseconds <= 3 * Int64(layout.interval.milliseconds)
  }

  /// The newest reading of `metric` for GPU number `gpu`, wire units.
  func value(_ metric: MetricID, _ gpu: Int) -> Int64? {
    guard let layout, let column = layout.column(of: metric), gpu < layout.deviceCount(of: column) else { return nil }
    return value(column: column, device: gpu).reading
  }
}

extension TopRow {
  /// The row of a node.
  init(_ node: LiveNode, _ place: NodePlace, _ tree: FleetTree, newest: Tick?) {
    self.init(id: node.id.name, name: node.id.name)
    stand(at: place, tree)
    let models = Set(node.layout?.devices(in: .gpu).map(\.model) ?? [])
    model = models.count == 1 ? models.first : nil
    add(LiveTotals(node, newest: newest))
    if let index = tree.node(node.id), let newest {
      let isExpected = tree.isInService(index, at: newest) && !tree.isInMaintenance(index, at: newest)
      gpusExpected = isExpected ? tree[index].gpus : 0
    } else {
      gpusExpected = node.layout?.devices.count { $0.scope == .gpu } ?? 0
    }
    let counters = (0..<gpusExpected).compactMap { node.value(.gpuEnergy, $0) }
    energyMillijoules = counters.isEmpty ? nil : counters.reduce(0, &+)
  }

  /// One row for each GPU of a node.
  static func gpus(of node: LiveNode, _ place: NodePlace, _ tree: FleetTree, newest: Tick?) -> [TopRow] {
    guard let layout = node.layout else { return [] }
    let isCurrent = node.isCurrent(newest)
    return layout.devices(in: .gpu).enumerated().map { index, device in
      var row = TopRow(id: "\(node.id)/\(device.key)", name: "\(node.id) gpu \(device.index)")
      row.stand(at: place, tree)
      row.node = node.id.name
      row.model = device.model.isEmpty ? nil : device.model
      row.gpusExpected = 1
      guard isCurrent else { return row }
      let power = node.value(.gpuPower, index)
      let utilization = node.value(.gpuUtilization, index)
      row.measuredMilliwatts = power ?? 0
      row.utilizationPermilleSum = utilization ?? 0
      row.utilizationSamples = utilization == nil ? 0 : 1
      row.energyMillijoules = node.value(.gpuEnergy, index)
      row.gpusReporting = power == nil && utilization == nil ? 0 : 1
      row.gpusBusy = (utilization ?? 0) >= BongsuRollup.Limits.busyUtilizationPermille ? 1 : 0
      return row
    }
  }

  /// Adds what a node's newest row says.
  mutating func add(_ live: LiveTotals) {
    measuredMilliwatts += live.milliwatts
    utilizationPermilleSum += live.utilizationSum
    utilizationSamples += live.utilizationSamples
    gpusReporting += live.reporting
    gpusBusy += live.busy
  }

  /// The sum of two rows of the same group.
  func merged(with other: TopRow) -> TopRow {
    var row = self
    row.measuredMilliwatts += other.measuredMilliwatts
    row.estimatedMilliwatts += other.estimatedMilliwatts
    row.utilizationPermilleSum += other.utilizationPermilleSum
    row.utilizationSamples += other.utilizationSamples
    row.gpusReporting += other.gpusReporting
    row.gpusBusy += other.gpusBusy
    return row
  }

  private mutating func stand(at place: NodePlace, _ tree: FleetTree) {
    factory = tree[place.factory].id
    hall = tree[place.hall].id
    rack = tree[place.rack].id
    allocation = tree[place.allocation].path
  }
}
