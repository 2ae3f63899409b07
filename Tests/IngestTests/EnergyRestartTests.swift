import BongsuFleet
import BongsuModel
import BongsuRollup
import BongsuStore
import BongsuTestKit
import BongsuWire
import Foundation
import Testing

@testable import BongsuIngest

@Suite("running totals of energy over restarts", .serialized)
struct EnergyRestartTests {
  /// What the rows of `count` seconds without a gap say, mJ: the first is integrated, then counters go on.
  private func joules(_ nodes: [NodeID], from start: Int64, seconds count: Int) -> Int64 {
    guard count > 0 else { return 0 }
    return nodes.reduce(0) { sum, node in
      sum + TestFleet.row(node, start)[0..<8].reduce(0, +) + 8 * 500_000 * Int64(count - 1)
    }
  }

  private func shown(_ engine: TestEngine, _ level: RollupLevel = .nation, _ group: Int = 0) -> Int64? {
    engine.engine.newest?.energy.millijoules(level, group)
  }

  @Test(
    "after a crash no total is less than it was shown, and rows that come again are counted once",
    arguments: [
      (shards: 1, keepsCheckpoints: true), (shards: 3, keepsCheckpoints: true), (shards: 1, keepsCheckpoints: false),
    ])
  func crash(shards: Int, keepsCheckpoints: Bool) throws {
    let folder = try TemporaryDirectory()
    var options = TestEngine.Options()
    options.shards = shards
    options.keepIntervalMilliseconds = keepsCheckpoints ? 200 : 3_600_000
    // Of the recent past: the totals do not wait for the clock.
    let start = Int64(Date().timeIntervalSince1970) * 1000 - 600_000
    let nodes = TestFleet.nodes
    var engine = try TestEngine("\(folder.path)/0", options)
    let agents = try nodes.map { try HandAgent($0, engine.endpoint) }
    var sent = 0
    var highest: Int64 = 0
    for life in 1...4 {
      for agent in agents {
        if life > 1 { try agent.reconnect(engine.endpoint) }
        #expect(try agent.greet())
        // As an agent does: what is not acknowledged comes again.
        for sequence in (agent.durable.floor + 1)..<agent.next {
          try agent.send(agent.late(sequence, start + 1000 * Int64(sequence - 1), rows: 1))
        }
      }
      for _ in 0..<40 {
        for agent in agents { try agent.send(agent.live(start + 1000 * Int64(sent))) }
        sent += 1
      }
      for agent in agents { #expect(try agent.waitUntilDurable()) }
      let expected = joules(nodes, from: start, seconds: sent)
      var last: Int64?
      #expect(
        eventually {
          last = shown(engine)
          return last == expected
        }, "life \(life): \(last ?? -1), expected \(expected)")
      let newest = try #require(engine.engine.newest)
      let tree = newest.closed.plan.tree
      #expect(tree.factories.indices.reduce(0) { $0 + newest.energy.millijoules(.factory, $1) } == expected)
      #expect(
        tree.allocations.indices.filter { tree.allocations[$0].depth == 1 }
          .reduce(0) { $0 + newest.energy.millijoules(.allocation, $1) } == expected)
      if keepsCheckpoints, life < 4 {
        #expect(eventually { (0..<shards).allSatisfy { engine.store.checkpoint(shard: $0) != nil } })
      }
      engine.keeping.set()
      // A few more that nobody waits for: on disk or not, as the crash has it.
      for _ in 0..<3 {
        for agent in agents { try agent.send(agent.live(start + 1000 * Int64(sent))) }
        sent += 1
      }
      highest = max(highest, shown(engine) ?? 0)
      try engine.snapshot(to: "\(folder.path)/\(life)")
      let next = try TestEngine("\(folder.path)/\(life)", options)
      engine = next
      #expect(eventually { shown(engine) != nil })
      let first = try #require(shown(engine))
      #expect(first >= highest, "life \(life)")
      highest = first
    }
    engine.stop()
  }

  @Test("a clean stop and start leave the totals and the time since when they count")
  func cleanRestart() throws {
    let folder = try TemporaryDirectory()
    let start = Int64(Date().timeIntervalSince1970) * 1000 - 600_000
    let first = try TestEngine(folder.path)
    let agent = try HandAgent(TestFleet.nodes[0], first.endpoint)
    #expect(try agent.greet())
    for second in 0..<20 { try agent.send(agent.live(start + 1000 * Int64(second))) }
    #expect(try agent.waitUntilDurable())
    first.stop()
    let second = try TestEngine(folder.path)
    let expected = joules([TestFleet.nodes[0]], from: start, seconds: 20)
    #expect(eventually { shown(second) == expected })
    #expect(second.engine.newest?.energy.since == Tick(unixMilliseconds: start))
    // The machine went on while nobody listened: its counter says what it drew.
    try agent.reconnect(second.endpoint)
    #expect(try agent.greet())
    try agent.send(agent.live(start + 50_000))
    #expect(try agent.waitUntilDurable())
    #expect(eventually { shown(second) == expected + 31 * 8 * 500_000 })
    second.stop()
  }
}
