import BongsuFleet
import BongsuModel
import BongsuTestKit
import Testing

@testable import BongsuRollup

@Suite("Running totals of energy")
struct EnergyLedgerTests {
  static let plan = RollupPlan(SmallFleet.tree)

  /// Some minutes of all nodes, with counters that begin anew now and then, and the order in which the rows are stored.
  struct Course {
    var nodes: RandomNodes
    /// By node and tick.
    var rows: [[[Int64]]] = []
    var order: [(node: Int, tick: Int)] = []

    init(seed: UInt64, ticks: Int = 300) {
      nodes = RandomNodes(seed: seed, hasAbsence: false)
      rows = nodes.nodes.indices.map { _ in [] }
      for _ in 0..<ticks {
        for node in nodes.nodes.indices {
          if Int.random(in: 0..<50, using: &nodes.random) == 0 {
            // The driver was loaded again.
            for gpu in nodes.nodes[node].energy.indices {
              nodes.nodes[node].energy[gpu] = Int64.random(in: 0...10_000, using: &nodes.random)
            }
          }
          rows[node].append(nodes.row(of: node))
        }
      }
      // Each node is cut off twice: for a moment, and for long, across the change of a membership perhaps. What it kept
      // comes in order, beside new rows, or never.
      var late: [(at: Int, node: Int, tick: Int)] = []
      var live: [(at: Int, node: Int, tick: Int)] = []
      for node in nodes.nodes.indices {
        let first = Int.random(in: 0..<60, using: &nodes.random)
        let second = Int.random(in: 50..<130, using: &nodes.random)
        let outages = [
          first..<first + Int.random(in: 1..<8, using: &nodes.random),
          second..<second + Int.random(in: 1..<40, using: &nodes.random),
        ]
        var lag = Int.random(in: 0..<20, using: &nodes.random)
        for tick in 0..<ticks {
          guard let outage = outages.last(where: { $0.contains(tick) }) else {
            live.append((tick, node, tick))
            continue
          }
          if node % 5 == 4 { continue }
          if tick == outage.lowerBound { lag = Int.random(in: 0..<20, using: &nodes.random) }
          late.append((outage.upperBound + lag + (tick - outage.lowerBound) / 4, node, tick))
        }
      }
      order = (live + late).sorted { ($0.at, $0.tick, $0.node) < ($1.at, $1.tick, $1.node) }.map { ($0.node, $0.tick) }
    }

    func tick(_ number: Int) -> Tick { SmallFleet.start.advanced(by: number, of: .second) }

    /// What the stored rows say, read in the order of their ticks, by level and group.
    var expected: [[Int64]] {
      var totals = RollupLevel.allCases.map { [Int64](repeating: 0, count: plan.groupCount($0)) }
      for node in nodes.nodes.indices {
        let (id, layout) = (nodes.nodes[node].id, nodes.nodes[node].layout)
        let stored = order.filter { $0.node == node }.map(\.tick).sorted()
        let place = plan.tree.node(id)
        let traits = PowerTraits(place.map { plan.tree.model(of: $0) } ?? GPUModel.model("B200"))
        let power = layout.range(of: layout.column(of: .gpuPower)!)
        let energy = layout.column(of: .gpuEnergy).map { layout.range(of: $0) }
        for gpu in 0..<power.count {
          var last: (value: Int64, tick: Int)?
          for tick in stored {
            let row = rows[node][tick]
            var joules = row[power.lowerBound + gpu]
            if let energy {
              let value = row[energy.lowerBound + gpu]
              if let last {
                joules = value >= last.value ? value - last.value : value
                if joules > traits.gpuMilliwattsMax * Int64(tick - last.tick + 2) { joules = 0 }
              }
              last = (value, tick)
            }
            let leaf = plan.leaf(of: place, at: self.tick(tick))
            add(joules, leaf, &totals)
          }
        }
      }
      return totals
    }

    private func add(_ joules: Int64, _ leaf: Int, _ totals: inout [[Int64]]) {
      let tree = plan.tree
      let rack = RackIndex(Int(plan.leafRack[leaf]))
      let hall = tree.hall(of: rack)
      func add(_ level: RollupLevel, _ group: Int) { totals[level.rawValue][group] += joules }
      add(.rack, rack.position)
      add(.hall, hall.position)
      add(.factory, tree[hall].factory.position)
      add(.nation, 0)
      if let meter = tree[hall].meter { add(.meter, meter.position) }
      for allocation in tree.lineage(of: AllocationIndex(Int(plan.leafAllocation[leaf]))) {
        add(.allocation, allocation.position)
        add(
          .factoryAllocation,
          plan.pairs.firstIndex { $0.factory == tree[hall].factory && $0.allocation == allocation }!)
      }
    }
  }

  static func totals(_ ledger: EnergyLedger, _ plan: RollupPlan = plan) -> [[Int64]] {
    let totals = EnergyTotals(plan, [ledger.sums])
    return RollupLevel.allCases.map { level in
      (0..<plan.groupCount(level)).map { totals.millijoules(level, $0) }
    }
  }

  /// A ledger that knows what another one kept of its nodes.
  static func restarted(_ old: EnergyLedger, nodes: Int, _ plan: RollupPlan = plan) throws -> EnergyLedger {
    var new = EnergyLedger(plan)
    for node in (0..<nodes).shuffled() { try new.restore(node, state: old.state(of: node)) }
    new.finishRestoring(since: old.since)
    return new
  }

  static func add(_ delivery: (node: Int, tick: Int), of course: Course, to ledger: inout EnergyLedger) {
    let node = course.nodes.nodes[delivery.node]
    ledger.adopt(delivery.node, node.id, node.layout, version: UInt32(delivery.node + 1))
    let row = course.rows[delivery.node][delivery.tick]
    ledger.add(delivery.node, at: course.tick(delivery.tick), row.span)
  }

  @Test(
    "outages, late rows and counters that begin anew leave what the stored rows say in the order of their ticks",
    arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
  func exact(seed: UInt64) {
    let seed = SeededRandom(default: seed).seed
    let course = Course(seed: seed)
    var ledger = EnergyLedger(Self.plan)
    for delivery in course.order { Self.add(delivery, of: course, to: &ledger) }
    let (found, expected) = (Self.totals(ledger), course.expected)
    for level in RollupLevel.allCases {
      #expect(found[level.rawValue] == expected[level.rawValue], "\(level), seed \(seed)")
    }
    #expect(ledger.since == course.tick(0))
  }

  @Test("restarts at any row change nothing, and no total ever falls", arguments: [11, 12, 13] as [UInt64])
  func restarts(seed: UInt64) throws {
    let seed = SeededRandom(default: seed).seed
    let course = Course(seed: seed, ticks: 240)
    var random = SeededRandom(seed: seed)
    var undisturbed = EnergyLedger(Self.plan)
    var ledger = EnergyLedger(Self.plan)
    var before = Self.totals(ledger)
    for (number, delivery) in course.order.enumerated() {
      Self.add(delivery, of: course, to: &undisturbed)
      Self.add(delivery, of: course, to: &ledger)
      if Int.random(in: 0..<20, using: &random) == 0 {
        ledger = try Self.restarted(ledger, nodes: course.nodes.nodes.count)
      }
      guard number % 7 == 0 else { continue }
      let now = Self.totals(ledger)
      if now != Self.totals(undisturbed) {
        Issue.record("row \(number) is counted otherwise after a restart, seed \(seed)")
        return
      }
      for level in RollupLevel.allCases {
        for (old, new) in zip(before[level.rawValue], now[level.rawValue]) where new < old {
          Issue.record("\(level) fell from \(old) to \(new) at row \(number), seed \(seed)")
          return
        }
      }
      before = now
    }
    #expect(Self.totals(ledger) == Self.totals(undisturbed) && ledger.since == undisturbed.since)
  }

  @Test("a changed fleet file takes nothing from what was drawn before, at every level that it still has")
  func changedFleet() throws {
    let course = Course(seed: SeededRandom(default: 21).seed, ticks: 120)
    var ledger = EnergyLedger(Self.plan)
    for delivery in course.order { Self.add(delivery, of: course, to: &ledger) }
    // The racks of a hall and an allocation get other names; nodes are called after their racks.
    let text = SmallFleet.text.replacing("\"r[1-2]\"", with: "\"q[1-2]\"").replacing("east-a-r1-n", with: "east-a-q1-n")
      .replacing("east-a-r2-n", with: "east-a-q2-n").replacing("path: owner\n", with: "path: buyer\n")
    let file = FleetFile(text: text, path: "changed.yaml")
    let tree = try #require(file.tree, "\(file.findings)")
    let plan = RollupPlan(tree)
    let moved = try Self.restarted(ledger, nodes: course.nodes.nodes.count, plan)
    let (old, new) = (Self.totals(ledger), Self.totals(moved, plan))
    func value(_ totals: [[Int64]], _ plan: RollupPlan, _ level: RollupLevel, _ labels: String) -> Int64? {
      (0..<plan.groupCount(level)).first {
        plan.labels(level, $0).map { "\($0.name)=\($0.value)" }.joined(separator: ",") == labels
      }.map { totals[level.rawValue][$0] }
    }
    for level in [RollupLevel.nation, .factory, .hall, .meter] { #expect(old[level.rawValue] == new[level.rawValue]) }
    #expect(value(new, plan, .rack, "nation=test,factory=east,hall=a,rack=q1") == 0)
    let hosted = "nation=test,allocation=ministry/hosted,depth=2"
    #expect(value(old, Self.plan, .allocation, hosted) == value(new, plan, .allocation, hosted))
    #expect(value(new, plan, .allocation, "nation=test,allocation=buyer,depth=1") == 0)
    // With the old file again all is where it was.
    let back = try Self.restarted(moved, nodes: course.nodes.nodes.count)
    #expect(Self.totals(back) == old)
  }

  @Test("a tick that comes twice counts once, also for GPUs without a counter, and meters are no GPUs")
  func twice() {
    var ledger = EnergyLedger(Self.plan)
    let layout = RowLayout.node(gpus: 2, hasCounter: false)
    let row = layout.columns.flatMap { [Int64](repeating: $0.id == .gpuPower ? 300_000 : 0, count: 2) }
    let id = NodeID("east-a-r1-n1")!
    ledger.adopt(0, id, layout, version: 1)
    for tick in [0, 1, 1, 2, 0, 5, 3, 3] {
      ledger.add(0, at: SmallFleet.start.advanced(by: tick, of: .second), row.span)
    }
    // Ticks 0, 1, 2, 3 and 5.
    #expect(EnergyTotals(Self.plan, [ledger.sums]).millijoules(.nation, 0) == 5 * 600_000)
    #expect(EnergyTotals(Self.plan, [ledger.sums]).joules(.nation, 0) == 3000)
    ledger.adopt(1, NodeID("east-utility")!, layout, version: 2)
    ledger.add(1, at: SmallFleet.start, row.span)
    #expect(EnergyTotals(Self.plan, [ledger.sums]).millijoules(.nation, 0) == 5 * 600_000)
    #expect(ledger.state(of: 1).isEmpty && ledger.state(of: 7).isEmpty)
  }

  @Test("counters follow their GPUs to other places of the row, over a restart too")
  func places() throws {
    func layout(_ keys: [String]) throws -> RowLayout {
      try RowLayout(
        interval: .second, columns: [MetricCatalogue.metric(.gpuEnergy)!],
        devices: keys.enumerated().map { Device(scope: .gpu, index: UInt16($0.offset), key: $0.element, model: "") })
    }
    var ledger = EnergyLedger(Self.plan)
    var version: UInt32 = 0
    var second = 0
    func add(_ keys: [String], _ counters: [Int64]) throws -> Int64 {
      version += 1
      second += 1
      let before = EnergyTotals(Self.plan, [ledger.sums]).millijoules(.nation, 0)
      ledger.adopt(0, NodeID("stray-1")!, try layout(keys), version: version)
      ledger.add(0, at: SmallFleet.start.advanced(by: second, of: .second), counters.span)
      ledger = try Self.restarted(ledger, nodes: 1)
      return EnergyTotals(Self.plan, [ledger.sums]).millijoules(.nation, 0) - before
    }
    #expect(try add(["A", "B"], [1_000_000, 5_000_000]) == 0)
    #expect(try add(["A", "B"], [1_100_000, 5_200_000]) == 300_000)
    #expect(try add(["B", "A"], [5_300_000, 1_150_000]) == 150_000)
    #expect(try add(["A", "C"], [1_250_000, 7_000_000]) == 100_000)
    #expect(try add(["A", "B", "C"], [1_350_000, 5_500_000, 7_100_000]) == 200_000)
  }

  @Test("a state that is cut or changed is refused or read, changes nothing when refused, and never traps")
  func hostileStates() throws {
    let course = Course(seed: SeededRandom(default: 31).seed, ticks: 60)
    var ledger = EnergyLedger(Self.plan)
    for delivery in course.order { Self.add(delivery, of: course, to: &ledger) }
    let state = ledger.state(of: 0)
    #expect(state.count > 100)
    for length in 1..<state.count {
      var fresh = EnergyLedger(Self.plan)
      #expect(throws: PackedIntegersUnreadable.self) { try fresh.restore(0, state: Array(state.prefix(length))) }
      #expect(Self.totals(fresh)[RollupLevel.nation.rawValue] == [0])
    }
    var random = SeededRandom(default: 32)
    let node = course.nodes.nodes[0]
    for _ in 0..<500 {
      var bytes = state
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
      }
      var fresh = EnergyLedger(Self.plan)
      guard (try? fresh.restore(0, state: bytes)) != nil else { continue }
      fresh.finishRestoring(since: nil)
      fresh.adopt(0, node.id, node.layout, version: 1)
      for tick in [50, 59, 60, 61, 90] {
        let row = course.rows[0][tick % 60]
        fresh.add(0, at: course.tick(tick), row.span)
      }
      _ = EnergyTotals(Self.plan, [fresh.sums]).millijoules(.nation, 0)
      _ = fresh.state(of: 0)
    }
  }
}
