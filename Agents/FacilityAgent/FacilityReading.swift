import BongsuDevices
import BongsuModel

/// What one endpoint says of one node at one moment: devices, and per device what was read.
///
/// Values are in the metrics' wire units. What was not read is not there.
struct FacilityReading: Hashable, Sendable {
  /// The node's own readings.
  var node: [MetricID: Int64] = [:]
  /// GPUs by key, each with its number and product name.
  private(set) var gpus: [String: GPU] = [:]

  struct GPU: Hashable, Sendable {
    var index: UInt16
    var model: String
    var values: [MetricID: Int64] = [:]
  }

  var isEmpty: Bool { node.isEmpty && gpus.isEmpty }

  /// Notes a value of a GPU, which is made known by it.
  mutating func set(_ metric: MetricID, _ value: Int64, gpu key: String, index: UInt16, model: String) {
    gpus[key, default: GPU(index: index, model: model)].values[metric] = value
  }

  /// A reading in wire units; `nil` for what is no finite number or too large to be one.
  static func wire(_ value: Double, times factor: Double) -> Int64? {
    let scaled = (value * factor).rounded()
    guard scaled.isFinite, scaled.magnitude <= Double(Limits.sampleMagnitudeMax) else { return nil }
    return Int64(scaled)
  }
}

/// The devices and metrics that an endpoint has shown for a node so far. They only grow, so that an endpoint that does not
/// answer for a while does not change the shape of rows; what is missing is absent.
struct FacilityShape: Hashable, Sendable {
  private(set) var inventory = SourceInventory.empty
  private var roster = DeviceRosterByKey()

  /// Takes note of a reading.
  ///
  /// - Returns: whether the inventory has changed.
  mutating func take(_ reading: FacilityReading) -> Bool {
    var metrics = Set(inventory.columns.map(\.id))
    metrics.formUnion(reading.node.keys)
    for gpu in reading.gpus.values { metrics.formUnion(gpu.values.keys) }
    roster.take(reading)
    let known = metrics.filter { MetricCatalogue.metric($0) != nil }
    let fresh = SourceInventory(metrics: known.sorted(), devices: roster.devices)
    defer { inventory = fresh }
    return fresh != inventory
  }

  /// The values of `reading` in the order of the inventory; absent what it lacks.
  func values(of reading: FacilityReading?) -> [Int64] {
    var values = [Int64](repeating: SampleValue.absent.bits, count: inventory.width)
    guard let reading else { return values }
    let gpus = inventory.devices.filter { $0.scope == .gpu }
    for (column, metric) in inventory.columns.enumerated() {
      let offset = inventory.offset(of: column)
      switch metric.scope {
      case .node: if let value = reading.node[metric.id] { values[offset] = SampleValue(value).bits }
      case .gpu:
        for (place, device) in gpus.enumerated() {
          if let value = reading.gpus[device.key]?.values[metric.id] {
            values[offset + place] = SampleValue(value).bits
          }
        }
      case .module: break
      }
    }
    return values
  }
}

/// GPUs in the order of their numbers; a number that is taken moves the later comer up.
private struct DeviceRosterByKey: Hashable, Sendable {
  private(set) var devices: [Device] = []

  mutating func take(_ reading: FacilityReading) {
    let sorted = reading.gpus.sorted { ($0.value.index, $0.key) < ($1.value.index, $1.key) }
    for (key, gpu) in sorted where !devices.contains(where: { $0.key == key }) {
      guard devices.count < Limits.devicesMax - 1 else { return }
      var index = gpu.index
      while devices.contains(where: { $0.index == index }) { index += 1 }
      devices.append(Device(scope: .gpu, index: index, key: key, model: gpu.model))
    }
    devices.sort { $0.index < $1.index }
  }
}
