public import BongsuModel

/// A row layout prepared for coding: everything the inner loops ask about a column, looked up once.
///
/// Immutable, so that one shape serves all encoders and decoders of all threads. Both sides derive the same shape from
/// the same layout; the format depends on the order, scope, kind, unit and number of each column.
public final class BlockShape: Sendable {
  /// The layout it was made from.
  public let layout: RowLayout
  /// Values in one row.
  public let width: Int
  /// The columns in coding order: those that others are predicted from come first, else as in the layout.
  let columns: [ColumnPlan]
  /// Values of the widest column in one row.
  let devicesMax: Int
  /// Distance between two rows.
  let intervalMilliseconds: Int64

  /// Prepares `layout`.
  ///
  /// - Parameter other: a shape made before. Where both code alike, as those of nodes of one kind do, they share what is
  ///   looked up for every block, so that it stays in the processor's cache.
  public init(_ layout: RowLayout, like other: BlockShape? = nil) {
    self.layout = layout
    width = layout.width
    devicesMax = layout.columns.indices.map { layout.deviceCount(of: $0) }.max() ?? 0
    intervalMilliseconds = Int64(layout.interval.milliseconds)
    let plans = layout.columns.indices.map { ColumnPlan(layout: layout, column: $0) }
    let ordered = plans.filter { $0.powerOffset < 0 } + plans.filter { $0.powerOffset >= 0 }
    columns = other.flatMap { $0.columns == ordered ? $0.columns : nil } ?? ordered
  }

  /// No block of `rows` rows has a longer payload.
  public func payloadBytesMax(rows: Int) -> Int {
    // Per value at most one field and its mask bit; per row a tick gap and a flag run; per column headers, a first
    // row's offset, classes and the padding of its selectors; presence as one bit per value.
    let values = rows * width
    return 64 + values * 8 + values / 4 + rows * 16 + columns.count * 64
  }

  /// Number of the layout's column that holds position `index` of a row, for messages.
  func column(at index: Int) -> Int {
    columns.first { $0.offset <= index && index < $0.offset + $0.count }?.column ?? -1
  }

  /// Bytes of the map of active columns.
  var activeBytes: Int { (columns.count + 7) / 8 }
}

/// One column of a shape.
struct ColumnPlan: Hashable, Sendable {
  /// Number in the layout, for messages.
  let column: Int
  /// Position in a row, and how many values.
  let offset: Int
  let count: Int
  /// Position of the power column an energy counter is predicted from, -1 when there is none.
  let powerOffset: Int
  /// Whether readings only grow.
  let isCounter: Bool
  /// Whether residuals of the natural prediction are stored without sign: counters that only grow.
  let isUnsigned: Bool
  /// The common factors tried first and second.
  let naturalScale: Scale
  let alternateScale: Scale

  init(layout: RowLayout, column: Int) {
    let metric = layout.columns[column]
    self.column = column
    offset = layout.offset(of: column)
    count = layout.deviceCount(of: column)
    powerOffset = Self.powerSource(of: metric).flatMap(layout.column(of:)).map(layout.offset(of:)) ?? -1
    isCounter = metric.kind == .counter
    isUnsigned = metric.kind == .counter && powerOffset < 0
    let (natural, alternate) = Self.scaleCodes(of: metric)
    naturalScale = Scale(code: natural)
    alternateScale = Scale(code: alternate)
  }

  /// The column of the same devices whose integral `metric` is.
  static func powerSource(of metric: Metric) -> MetricID? {
    guard metric.kind == .counter, metric.unit == .millijoule else { return nil }
    return switch metric.id {
    case .gpuEnergy: .gpuPower
    case .nodeCPUEnergy: .nodeCPUPower
    default: nil
    }
  }

  /// Steps that hardware and drivers are known to report in: whole percent and degrees, mebibytes, clock steps of
  /// 15 MHz, hundredths of a watt.
  private static func scaleCodes(of metric: Metric) -> (natural: UInt8, alternate: UInt8) {
    switch metric.unit {
    case .permille, .decicelsius: (1, 0)
    case .megahertz: (2, 0)
    case .kibibyte: metric.kind == .gauge ? (3, 0) : (0, 3)
    case .milliwatt: (0, 1)
    case .millijoule, .microsecond: (0, 5)
    case .count, .bits: (0, 9)
    case .byte: (0, 14)
    }
  }

  /// Residuals that are packed together: the devices of a row, or ticks where there are few devices.
  var groupSize: Int { count >= 4 ? Swift.min(count, GroupPacking.sizeMax) : 8 }
}
