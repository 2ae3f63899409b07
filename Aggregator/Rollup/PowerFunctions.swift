import BongsuFleet
import BongsuModel

/// What people need to know about power beyond its sum: changes, losses, silence, limits. One number per group and tick,
/// made from the closed ticks of the last minute.
///
/// Power is facility power where a level has it (nation, factory, meter), else IT power; both with estimates for silent
/// nodes, so that agents that vanish make no change. A plain value; used by one thread. Memory: about a minute of totals,
/// 24 bytes for each group and tick.
public struct PowerFunctions: Sendable {
  /// A family of series.
  public enum Function: Sendable, Hashable, CaseIterable {
    /// Power now less power 10 s or 60 s ago, W.
    case change10s, change60s
    /// The same by time, W/s.
    case ramp10s, ramp60s
    /// Share of the power of 10 s ago that is gone; 0 where it rose.
    case lostRatio
    /// Share of the GPUs that reported 10 s ago and no longer do.
    case vanishedRatio
    /// Power that is assumed for what fell silent within 10 s, W: its last readings.
    case vanishedPower
    /// Share of the reporting GPUs that the software power cap holds down.
    case cappedRatio
    /// GPUs that do not answer although their nodes report.
    case lostGPUs
    /// Difference between what a real meter reads and IT power times PUE, as a share of the reading.
    case meterMismatch
    /// Contract power less the 99th percentile of the meter's minutes of the last day, W; after an hour of data.
    case strandedPower
    /// Seconds since the running quarter-hour began, by the meter's clock.
    case demandElapsed

    /// The levels that have it.
    public var levels: [RollupLevel] {
      switch self {
      case .change10s, .change60s, .ramp10s, .ramp60s: [.nation, .factory, .hall, .rack, .meter, .allocation]
      case .lostRatio: [.nation, .factory, .hall, .meter]
      case .vanishedRatio, .vanishedPower: [.factory, .hall]
      case .cappedRatio: [.nation, .factory, .hall, .allocation]
      case .lostGPUs: [.rack]
      case .meterMismatch, .strandedPower, .demandElapsed: [.meter]
      }
    }

    /// Metric and operation, the latter parts of the name.
    private var suffix: String {
      switch self {
      case .change10s: "bongsu_power_change_watts:10s"
      case .change60s: "bongsu_power_change_watts:60s"
      case .ramp10s: "bongsu_power_ramp_watts_per_second:10s"
      case .ramp60s: "bongsu_power_ramp_watts_per_second:60s"
      case .lostRatio: "bongsu_power_lost_ratio:10s"
      case .vanishedRatio: "bongsu_gpus_vanished_ratio:10s"
      case .vanishedPower: "bongsu_power_vanished_watts:10s"
      case .cappedRatio: "bongsu_gpus_power_capped:ratio"
      case .lostGPUs: "bongsu_gpus_lost:count"
      case .meterMismatch: "bongsu_meter_mismatch:ratio"
      case .strandedPower: "bongsu_stranded_power_watts:p99"
      case .demandElapsed: "bongsu_demand_elapsed_seconds:interval"
      }
    }

    /// `factory:bongsu_power_change_watts:10s`.
    public func name(_ level: RollupLevel) -> String { "\(level.prefix):\(suffix)" }

    /// One sentence for people, shown as HELP.
    public var help: String {
      switch self {
      case .change10s: "Power now less power 10 s ago, with estimates for silent nodes."
      case .change60s: "Power now less power 60 s ago, with estimates for silent nodes."
      case .ramp10s: "Mean change of power per second over 10 s."
      case .ramp60s: "Mean change of power per second over 60 s."
      case .lostRatio: "Share of the power of 10 s ago that is gone; silent nodes are estimated and count as there."
      case .vanishedRatio: "Share of the GPUs reporting 10 s ago that no longer report."
      case .vanishedPower: "Last known power of what fell silent within 10 s."
      case .cappedRatio: "Share of the reporting GPUs at the software power cap."
      case .lostGPUs: "GPUs that do not answer although their nodes report."
      case .meterMismatch: "Difference of a real meter and IT power times PUE, as a share of the meter's reading."
      case .strandedPower: "Contract power less the 99th percentile of the meter's minutes of the last day."
      case .demandElapsed: "Seconds since the running quarter-hour began, by the meter's clock."
      }
    }
  }

  /// Longest span that a function looks back, milliseconds.
  public static let reachMilliseconds: Int64 = 60_000

  private static let levels: [RollupLevel] = [.nation, .factory, .hall, .rack, .meter, .allocation]

  /// The totals of one tick that later ticks are compared with, by level and group.
  private struct Totals: Sendable {
    var time: Int64
    /// Power, mW; `Int64.min` where there is none.
    var power: [[Int64]]
    /// GPUs whose power is in it, read or estimated.
    var known: [[Int64]]
    /// Reporting GPUs and the power assumed for silent ones, of factories and halls.
    var reporting: [[Int64]]
    var missing: [[Int64]]
  }

  private let plan: RollupPlan
  /// Ascending by time.
  private var past: [Totals] = []
  private var newest: ClosedTick?
  /// Minute means of each meter, mW, of the last day; oldest first.
  private var minutes: [[Int64]]
  private var minuteSums: [(sum: Int64, count: Int64)]
  private var minute = Int64.min
  /// Contract less 99th percentile of each meter, mW.
  private var stranded: [Int64?]
  /// Expected nodes and their GPUs of each rack.
  private let rackNodes: [(nodes: Int64, gpus: Int64)]

  private static let minutesMax = 1440
  private static let minutesMin = 60

  public init(_ plan: RollupPlan) {
    self.plan = plan
    let meters = plan.tree.meters.count
    minutes = Array(repeating: [], count: meters)
    minuteSums = Array(repeating: (0, 0), count: meters)
    stranded = Array(repeating: nil, count: meters)
    rackNodes = plan.tree.racks.map { rack in
      (Int64(rack.nodes.count), rack.nodes.reduce(0) { $0 + Int64(plan.tree.nodes[$1].gpus) })
    }
  }

  /// Takes the next closed tick. One that is not newer than the last is left out.
  public mutating func take(_ tick: ClosedTick) {
    let time = tick.tick.unixMilliseconds
    guard past.last.map({ $0.time < time }) ?? true else { return }
    past.append(totals(tick))
    let outdated = past.prefix { $0.time < time - Self.reachMilliseconds - 1000 }.count
    past.removeFirst(outdated)
    newest = tick
    noteMinutes(tick)
  }

  /// The numbers of one family at the newest tick, by group; `nil` where there is none.
  public func values(_ function: Function, _ level: RollupLevel) -> [Double?] {
    let count = plan.groupCount(level)
    guard let newest, let now = past.last else { return Array(repeating: nil, count: count) }
    switch function {
    case .change10s: return change(level, 10_000, now) { Double($0) / 1000 }
    case .change60s: return change(level, 60_000, now) { Double($0) / 1000 }
    case .ramp10s: return change(level, 10_000, now) { Double($0) / 10_000 }
    case .ramp60s: return change(level, 60_000, now) { Double($0) / 60_000 }
    case .lostRatio:
      return compare(now, 10_000, count) { now, then, group in
        let (before, after) = (then.power[level.rawValue][group], now.power[level.rawValue][group])
        guard before > 0, after != .min, isComparable(now, then, level, group) else { return nil }
        return max(0, Double(before - after) / Double(before))
      }
    case .vanishedRatio:
      return compare(now, 10_000, count) { now, then, group in
        let (before, after) = (then.reporting[level.rawValue][group], now.reporting[level.rawValue][group])
        return before > 0 ? max(0, Double(before - after) / Double(before)) : nil
      }
    case .vanishedPower:
      return compare(now, 10_000, count) { now, then, group in
        guard then.reporting[level.rawValue][group] > 0 else { return nil }
        return Double(max(0, now.missing[level.rawValue][group] - then.missing[level.rawValue][group])) / 1000
      }
    case .cappedRatio:
      let table = newest[level]
      return (0..<count).map { group in
        let reporting = table.field(.reportingGPUs, group)
        return reporting > 0 ? Double(table.field(.powerCappedGPUs, group)) / Double(reporting) : nil
      }
    case .lostGPUs: return lostGPUs(newest[.rack])
    case .meterMismatch: return mismatch(newest)
    case .strandedPower: return stranded.map { $0.map { Double($0) / 1000 } }
    case .demandElapsed:
      return plan.tree.meters.map { meter in
        let local = newest.tick.unixMilliseconds + Int64(meter.clockOffsetSeconds) * 1000
        let length = DemandMeter.intervalMilliseconds
        // The tick on the border ends the interval before it.
        let rest = ((local % length) + length) % length
        return Double(rest == 0 ? length : rest) / 1000
      }
    }
  }

  private func totals(_ tick: ClosedTick) -> Totals {
    let all = RollupLevel.allCases.map {
      level -> (power: [Int64], known: [Int64], reporting: [Int64], missing: [Int64]) in
      guard Self.levels.contains(level) else { return ([], [], [], []) }
      let table = tick[level]
      let groups = 0..<plan.groupCount(level)
      let power = groups.map { group -> Int64 in
        guard table.field(.reportingNodes, group) > 0 || table.field(.estimatedGPUs, group) > 0 else {
          return tick.facilityMilliwatts(level, group) ?? .min
        }
        return tick.facilityMilliwatts(level, group) ?? table.totalMilliwatts(group)
      }
      let known = groups.map { table.field(.reportingGPUs, $0) + table.field(.estimatedGPUs, $0) }
      guard level == .factory || level == .hall else { return (power, known, [], []) }
      return (
        power, known, groups.map { table.field(.reportingGPUs, $0) }, groups.map { table.field(.missingPower, $0) }
      )
    }
    return Totals(
      time: tick.tick.unixMilliseconds, power: all.map(\.power), known: all.map(\.known),
      reporting: all.map(\.reporting), missing: all.map(\.missing))
  }

  /// The totals of `span` before `now`, or of the newest tick before that which is at most one second older.
  private func totals(_ span: Int64, before now: Totals) -> Totals? {
    guard let found = past.last(where: { $0.time <= now.time - span }), found.time >= now.time - span - 1000 else {
      return nil
    }
    return found
  }

  private func compare(
    _ now: Totals, _ span: Int64, _ count: Int, _ body: (Totals, Totals, Int) -> Double?
  ) -> [Double?] {
    guard let then = totals(span, before: now) else { return Array(repeating: nil, count: count) }
    return (0..<count).map { body(now, then, $0) }
  }

  private func change(
    _ level: RollupLevel, _ span: Int64, _ now: Totals, _ scale: (Int64) -> Double
  ) -> [Double?] {
    compare(now, span, plan.groupCount(level)) { now, then, group in
      let (before, after) = (then.power[level.rawValue][group], now.power[level.rawValue][group])
      guard before != .min, after != .min, isComparable(now, then, level, group) else { return nil }
      return scale(after &- before)
    }
  }

  /// Whether both totals are of nearly the same GPUs: agents that come for the first time, or whose estimate expires, change
  /// what is known and not what is drawn.
  private func isComparable(_ now: Totals, _ then: Totals, _ level: RollupLevel, _ group: Int) -> Bool {
    let (before, after) = (then.known[level.rawValue][group], now.known[level.rawValue][group])
    return min(before, after) * 10 >= max(before, after) * 9
  }

  /// Silent nodes explain missing GPUs; what is missing beyond them has been lost by nodes that report.
  private func lostGPUs(_ table: CellTable) -> [Double?] {
    rackNodes.indices.map { rack in
      let expected = table.field(.expectedGPUs, rack)
      guard expected > 0, rackNodes[rack].nodes > 0, rackNodes[rack].gpus > 0 else { return nil }
      let perNode = rackNodes[rack].gpus / rackNodes[rack].nodes
      guard perNode > 0 else { return nil }
      let silent = max(0, expected / perNode - table.field(.reportingNodes, rack))
      return Double(max(0, expected - table.field(.coveredGPUs, rack) - silent * perNode))
    }
  }

  private func mismatch(_ tick: ClosedTick) -> [Double?] {
    let table = tick[.meter]
    return plan.tree.meters.indices.map { index in
      let shown = tick.meterPower[index]
      guard shown.isRead, shown.milliwatts > 0 else { return nil }
      let modelled = Double(table.totalMilliwatts(index)) * Double(plan.tree.meters[index].puePermille) / 1000
      return abs(modelled - Double(shown.milliwatts)) / Double(shown.milliwatts)
    }
  }

  private mutating func noteMinutes(_ tick: ClosedTick) {
    let now = tick.tick.unixMilliseconds.flooredDivision(by: 60_000)
    if now != minute {
      for meter in minutes.indices where minuteSums[meter].count > 0 {
        minutes[meter].append(minuteSums[meter].sum / minuteSums[meter].count)
        if minutes[meter].count > Self.minutesMax { minutes[meter].removeFirst() }
        minuteSums[meter] = (0, 0)
        stranded[meter] = headroom(meter)
      }
      minute = now
    }
    for meter in minuteSums.indices {
      guard let power = tick.facilityMilliwatts(.meter, meter) else { continue }
      minuteSums[meter].sum &+= power
      minuteSums[meter].count += 1
    }
  }

  private func headroom(_ meter: Int) -> Int64? {
    guard let contract = plan.tree.meters[meter].contract?.milliwatts, minutes[meter].count >= Self.minutesMin else {
      return nil
    }
    let sorted = minutes[meter].sorted()
    return contract - sorted[min(sorted.count - 1, sorted.count * 99 / 100)]
  }
}
