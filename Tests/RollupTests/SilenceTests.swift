import BongsuFleet
import BongsuModel
import BongsuRollup
import Testing

@Suite("Silent nodes and energy counters")
struct SilenceTests {
  /// One H100 node of one GPU that nothing else meters, at `east/b`.
  final class OneNode {
    var shard: ShardRollup
    var levels: LevelRollup
    let member: MemberNumber
    let layout: RowLayout
    var step = 0

    init(_ name: String = "east-b-r1-n2", gpus: Int = 8) {
      let plan = RollupPlan(SmallFleet.tree)
      shard = ShardRollup(plan, first: SmallFleet.start, keepsSketches: false)
      levels = LevelRollup(plan)
      layout = .node(gpus: gpus)
      member = shard.join(NodeID(name)!, layout: layout)
    }

    /// Adds a row when `milliwatts` is given, and closes the tick.
    func tick(_ milliwatts: Int64?, energy: Int64? = nil) -> CellTable {
      let tick = SmallFleet.start.advanced(by: step, of: .second)
      step += 1
      if let milliwatts {
        var row = [Int64](repeating: SampleValue.absent.bits, count: layout.width)
        for place in layout.range(of: layout.column(of: .gpuPower)!) { row[place] = milliwatts }
        if let energy {
          for place in layout.range(of: layout.column(of: .gpuEnergy)!) { row[place] = energy }
        }
        #expect(shard.add(member, at: tick, row: row.span) == .added)
      }
      var frame = LeafFrame(tick: tick)
      shard.close(into: &frame)
      return levels.close([frame]).nation
    }
  }

  @Test("a silent node is estimated at its last value, then at its model's typical power, for one hour in all")
  func estimates() {
    let node = OneNode()
    let heard = node.tick(300_000)
    let last = heard.totalMilliwatts(0)
    #expect(heard.field(.measuredPower, 0) == 2_400_000)
    // 2,400 W of GPUs are 55 % of the node.
    #expect(heard.field(.scaledPower, 0) == 2_400_000 * 1000 / 550 - 2_400_000)
    #expect(heard.field(.missingPower, 0) == 0)
    for age in 1...3700 {
      let table = node.tick(nil)
      let expectedGPU: Int64 = age <= 300 ? 2_400_000 : age <= 3600 ? 8 * 630_000 : 0
      guard table.field(.missingGPUPower, 0) == expectedGPU else {
        Issue.record("\(age) s after the last row: GPUs at \(table.field(.missingGPUPower, 0)), not \(expectedGPU)")
        break
      }
      let expected: Int64 =
        age <= 300 ? last : age <= 3600 ? 8 * (630_000 * 1000 / 550) : 0
      guard table.totalMilliwatts(0) != expected else { continue }
      Issue.record("\(age) s after the last row: \(table.totalMilliwatts(0)) instead of \(expected)")
      break
    }
    let back = node.tick(100_000)
    #expect(back.field(.missingPower, 0) == 0 && back.field(.estimatedGPUs, 0) == 0)
  }

  @Test("coverage counts the GPUs that are expected, and silence lowers it though power is estimated")
  func coverage() {
    let node = OneNode()
    // In service: 4 B200 nodes and 3 H100 nodes of 8.
    #expect(node.tick(300_000).coverage(0) == 8.0 / 56)
    let silent = node.tick(nil)
    #expect(silent.coverage(0) == 0)
    #expect(silent.field(.estimatedGPUs, 0) == 8)
    #expect(silent.field(.expectedGPUs, 0) == 56)
  }

  @Test("maintenance takes a hall out of what is expected, and nobody estimates it")
  func maintenance() {
    let node = OneNode("east-a-r1-n1")
    for _ in 0..<100 { _ = node.tick(300_000) }
    #expect(node.tick(nil).field(.estimatedGPUs, 0) == 8)
    while node.step < 120 { _ = node.tick(nil) }
    let inMaintenance = node.tick(nil)
    #expect(inMaintenance.field(.expectedGPUs, 0) == 24)
    #expect(inMaintenance.totalMilliwatts(0) == 0)
    while node.step < 180 { _ = node.tick(nil) }
    #expect(node.tick(nil).field(.expectedGPUs, 0) == 56)
  }

  @Test("nodes of a planned hall may report, and are neither expected nor missed")
  func planned() {
    let node = OneNode("west-a-r1-n01", gpus: 4)
    let heard = node.tick(500_000)
    #expect(heard.field(.reportingGPUs, 0) == 4 && heard.field(.coveredGPUs, 0) == 0)
    #expect(node.tick(nil).totalMilliwatts(0) == 0)
  }

  @Test("a GPU that stops answering is assumed to draw what all of them last did")
  func silentGPU() {
    let node = OneNode()
    let all = node.tick(300_000)
    var row = [Int64](repeating: SampleValue.absent.bits, count: node.layout.width)
    for place in node.layout.range(of: node.layout.column(of: .gpuPower)!).dropLast() { row[place] = 300_000 }
    let tick = SmallFleet.start.advanced(by: 1, of: .second)
    _ = node.shard.add(node.member, at: tick, row: row.span)
    let seven = node.tick(nil)
    #expect(seven.field(.reportingGPUs, 0) == 7 && seven.field(.estimatedGPUs, 0) == 1)
    #expect(abs(seven.totalMilliwatts(0) - all.totalMilliwatts(0)) <= 2)
    #expect(seven.field(.missingGPUPower, 0) == 300_000)
    // Now the whole node is silent: its GPUs are assumed to draw what they did, the silent one included.
    #expect(node.tick(nil).field(.missingGPUPower, 0) == 2_400_000)
  }

  @Test("energy comes from counters: exact over gaps, safe over resets, and blind to impossible jumps")
  func energy() {
    let node = OneNode()
    let joules = { (table: CellTable) in table.field(.gpuEnergy, 0) }
    // The first row has no difference yet: its power counts for one tick.
    #expect(joules(node.tick(300_000, energy: 5_000_000)) == 8 * 300_000)
    #expect(joules(node.tick(300_000, energy: 5_310_000)) == 8 * 310_000)
    #expect(joules(node.tick(nil)) == 0)
    #expect(joules(node.tick(300_000)) == 0)
    #expect(joules(node.tick(300_000, energy: 6_200_000)) == 8 * 890_000)
    // The driver was loaded again.
    #expect(joules(node.tick(300_000, energy: 40_000)) == 8 * 40_000)
    #expect(joules(node.tick(300_000, energy: 340_000)) == 8 * 300_000)
    // No GPU draws 9 MW.
    #expect(joules(node.tick(300_000, energy: 9_000_000_000)) == 0)
    #expect(joules(node.tick(300_000, energy: 9_000_300_000)) == 8 * 300_000)
  }

  @Test("a membership that changes hands moves the node's power at that tick and not before")
  func membershipChange() {
    let plan = RollupPlan(SmallFleet.tree)
    var shard = ShardRollup(plan, first: SmallFleet.start, keepsSketches: false)
    var levels = LevelRollup(plan)
    let layout = RowLayout.node(gpus: 8)
    let member = shard.join(NodeID("east-b-r1-n1")!, layout: layout)
    let owner = SmallFleet.tree.allocation("owner")!.position
    let other = SmallFleet.tree.allocation("other")!.position
    for step in 0..<120 {
      let tick = SmallFleet.start.advanced(by: step, of: .second)
      let row = [Int64](repeating: 1000, count: layout.width)
      _ = shard.add(member, at: tick, row: row.span)
      var frame = LeafFrame(tick: tick)
      shard.close(into: &frame)
      let table = levels.close([frame])[.allocation]
      #expect(table.field(.reportingGPUs, owner) == (step < 60 ? 8 : 0), "tick \(step)")
      #expect(table.field(.reportingGPUs, other) == (step < 60 ? 0 : 8), "tick \(step)")
    }
  }

  @Test("a real meter replaces the computed facility power, and the factor returns when it falls silent")
  func meter() {
    let plan = RollupPlan(SmallFleet.tree)
    var shard = ShardRollup(plan, first: SmallFleet.start, keepsSketches: false)
    var levels = LevelRollup(plan)
    let layout = RowLayout.node(gpus: 8)
    let node = shard.join(NodeID("east-a-r1-n1")!, layout: layout)
    let meterLayout = RowLayout.node(gpus: 0, hasMeter: true)
    let meter = shard.join(NodeID("east-utility")!, layout: meterLayout)
    for step in 0..<10 {
      let tick = SmallFleet.start.advanced(by: step, of: .second)
      let row = [Int64](repeating: 100_000, count: layout.width)
      _ = shard.add(node, at: tick, row: row.span)
      if (2..<5).contains(step) {
        var reading = [Int64](repeating: SampleValue.absent.bits, count: meterLayout.width)
        reading[meterLayout.offset(of: meterLayout.column(of: .nodePower)!)] = 77_000_000
        _ = shard.add(meter, at: tick, row: reading.span)
      }
      var frame = LeafFrame(tick: tick)
      shard.close(into: &frame)
      let closed = levels.close([frame])
      let it = closed[.meter].totalMilliwatts(0)
      #expect(closed.meterPower[0].isRead == (2...7).contains(step), "tick \(step)")
      #expect(closed.meterPower[0].milliwatts == ((2...7).contains(step) ? 77_000_000 : it * 1250 / 1000))
      #expect(closed.facilityMilliwatts(.nation, 0) == closed.meterPower[0].milliwatts)
    }
  }

  @Test("a late reading of a meter replaces what was shown at its tick, and not what is shown now")
  func lateMeter() {
    let plan = RollupPlan(SmallFleet.tree)
    var shard = ShardRollup(plan, first: SmallFleet.start, keepsSketches: false)
    var levels = LevelRollup(plan)
    let layout = RowLayout.node(gpus: 0, hasMeter: true)
    let meter = shard.join(NodeID("east-utility")!, layout: layout)
    let reading = { (milliwatts: Int64) in
      var row = [Int64](repeating: SampleValue.absent.bits, count: layout.width)
      row[layout.offset(of: layout.column(of: .nodePower)!)] = milliwatts
      return row
    }
    var frame = LeafFrame(tick: SmallFleet.start)
    shard.close(into: &frame)
    _ = levels.close([frame])
    let newRow = reading(5_000_000)
    _ = shard.add(meter, at: SmallFleet.start.advanced(by: 1, of: .second), row: newRow.span)
    shard.close(into: &frame)
    #expect(levels.close([frame]).meterPower[0].milliwatts == 5_000_000)
    let oldRow = reading(9_000_000)
    shard.addLate(meter, at: SmallFleet.start, row: oldRow.span)
    let corrections = shard.takeLate()
    #expect(corrections.map(\.tick) == [SmallFleet.start])
    let correction = levels.correction(corrections)
    #expect(correction.meterPower[0] == .init(milliwatts: 9_000_000, isRead: true) && !correction.meterPower[1].isRead)
    shard.close(into: &frame)
    #expect(levels.close([frame]).meterPower[0].milliwatts == 5_000_000)
  }
}
