public import BongsuModel

/// A row layout prepared for chunks: many rows of one node, each column packed by itself, so that a reader of one metric
/// touches nothing else.
///
/// Immutable; one serves all encoders and decoders of all threads. The columns of a chunk are payloads of ``BlockShape``s
/// with one column each; see FORMAT.md.
public final class ChunkShape: Sendable {
  public let layout: RowLayout
  let columns: [Column]

  struct Column: Sendable {
    /// The column by itself, as it is and as a remainder, which may shrink.
    let plain: BlockShape
    let remainder: BlockShape
    /// The column whose integral a counter mostly is, in the layout's numbering.
    let power: Int?
    let count: Int
    let offset: Int
  }

  /// Prepares `layout`.
  ///
  /// - Parameter other: a shape made before. Where both pack alike, as those of nodes of one kind do, they share all but the
  ///   layout: 16 KB for a node of eight GPUs.
  public init(_ layout: RowLayout, like other: ChunkShape? = nil) {
    self.layout = layout
    if let other, layout.hasShape(of: other.layout) {
      columns = other.columns
      return
    }
    columns = layout.columns.indices.map { number in
      let metric = layout.columns[number]
      let devices = layout.devices(in: metric.scope)
      let rest = Metric(
        id: metric.id, name: metric.name, unit: metric.unit, kind: .gauge, scope: metric.scope, help: "")
      let power = ColumnPlan.powerSource(of: metric).flatMap(layout.column(of:))
      return Column(
        plain: Self.shape(metric, devices, layout.interval), remainder: Self.shape(rest, devices, layout.interval),
        power: power.flatMap { layout.deviceCount(of: $0) == devices.count ? $0 : nil }, count: devices.count,
        offset: layout.offset(of: number))
    }
  }

  private static func shape(_ metric: Metric, _ devices: [Device], _ interval: TickInterval) -> BlockShape {
    do { return BlockShape(try RowLayout(interval: interval, columns: [metric], devices: devices)) } catch {
      preconditionFailure("a column of a valid layout is a valid layout: \(error)")
    }
  }

  /// The column that has to be decoded before column `column` when that is a remainder; `nil` where none can be.
  public func power(of column: Int) -> Int? { columns[column].power }

  /// Rows that one chunk may have.
  public var rowsMax: Int {
    let widest = columns.map(\.count).max() ?? 1
    return min(BlockLimits.rowsMax, BlockLimits.valuesMax / max(1, widest))
  }
}

extension RowLayout {
  /// Whether both have the same columns, and each as many devices in both.
  fileprivate func hasShape(of other: RowLayout) -> Bool {
    interval == other.interval && columns == other.columns
      && columns.indices.allSatisfy { deviceCount(of: $0) == other.deviceCount(of: $0) }
  }
}

/// How a column of a chunk is packed.
public enum ChunkMode: UInt8, Sendable {
  /// A block payload of the column's readings.
  case plain = 0
  /// An energy counter: a block payload of what is left when the integral of the power column is taken away.
  case remainder = 1
}

/// The energy that the power column says was drawn since a chunk's first row, in millijoules.
///
/// Trapezoids between neighbouring rows, each rounded towards zero; where a power is absent the last one known holds.
/// Encoder and decoder walk it alike, so that it costs no bit.
struct PowerIntegral {
  private var sums: [Int64]
  private var powers: [Int64]
  private var lastTick: Int64?

  init(devices: Int) {
    sums = [Int64](repeating: 0, count: devices)
    powers = [Int64](repeating: Presence.absent, count: devices)
  }

  /// Takes the powers of the row at `tick`, the device's ones from `powers[start]` on.
  mutating func take(tick: Int64, _ row: Span<Int64>, from start: Int) {
    let milliseconds = tick &- (lastTick ?? tick)
    lastTick = tick
    for device in sums.indices {
      let reading = row[start &+ device]
      let before = powers[device]
      let now = reading == Presence.absent ? before : reading
      if before != Presence.absent { sums[device] &+= (before &+ now) &* milliseconds / 2000 }
      powers[device] = now
    }
  }

  subscript(device: Int) -> Int64 { sums[device] }
}
