public import BongsuModel

/// One row layout made of the inventories of several sources, and the way of each source's values into its rows.
///
/// A device belongs to one source: where two claim the same key, or two deliver the same metric of the node, the one
/// that was configured first keeps it and the other's values go nowhere; ``conflicts`` says so. Device indices are kept
/// where they are free and moved up where an earlier source has taken them. Columns stand in ascending order of metric
/// number, so the layout does not depend on the order of discovery.
public struct CombinedLayout: Sendable {
  /// The shape of the rows.
  public let layout: RowLayout
  /// What had to be left out and why; empty when all fits.
  public let conflicts: [SourceConflict]

  /// For each source, the place in the row of each of its values; -1 for values left out.
  private let places: [[Int32]]

  /// Combines `inventories`, one per source in order of configuration, named `names`, with further metrics of the node
  /// that the caller fills by itself.
  ///
  /// Total over its input: devices and columns beyond the limits of a row are left out and named in ``conflicts``.
  ///
  /// - Precondition: there is at least one column.
  public init(interval: TickInterval, names: [String], inventories: [SourceInventory], nodeMetrics: [Metric]) {
    precondition(names.count == inventories.count)
    var builder = CombinedLayoutBuilder(nodeMetrics: nodeMetrics)
    for (source, inventory) in inventories.enumerated() {
      builder.add(inventory, source: source, name: names[source])
    }
    let columns = builder.columns.sorted { $0.id < $1.id }
    let layout: RowLayout
    do {
      layout = try RowLayout(interval: interval, columns: columns, devices: builder.devices)
    } catch {
      preconditionFailure("combined layout is invalid: \(error)")
    }
    self.layout = layout
    self.conflicts = builder.conflicts
    self.places = inventories.indices.map { source in
      Self.places(of: inventories[source], source: source, in: layout, builder: builder)
    }
  }

  /// Copies the values of source number `source` to their places in `row`.
  ///
  /// - Precondition: `values` has the inventory's width and `row` the layout's.
  /// - Complexity: O(values); allocates nothing.
  public func scatter(source: Int, values: Span<Int64>, into row: inout MutableSpan<Int64>) {
    let places = self.places[source]
    precondition(places.count == values.count && row.count == layout.width)
    for index in values.indices where places[index] >= 0 {
      row[Int(places[index])] = values[index]
    }
  }

  private static func places(
    of inventory: SourceInventory, source: Int, in layout: RowLayout, builder: CombinedLayoutBuilder
  ) -> [Int32] {
    var places: [Int32] = []
    places.reserveCapacity(inventory.width)
    for column in inventory.columns {
      let target = layout.column(of: column.id)
      for (index, device) in inventory.devices.enumerated() where device.scope == column.scope {
        guard let target, builder.owns(source: source, column: column, device: index) else {
          places.append(-1)
          continue
        }
        let owned = builder.place(source: source, device: index)
        let rank = layout.devices[..<owned].count { $0.scope == column.scope }
        places.append(Int32(layout.offset(of: target) + rank))
      }
    }
    return places
  }
}

/// Why some values of a source do not appear in rows.
public enum SourceConflict: Hashable, Sendable, CustomStringConvertible {
  /// Two sources name the same device.
  case device(key: String, keptBy: String, droppedFrom: String)
  /// Two sources deliver the same metric of the node.
  case nodeMetric(name: String, keptBy: String, droppedFrom: String)
  /// A metric number is known with another meaning.
  case meaning(name: String, droppedFrom: String)
  /// A row cannot hold more.
  case tooMany(what: String, droppedFrom: String, limit: Int)

  public var description: String {
    switch self {
    case .device(let key, let kept, let dropped):
      "device \(key) is read by source \(kept); source \(dropped) names it as well and is not used for it"
    case .nodeMetric(let name, let kept, let dropped):
      "\(name) is read by source \(kept); source \(dropped) delivers it as well and is not used for it"
    case .meaning(let name, let dropped):
      "source \(dropped) delivers \(name) under a number that means something else; its values are left out"
    case .tooMany(let what, let dropped, let limit):
      "source \(dropped) has more \(what) than a row can hold, limit \(limit); the rest is left out"
    }
  }
}

/// The mutable state of combining: who owns which device and which metric of the node.
private struct CombinedLayoutBuilder {
  var columns: [Metric]
  var devices: [Device] = [.node]
  var conflicts: [SourceConflict] = []

  /// Sources and their devices' positions in `devices`, `nil` for devices left out.
  private var owned: [[Int?]] = []
  private var names: [String] = []
  private var keyOwners: [String: Int] = [:]
  private var nodeOwners: [MetricID: Int] = [:]

  init(nodeMetrics: [Metric]) {
    columns = nodeMetrics
    for metric in nodeMetrics { nodeOwners[metric.id] = -1 }
  }

  func owns(source: Int, column: Metric, device: Int) -> Bool {
    guard owned[source][device] != nil else { return false }
    guard let known = columns.first(where: { $0.id == column.id }), known == column else { return false }
    return column.scope != .node || nodeOwners[column.id] == source
  }

  func place(source: Int, device: Int) -> Int {
    guard let place = owned[source][device] else { preconditionFailure("device \(device) was left out") }
    return place
  }

  mutating func add(_ inventory: SourceInventory, source: Int, name: String) {
    names.append(name)
    for column in inventory.columns { add(column, source: source, name: name) }
    owned.append([])
    for device in inventory.devices {
      owned[source].append(device.scope == .node ? 0 : add(device, source: source, name: name))
    }
  }

  private mutating func add(_ column: Metric, source: Int, name: String) {
    if column.scope == .node {
      if let owner = nodeOwners[column.id] {
        let keeper = owner < 0 ? "agent" : names[owner]
        conflicts.append(.nodeMetric(name: column.name, keptBy: keeper, droppedFrom: name))
        return
      }
      nodeOwners[column.id] = source
    }
    if let known = columns.first(where: { $0.id == column.id }) {
      if known != column { conflicts.append(.meaning(name: column.name, droppedFrom: name)) }
      return
    }
    guard columns.count < Limits.columnsMax, width + deviceCount(column.scope) <= Limits.rowWidthMax else {
      conflicts.append(.tooMany(what: "metrics", droppedFrom: name, limit: Limits.columnsMax))
      return
    }
    columns.append(column)
  }

  private mutating func add(_ device: Device, source: Int, name: String) -> Int? {
    let key = Self.clipped(device.key, to: Limits.deviceKeyBytesMax)
    if let owner = keyOwners[key] {
      conflicts.append(.device(key: key, keptBy: names[owner], droppedFrom: name))
      return nil
    }
    let columnCount = columns.count { $0.scope == device.scope }
    guard devices.count < Limits.devicesMax, width + columnCount <= Limits.rowWidthMax else {
      let conflict = SourceConflict.tooMany(what: "devices", droppedFrom: name, limit: Limits.devicesMax)
      if conflicts.last != conflict { conflicts.append(conflict) }
      return nil
    }
    if !key.isEmpty { keyOwners[key] = source }
    var index = device.index
    while devices.contains(where: { $0.scope == device.scope && $0.index == index }) { index += 1 }
    devices.append(
      Device(
        scope: device.scope, index: index, key: key,
        model: Self.clipped(device.model, to: Limits.deviceModelBytesMax)))
    return devices.count - 1
  }

  private var width: Int { columns.reduce(0) { $0 + deviceCount($1.scope) } }

  private func deviceCount(_ scope: DeviceScope) -> Int { devices.count { $0.scope == scope } }

  /// At most `limit` bytes of `text`, cut between characters: drivers' names are short, but not ours to trust.
  private static func clipped(_ text: String, to limit: Int) -> String {
    guard text.utf8.count > limit else { return text }
    var result = ""
    for character in text {
      guard result.utf8.count + character.utf8.count <= limit else { break }
      result.append(character)
    }
    return result
  }
}
