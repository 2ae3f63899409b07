import BongsuFleet
import BongsuMetrics
import BongsuModel
import BongsuRecordLog
import BongsuRollup
import BongsuStore
import BongsuTestKit
import BongsuTransport
import BongsuWire
import Foundation
import Testing

@testable import BongsuIngest

@Suite("restart of the ingest core", .serialized)
struct RestartTests {
  /// Ticks of the recent past, so that nothing waits for the clock.
  private func start() -> Int64 { Int64(Date().timeIntervalSince1970) * 1000 - 600_000 }

  @Test("what was acknowledged before a crash is there after it, once, and the rest is taken up where it stopped")
  func acknowledgedSurvives() throws {
    let folder = try TemporaryDirectory()
    let first = try TestEngine("\(folder.path)/a")
    let start = start()
    let agents = try TestFleet.nodes.prefix(3).map { try HandAgent($0, first.endpoint) }
    for agent in agents { #expect(try agent.greet()) }
    for second in 0..<40 {
      for agent in agents { try agent.send(agent.live(start + 1000 * Int64(second))) }
    }
    for agent in agents { #expect(try agent.waitUntilDurable()) }
    // Three more that nobody waits for: on disk or not, as the crash has it.
    for second in 40..<43 {
      for agent in agents { try agent.send(agent.live(start + 1000 * Int64(second))) }
    }
    try first.snapshot(to: "\(folder.path)/b")

    let second = try TestEngine("\(folder.path)/b")
    for agent in agents {
      try agent.reconnect(second.endpoint)
      #expect(try agent.greet())
      #expect(agent.durable.floor >= 40, "acknowledged rows of \(agent.node) are gone")
      // As an agent does: everything that is not acknowledged comes again.
      for sequence in (agent.durable.floor + 1)..<44 {
        try agent.send(agent.late(sequence, start + 1000 * Int64(sequence - 1), rows: 1))
      }
      #expect(try agent.waitUntilDurable(through: 43))
    }
    second.stop()
    let stored = try StoredRows("\(folder.path)/b")
    #expect(stored.losses.damage.isEmpty && stored.losses.undecodedRows == 0, "\(stored.losses)")
    for agent in agents {
      for index in 0..<43 {
        let tick = start + 1000 * Int64(index)
        #expect(stored.rows[agent.node]?[tick] == [TestFleet.row(agent.node, tick)])
      }
      #expect(stored.count(agent.node) == 43)
    }
  }

  @Test("a checkpoint and the journal behind it give the state that the whole journal gives")
  func checkpointEqualsFullReplay() throws {
    let folder = try TemporaryDirectory()
    var options = TestEngine.Options()
    options.segmentBytes = 16 << 10
    let engine = try TestEngine("\(folder.path)/a", options)
    let start = start()
    let agents = try TestFleet.nodes.map { try HandAgent($0, engine.endpoint) }
    for agent in agents { #expect(try agent.greet()) }
    for second in 0..<120 {
      for agent in agents {
        if second % 17 == 3 { agent.skip(2) }
        try agent.send(agent.live(start + 1000 * Int64(second), isKeyframe: second % 60 == 0))
      }
      // Slow enough for checkpoints to fall between frames; the last third comes after the last of them.
      Thread.sleep(forTimeInterval: 0.01)
      if second == 80 {
        #expect(eventually { engine.store.checkpoint(shard: 0) != nil })
        engine.keeping.set()
      }
    }
    for agent in agents {
      #expect(
        try eventually {
          try agent.read()
          return agent.durable.contains(agent.next - 1)
        })
    }
    try engine.snapshot(to: "\(folder.path)/with")
    try engine.snapshot(to: "\(folder.path)/without")
    try FileManager.default.removeItem(atPath: "\(folder.path)/without/checkpoint")
    options.keepIntervalMilliseconds = 3_600_000

    let with = try TestEngine("\(folder.path)/with", options)
    let before = try #require(with.store.checkpoint(shard: 0))
    with.stop()
    let without = try TestEngine("\(folder.path)/without", options)
    #expect(without.store.checkpoint(shard: 0) == nil)
    without.stop()
    let short = try #require(with.store.checkpoint(shard: 0))
    let full = try #require(without.store.checkpoint(shard: 0))
    #expect(before.record < short.record, "the checkpoint was of the end: nothing was replayed behind it")
    #expect(short.record == full.record)
    #expect(with.said.all.isEmpty && without.said.all.isEmpty, "\(with.said.all) \(without.said.all)")
    let left = try Self.shard(of: "\(folder.path)/with").shard
    _ = try left.restore(ShardCheckpoint(record: short.record, bytes: short.bytes))
    let right = try Self.shard(of: "\(folder.path)/without").shard
    _ = try right.restore(ShardCheckpoint(record: full.record, bytes: full.bytes))
    #expect(left.sessions.count == agents.count && right.sessions.count == agents.count)
    for index in agents.indices {
      var sessions: [[UInt8]] = [[], []]
      left.sessions[index].encodeCheckpoint(into: &sessions[0])
      right.sessions[index].encodeCheckpoint(into: &sessions[1])
      #expect(sessions[0] == sessions[1])
      #expect(left.host.nodes[index].id == right.host.nodes[index].id)
      #expect(left.host.nodes[index].row == right.host.nodes[index].row)
      #expect(left.host.nodes[index].row == TestFleet.row(agents[index].node, start + 119_000))
      #expect(left.host.nodes[index].liveTick == right.host.nodes[index].liveTick)
      #expect(left.host.nodes[index].layouts.map(\.announcement) == right.host.nodes[index].layouts.map(\.announcement))
    }
  }

  @Test("a clean stop leaves nothing to replay, and a checkpoint of another release costs a full replay")
  func checkpointOfAnotherRelease() throws {
    let folder = try TemporaryDirectory()
    let start = start()
    let first = try TestEngine(folder.path)
    let agent = try HandAgent(TestFleet.nodes[0], first.endpoint)
    #expect(try agent.greet())
    for second in 0..<5 { try agent.send(agent.live(start + 1000 * Int64(second))) }
    #expect(try agent.waitUntilDurable())
    first.stop()
    let kept = try #require(first.store.checkpoint(shard: 0))
    #expect(kept.record == first.store.highestRecord(shard: 0))

    var foreign = kept
    foreign.bytes[0] = 99
    let shard = try Self.shard(of: folder.path)
    let report = try shard.shard.replay(
      shard.disk, log: "journal", limits: shard.limits,
      after: ShardCheckpoint(record: foreign.record, bytes: foreign.bytes))
    #expect(report.damage.count == 1 && report.records == kept.record)
    var row: [Int64]?
    shard.shard.visitNodes { row = $0.row }
    #expect(row == TestFleet.row(agent.node, start + 4000))
    // Every cut and every changed byte is refused or read, never a trap.
    for length in stride(from: 0, to: kept.bytes.count, by: 7) {
      let cut = ShardCheckpoint(record: kept.record, bytes: Array(kept.bytes.prefix(length)))
      let other = try Self.shard(of: folder.path)
      #expect(throws: CheckpointUnreadable.self) { _ = try other.shard.restore(cut) }
    }
    var random = SeededRandom(default: 41)
    for _ in 0..<200 {
      var bytes = kept.bytes
      bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
      let other = try Self.shard(of: folder.path)
      _ = try? other.shard.restore(ShardCheckpoint(record: kept.record, bytes: bytes))
    }
  }

  /// A shard that does not run, over the journal of a data directory.
  static func shard(of directory: String) throws -> (shard: Shard, disk: PosixDisk, limits: LogLimits) {
    let configuration = IngestConfiguration(
      listen: [""], journalDirectory: "\(directory)/journal", connectionsMax: 1)
    let parts = try ShardParts(
      number: 0, configuration, plan: RollupPlan(TestFleet.tree), pool: MessagePool(capacity: 16),
      counters: IngestCounters(MetricRegistry()),
      collector: TickCollector(plan: RollupPlan(TestFleet.tree), shardCount: 1),
      keeper: nil, onFailure: { _ in }, progress: { _ in })
    parts.shard.forgetAll()
    let limits = LogLimits(
      segmentBytes: 1 << 39, recordBytesMax: IngestLimits.recordBytesMax, batchBytesMax: IngestLimits.commitBytesMax)
    return (parts.shard, try PosixDisk(path: "\(directory)/journal/shard-0"), limits)
  }
}
