/// The shape of a node's rows: which metrics, of which devices, in which order.
///
/// A row is a flat array of ``SampleValue``, column after column; a column holds one value for each device of its
/// scope, in the order of ``devices``:
///
///     columns   gpu power            gpu energy           node power
///     row       | g0 | g1 | … | g7 | g0 | g1 | … | g7 | node |
///               └ offset(of: 0)    └ offset(of: 1)    └ offset(of: 2)
///
/// Neighbouring values are the same quantity of sibling devices, which is what the codec packs best and what rollups
/// add up. A layout is immutable; when devices come or go a node announces a new one.
public struct RowLayout: Hashable, Sendable {
  /// Distance between ticks.
  public let interval: TickInterval
  /// The metrics, in row order.
  public let columns: [Metric]
  /// The devices, grouped by nothing: each column picks those of its scope.
  public let devices: [Device]
  /// Values in one row.
  public let width: Int

  private let offsets: [Int]
  private let deviceCounts: [Int]

  /// Why a layout cannot be used.
  public enum Invalid: Error, Hashable, Sendable, CustomStringConvertible {
    case noColumns
    case tooManyColumns(Int)
    case tooManyDevices(Int)
    case tooWide(Int)
    case duplicateColumn(MetricID)
    case duplicateDevice(scope: DeviceScope, key: String, index: UInt16)
    case textTooLong(what: String, bytes: Int, limit: Int)

    public var description: String {
      switch self {
      case .noColumns: "a row layout needs at least one column"
      case .tooManyColumns(let count): "row layout has \(count) columns, limit \(Limits.columnsMax)"
      case .tooManyDevices(let count): "row layout has \(count) devices, limit \(Limits.devicesMax)"
      case .tooWide(let width): "row has \(width) values, limit \(Limits.rowWidthMax)"
      case .duplicateColumn(let id): "metric \(id.rawValue) appears twice in the row layout"
      case .duplicateDevice(let scope, let key, let index):
        "\(scope) device \(index) with key '\(key)' appears twice in the row layout"
      case .textTooLong(let what, let bytes, let limit): "\(what) has \(bytes) bytes, limit \(limit)"
      }
    }
  }

  /// Checks and fixes the shape of a node's rows.
  public init(interval: TickInterval, columns: [Metric], devices: [Device]) throws(Invalid) {
    guard !columns.isEmpty else { throw .noColumns }
    guard columns.count <= Limits.columnsMax else { throw .tooManyColumns(columns.count) }
    guard devices.count <= Limits.devicesMax else { throw .tooManyDevices(devices.count) }
    var seenColumns: Set<MetricID> = []
    for column in columns {
      guard seenColumns.insert(column.id).inserted else { throw .duplicateColumn(column.id) }
      try Self.check(column.name, "metric name", Limits.metricNameBytesMax)
    }
    var seenDevices: Set<Device> = []
    var seenKeys: Set<String> = []
    for device in devices {
      let identity = Device(scope: device.scope, index: device.index, key: "", model: "")
      let isNew = seenDevices.insert(identity).inserted
      let isNewKey = device.key.isEmpty || seenKeys.insert(device.key).inserted
      guard isNew && isNewKey else {
        throw .duplicateDevice(scope: device.scope, key: device.key, index: device.index)
      }
      try Self.check(device.key, "device key", Limits.deviceKeyBytesMax)
      try Self.check(device.model, "device model", Limits.deviceModelBytesMax)
    }
    var offsets: [Int] = []
    var counts: [Int] = []
    var width = 0
    for column in columns {
      let count = devices.count { $0.scope == column.scope }
      offsets.append(width)
      counts.append(count)
      width += count
    }
    guard width <= Limits.rowWidthMax else { throw .tooWide(width) }
    self.interval = interval
    self.columns = columns
    self.devices = devices
    self.width = width
    self.offsets = offsets
    self.deviceCounts = counts
  }

  /// Position of the first value of column number `column` in a row.
  public func offset(of column: Int) -> Int { offsets[column] }

  /// How many values column number `column` has in a row: the devices of its scope.
  public func deviceCount(of column: Int) -> Int { deviceCounts[column] }

  /// The values of column number `column` in a row.
  public func range(of column: Int) -> Range<Int> { offsets[column]..<(offsets[column] + deviceCounts[column]) }

  /// Number of the column that holds `metric`, `nil` when the node does not send it.
  public func column(of metric: MetricID) -> Int? { columns.firstIndex { $0.id == metric } }

  /// The devices of `scope`, in row order.
  public func devices(in scope: DeviceScope) -> [Device] { devices.filter { $0.scope == scope } }

  private static func check(_ text: String, _ what: String, _ limit: Int) throws(Invalid) {
    guard text.utf8.count <= limit else { throw .textTooLong(what: what, bytes: text.utf8.count, limit: limit) }
  }
}
