import BongsuFleet
import BongsuModel
import BongsuRollup
import BongsuStore
import BongsuTestKit
import Foundation
import Testing

@testable import BongsuIngest

@Suite("totals through the ingest core", .serialized)
struct LevelTests {
  @Test(
    "factories, top-level allocations and the nation agree to the milliwatt, now and in the minutes", arguments: [1, 3])
  func agree(shards: Int) throws {
    let folder = try TemporaryDirectory()
    var options = TestEngine.Options()
    options.shards = shards
    let engine = try TestEngine(folder.path, options)
    let nodes = TestFleet.nodes + [TestFleet.stranger]
    let agents = try nodes.map { try HandAgent($0, engine.endpoint) }
    for agent in agents { #expect(try agent.greet()) }
    let first = Int64(Date().timeIntervalSince1970) * 1000 + 1000
    var checked = 0
    for second in 0..<4 {
      let tick = first + 1000 * Int64(second)
      while Int64(Date().timeIntervalSince1970 * 1000) < tick { Thread.sleep(forTimeInterval: 0.005) }
      for agent in agents { try agent.send(agent.live(tick)) }
      let expected = nodes.reduce(Int64(0)) { $0 + TestFleet.row($1, tick)[0..<8].reduce(0, +) }
      var seen: ClosedTick?
      #expect(
        eventually(within: 5) {
          seen = engine.engine.newest?.closed
          return (seen?.tick.unixMilliseconds ?? 0) >= tick
        })
      let closed = try #require(seen)
      func sum(_ level: RollupLevel, _ include: (Int) -> Bool = { _ in true }) -> Int64 {
        (0..<closed[level].count).filter(include).reduce(0) {
          $0 + (closed[level].gauge(MetricID.gpuPower, $1)?.sum ?? 0)
        }
      }
      let tree = closed.plan.tree
      let nation = sum(.nation)
      #expect(sum(.factory) == nation && sum(.hall) == nation && sum(.rack) == nation)
      #expect(sum(.allocation) { tree.allocations[$0].depth == 1 } == nation)
      // A tick closes without a node that nobody knew of, and without one that this machine was too slow to send.
      guard closed.tick.unixMilliseconds == tick, closed.nation.field(.reportingNodes, 0) == nodes.count else {
        continue
      }
      checked += 1
      #expect(nation == expected)
    }
    #expect(checked >= 1, "no tick was closed with all nodes: the machine is too slow for this test")
    for agent in agents { #expect(try agent.waitUntilDurable()) }
    try engine.formMinutes()
    engine.stop()

    func total(_ level: RollupLevel, _ include: (String) -> Bool = { _ in true }) throws -> Int64 {
      var sum: Int64 = 0
      try engine.store.tiers.forEachWindow(.rollup(level), .minute) { labels, window in
        guard include(labels.first { $0.name == "allocation" }?.value ?? "") else { return }
        sum += window.gauge(MetricID.gpuPower, 0)?.samples.sum ?? 0
      }
      return sum
    }
    let expected = nodes.reduce(Int64(0)) { sum, node in
      (0..<4).reduce(sum) { $0 + TestFleet.row(node, first + 1000 * Int64($1))[0..<8].reduce(0, +) }
    }
    #expect(try total(.nation) == expected)
    #expect(try total(.factory) == expected)
    #expect(try total(.allocation) { !$0.contains("/") } == expected)
  }

  @Test("minutes formed from the journals have what machines' controllers said", arguments: [1, 3])
  func controllers(shards: Int) throws {
    let folder = try TemporaryDirectory()
    var options = TestEngine.Options()
    options.shards = shards
    let engine = try TestEngine(folder.path, options)
    let first = Int64(Date().timeIntervalSince1970) / 60 * 60_000 - 3_600_000
    // A node of which the fleet knows and one of which it does not, their names apart in any order of names.
    let names = [TestFleet.nodes[0], TestFleet.stranger]
    var agents: [HandAgent] = []
    for (number, node) in names.enumerated() {
      let agent = try HandAgent(node, engine.endpoint)
      let controller = try HandAgent(TestFleet.node("\(node.name).bmc"), engine.endpoint)
      #expect(try agent.greet())
      #expect(try controller.greet())
      for step in 1...4 {
        let tick = first + 1000 * Int64(step)
        var row = [Int64](repeating: 400_000, count: 8) + [Int64](repeating: .min, count: 9)
        try agent.send(agent.live(tick, row: row))
        row = [Int64](repeating: .min, count: 16) + [4_000_000 + Int64(100_000 * number + step)]
        if step == 2 { try controller.send(controller.live(tick, row: row)) }
      }
      agents += [agent, controller]
    }
    for agent in agents { #expect(try agent.waitUntilDurable()) }
    try engine.formMinutes()
    engine.stop()
    var measured: [Int64] = []
    try engine.store.tiers.forEachWindow(.rollup(.nation), .minute) { _, window in
      measured.append(window.field(.measuredPower, 0).sum)
    }
    // Two ticks with the GPUs alone, two with the controller's reading, which stands for two seconds.
    let expected: Int64 = 4 * 3_200_000 + 2 * 8_100_004
    #expect(measured.first == expected)
  }

  @Test(
    "a recorded trace is stored with the watts that its file has",
    .enabled(if: RecordedData.isPresent, "no recordings here"))
  func recordedTrace() throws {
    let trace = try #require(try RecordedTrace.read("gpu-train-nanogpt-8gpu.csv.gz").first { $0.series.count == 8 })
    let power = try #require(trace.metrics.firstIndex { $0.contains("power") && !$0.contains("limit") })
    let count = min(600, trace.series.map(\.count).min() ?? 0)
    let start = Int64(Date().timeIntervalSince1970) * 1000 - 3_600_000
    let folder = try TemporaryDirectory()
    let engine = try TestEngine(folder.path)
    let agent = try HandAgent(TestFleet.nodes[0], engine.endpoint)
    #expect(try agent.greet())
    var rows: [[Int64]] = []
    for index in 0..<count {
      let watts = trace.series.map { $0[index].thousandths[power] ?? Int64.min }
      rows.append(watts + [Int64](repeating: .min, count: 9))
      try agent.send(agent.live(start + 1000 * Int64(index), row: rows[index]))
      if index % 200 == 199 { #expect(try agent.waitUntilDurable()) }
    }
    #expect(try agent.waitUntilDurable())
    engine.stop()
    let stored = try StoredRows(folder.path)
    for index in 0..<count { #expect(stored.rows[agent.node]?[start + 1000 * Int64(index)] == [rows[index]]) }
  }
}
