/// What the page is told at every tick: numbers only, in the order of the opening's lists.
public struct PageFigures: Encodable, Sendable {
  /// The closed tick, milliseconds since 1970.
  public var tickUnixMilliseconds: Int64
  public var alerts: PageAlertCounts?
  public var subject: PageRow?
  public var factories: [PageRow] = []
  public var allocations: [PageRow] = []
  public var meters: [PageMeterRow] = []
  public var halls: [PageRow] = []
  /// One figure for each rack of all halls, one hall after the other; `nil` where nothing is known.
  public var racks: [Int64?] = []
  public var nodes: [PageNodeRow] = []
  public var gpus: [PageGPURow] = []

  public init(tickUnixMilliseconds: Int64) { self.tickUnixMilliseconds = tickUnixMilliseconds }

  private enum CodingKeys: String, CodingKey {
    case alerts, subject, factories, allocations, meters, halls, racks, nodes, gpus
    case tickUnixMilliseconds = "t"
  }

  public func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: CodingKeys.self)
    try fields.encode(tickUnixMilliseconds, forKey: .tickUnixMilliseconds)
    try fields.encodeIfPresent(alerts, forKey: .alerts)
    try fields.encodeIfPresent(subject, forKey: .subject)
    // Lists that the view does not have are left out.
    if !factories.isEmpty { try fields.encode(factories, forKey: .factories) }
    if !allocations.isEmpty { try fields.encode(allocations, forKey: .allocations) }
    if !meters.isEmpty { try fields.encode(meters, forKey: .meters) }
    if !halls.isEmpty { try fields.encode(halls, forKey: .halls) }
    if !racks.isEmpty { try fields.encode(racks, forKey: .racks) }
    if !nodes.isEmpty { try fields.encode(nodes, forKey: .nodes) }
    if !gpus.isEmpty { try fields.encode(gpus, forKey: .gpus) }
  }
}

/// How many alerts fire and are pending, and when the set of them changed last: `[firing, pending, changed_ms]`.
public struct PageAlertCounts: Encodable, Hashable, Sendable {
  public var firing = 0
  public var pending = 0
  public var changedUnixMilliseconds: Int64 = 0

  public init() {}

  public func encode(to encoder: any Encoder) throws {
    var list = encoder.unkeyedContainer()
    try list.encode(firing)
    try list.encode(pending)
    try list.encode(changedUnixMilliseconds)
  }
}

/// A place or an allocation:
/// `[power_w, estimated_w, utilization_permille, expected, reporting, busy, energy_kj, hottest_decicelsius, it_w]`.
///
/// Power is that with cooling and losses for the nation and for whole factories, IT power elsewhere, `null` when nothing is
/// known of it; `it_w` is IT power everywhere.
public struct PageRow: Encodable, Hashable, Sendable {
  public var watts: Int64?
  /// The part of `watts` that no sensor read.
  public var estimatedWatts: Int64 = 0
  public var utilizationPermille: Int64?
  public var expected: Int64 = 0
  public var reporting: Int64 = 0
  public var busy: Int64 = 0
  /// GPU energy since the aggregator's start.
  public var kilojoules: Int64 = 0
  public var hottestDecicelsius: Int64?
  public var itWatts: Int64?

  public init() {}

  public func encode(to encoder: any Encoder) throws {
    var list = encoder.unkeyedContainer()
    try list.encode(watts)
    try list.encode(estimatedWatts)
    try list.encode(utilizationPermille)
    try list.encode(expected)
    try list.encode(reporting)
    try list.encode(busy)
    try list.encode(kilojoules)
    try list.encode(hottestDecicelsius)
    try list.encode(itWatts)
  }
}

/// A meter: `[power_w, forecast_w, average_w, interval_end_s, is_expected, is_read, month_peak_w]`; forecast and average
/// are those of the running quarter-hour. `null` where nothing is known.
public struct PageMeterRow: Encodable, Hashable, Sendable {
  public var watts: Int64?
  public var forecastWatts: Int64?
  public var averageWatts: Int64?
  /// End of the running quarter-hour, seconds since 1970.
  public var intervalEndUnixSeconds: Int64?
  /// Whether a hall that it feeds is in service: its contract counts.
  public var isExpected = false
  /// Whether a real meter was read.
  public var isRead = false
  /// Highest demand of the month so far.
  public var monthPeakWatts: Int64?

  public init() {}

  public func encode(to encoder: any Encoder) throws {
    var list = encoder.unkeyedContainer()
    try list.encode(watts)
    try list.encode(forecastWatts)
    try list.encode(averageWatts)
    try list.encode(intervalEndUnixSeconds)
    try list.encode(isExpected ? 1 : 0)
    try list.encode(isRead ? 1 : 0)
    try list.encode(monthPeakWatts)
  }
}

/// A node: `[state, gpu_power_w, utilization_permille, reporting, busy, hottest_decicelsius, node_power_w]`.
///
/// The state is 0 for a node that never came, 1 for one that does not deliver any more, 2 for one that does, 3 for one
/// that is not expected: planned or in maintenance.
public struct PageNodeRow: Encodable, Hashable, Sendable {
  public enum State: Int, Sendable {
    case missing, silent, current, unexpected
  }

  public var state: State
  public var gpuWatts: Int64?
  public var utilizationPermille: Int64?
  public var reporting = 0
  public var busy = 0
  public var hottestDecicelsius: Int64?
  /// As the node's own sensor says; `nil` without one.
  public var nodeWatts: Int64?

  public init(_ state: State) { self.state = state }

  public func encode(to encoder: any Encoder) throws {
    var list = encoder.unkeyedContainer()
    try list.encode(state.rawValue)
    try list.encode(gpuWatts)
    try list.encode(utilizationPermille)
    try list.encode(reporting)
    try list.encode(busy)
    try list.encode(hottestDecicelsius)
    try list.encode(nodeWatts)
  }
}

/// A GPU: `[index, key, model, power_mw, limit_mw, utilization_permille, memory_used_kib, memory_total_kib, decicelsius,
/// sm_clock_mhz, clock_event_reasons]`, `null` where it does not say.
public struct PageGPURow: Encodable, Hashable, Sendable {
  public var index: Int
  public var key: String
  public var model: String
  public var readings: [Int64?]

  public init(index: Int, key: String, model: String, readings: [Int64?]) {
    self.index = index
    self.key = key
    self.model = model
    self.readings = readings
  }

  public func encode(to encoder: any Encoder) throws {
    var list = encoder.unkeyedContainer()
    try list.encode(index)
    try list.encode(key)
    try list.encode(model)
    for reading in readings { try list.encode(reading) }
  }
}
