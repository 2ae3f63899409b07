import BongsuModel

/// A column of a recording: its name there, the metric it becomes and how its text becomes wire units.
struct RecordedColumn: Hashable, Sendable {
  let name: String
  /// The metric of a row with a GPU number, and of one without; `nil` where there is none.
  let gpuMetric: MetricID?
  let nodeMetric: MetricID?
  /// Decimal places of the wire unit: three for watts in milliwatts.
  private let decimals: Int
  /// Further factor to the wire unit, as numerator and denominator.
  private let numerator: Int64
  private let denominator: Int64
  private let minimum: Int64
  private let isNumber: Bool

  /// The columns every recording starts with.
  static let keys = ["run", "node", "gpu", "t_ms"]
  static let header = "run,node,gpu,t_ms,power_w,…"

  /// The column called `name`, `nil` when recordings have no such column.
  init?(name: String) {
    guard let known = Self.known.first(where: { $0.name == name }) else { return nil }
    self = known
  }

  /// The text as a reading in wire units, rounded to nearest; `nil` when it is none.
  func reading(_ line: Span<UInt8>, _ range: Range<Int>) -> Int64? {
    guard isNumber else { return 0 }
    guard let value = Fields.fixedPoint(line, range, decimals: decimals), value >= minimum,
      value <= Limits.sampleMagnitudeMax / numerator
    else { return nil }
    return value * numerator / denominator
  }

  var expectation: String { minimum == 0 ? "a number that is not negative" : "a number" }

  static let knownNames = known.map(\.name).joined(separator: ", ")
  static let replayedNames = known.filter { $0.gpuMetric != nil || $0.nodeMetric != nil }.map(\.name)
    .joined(separator: ", ")

  private init(
    _ name: String, gpu: MetricID? = nil, node: MetricID? = nil, decimals: Int = 0, numerator: Int64 = 1,
    denominator: Int64 = 1, minimum: Int64 = 0, isNumber: Bool = true
  ) {
    self.name = name
    gpuMetric = gpu
    nodeMetric = node
    self.decimals = decimals
    self.numerator = numerator
    self.denominator = denominator
    self.minimum = minimum
    self.isNumber = isNumber
  }

  private static let known: [RecordedColumn] =
    [
      RecordedColumn("power_w", gpu: .gpuPower, node: .nodePower, decimals: 3),
      RecordedColumn("power_inst_w", gpu: .gpuPowerInstant, decimals: 3),
      RecordedColumn("gpu_util_pct", gpu: .gpuUtilization, decimals: 1),
      RecordedColumn("mem_util_pct", gpu: .gpuMemoryUtilization, decimals: 1),
      RecordedColumn("temp_c", gpu: .gpuTemperature, decimals: 1, minimum: -1000),
      RecordedColumn("sm_clock_mhz", gpu: .gpuSMClock),
      RecordedColumn("mem_used_mib", gpu: .gpuMemoryUsed, numerator: 1024),
      RecordedColumn("mem_used_bytes", gpu: .gpuMemoryUsed, denominator: 1024),
      RecordedColumn("energy_mj", gpu: .gpuEnergy),
      RecordedColumn("throttle_mask", gpu: .gpuClockEventReasons),
    ] + measuredOnly + [RecordedColumn("pstate", isNumber: false)]

  /// Recorded by some, without a metric of ours: rates that are no counters, ratios of a profiler, a wall meter's details.
  private static let measuredOnly: [RecordedColumn] = [
    "power_dc_w", "sm_active", "tensor_active", "dram_active", "fp16_active", "pcie_tx_Bps", "pcie_rx_Bps",
    "nvlink_tx_Bps", "nvlink_rx_Bps", "volts_v", "amps_a", "pf", "ch1_power_w", "ch1_volts_v", "ch1_amps_a", "ch1_pf",
    "ch2_power_w", "ch2_volts_v", "ch2_amps_a", "ch2_pf", "ch3_power_w", "ch3_volts_v", "ch3_amps_a", "ch3_pf",
  ].map { RecordedColumn($0, decimals: 6, minimum: .min) }
}

/// Fields of a line of comma-separated text.
enum Fields {
  /// Calls `body` with the place of each field.
  static func forEach(_ line: Span<UInt8>, _ body: (Range<Int>) -> Void) {
    var start = 0
    for index in line.indices where line[index] == 0x2C {
      body(start..<index)
      start = index + 1
    }
    body(start..<line.count)
  }

  /// The field as text; bytes that are no UTF-8 are replaced.
  static func text(_ line: Span<UInt8>, _ range: Range<Int>) -> String {
    var bytes: [UInt8] = []
    for index in range { bytes.append(line[index]) }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The decimal number in the field times ten to the power of `decimals`, rounded half away from zero; `nil` when it is
  /// no plain decimal number or too large.
  static func fixedPoint(_ line: Span<UInt8>, _ range: Range<Int>, decimals: Int) -> Int64? {
    var index = range.lowerBound
    let isNegative = index < range.upperBound && line[index] == 0x2D
    if isNegative { index += 1 }
    var value: Int64 = 0
    var digits = 0
    var placesLeft: Int?
    var roundsUp = false
    while index < range.upperBound {
      let byte = line[index]
      index += 1
      if byte == 0x2E, placesLeft == nil, digits > 0 {
        placesLeft = decimals
        digits = 0
        continue
      }
      guard (0x30...0x39).contains(byte) else { return nil }
      digits += 1
      if let left = placesLeft {
        if left <= 0 {
          if left == 0 { roundsUp = byte >= 0x35 }
          placesLeft = left - 1
          continue
        }
        placesLeft = left - 1
      }
      value = value * 10 + Int64(byte - 0x30)
      guard value <= Limits.sampleMagnitudeMax else { return nil }
    }
    guard digits > 0 else { return nil }
    for _ in 0..<max(placesLeft ?? decimals, 0) {
      value *= 10
      guard value <= Limits.sampleMagnitudeMax else { return nil }
    }
    if roundsUp { value += 1 }
    return isNegative ? -value : value
  }
}
