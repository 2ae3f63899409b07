import BongsuFleet
import BongsuModel
import BongsuRollup
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
    let before = machine.close()
    #expect(before.field(.measuredPower, 0) == 4_000_000 && before.field(.scaledPower, 0) > 0)
    machine.read(6_100_000, at: 0)
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
      #expect((cell.field(.scaledPower, 0) == 0) == (step < 20), "tick \(step)")
    }
  }

  @Test("a newer reading replaces it, one that comes out of order does not")
  func newest() {
    let machine = Machine()
    machine.read(6_000_000, at: 10)
    for _ in 0..<10 { _ = machine.close() }
    machine.read(5_000_000, at: 0)
    #expect(machine.close().totalMilliwatts(0) == 6_000_000)
    machine.read(7_000_000, at: 20)
    #expect(machine.close().totalMilliwatts(0) == 7_000_000)
  }

  @Test("the node's own meter goes before it")
  func ownMeter() {
    let machine = Machine(hasMeter: true)
    machine.read(6_100_000, at: 0)
    #expect(machine.close(meter: 5_900_000).totalMilliwatts(0) == 5_900_000)
    #expect(machine.close(meter: nil).totalMilliwatts(0) == 6_100_000)
  }

  @Test("GPUs that draw more than the controller has seen so far are not hidden by it")
  func older() {
    let machine = Machine()
    machine.read(3_000_000, at: 0)
    #expect(machine.close(700_000).totalMilliwatts(0) == 5_600_000)
  }

  @Test("silent nodes are estimated from the whole machine's power, and their late rows take the estimate's place")
  func silent() {
    let machine = Machine()
    machine.read(6_100_000, at: 0)
    _ = machine.close()
    let silent = machine.close(nil)
    #expect(silent.field(.missingPower, 0) == 6_100_000 && silent.field(.measuredPower, 0) == 0)
    let late = machine.row(500_000)
    machine.shard.addLate(machine.node, at: machine.tick(1), row: late.span)
    let correction = machine.levels.correction(machine.shard.takeLate()).nation
    #expect(correction.field(.missingPower, 0) == -6_100_000 && correction.field(.measuredPower, 0) == 6_100_000)
  }

  @Test("the controller of a node that no fleet file names belongs to that node all the same")
  func stranger() {
    let machine = Machine("stray-1")
    machine.read(6_100_000, at: 0)
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

  @Test("a minute formed from stored rows is the same with a controller's rows among them as without")
  func minute() {
    let plan = RollupPlan(SmallFleet.tree)
    let end = SmallFleet.start.advanced(by: 60, of: .second)
    func rows(_ name: String, _ layout: RowLayout, every seconds: Int) -> NodeRows {
      let ticks = stride(from: seconds, through: 60, by: seconds).map { SmallFleet.start.advanced(by: $0, of: .second) }
      let words = [Int64](repeating: 500_000, count: layout.width * ticks.count)
      return NodeRows(NodeID(name)!, [.init(layout: layout, ticks: ticks, words: words)])
    }
    func formed(_ batch: [NodeRows]) -> (nation: [Int64], nodes: [String], carry: RollupCarry) {
      var rollup = MinuteRollup(plan, to: end, after: RollupCarry())
      rollup.add(batch)
      var levels = LevelRollup(plan)
      let (minute, carry) = rollup.finish(&levels)
      let names = minute.nodes.compactMap { $0.labels.first { $0.name == "node" }?.value }
      return (minute.levels[.nation]?.first?.windows ?? [], names, carry)
    }
    let node = rows("east-b-r1-n2", .node(gpus: 8), every: 1)
    let slow = RowLayout.node(gpus: 0, interval: TickInterval(milliseconds: 10_000)!, hasMeter: true)
    let without = formed([node])
    let with = formed([node, rows("east-b-r1-n2.bmc", slow, every: 10)])
    #expect(!without.nation.isEmpty && with.nation == without.nation)
    #expect(with.nodes == ["east-b-r1-n2"] && with.carry == without.carry)
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
