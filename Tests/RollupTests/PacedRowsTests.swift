import BongsuFleet
import BongsuModel
import BongsuRollup
import Testing

@Suite("Nodes whose interval is not the rollup's")
struct PacedRowsTests {
  static func totals(_ nodeMilliseconds: Int, _ rows: [(atMilliseconds: Int64, milliwatts: Int64)], ticks: Int)
    -> [CellTable]
  {
    let layout = RowLayout.node(gpus: 1, interval: TickInterval(milliseconds: nodeMilliseconds)!)
    let plan = RollupPlan(SmallFleet.tree)
    var shard = ShardRollup(plan, first: SmallFleet.start)
    var levels = LevelRollup(plan)
    let member = shard.join(NodeID("stray-1")!, layout: layout)
    var remaining = rows[...]
    var tables: [CellTable] = []
    for step in 0..<ticks {
      let tick = SmallFleet.start.advanced(by: step, of: .second)
      while let next = remaining.first, next.atMilliseconds <= Int64(step) * 1000 {
        remaining.removeFirst()
        var row = [Int64](repeating: SampleValue.absent.bits, count: layout.width)
        row[layout.offset(of: layout.column(of: .gpuPower)!)] = next.milliwatts
        row[layout.offset(of: layout.column(of: .gpuClockEventReasons)!)] = next.milliwatts % 2 == 0 ? 4 : 0x80
        let at = Tick(unixMilliseconds: SmallFleet.start.unixMilliseconds + next.atMilliseconds)
        let outcome = shard.add(member, at: at, row: row.span)
        #expect(outcome == .added)
      }
      var frame = LeafFrame(tick: tick)
      shard.close(into: &frame)
      tables.append(levels.close([frame]).nation)
    }
    return tables
  }

  @Test("ten rows within a tick enter as their mean, once, with their flags united")
  func fast() {
    let rows = (-9...20).map { (atMilliseconds: Int64($0) * 100, milliwatts: Int64(100_000 + $0)) }
    let tables = Self.totals(100, rows, ticks: 3)
    for (step, table) in tables.enumerated() {
      let power = table.gauge(.gpuPower, 0)!
      // The ticks 0.1 s … 1.0 s belong to the tick at 1 s; their mean is 5.5, rounded away from zero.
      let mean = 100_000 + Int64(step) * 10 + (step == 0 ? -4 : -4)
      #expect(power.sum == mean && power.count == 1, "tick \(step): \(power)")
      #expect(table.field(.reportingGPUs, 0) == 1)
      #expect(table.field(.powerCappedGPUs, 0) == 1 && table.field(.powerBrakedGPUs, 0) == 1)
    }
  }

  @Test("a row every five seconds counts in each tick until the next one is due, then the node is silent")
  func slow() {
    let tables = Self.totals(5000, [(0, 100_000), (5000, 300_000)], ticks: 12)
    let sums = tables.map { $0.gauge(.gpuPower, 0)!.sum }
    #expect(sums == Array(repeating: 100_000, count: 5) + Array(repeating: 300_000, count: 5) + [0, 0])
    #expect(tables[11].field(.estimatedGPUs, 0) == 1)
    #expect(tables[11].field(.missingPower, 0) == tables[9].totalMilliwatts(0))
  }
}
