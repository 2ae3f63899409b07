import BongsuFleet
import BongsuModel
import BongsuRecordLog
import BongsuRollup
import BongsuStore
import BongsuTestKit
import BongsuWire
import Foundation
import Testing

@testable import BongsuIngest

@Suite("delivery through the ingest core", .serialized)
struct DeliveryTests {
  private func start() -> Int64 { (Int64(Date().timeIntervalSince1970) - 600) / 60 * 60_000 }

  @Test("every journal segment can be read without those before it")
  func segmentsStandAlone() throws {
    let folder = try TemporaryDirectory()
    var options = TestEngine.Options()
    options.segmentBytes = 2 << 10
    let engine = try TestEngine(folder.path, options)
    let start = start()
    let agents = try TestFleet.nodes.prefix(2).map { try HandAgent($0, engine.endpoint) }
    for agent in agents { #expect(try agent.greet()) }
    for second in 0..<200 {
      for agent in agents { try agent.send(agent.live(start + 1000 * Int64(second))) }
      // Batches end between, so that segments can.
      if second % 10 == 9 { for agent in agents { #expect(try agent.waitUntilDurable()) } }
    }
    engine.stop()
    let journal = "\(folder.path)/journal/shard-0"
    let segments = try FileManager.default.contentsOfDirectory(atPath: journal).sorted()
    #expect(segments.count >= 5, "\(segments)")
    let whole = try StoredRows(folder.path)
    for agent in agents {
      for second in 0..<200 {
        let tick = start + 1000 * Int64(second)
        #expect(whole.rows[agent.node]?[tick] == [TestFleet.row(agent.node, tick)])
      }
    }
    for segment in segments.dropLast() {
      try FileManager.default.removeItem(atPath: "\(journal)/\(segment)")
      let rest = try StoredRows(folder.path)
      #expect(rest.losses.undecodedRows == 0, "after \(segment)")
      for (node, rows) in rest.rows {
        for (tick, stored) in rows { #expect(stored == [TestFleet.row(node, tick)]) }
      }
    }
  }

  @Test("several receivers feed the same shards, and a node may come back at another one")
  func severalReceivers() throws {
    let folder = try TemporaryDirectory()
    var options = TestEngine.Options()
    options.receivers = 3
    options.shards = 2
    let engine = try TestEngine(folder.path, options)
    let endpoints = try #require(engine.engine.endpoints)
    #expect(Set(endpoints).count == 3)
    let start = start()
    let agents = try TestFleet.nodes.prefix(4).enumerated().map { try HandAgent($1, endpoints[$0 % 3]) }
    for agent in agents { #expect(try agent.greet()) }
    for second in 1...20 {
      for agent in agents { try agent.send(agent.live(start + 1000 * Int64(second))) }
    }
    for agent in agents { #expect(try agent.waitUntilDurable()) }
    for (number, agent) in agents.enumerated() {
      try agent.reconnect(endpoints[(number + 1) % 3])
      #expect(try agent.greet())
    }
    for second in 21...40 {
      for agent in agents { try agent.send(agent.live(start + 1000 * Int64(second), isKeyframe: second == 21)) }
    }
    for agent in agents { #expect(try agent.waitUntilDurable()) }
    engine.stop()
    let stored = try StoredRows(folder.path, shards: 2)
    for agent in agents {
      for second in 1...40 {
        let tick = start + 1000 * Int64(second)
        #expect(stored.rows[agent.node]?[tick] == [TestFleet.row(agent.node, tick)])
      }
    }
  }

  @Test("late rows fill their holes and their minutes, and what comes twice counts once")
  func lateAndTwice() throws {
    let folder = try TemporaryDirectory()
    let engine = try TestEngine(folder.path)
    let start = start()
    let agent = try HandAgent(TestFleet.nodes[0], engine.endpoint)
    #expect(try agent.greet())
    for second in 1...10 { try agent.send(agent.live(start + 1000 * Int64(second))) }
    agent.skip(100)
    for second in 111...130 { try agent.send(agent.live(start + 1000 * Int64(second), isKeyframe: second == 111)) }
    #expect(
      try eventually {
        try agent.read()
        return agent.durable.contains(130)
      })
    // The minute is in the history before the late rows are.
    #expect(try eventually { try minute(engine, start + 60_000)?.ticks == 10 })
    let late = try agent.late(11, start + 11_000, rows: 60)
    try agent.send(late)
    try agent.send(late)
    // Overlaps what is stored on both sides.
    try agent.send(agent.late(61, start + 61_000, rows: 60))
    #expect(try agent.waitUntilDurable(through: 130))
    #expect(engine.engine.counters.duplicateBlocksTotal >= 1)
    #expect(try eventually { try minute(engine, start + 60_000)?.ticks == 60 })
    #expect(try eventually { try minute(engine, start + 120_000)?.ticks == 60 })
    for end in [start + 60_000, start + 120_000] {
      let powers = (0..<60).flatMap { TestFleet.row(agent.node, end - 59_000 + 1000 * Int64($0))[0..<8] }
      let totals = try #require(try minute(engine, end)?.gauge(.gpuPower, 0)).samples
      #expect(totals.sum == powers.reduce(0, +) && totals.count == 480)
      #expect(totals.min == powers.min() && totals.max == powers.max())
    }
    engine.stop()
    let stored = try StoredRows(folder.path)
    for second in 1...130 {
      let tick = start + 1000 * Int64(second)
      #expect(stored.rows[agent.node]?[tick] == [TestFleet.row(agent.node, tick)])
    }
    #expect(stored.count(agent.node) == 130 && stored.losses.undecodedRows == 0)
  }

  private func minute(_ engine: TestEngine, _ end: Int64) throws -> WindowTable? {
    try engine.formMinutes()
    var found: WindowTable?
    try engine.store.tiers.forEachWindow(.node, .minute) { labels, window in
      if labels.contains(where: { $0 == ("node", TestFleet.nodes[0].name) }), window.end.unixMilliseconds == end {
        found = window
      }
    }
    return found
  }

  @Test("rows older than the retention are refused, and a gap record says which")
  func tooOld() throws {
    let folder = try TemporaryDirectory()
    var options = TestEngine.Options()
    options.retentionMilliseconds = 3_600_000
    let engine = try TestEngine(folder.path, options)
    let agent = try HandAgent(TestFleet.nodes[0], engine.endpoint)
    #expect(try agent.greet())
    let old = start() - 7_200_000
    try agent.send(agent.late(1, old, rows: 30))
    agent.skip(30)
    try agent.send(agent.live(start()))
    #expect(try agent.waitUntilDurable())
    #expect(agent.rejects.map(\.reason) == [.tickTooOld])
    let range = Tick(unixMilliseconds: old)...Tick(unixMilliseconds: old + 29_000)
    #expect(try eventually { try engine.store.history.gaps(of: agent.node, range).gaps.count == 1 })
    let gap = try #require(try engine.store.history.gaps(of: agent.node, range).gaps.first)
    #expect(gap.ticks == range && gap.sequences == 1...30)
    engine.stop()
    #expect(try StoredRows(folder.path).count(agent.node) == 1)
  }

  @Test("a tick a year ahead is refused by name with a gap record, and old frames sent again count once")
  func yearAheadAndReplayed() throws {
    let folder = try TemporaryDirectory()
    let engine = try TestEngine(folder.path)
    let agent = try HandAgent(TestFleet.nodes[0], engine.endpoint)
    let bystander = try HandAgent(TestFleet.nodes[1], engine.endpoint)
    #expect(try agent.greet() && bystander.greet())
    let start = start()
    let ahead = start + 365 * 86_400_000
    try agent.send(agent.late(1, ahead, rows: 5))
    agent.skip(5)
    let frames = try (0..<10).map { try agent.live(start + 1000 * Int64($0), isKeyframe: true) }
    for frame in frames { try agent.send(frame) }
    #expect(try agent.waitUntilDurable())
    #expect(agent.rejects.map(\.reason) == [.tickInFuture])
    #expect(agent.rejects.first.map { $0.valueSeen > $0.limit } == true)
    for _ in 0..<3 {
      for frame in frames { try agent.send(frame) }
    }
    try bystander.send(bystander.live(start))
    #expect(try bystander.waitUntilDurable())
    #expect(eventually { engine.engine.counters.duplicateBlocksTotal == 30 })
    let range = Tick(unixMilliseconds: ahead)...Tick(unixMilliseconds: ahead + 4000)
    #expect(try eventually { try engine.store.history.gaps(of: agent.node, range).gaps.count == 1 })
    engine.stop()
    let stored = try StoredRows(folder.path)
    #expect(stored.count(agent.node) == 10 && stored.count(bystander.node) == 1)
  }

  @Test("the journal is trimmed to its size, and what is trimmed still counts as received")
  func trimmed() throws {
    let folder = try TemporaryDirectory()
    var options = TestEngine.Options()
    options.segmentBytes = 4 << 10
    options.journalBytesMax = 16 << 10
    options.keepIntervalMilliseconds = 100
    let start = start()
    let engine = try TestEngine(folder.path, options)
    let agent = try HandAgent(TestFleet.nodes[0], engine.endpoint)
    #expect(try agent.greet())
    for second in 0..<400 {
      try agent.send(agent.live(start + 1000 * Int64(second)))
      if second % 40 == 39 { #expect(try agent.waitUntilDurable()) }
    }
    let journal = "\(folder.path)/journal/shard-0"
    #expect(
      try eventually {
        let names = try FileManager.default.contentsOfDirectory(atPath: journal)
        return !names.contains { $0.hasSuffix("0000001.log") || $0.contains("-1.") }
          && engine.engine.journal.bytes <= 24 << 10
      })
    let first = try StoredRows(folder.path).rows[agent.node]?.keys.min() ?? start
    #expect(first > start, "nothing was trimmed")
    try engine.snapshot(to: folder.path + "-copy")
    defer { try? FileManager.default.removeItem(atPath: folder.path + "-copy") }
    engine.stop()

    let second = try TestEngine(folder.path + "-copy", options)
    try agent.reconnect(second.endpoint)
    #expect(try agent.greet())
    #expect(agent.durable.floor == 400)
    try agent.send(agent.late(1, start, rows: 50))
    try agent.send(agent.live(start + 400_000))
    #expect(try agent.waitUntilDurable())
    second.stop()
    let stored = try StoredRows(folder.path + "-copy")
    #expect(stored.rows[agent.node]?[start] == nil, "a trimmed row was taken again")
    #expect(stored.losses.undecodedRows == 0 && second.said.all.isEmpty, "\(stored.losses) \(second.said.all)")
  }
}
