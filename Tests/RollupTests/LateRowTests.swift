import BongsuFleet
import BongsuModel
import BongsuRollup
import BongsuTestKit
import Testing

@Suite("Late rows")
struct LateRowTests {
  struct Delivery {
    var node: Int
    var tick: Tick
    var row: [Int64]
  }

  /// All rows of `ticks` ticks, per node in tick order.
  static func rows(seed: UInt64, ticks: Int, hasAbsence: Bool = false) -> (
    nodes: [RandomNodes.Node], rows: [[Delivery]]
  ) {
    var source = RandomNodes(seed: seed, hasAbsence: hasAbsence)
    let nodes = source.nodes
    let rows = (0..<ticks).map { step in
      nodes.indices.map { index in
        Delivery(
          node: index, tick: SmallFleet.start.advanced(by: step, of: .second), row: source.row(of: index))
      }
    }
    return (nodes, rows)
  }

  /// Level totals per tick after all corrections, when the rows for which `isLate` holds come after everything else, or
  /// `lagTicks` ticks after their own.
  static func totals(
    _ nodes: [RandomNodes.Node], _ rows: [[Delivery]], lagTicks: Int, isLate: (Delivery) -> Bool
  ) -> [[CellTable]] {
    let plan = RollupPlan(SmallFleet.tree)
    var shard = ShardRollup(plan, first: SmallFleet.start)
    var levels = LevelRollup(plan)
    let members = nodes.map { shard.join($0.id, layout: $0.layout) }
    var totals: [[CellTable]] = []
    var waiting: [Delivery] = []
    func deliver(_ late: [Delivery]) {
      for delivery in late { shard.addLate(members[delivery.node], at: delivery.tick, row: delivery.row.span) }
      for frame in shard.takeLate() {
        let step = Int(frame.tick.unixMilliseconds - SmallFleet.start.unixMilliseconds) / 1000
        let correction = levels.correction([frame])
        for level in RollupLevel.allCases { totals[step][level.rawValue].add(correction[level]) }
      }
    }
    for (step, atTick) in rows.enumerated() {
      for delivery in atTick {
        if isLate(delivery) {
          waiting.append(delivery)
        } else {
          let outcome = shard.add(members[delivery.node], at: delivery.tick, row: delivery.row.span)
          #expect(outcome == .added)
        }
      }
      var frame = LeafFrame(tick: SmallFleet.start.advanced(by: step, of: .second))
      shard.close(into: &frame)
      let closed = levels.close([frame])
      totals.append(RollupLevel.allCases.map { closed[$0] })
      let limit = SmallFleet.start.advanced(by: step - lagTicks, of: .second)
      deliver(waiting.filter { $0.tick <= limit })
      waiting.removeAll { $0.tick <= limit }
    }
    deliver(waiting)
    return totals
  }

  /// Outages that may begin with the first tick and end before the last one.
  static func outages(_ seed: UInt64, nodes: Int, ticks: Int) -> [(node: Int, ticks: Range<Int>)] {
    var random = SeededRandom(seed: seed)
    return (0..<nodes).flatMap { node in
      (0..<2).map { half in
        let first = half * ticks / 2 + Int.random(in: 0..<ticks / 8, using: &random)
        return (node, first..<first + Int.random(in: 0..<ticks / 4, using: &random))
      }
    }
  }

  @Test(
    "rows that come after an outage give the totals of a run without the outage, energy and estimates included",
    arguments: [0, 1, 7, 1000])
  func equalsUndisturbed(lagTicks: Int) {
    let seed = SeededRandom(default: 4_242).seed
    let ticks = 120
    let (nodes, rows) = Self.rows(seed: seed, ticks: ticks)
    let outages = Self.outages(seed, nodes: nodes.count, ticks: ticks)
    let undisturbed = Self.totals(nodes, rows, lagTicks: 0) { _ in false }
    let disturbed = Self.totals(nodes, rows, lagTicks: lagTicks) { delivery in
      let step = Int(delivery.tick.unixMilliseconds - SmallFleet.start.unixMilliseconds) / 1000
      return outages.contains { $0.node == delivery.node && $0.ticks.contains(step) }
    }
    var differences: [String] = []
    for step in 0..<ticks {
      for level in RollupLevel.allCases where undisturbed[step][level.rawValue] != disturbed[step][level.rawValue] {
        let (left, right) = (undisturbed[step][level.rawValue], disturbed[step][level.rawValue])
        for cell in 0..<left.count {
          for field in RolledField.allCases where left.field(field, cell) != right.field(field, cell) {
            differences.append(
              "\(level) \(cell) \(field) tick \(step): \(left.field(field, cell)) \(right.field(field, cell))")
          }
        }
      }
      if undisturbed[step] != disturbed[step] && differences.isEmpty { differences.append("gauges at tick \(step)") }
    }
    #expect(differences.isEmpty, "seed \(seed): \(differences.prefix(5)) of \(differences.count)")
  }

  @Test("energy adds up to the same total though counters are missing at random", arguments: [1, 2, 3, 4] as [UInt64])
  func energyTotal(seed: UInt64) {
    let seed = SeededRandom(default: seed).seed
    let ticks = 160
    let (nodes, rows) = Self.rows(seed: seed, ticks: ticks, hasAbsence: true)
    let outages = Self.outages(seed, nodes: nodes.count, ticks: ticks)
    let energy = { (totals: [[CellTable]]) in
      totals.map { $0[RollupLevel.nation.rawValue].field(.gpuEnergy, 0) }.reduce(0, +)
    }
    let undisturbed = energy(Self.totals(nodes, rows, lagTicks: 0) { _ in false })
    for lagTicks in [0, 3, 1000] {
      let disturbed = energy(
        Self.totals(nodes, rows, lagTicks: lagTicks) { delivery in
          let step = Int(delivery.tick.unixMilliseconds - SmallFleet.start.unixMilliseconds) / 1000
          return outages.contains { $0.node == delivery.node && $0.ticks.contains(step) }
        })
      #expect(disturbed == undisturbed, "seed \(seed), lag \(lagTicks)")
    }
  }
}
