import BongsuModel

/// Every series that rollups are exposed as, in one table: how it is named, what it means, and where its number stands.
///
/// Names follow the convention for recording rules, `level:metric:operation`; the level is not part of this table.
public struct RollupSeries: Hashable, Sendable {
  /// The middle part of the name, for example `bongsu_gpu_power_watts`.
  public let metric: String
  /// The last part, for example `sum`.
  public let operation: String
  /// One sentence for people, shown as HELP.
  public let help: String
  /// Where the number stands.
  public let source: Source
  /// Factor from the integers of the tables to the exposed unit.
  let unit: WireUnit

  /// Where a series' number stands in a ``CellTable`` or ``WindowTable``.
  public enum Source: Hashable, Sendable {
    /// Total of a gauge: at a tick the sum over GPUs, over a window its mean over ticks.
    case gaugeSum(slot: Int)
    /// Mean and extremes over samples.
    case gaugeAverage(slot: Int)
    case gaugeMin(slot: Int)
    case gaugeMax(slot: Int)
    /// Extremes over ticks of the gauge's total; windows only.
    case gaugeTotalMin(slot: Int)
    case gaugeTotalMax(slot: Int)
    /// A quantile over samples, in thousandths; windows of a minute and longer at levels that keep sketches.
    case quantile(slot: Int, permille: Int)
    /// A count: at a tick its value, over a window its mean over ticks.
    case field(RolledField)
    /// What was added up in the tick or window.
    case increase(RolledField)
    /// Covered ÷ expected GPUs.
    case coverage
    /// A power: at a tick its value, over a window its mean over ticks; and its extremes over ticks.
    case power(WindowTable.Power)
    case powerMin(WindowTable.Power)
    case powerMax(WindowTable.Power)
  }

  /// `factory:bongsu_gpu_power_watts:sum`.
  public func name(_ level: RollupLevel) -> String { "\(level.prefix):\(metric):\(operation)" }

  /// All series, gauges first.
  public static let all: [RollupSeries] = gauges + counts + powers

  private static let gauges: [RollupSeries] = RolledMetric.all.enumerated().flatMap { slot, rolled in
    let name = rolled.metric.name
    let what = rolled.metric.help
    func series(_ operation: String, _ meaning: String, _ source: Source) -> RollupSeries {
      RollupSeries(
        metric: name, operation: operation, help: "\(meaning): \(what)", source: source, unit: rolled.metric.unit)
    }
    var list = [
      series("avg", "Mean over samples", .gaugeAverage(slot: slot)),
      series("min", "Lowest sample", .gaugeMin(slot: slot)),
      series("max", "Highest sample", .gaugeMax(slot: slot)),
    ]
    if rolled.isAdditive {
      list += [
        series("sum", "Total, over a window its mean over ticks", .gaugeSum(slot: slot)),
        series("total_min", "Lowest total of a tick", .gaugeTotalMin(slot: slot)),
        series("total_max", "Highest total of a tick", .gaugeTotalMax(slot: slot)),
      ]
    }
    if rolled.hasSketch {
      list += [500, 950, 990].map { permille in
        let percent = permille / 10
        return series(
          "p\(percent)", "\(percent)th percentile over samples", .quantile(slot: slot, permille: permille))
      }
    }
    return list
  }

  private static let counts: [RollupSeries] = [
    count("bongsu_gpus", "expected", .expectedGPUs, "GPUs in service and not in maintenance."),
    count("bongsu_gpus", "reporting", .reportingGPUs, "GPUs that reported power or utilization."),
    count("bongsu_gpus", "busy", .busyGPUs, "Reporting GPUs at work."),
    count("bongsu_gpus", "estimated", .estimatedGPUs, "Silent GPUs whose power is estimated."),
    count("bongsu_gpus", "power_capped", .powerCappedGPUs, "GPUs held down by the software power cap."),
    count("bongsu_gpus", "power_braked", .powerBrakedGPUs, "GPUs held down by an external power brake."),
    count("bongsu_gpus", "thermally_limited", .thermallyLimitedGPUs, "GPUs held down by temperature."),
    count("bongsu_nodes", "reporting", .reportingNodes, "Nodes that delivered readings."),
    RollupSeries(
      metric: "bongsu_coverage", operation: "ratio", help: "Share of expected GPUs that reported.", source: .coverage,
      unit: .count),
    RollupSeries(
      metric: "bongsu_gpu_energy_joules", operation: "increase",
      help: "GPU energy in the tick or window, from hardware counters where there are any.",
      source: .increase(.gpuEnergy), unit: .millijoule),
  ]

  private static let powers: [RollupSeries] =
    [
      RollupSeries(
        metric: "bongsu_power_measured_watts", operation: "sum", help: "IT power that sensors read.",
        source: .field(.measuredPower), unit: .milliwatt)
    ] + power("bongsu_power_total_watts", .total, "IT power, measured and estimated")
    + power(
      "bongsu_power_estimated_watts", .estimated,
      "The part of IT power that is estimated: what no sensor reads, and silent nodes")
    + power("bongsu_facility_power_watts", .facility, "Power with cooling and losses, from meters or by PUE")

  private static func count(
    _ metric: String, _ operation: String, _ field: RolledField, _ help: String
  ) -> RollupSeries {
    RollupSeries(metric: metric, operation: operation, help: help, source: .field(field), unit: .count)
  }

  private static func power(_ metric: String, _ power: WindowTable.Power, _ help: String) -> [RollupSeries] {
    func series(_ operation: String, _ help: String, _ source: Source) -> RollupSeries {
      RollupSeries(metric: metric, operation: operation, help: help, source: source, unit: .milliwatt)
    }
    return [
      series("sum", "\(help); over a window its mean over ticks.", .power(power)),
      series("total_min", "\(help): lowest tick.", .powerMin(power)),
      series("total_max", "\(help): highest tick.", .powerMax(power)),
    ]
  }

  // MARK: - Values

  /// The exposed number at one tick for a group; `nil` when there is none, and for series of windows only.
  public func value(_ tick: ClosedTick, _ level: RollupLevel, _ group: Int) -> Double? {
    value(tick[level], group, facility: source == .power(.facility) ? tick.facilityMilliwatts(level, group) : nil)
  }

  /// The same of a cell; `facility` is its power with cooling and losses, mW.
  func value(_ table: CellTable, _ group: Int, facility: Int64?) -> Double? {
    let isKnown = table.field(.reportingNodes, group) > 0 || table.field(.estimatedGPUs, group) > 0
    switch source {
    case .gaugeSum(let slot):
      let gauge = table.gauge(slot: slot, group)
      return gauge.count > 0 ? unit.exposed(gauge.sum) : nil
    case .gaugeAverage(let slot):
      let gauge = table.gauge(slot: slot, group)
      return gauge.count > 0 ? exposed(Double(gauge.sum) / Double(gauge.count)) : nil
    case .gaugeMin(let slot): return table.gauge(slot: slot, group).min.map { unit.exposed($0) }
    case .gaugeMax(let slot): return table.gauge(slot: slot, group).max.map { unit.exposed($0) }
    case .field(.measuredPower): return isKnown ? unit.exposed(table.field(.measuredPower, group)) : nil
    case .field(let field): return unit.exposed(table.field(field, group))
    case .increase(let field): return isKnown ? unit.exposed(table.field(field, group)) : nil
    case .coverage: return table.coverage(group)
    case .power(.total): return isKnown ? unit.exposed(table.totalMilliwatts(group)) : nil
    case .power(.estimated): return isKnown ? unit.exposed(table.estimatedMilliwatts(group)) : nil
    case .power(.facility): return facility.map { unit.exposed($0) }
    case .gaugeTotalMin, .gaugeTotalMax, .quantile, .powerMin, .powerMax: return nil
    }
  }

  /// The exposed number of a window for a group; `nil` when there is none. `sketch` answers quantiles.
  public func value(_ window: WindowTable, _ group: Int, sketch: (Int) -> QuantileSketch? = { _ in nil }) -> Double? {
    switch source {
    case .gaugeSum(let slot): return window.gauge(slot: slot, group).meanTotal.map(exposed)
    case .gaugeAverage(let slot): return window.gauge(slot: slot, group).mean.map(exposed)
    case .gaugeMin(let slot): return window.gauge(slot: slot, group).samples.min.map { unit.exposed($0) }
    case .gaugeMax(let slot): return window.gauge(slot: slot, group).samples.max.map { unit.exposed($0) }
    case .gaugeTotalMin(let slot): return window.gauge(slot: slot, group).totalMin.map { unit.exposed($0) }
    case .gaugeTotalMax(let slot): return window.gauge(slot: slot, group).totalMax.map { unit.exposed($0) }
    case .quantile(let slot, let permille):
      return sketch(slot)?.quantile(Double(permille) / 1000).map(exposed)
    case .field(let field): return window.field(field, group).mean.map(exposed)
    case .increase(let field): return unit.exposed(window.field(field, group).sum)
    case .coverage: return window.coverage(group)
    case .power(let power): return window.power(power, group).mean.map(exposed)
    case .powerMin(let power): return window.power(power, group).min.map { unit.exposed($0) }
    case .powerMax(let power): return window.power(power, group).max.map { unit.exposed($0) }
    }
  }

  func exposed(_ wire: Double) -> Double { wire * unit.exposedNumerator / unit.exposedDenominator }
}

/// The series of a meter's demand; their level is always `meter`.
public enum DemandSeries: String, Sendable, CaseIterable {
  case average = "meter:bongsu_demand_watts:avg15m"
  case forecast = "meter:bongsu_demand_watts:forecast15m"
  case monthPeak = "meter:bongsu_demand_watts:peak_month"
  case ratchetPeak = "meter:bongsu_demand_watts:peak_ratchet"
  case contract = "meter:bongsu_contract_power_watts:limit"
  case headroom = "meter:bongsu_demand_headroom_watts:forecast15m"

  /// One sentence for people, shown as HELP.
  public var help: String {
    switch self {
    case .average: "Mean power of the running quarter-hour so far."
    case .forecast: "Demand of the running quarter-hour if power stays as it is."
    case .monthPeak: "Highest finished demand of the running month."
    case .ratchetPeak: "Highest demand that the base charge follows: of the tariff's months and the running one."
    case .contract: "Contract power of the meter."
    case .headroom: "Contract power less the forecast; below zero when the quarter-hour will end above the contract."
    }
  }

  /// The number in watts; `nil` where a contract is missing.
  public func value(_ outlook: DemandMeter.Outlook) -> Double? {
    let milliwatts: Int64? =
      switch self {
      case .average: outlook.averageMilliwatts
      case .forecast: outlook.forecastMilliwatts
      case .monthPeak: outlook.monthPeakMilliwatts
      case .ratchetPeak: outlook.ratchetPeakMilliwatts
      case .contract: outlook.contractMilliwatts
      case .headroom: outlook.headroomMilliwatts
      }
    return milliwatts.map { WireUnit.milliwatt.exposed($0) }
  }
}
