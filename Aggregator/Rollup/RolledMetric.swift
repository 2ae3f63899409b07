public import BongsuModel

/// A gauge that is rolled up: its place in every cell, and what may be said about it.
public struct RolledMetric: Hashable, Sendable {
  /// The gauge as the catalogue describes it.
  public let metric: Metric
  /// Whether the sum over GPUs means something: watts and bytes do, degrees and ratios do not.
  public let isAdditive: Bool
  /// Whether quantiles are kept: gauges of GPUs, boards and nodes, but not of the agents themselves.
  public let hasSketch: Bool
  /// Bits of the largest reading that quantiles tell apart; larger ones count as that.
  let sketchBits: Int
  let allowsNegative: Bool

  /// Every gauge of the catalogue, in the order of its numbers; the position is the place in a cell.
  public static let all: [RolledMetric] = MetricCatalogue.all.filter { $0.kind == .gauge }.map(RolledMetric.init)

  /// Place of `metric` in a cell, `nil` when it is not rolled up.
  public static func slot(of metric: MetricID) -> Int? { slotByID[metric] }

  private static let slotByID = Dictionary(
    uniqueKeysWithValues: all.enumerated().map { ($0.element.metric.id, $0.offset) })

  private init(_ metric: Metric) {
    self.metric = metric
    isAdditive =
      switch metric.unit {
      case .milliwatt, .millijoule, .kibibyte, .byte, .count: true
      case .permille, .decicelsius, .megahertz, .bits, .microsecond: false
      }
    // Numbers from 112 on are the agent's own health.
    hasSketch = metric.id < MetricID.agentResidentMemory
    allowsNegative = metric.unit == .decicelsius
    sketchBits =
      switch metric.unit {
      case .permille: 11
      case .decicelsius: 13
      case .megahertz: 17
      case .milliwatt: 28  // 268 kW: a rack-scale chassis behind one agent
      case .kibibyte: 40
      case .count, .millijoule, .bits, .microsecond, .byte: 53
      }
  }
}

/// What a cell counts besides gauges. The raw value is the place behind the gauges.
public enum RolledField: Int, Sendable, CaseIterable {
  /// GPUs in service and not in maintenance.
  case expectedGPUs
  /// GPUs with a power or utilization reading.
  case reportingGPUs
  /// Reporting GPUs at work: utilization, or power where utilization is not supported.
  case busyGPUs
  /// Reporting GPUs, at most as many per node as expected of it: what coverage is made of.
  case coveredGPUs
  /// GPUs that did not report and whose power is estimated.
  case estimatedGPUs
  /// Nodes that delivered a row.
  case reportingNodes
  /// IT power that was read from node meters, boards and GPUs, mW.
  case measuredPower
  /// IT power derived from GPU readings for the parts of nodes that nothing measures, mW.
  case scaledPower
  /// IT power assumed for silent nodes and GPUs, mW.
  case missingPower
  /// The GPUs' own part of ``missingPower``, mW: what the sum of GPU power lacks.
  case missingGPUPower
  /// GPU energy since the last tick, from counters where there are any, mJ.
  case gpuEnergy
  /// GPUs held down by the software power cap, by an external power brake, and by temperature.
  case powerCappedGPUs
  case powerBrakedGPUs
  case thermallyLimitedGPUs
}

/// Where things stand in a cell: four words for each gauge, then one for each field.
///
///     | sum count min max | sum count min max | … | expected | reporting | busy | … |
///     └ gauge 0           └ gauge 1               └ fieldBase
enum CellLayout {
  // Constants of the compiler rather than of the catalogue at run time: they stand in the innermost loops.
  static var gaugeCount: Int { 20 }
  static var fieldBase: Int { 4 * gaugeCount }
  static var words: Int { fieldBase + 14 }

  static func gauge(_ slot: Int) -> Int { 4 * slot }
  static func field(_ field: RolledField) -> Int { fieldBase + field.rawValue }

  /// A cell to which nothing was added.
  static let empty: [Int64] = {
    precondition(
      gaugeCount == RolledMetric.all.count && CellLayout.words == fieldBase + RolledField.allCases.count,
      "a cell has \(gaugeCount) gauges and \(CellLayout.words) words, the tables \(RolledMetric.all.count) and "
        + "\(RolledField.allCases.count); adjust CellLayout")
    var words = [Int64](repeating: 0, count: CellLayout.words)
    clear(&words, at: 0)
    return words
  }()

  /// Empties the cell that begins at `base`.
  static func clear(_ words: inout [Int64], at base: Int) {
    var target = words.mutableSpan
    for word in 0..<CellLayout.words { target[base &+ word] = 0 }
    for slot in 0..<gaugeCount {
      target[base &+ gauge(slot) &+ 2] = .max
      target[base &+ gauge(slot) &+ 3] = .min
    }
  }
}

/// Sum, count and extremes of one gauge over samples. Exact; merging is associative and commutative.
public struct GaugeTotals: Hashable, Sendable, BitwiseCopyable {
  /// Sum of present readings, wire units.
  public var sum: Int64
  /// Present readings.
  public var count: Int64
  /// Smallest and largest reading; `nil` when there is none.
  public var min: Int64? { count > 0 ? minimum : nil }
  public var max: Int64? { count > 0 ? maximum : nil }

  var minimum: Int64
  var maximum: Int64
}
