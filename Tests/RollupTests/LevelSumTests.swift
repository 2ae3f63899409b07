import BongsuFleet
import BongsuModel
import BongsuRollup
import BongsuTestKit
import Testing

@Suite("Levels of the rollup")
struct LevelSumTests {
  /// Runs `ticks` ticks of all nodes through `shards` shards; returns every closed tick and the naive twin.
  static func run(
    seed: UInt64, ticks: Int, shards: Int, lossPermille: Int = 100
  ) -> (closed: [ClosedTick], naive: NaiveRollup, plan: RollupPlan) {
    var source = RandomNodes(seed: seed)
    let plan = RollupPlan(SmallFleet.tree)
    var rollups = (0..<shards).map { _ in ShardRollup(plan, first: SmallFleet.start) }
    let members = source.nodes.indices.map { index in
      rollups[index % shards].join(source.nodes[index].id, layout: source.nodes[index].layout)
    }
    var levels = LevelRollup(plan)
    var naive = NaiveRollup(tree: SmallFleet.tree)
    var closed: [ClosedTick] = []
    for step in 0..<ticks {
      let tick = SmallFleet.start.advanced(by: step, of: .second)
      for index in source.nodes.indices.shuffled(using: &source.random) {
        let row = source.row(of: index)
        if Int.random(in: 0..<1000, using: &source.random) < lossPermille { continue }
        let outcome = rollups[index % shards].add(members[index], at: tick, row: row.span)
        if outcome != .added { Issue.record("a row in time is \(outcome), seed \(seed)") }
        naive.entries.append(
          .init(node: source.nodes[index].id, layout: source.nodes[index].layout, tick: tick, row: row))
      }
      var frames: [LeafFrame] = []
      for shard in rollups.indices {
        var frame = LeafFrame(tick: tick)
        rollups[shard].close(into: &frame)
        frames.append(frame)
      }
      closed.append(levels.close(frames))
    }
    return (closed, naive, plan)
  }

  @Test(
    "sums over factories, over top-level allocations and over the nation agree to the milliwatt",
    arguments: [1, 2, 3] as [UInt64])
  func levelsAgree(seed: UInt64) {
    let seed = SeededRandom(default: seed).seed
    let (closed, _, plan) = Self.run(seed: seed, ticks: 200, shards: 1)
    let tree = plan.tree
    for tick in closed {
      let nation = tick.nation
      var values: [(String, (CellTable, Int) -> Int64)] = RolledField.allCases.map { field in
        ("\(field)", { table, cell in table.field(field, cell) })
      }
      for metric in RolledMetric.all {
        values.append((metric.metric.name, { table, cell in table.gauge(metric.metric.id, cell)!.sum }))
        values.append((metric.metric.name + " count", { table, cell in table.gauge(metric.metric.id, cell)!.count }))
      }
      for (name, value) in values {
        let sums: [Int64] = [
          tree.factories.indices.reduce(0) { $0 + value(tick[.factory], $1) },
          tree.halls.indices.reduce(0) { $0 + value(tick[.hall], $1) },
          tree.racks.indices.reduce(0) { $0 + value(tick[.rack], $1) },
          tree.allocations.indices.reduce(0) {
            tree.allocations[$1].depth == 1 ? $0 + value(tick[.allocation], $1) : $0
          },
          plan.pairs.indices.reduce(0) {
            tree[plan.pairs[$1].allocation].depth == 1 ? $0 + value(tick[.factoryAllocation], $1) : $0
          },
        ]
        if !sums.allSatisfy({ $0 == value(nation, 0) }) {
          Issue.record("\(name) at \(tick.tick), seed \(seed): \(sums), nation \(value(nation, 0))")
          return
        }
      }
    }
    let hosted = tree.allocation("ministry/hosted")!.position
    let ministry = tree.allocation("ministry")!.position
    let last = closed[closed.count - 1][.allocation]
    #expect(last.totalMilliwatts(hosted) == last.totalMilliwatts(ministry))
    #expect(last.totalMilliwatts(tree.unassignedAllocation.position) > 0)
  }

  @Test("every level equals a recomputation from the rows", arguments: [11, 12, 13] as [UInt64])
  func equalsNaive(seed: UInt64) {
    let seed = SeededRandom(default: seed).seed
    let (closed, naive, plan) = Self.run(seed: seed, ticks: 90, shards: 1)
    for tick in closed {
      let atTick = naive.entries.filter { $0.tick == tick.tick }
      for level in RollupLevel.allCases {
        for group in 0..<plan.groupCount(level) {
          let entries = atTick.filter { naive.contains(level, group, $0, plan) }
          for metric in [MetricID.gpuPower, .gpuUtilization, .gpuTemperatureMargin, .modulePower, .nodePower] {
            let got = tick[level].gauge(metric, group)!
            let want = naive.gauge(metric, entries)
            let isEqual =
              (got.sum, got.count) == (want.sum, want.count) && got.min == want.min && got.max == want.max
            if !isEqual {
              Issue.record("\(level) \(group) metric \(metric.rawValue) at \(tick.tick), seed \(seed): \(got), \(want)")
              return
            }
          }
          let counted = (tick[level].field(.reportingGPUs, group), tick[level].field(.reportingNodes, group))
          if counted != (naive.reportingGPUs(entries), Int64(entries.count)) {
            Issue.record("\(level) \(group) at \(tick.tick), seed \(seed): counts \(counted)")
            return
          }
        }
      }
    }
  }

  @Test("shards add up to what one shard would have counted", arguments: [2, 3, 5])
  func shardsAddUp(shards: Int) {
    let seed = SeededRandom(default: 77).seed
    let one = Self.run(seed: seed, ticks: 150, shards: 1).closed
    let many = Self.run(seed: seed, ticks: 150, shards: shards).closed
    for (left, right) in zip(one, many) {
      for level in RollupLevel.allCases { #expect(left[level] == right[level], "\(level), seed \(seed)") }
      #expect(left.meterPower == right.meterPower, "seed \(seed)")
    }
  }
}
