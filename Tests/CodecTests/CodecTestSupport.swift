import BongsuCodec
import BongsuModel
import BongsuTestKit
import Testing

/// The bench set's twelve metrics, in our catalogue: one column each over all GPUs of a node.
let twelveMetrics: [MetricID] = [
  .gpuPower, .gpuEnergy, .gpuUtilization, .gpuMemoryUtilization, .gpuSMClock, .gpuMemoryClock, .gpuTemperature,
  .gpuMemoryTemperature, .gpuMemoryUsed, .gpuPCIeTransmit, .gpuPCIeReceive, .gpuClockEventReasons,
]

/// A layout of catalogue metrics over `gpus` GPUs and the node.
func layout(_ metrics: [MetricID], gpus: Int, modules: Int = 0, interval: TickInterval = .second) throws -> RowLayout {
  let devices =
    [Device.node]
    + (0..<gpus).map { Device(scope: .gpu, index: UInt16($0), key: "GPU-\($0)", model: "B200") }
    + (0..<modules).map { Device(scope: .module, index: UInt16($0), key: "module-\($0)", model: "") }
  let columns = try metrics.map { id in try #require(MetricCatalogue.metric(id)) }
  return try RowLayout(interval: interval, columns: columns, devices: devices)
}

let absent = SampleValue.absent.bits

/// What one block carries beside its rows.
struct BlockInput {
  var rows: [Int64]
  var base: [Int64]?
  var ticksSinceBase = 1
  var tickOffsets: [UInt32]?
  var rowFlags: [UInt8]?
}

/// Encodes `input`.
func encode(_ input: BlockInput, _ shape: BlockShape, _ encoder: inout BlockEncoder) throws -> [UInt8] {
  var output: [UInt8] = []
  // Optional spans do not compose with optional chaining, so each combination is spelled out.
  let offsets = input.tickOffsets ?? Array(0..<UInt32(max(1, input.rows.count / shape.width)))
  let flags = input.rowFlags ?? Array(repeating: 0, count: max(1, input.rows.count / shape.width))
  if let base = input.base {
    try encoder.encode(
      rows: input.rows.span, shape: shape, base: base.span, ticksSinceBase: input.ticksSinceBase,
      tickOffsets: offsets.span, rowFlags: flags.span, appendingTo: &output)
  } else {
    try encoder.encode(
      rows: input.rows.span, shape: shape, base: nil, ticksSinceBase: input.ticksSinceBase,
      tickOffsets: offsets.span, rowFlags: flags.span, appendingTo: &output)
  }
  return output
}

/// Decodes `payload` as the counterpart of ``encode(_:_:_:)``.
func decode(
  _ payload: [UInt8], _ shape: BlockShape, base: [Int64]?, ticksSinceBase: Int = 1, _ decoder: inout BlockDecoder
) throws -> BlockInput {
  try payload.withBytes { span in
    let summary = try BlockDecoder.inspect(span)
    var rows = [Int64](repeating: -1, count: min(summary.rows * shape.width, BlockLimits.valuesMax))
    var target = rows.mutableSpan
    let count: Int
    if let base {
      count = try decoder.decode(
        span, shape: shape, base: base.span, ticksSinceBase: ticksSinceBase, into: &target)
    } else {
      count = try decoder.decode(span, shape: shape, base: nil, ticksSinceBase: ticksSinceBase, into: &target)
    }
    return BlockInput(
      rows: rows, base: base, ticksSinceBase: ticksSinceBase,
      tickOffsets: (0..<count).map { UInt32(decoder.tickOffset(ofRow: $0)) },
      rowFlags: (0..<count).map { decoder.flags(ofRow: $0) })
  }
}

extension Array where Element == UInt8 {
  /// Runs `body` on the bytes as a span.
  func withBytes<R>(_ body: (RawSpan) throws -> R) rethrows -> R {
    // SAFETY: bytes without padding; the span does not outlive the call.
    try body(unsafe span.bytes)
  }
}
