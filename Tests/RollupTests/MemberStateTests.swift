import BongsuFleet
import BongsuModel
import BongsuRollup
import BongsuTestKit
import Testing

@Suite("Restart and change of devices")
struct MemberStateTests {
  @Test("a restored shard goes on as the old one would have: estimates, energy and all")
  func restart() {
    var source = RandomNodes(seed: SeededRandom(default: 21).seed)
    let plan = RollupPlan(SmallFleet.tree)
    var old = ShardRollup(plan, first: SmallFleet.start, keepsSketches: false)
    let oldMembers = source.nodes.map { old.join($0.id, layout: $0.layout) }
    var levels = LevelRollup(plan)
    var frame = LeafFrame(tick: SmallFleet.start)
    for step in 0..<20 {
      let tick = SmallFleet.start.advanced(by: step, of: .second)
      for index in source.nodes.indices {
        let row = source.row(of: index)
        _ = old.add(oldMembers[index], at: tick, row: row.span)
      }
      old.close(into: &frame)
    }
    var new = ShardRollup(plan, first: SmallFleet.start.advanced(by: 20, of: .second), keepsSketches: false)
    for state in old.memberStates.shuffled() { new.restore(state) }
    #expect(Set(new.memberStates) == Set(old.memberStates))
    // Half of the nodes come back at once, the others stay silent.
    let newMembers = source.nodes.indices.map { index in
      index % 2 == 0 ? new.join(source.nodes[index].id, layout: source.nodes[index].layout) : nil
    }
    for step in 20..<400 {
      let tick = SmallFleet.start.advanced(by: step, of: .second)
      for index in source.nodes.indices where index % 2 == 0 {
        let row = source.row(of: index)
        _ = old.add(oldMembers[index], at: tick, row: row.span)
        let outcome = new.add(newMembers[index]!, at: tick, row: row.span)
        #expect(outcome == .added)
      }
      old.close(into: &frame)
      let want = levels.close([frame])
      new.close(into: &frame)
      let got = levels.close([frame])
      for level in RollupLevel.allCases where got[level] != want[level] {
        Issue.record("\(level) differs at step \(step), seed \(source.random.seed)")
        return
      }
    }
  }

  @Test("silence after a restart is estimated from the newest stored row, also where the saved state is older")
  func recalled() throws {
    let plan = RollupPlan(SmallFleet.tree)
    let layout = RowLayout.node(gpus: 2, interval: .second, hasMeter: false, hasCounter: false)
    func row(_ milliwatts: Int64) -> [Int64] {
      layout.columns.map { $0.id == .gpuPower ? milliwatts : 0 }.flatMap { [$0, $0] }
    }
    let id = NodeID("stray-1")!
    var old = ShardRollup(plan, first: SmallFleet.start, keepsSketches: false)
    var levels = LevelRollup(plan)
    var frame = LeafFrame(tick: SmallFleet.start)
    let member = old.join(id, layout: layout)
    #expect(old.add(member, at: SmallFleet.start, row: row(500_000).span) == .added)
    old.close(into: &frame)
    func estimate(_ recall: (inout ShardRollup) -> Void) -> Int64 {
      var new = ShardRollup(plan, first: SmallFleet.start.advanced(by: 20, of: .second), keepsSketches: false)
      for state in old.memberStates { new.restore(state) }
      recall(&new)
      new.close(into: &frame)
      return levels.close([frame]).nation.field(.missingGPUPower, 0)
    }
    let before = estimate { _ in }
    #expect(before == 1_000_000)
    let newer = SmallFleet.start.advanced(by: 5, of: .second)
    #expect(estimate { $0.recall(id, layout: layout, row(300_000).span, at: newer) } == 600_000)
    let older = SmallFleet.start.advanced(by: -5, of: .second)
    #expect(estimate { $0.recall(id, layout: layout, row(300_000).span, at: older) } == before)
    #expect(estimate { $0.recall(NodeID("stray-2")!, layout: layout, row(300_000).span, at: newer) } == before)
    let wider = RowLayout.node(gpus: 3, interval: .second, hasMeter: false, hasCounter: false)
    let wide = [Int64](repeating: 300_000, count: wider.width)
    #expect(estimate { $0.recall(id, layout: wider, wide.span, at: newer) } == before)
  }

  @Test("energy counters follow their GPUs when these change places, and a new GPU starts afresh")
  func changedPlaces() throws {
    let plan = RollupPlan(SmallFleet.tree)
    var shard = ShardRollup(plan, first: SmallFleet.start, keepsSketches: false)
    var levels = LevelRollup(plan)
    var step = 0
    func energy(_ keys: [String], _ counters: [Int64]) throws -> Int64 {
      let layout = try RowLayout(
        interval: .second, columns: [MetricCatalogue.metric(.gpuPower)!, MetricCatalogue.metric(.gpuEnergy)!],
        devices: keys.enumerated().map { Device(scope: .gpu, index: UInt16($0.offset), key: $0.element, model: "") })
      let member = shard.join(NodeID("stray-1")!, layout: layout)
      let row = Array(repeating: Int64(100_000), count: keys.count) + counters
      let tick = SmallFleet.start.advanced(by: step, of: .second)
      step += 1
      #expect(shard.add(member, at: tick, row: row.span) == .added)
      var frame = LeafFrame(tick: tick)
      shard.close(into: &frame)
      return levels.close([frame]).nation.field(.gpuEnergy, 0)
    }
    #expect(try energy(["A", "B"], [1_000_000, 5_000_000]) == 200_000)
    #expect(try energy(["A", "B"], [1_100_000, 5_200_000]) == 300_000)
    #expect(try energy(["B", "A"], [5_300_000, 1_150_000]) == 150_000)
    // B left; C has no difference yet and is integrated from its power.
    #expect(try energy(["A", "C"], [1_250_000, 7_000_000]) == 200_000)
    #expect(try energy(["A", "B", "C"], [1_350_000, 5_500_000, 7_100_000]) == 300_000)
  }

  @Test("nodes that keep changing their shape and pace go on counting like any other")
  func changingShapes() throws {
    let plan = RollupPlan(SmallFleet.tree)
    var shard = ShardRollup(plan, first: SmallFleet.start, keepsSketches: false)
    var levels = LevelRollup(plan)
    var random = SeededRandom(default: 5)
    for step in 0..<300 {
      let tick = SmallFleet.start.advanced(by: step, of: .second)
      var expected: Int64 = 0
      for node in 0..<5 {
        let gpus = Int.random(in: 1...40, using: &random)
        let milliseconds = [1000, 1000, 500, 2000].randomElement(using: &random)!
        let layout = RowLayout.node(
          gpus: gpus, interval: TickInterval(milliseconds: milliseconds)!, hasMeter: Bool.random(using: &random),
          hasCounter: Bool.random(using: &random))
        let member = shard.join(NodeID("stray-\(node)")!, layout: layout)
        let row = [Int64](repeating: 1000, count: layout.width)
        let outcome = shard.add(member, at: tick, row: row.span)
        #expect(outcome == .added, "seed \(random.seed)")
        expected += Int64(gpus)
      }
      var frame = LeafFrame(tick: tick)
      shard.close(into: &frame)
      let nation = levels.close([frame]).nation
      #expect(nation.field(.reportingGPUs, 0) == expected, "step \(step), seed \(random.seed)")
    }
  }
}
