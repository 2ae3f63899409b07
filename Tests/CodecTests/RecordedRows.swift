import BongsuModel
import BongsuTestKit

/// A recording as rows of a layout: one row for each of the recorder's own polls, in the catalogue's units where it has
/// the quantity, else in thousandths of the recorded one.
struct RecordedRows {
  let layout: RowLayout
  let rows: [Int64]

  /// The rows of `trace`; of the metric `wanted` only, if given.
  init(_ trace: RecordedTrace, only wanted: String? = nil) throws {
    let isNode =
      trace.series.count == 1 && trace.run.contains("-") && trace.metrics.allSatisfy { !$0.hasPrefix("gpu") }
      && !trace.metrics.contains("temp_c")
    let kept = trace.metrics.indices.filter { wanted == nil || trace.metrics[$0] == wanted }
    let columns = kept.map { Self.column(trace.metrics[$0], $0, isNode: isNode) }
    let devices =
      isNode
      ? [Device.node]
      : trace.series.indices.map { Device(scope: .gpu, index: UInt16($0), key: "GPU-\($0)", model: "") }
    layout = try RowLayout(interval: .second, columns: columns.map(\.metric), devices: devices)
    let polls = trace.series.map(\.count).min() ?? 0
    var rows: [Int64] = []
    rows.reserveCapacity(polls * layout.width)
    for poll in 0..<polls {
      for (index, column) in zip(kept, columns) {
        for series in trace.series {
          let value = series[poll].thousandths[index]
          rows.append(value.map { $0 / column.divisor * column.factor } ?? SampleValue.absent.bits)
        }
      }
    }
    self.rows = rows
  }

  private struct Column {
    let metric: Metric
    /// From thousandths of the recorded unit to the metric's: divided, then multiplied.
    let divisor: Int64
    let factor: Int64
  }

  private static func column(_ name: String, _ index: Int, isNode: Bool) -> Column {
    let known: (MetricID, Int64, Int64)? =
      switch name {
      case "power_w": (isNode ? .nodePower : .gpuPower, 1, 1)
      case "power_inst_w": (.gpuPowerInstant, 1, 1)
      case "gpu_util_pct": (.gpuUtilization, 1000, 10)
      case "temp_c": (.gpuTemperature, 1000, 10)
      case "sm_clock_mhz": (.gpuSMClock, 1000, 1)
      default: nil
      }
    if let known, let metric = MetricCatalogue.metric(known.0) {
      return Column(metric: metric, divisor: known.1, factor: known.2)
    }
    let metric = Metric(
      id: MetricID(rawValue: UInt16(2000 + index)), name: name, unit: .count, kind: .gauge,
      scope: isNode ? .node : .gpu, help: "")
    return Column(metric: metric, divisor: 1, factor: 1)
  }

  /// The rows cut into blocks of `ticks`; single rows build on the one before but for one in sixty, longer blocks
  /// stand alone. A rest that fills no block is left out.
  func blocks(ticks: Int) -> [BlockInput] {
    let width = layout.width
    return (0..<(rows.count / width / ticks)).map { block in
      let first = block * ticks * width
      let isBased = ticks == 1 && block % 60 != 0
      return BlockInput(
        rows: Array(rows[first..<(first + ticks * width)]), base: isBased ? Array(rows[(first - width)..<first]) : nil)
    }
  }
}
