import BongsuFleet
import BongsuModel
import BongsuRollup
import BongsuTestKit
import Foundation
import Testing

@Suite("Power that a machine's controller gives for a node with an agent")
struct ControllerPowerTests {
  /// One H100 node of eight GPUs that draw 500 W each, and its controller.
  final class Machine {
    var shard: ShardRollup
    var levels: LevelRollup
    let layout: RowLayout
    let controllerLayout = RowLayout.node(gpus: 0, interval: TickInterval(milliseconds: 10_000)!, hasMeter: true)
    let node: MemberNumber
    let controller: MemberNumber
    var step = 0

    init(_ name: String = "east-b-r1-n2", hasMeter: Bool = false, controllerFirst: Bool = false) {
      let plan = RollupPlan(SmallFleet.tree)
      shard = ShardRollup(plan, first: SmallFleet.start, keepsSketches: false)
      levels = LevelRollup(plan)
      layout = .node(gpus: 8, hasMeter: hasMeter)
      if controllerFirst { _ = shard.join(NodeID("\(name).bmc")!, layout: controllerLayout) }
      node = shard.join(NodeID(name)!, layout: layout)
      controller = shard.join(NodeID("\(name).bmc")!, layout: controllerLayout)
    }

    func tick(_ step: Int) -> Tick { SmallFleet.start.advanced(by: step, of: .second) }

    func row(_ milliwatts: Int64, meter: Int64? = nil) -> [Int64] {
      var row = [Int64](repeating: SampleValue.absent.bits, count: layout.width)
      for place in layout.range(of: layout.column(of: .gpuPower)!) { row[place] = milliwatts }
      if let meter, let column = layout.column(of: .nodePower) { row[layout.offset(of: column)] = meter }
      return row
    }

    func read(_ milliwatts: Int64?, at step: Int) {
      var row = [Int64](repeating: SampleValue.absent.bits, count: controllerLayout.width)
      if let milliwatts {
        row[controllerLayout.offset(of: controllerLayout.column(of: .nodePower)!)] = milliwatts
      }
      #expect(shard.add(controller, at: tick(step), row: row.span) == .added)
    }

    /// Adds the node's row, unless it is silent, and closes the tick.
    func close(_ milliwatts: Int64? = 500_000, meter: Int64? = nil) -> CellTable {
      if let milliwatts {
        let row = row(milliwatts, meter: meter)
        #expect(shard.add(node, at: tick(step), row: row.span) == .added)
      }
      var frame = LeafFrame(tick: tick(step))
      step += 1
      shard.close(into: &frame)
      return levels.close([frame]).nation
    }
  }

  @Test(
    "it is the node's measured power, once, in place of what the GPUs' share would be scaled to",
    arguments: [false, true])
  func measured(controllerFirst: Bool) {
    let machine = Machine(controllerFirst: controllerFirst)
    machine.read(6_100_000, at: 0)
    // A tick has what was read before it, whichever of the two came first.
    let before = machine.close()
    #expect(before.field(.measuredPower, 0) == 4_000_000 && before.field(.scaledPower, 0) > 0)
    for _ in 1..<20 {
      let cell = machine.close()
      #expect(cell.field(.measuredPower, 0) == 6_100_000 && cell.totalMilliwatts(0) == 6_100_000)
      // The controller is nobody's node: nothing is counted or expected of it.
      #expect(cell.field(.reportingNodes, 0) == 1 && cell.field(.reportingGPUs, 0) == 8)
      #expect(cell.field(.expectedGPUs, 0) == before.field(.expectedGPUs, 0))
    }
  }

  @Test("it stands for two of its intervals; a row without a reading changes nothing; then the share is scaled again")
  func stale() {
    let machine = Machine()
    machine.read(6_100_000, at: 0)
    for step in 0..<25 {
      if step == 10 { machine.read(nil, at: step) }
      let cell = machine.close()
      #expect((cell.field(.scaledPower, 0) == 0) == (1...20).contains(step), "tick \(step)")
    }
  }

  @Test("each tick has the newest reading before it, in whatever order the readings come")
  func newest() {
    var random = SeededRandom(default: 5)
    for _ in 0..<20 {
      let machine = Machine()
      for step in [0, 10, 20].shuffled(using: &random) { machine.read(6_000_000 + Int64(step), at: step) }
      _ = machine.close()
      for step in 1...40 {
        let want = 6_000_000 + Int64(min((step - 1) / 10 * 10, 20))
        #expect(machine.close().totalMilliwatts(0) == want, "tick \(step), seed \(random.seed)")
      }
    }
  }

  @Test("late rows of a node have the readings of their time, as far as those are remembered")
  func late() {
    let machine = Machine()
    machine.read(6_000_000, at: 0)
    _ = machine.close()
    for step in 1...30 {
      if step % 10 == 0 { machine.read(6_000_000 + Int64(step), at: step) }
      _ = machine.close(nil)
    }
    let row = machine.row(500_000)
    for step in [5, 15] { machine.shard.addLate(machine.node, at: machine.tick(step), row: row.span) }
    let corrections = machine.shard.takeLate().map { machine.levels.correction([$0]).nation }
    #expect(corrections.map { $0.field(.measuredPower, 0) } == [6_000_000, 6_000_010])
  }

  @Test("the node's own meter goes before it")
  func ownMeter() {
    let machine = Machine(hasMeter: true)
    machine.read(6_100_000, at: 0)
    _ = machine.close(meter: 5_900_000)
    #expect(machine.close(meter: 5_900_000).totalMilliwatts(0) == 5_900_000)
    #expect(machine.close(meter: nil).totalMilliwatts(0) == 6_100_000)
  }

  @Test("GPUs that draw more than the controller has seen so far are not hidden by it")
  func older() {
    let machine = Machine()
    machine.read(3_000_000, at: 0)
    _ = machine.close(700_000)
    #expect(machine.close(700_000).totalMilliwatts(0) == 5_600_000)
  }

  @Test("silent nodes are estimated from the whole machine's power, and their late rows take the estimate's place")
  func silent() {
    let machine = Machine()
    machine.read(6_100_000, at: 0)
    for _ in 0..<2 { _ = machine.close() }
    let silent = machine.close(nil)
    #expect(silent.field(.missingPower, 0) == 6_100_000 && silent.field(.measuredPower, 0) == 0)
    let late = machine.row(500_000)
    machine.shard.addLate(machine.node, at: machine.tick(2), row: late.span)
    let correction = machine.levels.correction(machine.shard.takeLate()).nation
    #expect(correction.field(.missingPower, 0) == -6_100_000 && correction.field(.measuredPower, 0) == 6_100_000)
  }

  @Test("the controller of a node that no fleet file names belongs to that node all the same")
  func stranger() {
    let machine = Machine("stray-1")
    machine.read(6_100_000, at: 0)
    _ = machine.close()
    let cell = machine.close()
    #expect(cell.totalMilliwatts(0) == 6_100_000 && cell.field(.reportingNodes, 0) == 1)
    #expect(machine.shard.memberStates.map(\.id.name) == ["stray-1"])
  }

  @Test("a controller whose node has no agent is counted nowhere and not waited for")
  func alone() {
    let plan = RollupPlan(SmallFleet.tree)
    var shard = ShardRollup(plan, first: SmallFleet.start, keepsSketches: false)
    var levels = LevelRollup(plan)
    let layout = RowLayout.node(gpus: 0, hasMeter: true)
    let controller = shard.join(NodeID("east-b-r1-n2.bmc")!, layout: layout)
    let row = [Int64](repeating: 6_100_000, count: layout.width)
    #expect(shard.add(controller, at: SmallFleet.start, row: row.span) == .added)
    var frame = LeafFrame(tick: SmallFleet.start)
    shard.close(into: &frame)
    let cell = levels.close([frame]).nation
    #expect(cell.totalMilliwatts(0) == 0 && cell.field(.reportingNodes, 0) == 0)
  }

  /// Forms consecutive minutes from batches of rows; answers each minute's nation, its nodes, and what it leaves.
  private func minutes(
    _ count: Int, after carry: RollupCarry = RollupCarry(), _ batches: [[NodeRows]]
  ) -> [(nation: WindowTable?, nodes: [String: WindowTable], carry: RollupCarry)] {
    let plan = RollupPlan(SmallFleet.tree)
    var carry = carry
    return (1...count).map { number in
      let end = SmallFleet.start.advanced(by: 60 * number, of: .second)
      var rollup = MinuteRollup(plan, to: end, after: carry)
      for batch in batches { rollup.add(batch.map { Self.cut($0, MinuteRollup.ticks(to: end)) }) }
      var levels = LevelRollup(plan)
      let (minute, left) = rollup.finish(&levels)
      carry = left
      var nodes: [String: WindowTable] = [:]
      for row in minute.nodes { nodes[row.labels.first { $0.name == "node" }?.value ?? ""] = row.window }
      return (minute.levels[.nation]?.first.map { Self.whole($0, end) }, nodes, left)
    }
  }

  /// The minute of a group's six windows.
  private static func whole(_ group: StoredMinute.Group, _ end: Tick) -> WindowTable {
    var minute = WindowTable(.nation, .minute, end: end, count: 1)
    for number in 0..<6 {
      let row = Array(group.windows[number * TierRow.windowWidth..<(number + 1) * TierRow.windowWidth])
      let windowEnd = end.advanced(by: 10 * (number - 5), of: .second)
      if let window = TierRow.window(row, .nation, .tenSeconds, end: windowEnd) { minute.merge(window) }
    }
    return minute
  }

  private static func cut(_ rows: NodeRows, _ ticks: ClosedRange<Tick>) -> NodeRows {
    NodeRows(
      rows.id,
      rows.runs.map { run in
        let places = run.ticks.indices.filter { ticks.contains(run.ticks[$0]) }
        let width = run.layout.width
        return .init(
          layout: run.layout, ticks: places.map { run.ticks[$0] },
          words: places.flatMap { run.words[$0 * width..<($0 + 1) * width] })
      })
  }

  private static func rows(
    _ name: String, _ layout: RowLayout, at steps: some Sequence<Int>, _ milliwatts: (Int) -> Int64
  ) -> NodeRows {
    let steps = Array(steps)
    let words = steps.flatMap { [Int64](repeating: milliwatts($0), count: layout.width) }
    let ticks = steps.map { SmallFleet.start.advanced(by: $0, of: .second) }
    return NodeRows(NodeID(name)!, [.init(layout: layout, ticks: ticks, words: words)])
  }

  private static let slow = RowLayout.node(gpus: 0, interval: TickInterval(milliseconds: 10_000)!, hasMeter: true)

  @Test(
    "minutes formed from stored rows have the readings too, in levels and in the node, and leave the last to the next")
  func stored() throws {
    let node = Self.rows("east-b-r1-n2", .node(gpus: 8), at: 1...180) { _ in 500_000 }
    let controller = Self.rows("east-b-r1-n2.bmc", Self.slow, at: [10, 20, 60]) { 6_000_000 + Int64($0) }
    let without = minutes(3, [[node]])
    let together = minutes(3, [[controller, node]])
    let apart = minutes(3, [[controller], [node]])
    for number in 0..<3 {
      let other = try #require(apart[number].nation)
      let nation = try #require(together[number].nation)
      #expect(nation == other && together[number].carry == apart[number].carry)
      #expect(Set(together[number].nodes.keys) == ["east-b-r1-n2"])
      #expect(together[number].nodes["east-b-r1-n2"]?.field(.measuredPower, 0) == nation.field(.measuredPower, 0))
      #expect(nation.field(.reportingNodes, 0) == without[number].nation?.field(.reportingNodes, 0))
    }
    func measured(_ number: Int) -> Int64? { together[number].nation?.field(.measuredPower, 0).sum }
    // 10 ticks before the first reading, 10 with it, 20 with the second, then it is too old.
    let first: Int64 = 120_000_000 + 60_000_100 + 120_000_400
    let second: Int64 = 120_001_200 + 160_000_000
    #expect(measured(0) == first)
    #expect(measured(1) == second)
    #expect(together[2].nation == without[2].nation && together[2].carry == without[2].carry)
    #expect(together[0].carry != without[0].carry && together[0].carry.fingerprint != without[0].carry.fingerprint)
  }

  @Test("what a minute leaves of controllers is kept as bytes; what was kept before there were any is read")
  func carry() throws {
    let controller = Self.rows("east-b-r1-n2.bmc", Self.slow, at: [50, 60]) { 6_000_000 + Int64($0) }
    let left = minutes(1, [[controller]])[0].carry
    #expect(try RollupCarry(bytes: left.bytes) == left && left != RollupCarry())
    for length in left.bytes.indices {
      #expect(throws: PackedIntegersUnreadable.self, "\(length) bytes") {
        try RollupCarry(bytes: Array(left.bytes[..<length]))
      }
    }
    var before = IntegerWriter()
    for number in [1, 0, 0] { before.add(number) }
    #expect(try RollupCarry(bytes: before.bytes) == RollupCarry())
    var after = IntegerWriter()
    for number in [3, 0, 0, 0] { after.add(number) }
    #expect(throws: PackedIntegersUnreadable.self) { try RollupCarry(bytes: after.bytes) }
  }

  @Test("after a restart the stored reading stands again, and the silent node is estimated with it")
  func recalled() {
    let machine = Machine()
    machine.read(6_100_000, at: 0)
    for _ in 0..<2 { _ = machine.close() }
    var restarted = ShardRollup(RollupPlan(SmallFleet.tree), first: machine.tick(5), keepsSketches: false)
    for state in machine.shard.memberStates { restarted.restore(state) }
    var row = [Int64](repeating: SampleValue.absent.bits, count: machine.controllerLayout.width)
    row[machine.controllerLayout.offset(of: machine.controllerLayout.column(of: .nodePower)!)] = 6_500_000
    let node = machine.row(500_000)
    restarted.recall(NodeID("east-b-r1-n2.bmc")!, layout: machine.controllerLayout, row.span, at: machine.tick(2))
    restarted.recall(NodeID("east-b-r1-n2")!, layout: machine.layout, node.span, at: machine.tick(4))
    var levels = LevelRollup(restarted.plan)
    var frame = LeafFrame(tick: machine.tick(5))
    restarted.close(into: &frame)
    #expect(levels.close([frame]).nation.field(.missingPower, 0) == 6_500_000)
    let number = restarted.join(NodeID("east-b-r1-n2")!, layout: machine.layout)
    #expect(restarted.add(number, at: machine.tick(6), row: node.span) == .added)
    frame = LeafFrame(tick: machine.tick(6))
    restarted.close(into: &frame)
    #expect(levels.close([frame]).nation.field(.measuredPower, 0) == 6_500_000)
  }

  @Test("only names that the fleet does not use itself are controllers'")
  func names() throws {
    let text = SmallFleet.text.replacingOccurrences(of: "{factory}-{hall}-{rack}-n[1-3]", with: "h1.bmc,h1,h2")
      .replacingOccurrences(of: "east-b-r1-n1", with: "h1").replacingOccurrences(of: "east-utility", with: "h2.bmc")
    let file = FleetFile(text: text, path: "names.yaml")
    let tree = try #require(file.tree, "\(file.findings)")
    for name in ["h1.bmc", "h2.bmc", "h1", "bmc", ".bmc"] {
      if let id = NodeID(name) { #expect(tree.node(controlledBy: id) == nil, "\(name)") }
    }
    #expect(tree.node(controlledBy: NodeID("east-a-r1-n1.bmc")!) == NodeID("east-a-r1-n1"))
    #expect(tree.standsNowhere(NodeID("h2.bmc")!) && !tree.standsNowhere(NodeID("h1.bmc")!))
    #expect(NodeID(String(repeating: "n", count: Limits.nodeIDBytesMax - 3))?.controller == nil)
  }
}
