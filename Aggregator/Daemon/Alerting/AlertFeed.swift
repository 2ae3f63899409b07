import BongsuAlerts
import BongsuFleet
import BongsuIngest
import BongsuModel
import BongsuRollup
import BongsuSeries
import Synchronization

/// Puts what rules read into memory with every closed tick: rollups that some rule names, power functions, and the
/// thresholds of the fleet file.
///
/// Thread rule: ``take(_:)`` from one thread; the rest from any.
final class AlertFeed: Sendable {
  let series = TickSeries()
  private let plan: RollupPlan
  private let catalogue: RollupCatalogue
  private let thresholds: [PowerThresholds.Family]
  private let state: Mutex<State>
  private let course: Mutex<DemandCourse>

  private struct State {
    var functions: PowerFunctions
    var demand: [DemandMeter]
    /// By meter, powers of ticks that no stored minute has yet; ascending.
    var pending: [[MeterPower]]
    /// Rollups that rules read.
    var rollups: [(name: String, entry: RollupCatalogue.Entry)] = []
    var newest: ClosedTick?
    var skewed: [Double?]
    var stale: [Double?]
  }

  /// What a meter drew at a tick.
  private struct MeterPower {
    let tick: Tick
    let milliwatts: Int64
    let milliseconds: Int64
  }

  /// Ticks that wait for a stored minute at most; where minutes are formed late, demand is what was added live.
  private static let pendingMax = 20_000

  /// Families beside rollups, with the level of their groups.
  private static let functions = PowerFunctions.Function.allCases.flatMap { function in
    function.levels.map { (function: function, level: $0) }
  }

  /// Nodes with a clock off by more than 2 s, and connected nodes whose newest row is old; per factory.
  static let skewedNodes = "factory:bongsu_nodes_clock_skewed:count"
  static let staleNodes = "factory:bongsu_nodes_stale:count"

  /// How long power functions and thresholds are kept for graphs, milliseconds; those of racks for a few ticks only.
  private static let keepMilliseconds: Int64 = 300_000
  private static let rackKeepMilliseconds: Int64 = 3_000

  init(plan: RollupPlan, catalogue: RollupCatalogue) {
    self.plan = plan
    self.catalogue = catalogue
    thresholds = PowerThresholds.families(plan)
    course = Mutex(DemandCourse(meters: plan.tree.meters.count))
    let factories = plan.groupCount(.factory)
    state = Mutex(
      State(
        functions: PowerFunctions(plan),
        demand: plan.tree.meters.map { DemandMeter($0, timeZone: plan.tree.timeZone) },
        pending: plan.tree.meters.map { _ in [] },
        skewed: Array(repeating: nil, count: factories),
        stale: Array(repeating: nil, count: factories)))
    defineOwn([:])
  }

  private func defineOwn(_ reach: [String: Int64]) {
    func define(_ name: String, _ labels: [LabelSet], isRack: Bool) {
      series.define(
        name, labels,
        keepMilliseconds: max(reach[name] ?? 0, isRack ? Self.rackKeepMilliseconds : Self.keepMilliseconds))
    }
    for entry in Self.functions {
      define(entry.function.name(entry.level), catalogue.groups(entry.level), isRack: entry.level == .rack)
    }
    for family in thresholds {
      let sets = family.series.map { entry in
        LabelSet(metricName: "", labels: entry.labels.map { Label(name: $0.name, value: $0.value) })
      }
      define(family.name, sets, isRack: family.series.count > 2000)
    }
    for name in [Self.skewedNodes, Self.staleNodes] { define(name, catalogue.groups(.factory), isRack: false) }
  }

  /// Takes note of what rules read: metric names with how far back, milliseconds.
  func prepare(_ names: [String: Int64]) {
    defineOwn(names)
    let rollups = names.keys.sorted().compactMap { name in catalogue[name].map { (name: name, entry: $0) } }
    for rollup in rollups {
      let reach = max(names[rollup.name] ?? 0, Self.rackKeepMilliseconds)
      series.define(rollup.name, catalogue.groups(rollup.entry.level), keepMilliseconds: reach)
    }
    state.withLock { $0.rollups = rollups }
  }

  /// Takes the next closed tick.
  func take(_ tick: ClosedTick) {
    let time = tick.tick.unixMilliseconds
    func add(_ name: String, _ values: [Double?]) {
      series.append(name, at: time, values.map { $0 ?? TickSeries.absent })
    }
    let (functions, rollups, skewed, stale, outlooks) = state.withLock { state in
      state.functions.take(tick)
      state.newest = tick
      for meter in state.demand.indices {
        guard let power = tick.facilityMilliwatts(.meter, meter) else { continue }
        state.demand[meter].add(milliwatts: power, at: tick.tick, interval: tick.interval)
        if state.pending[meter].count < Self.pendingMax {
          state.pending[meter].append(
            MeterPower(tick: tick.tick, milliwatts: power, milliseconds: Int64(tick.interval.milliseconds)))
        }
      }
      return (state.functions, state.rollups, state.skewed, state.stale, state.demand.map(\.outlook))
    }
    for rollup in rollups {
      let groups = 0..<plan.groupCount(rollup.entry.level)
      switch rollup.entry {
      case .level(let level, let series): add(rollup.name, groups.map { series.value(tick, level, $0) })
      case .demand(let series): add(rollup.name, groups.map { outlooks[$0].flatMap { series.value($0) } })
      }
    }
    for entry in Self.functions { add(entry.function.name(entry.level), functions.values(entry.function, entry.level)) }
    for family in thresholds { series.append(family.name, at: time, family.series.map(\.value)) }
    course.withLock { $0.add(outlooks, at: tick.tick) }
    add(Self.skewedNodes, skewed)
    add(Self.staleNodes, stale)
  }

  /// Puts quarter-hours of meters as stored minutes have them, up to `stored`; ticks after that stay as they came.
  ///
  /// - Parameter quarters: by number of the meter and end of the quarter-hour.
  func restate(_ quarters: [Int: [Tick: DemandHistory.Quarter]], stored: Tick) {
    state.withLock { state in
      for (meter, ends) in quarters {
        state.pending[meter].removeAll { $0.tick <= stored }
        for (end, quarter) in ends.sorted(by: { $0.key < $1.key }) {
          var quarter = quarter
          for power in state.pending[meter] where state.demand[meter].quarterEnd(of: power.tick) == end {
            quarter.energy += power.milliwatts * power.milliseconds
            quarter.coveredMilliseconds += power.milliseconds
          }
          state.demand[meter].replace(
            quarterOf: end, energy: quarter.energy, coveredMilliseconds: quarter.coveredMilliseconds)
        }
      }
    }
  }

  /// Takes note of peaks of months, by number of the meter.
  func note(peaks: [Int: [DemandMeter.MonthPeak]]) {
    state.withLock { state in
      for (meter, months) in peaks { for peak in months { state.demand[meter].note(peak) } }
    }
  }

  /// Where the demand of a meter stands; `nil` before its first tick.
  func outlook(_ meter: Int) -> DemandMeter.Outlook? { state.withLock { $0.demand[meter].outlook } }

  /// How the demand of a meter stood at the ticks of a range that are kept, ascending; see ``DemandCourse``.
  func course(of meter: Int, in range: ClosedRange<Tick>) -> [DemandCourse.Entry] {
    course.withLock { $0.entries(of: meter, in: range) }
  }

  /// Takes what shards say of their nodes' clocks: per factory how many nodes, how many skewed, how many stale.
  func note(_ counts: [(nodes: Int, skewed: Int, stale: Int)]) {
    state.withLock { state in
      state.skewed = counts.map { $0.nodes > 0 ? Double($0.skewed) : nil }
      state.stale = counts.map { $0.nodes > 0 ? Double($0.stale) : nil }
    }
  }

  /// What is known of the data behind an alert: of the finest place that its labels name.
  func circumstances(_ labels: LabelSet) -> RuleEngine.Circumstances {
    guard let newest = state.withLock({ $0.newest }) else { return RuleEngine.Circumstances() }
    let (level, group) = place(labels)
    let table = newest[level]
    let total = table.totalMilliwatts(group)
    let share = total > 0 ? Double(table.estimatedMilliwatts(group)) / Double(total) : nil
    return RuleEngine.Circumstances(coverage: table.coverage(group), estimatedShare: share)
  }

  private func place(_ labels: LabelSet) -> (RollupLevel, Int) {
    let tree = plan.tree
    func position(_ level: RollupLevel, _ names: [String]) -> Int? {
      catalogue.groups(level).firstIndex { set in names.allSatisfy { set[$0] == labels[$0] } }
    }
    let candidates: [(RollupLevel, [String])] = [
      (.rack, ["factory", "hall", "rack"]), (.hall, ["factory", "hall"]), (.meter, ["meter"]),
      (.factory, ["factory"]), (.allocation, ["allocation"]),
    ]
    for (level, names) in candidates where names.allSatisfy({ !labels[$0].isEmpty }) {
      if let group = position(level, names) { return (level, group) }
    }
    precondition(!tree.factories.isEmpty, "a fleet without factories")
    return (.nation, 0)
  }
}
