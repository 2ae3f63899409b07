import BongsuModel
import BongsuTestKit
import BongsuWire
import Foundation
import GRDB
import Testing

@testable import BongsuStore

@Suite("History")
struct HistoryTests {
  @Test("commits are durable: SQLite runs with synchronous FULL and a write-ahead log")
  func durableSettings() throws {
    let directory = try TemporaryDirectory()
    let database = try StoreDatabase(path: directory.path + "/a.sqlite", version: 0, migrations: [])
    let settings = try database.pool.writeWithoutTransaction { db in
      (try Int.fetchOne(db, sql: "PRAGMA synchronous"), try String.fetchOne(db, sql: "PRAGMA journal_mode"))
    }
    #expect(settings.0 == 2)
    #expect(settings.1 == "wal")
  }

  /// The journal of the model: what each record adds.
  private struct Model {
    var records: [(shard: Int, record: UInt64, gap: HistoryBatch.GapRecord?)] = []

    /// Random records of two shards, a tenth of them hours late.
    init(_ random: inout SeededRandom, count: Int) {
      var next: [UInt64] = [1, 1]
      for index in 0..<count {
        let shard = Int.random(in: 0...1, using: &random)
        let record = next[shard]
        next[shard] += UInt64.random(in: 1...3, using: &random)
        // Half of the records have nothing for the history.
        guard Bool.random(using: &random) else {
          records.append((shard, record, nil))
          continue
        }
        let first = UInt64(index * 10 + 1)
        let gap = JournalGap(
          node: NodeNumber(rawValue: 3), sequences: first...(first + 4), reason: .agentRestart,
          ticks: minute(index / 20)...minute(index / 20 + 1))
        records.append((shard, record, HistoryBatch.GapRecord(record: record, node: NodeID("n1")!, gap: gap)))
      }
    }

    var sequences: [ClosedRange<UInt64>?] { records.compactMap { $0.gap }.map(\.gap.sequences) }
  }

  @Test("replays after crashes at any point apply nothing twice and miss nothing, gap by gap", arguments: 0..<8)
  func exactlyOnce(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let directory = try TemporaryDirectory()
    let model = Model(&random, count: 300)
    var isDone = false
    while !isDone {
      // A life of the process: it goes on from what is applied and is killed after some batches.
      let history = try History(path: directory.path + "/history.sqlite")
      let killAfter = Int.random(in: 1...6, using: &random)
      var batches = 0
      isDone = true
      for shard in 0...1 {
        let applied = try history.applied(shard: shard)
        var rest = model.records.filter { $0.shard == shard && $0.record > applied ?? 0 }[...]
        while let last = rest.prefix(Int.random(in: 1...40, using: &random)).last {
          guard batches < killAfter else {
            isDone = false
            break
          }
          var batch = HistoryBatch(shard: shard, record: last.record)
          batch.gaps = rest.filter { $0.record <= last.record }.compactMap(\.gap)
          try history.apply(batch)
          #expect(throws: StoreError.self) { try history.apply(batch) }
          batches += 1
          rest = rest.filter { $0.record > last.record }[...]
        }
      }
    }
    let history = try History(path: directory.path + "/history.sqlite")
    let gaps = try history.gaps(minute(-10)...minute(100_000))
    #expect(gaps.damaged == 0)
    let stored = gaps.gaps.map(\.sequences).sorted { $0?.lowerBound ?? 0 < $1?.lowerBound ?? 0 }
    #expect(stored == model.sequences, "seed \(seed)")
    #expect(try history.problem() == nil)
  }

  @Test("gaps are found by node and by the time that they touch")
  func gaps() throws {
    let directory = try TemporaryDirectory()
    let history = try History(path: directory.path + "/h.sqlite")
    var batch = HistoryBatch(shard: 0, record: 9)
    for (record, span) in [(UInt64(1), 10...20), (2, 15...18), (3, 40...50)] {
      let node = NodeID(record == 2 ? "b" : "a")!
      let gap = JournalGap(
        node: NodeNumber(rawValue: 0), sequences: nil, reason: .newStream,
        ticks: minute(span.lowerBound)...minute(span.upperBound))
      batch.gaps.append(HistoryBatch.GapRecord(record: record, node: node, gap: gap))
    }
    let unknown = JournalGap(node: NodeNumber(rawValue: 0), sequences: 1...5, reason: .released, ticks: nil)
    batch.gaps.append(HistoryBatch.GapRecord(record: 4, node: NodeID("c")!, gap: unknown))
    try history.apply(batch)
    #expect(try history.gaps(minute(0)...minute(9)).gaps.map(\.node.name) == ["c"])
    #expect(try history.gaps(of: NodeID("a"), minute(0)...minute(60)).gaps.count == 2)
    #expect(try history.gaps(of: NodeID("a"), minute(20)...minute(39)).gaps.count == 1)
    #expect(try history.gaps(of: NodeID("b"), minute(19)...minute(60)).gaps.isEmpty)
    let released = try history.gaps(of: NodeID("c"), minute(0)...minute(1)).gaps
    #expect(released.first?.sequences == 1...5)
    #expect(released.first?.reason == .released)
    #expect(released.first?.ticks == nil)
    #expect(try history.expire(before: minute(30)) == 2)
    #expect(try history.gaps(minute(0)...minute(60)).gaps.count == 2)
  }

  @Test(
    "a damaged index is found at the start, not by the first question that needs it",
    arguments: ["gaps_by_time", "gaps_by_node"])
  func damagedIndex(name: String) throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/history.sqlite"
    func all(_ history: History) throws -> [String] { try history.gaps(Limits.tickRange).gaps.map { "\($0)" } }
    let gaps: [String]
    let offset: Int
    let size: Int
    do {
      let history = try History(path: path)
      var batch = HistoryBatch(shard: 0, record: 40)
      batch.gaps = (1...30).map { number in
        HistoryBatch.GapRecord(
          record: UInt64(number), node: NodeID("n\(number % 5)")!,
          gap: JournalGap(
            node: NodeNumber(rawValue: 3), sequences: UInt64(number * 10)...UInt64(number * 10 + 4),
            reason: .agentRestart, ticks: minute(number)...minute(number + 1)))
      }
      try history.apply(batch)
      #expect(try history.database.checkpoint())
      gaps = try all(history)
      (size, offset) = try history.database.read { db in
        let page = try Int.fetchOne(db, sql: "PRAGMA page_size") ?? 0
        let root =
          try Int.fetchOne(db, sql: "SELECT rootpage FROM sqlite_schema WHERE name = ?", arguments: [name]) ?? 0
        return (page, page * (root - 1))
      }
    }
    #expect(gaps.count == 30)
    let sound = try Data(contentsOf: URL(fileURLWithPath: path))
    var mended = 0
    for place in stride(from: offset + size - 1, to: offset + size / 2, by: -61) {
      var bytes = sound
      bytes[place] ^= 44
      let copy = "\(directory.path)/copy-\(place).sqlite"
      try bytes.write(to: URL(fileURLWithPath: copy))
      var said: [String] = []
      let history = try History.mended(path: copy) { said.append($0) }
      mended += said.count
      #expect(try all(history) == gaps, "byte \(place - offset) of the index")
      for number in 0..<5 {
        #expect(try history.gaps(of: NodeID("n\(number)")!, Limits.tickRange).gaps.count == 6)
      }
    }
    #expect(mended > 0, "some of it was damage")
  }

  @Test("a flipped bit anywhere in the file never gives a wrong value and never prevents the start", arguments: 0..<120)
  func flippedBit(trial: UInt64) throws {
    var random = SeededRandom(seed: trial)
    let directory = try TemporaryDirectory()
    let path = directory.path + "/history.sqlite"
    let model = Model(&random, count: 80)
    do {
      let history = try History(path: path)
      for shard in 0...1 {
        let mine = model.records.filter { $0.shard == shard }
        var batch = HistoryBatch(shard: shard, record: mine.last?.record ?? 1)
        batch.gaps = mine.compactMap(\.gap)
        try history.apply(batch)
      }
      try history.checkpointForTests()
    }
    var bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
    bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= 1 << UInt8(trial % 8)
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    var said: [String] = []
    let history = try History.mended(path: path) { said.append($0) }
    if let answer = try? history.gaps(minute(-10)...minute(100_000)) {
      for gap in answer.gaps { #expect(model.sequences.contains(gap.sequences), "trial \(trial)") }
    }
    for shard in 0...1 {
      guard let applied = try? history.applied(shard: shard) else { continue }
      #expect(applied == model.records.last { $0.shard == shard }?.record, "trial \(trial)")
    }
    let kept = try FileManager.default.contentsOfDirectory(atPath: directory.path)
    #expect(kept.contains { $0.hasPrefix("history.sqlite.damaged-") } == !said.isEmpty, "trial \(trial): \(said)")
  }

  @Test(
    "a full disk refuses a batch whole, and the same batch goes in when space returns",
    .enabled(if: canMount, "needs root to mount a tmpfs"))
  func fullDisk() throws {
    let directory = try TemporaryDirectory()
    try shell("mount -t tmpfs -o size=1500k bongsu-test \(directory.path)")
    defer { _ = try? shell("umount -l \(directory.path)") }
    let history = try History(path: directory.path + "/history.sqlite")
    // Fails when the disk is full, which is the point.
    _ = try? shell("head -c 2000000 /dev/zero > \(directory.path)/filler")
    var batch = HistoryBatch(shard: 0, record: 5)
    batch.gaps = (0..<8000).map { index in
      let gap = JournalGap(
        node: NodeNumber(rawValue: 3), sequences: 1...4, reason: .agentRestart, ticks: minute(index)...minute(index + 1)
      )
      return HistoryBatch.GapRecord(record: UInt64(index), node: NodeID("n1")!, gap: gap)
    }
    let error = #expect(throws: StoreError.self) { try history.apply(batch) }
    #expect(error?.isOutOfSpace == true, "\(String(describing: error))")
    #expect(try history.applied(shard: 0) == nil)
    try FileManager.default.removeItem(atPath: directory.path + "/filler")
    try history.apply(batch)
    #expect(try history.applied(shard: 0) == 5)
    #expect(try history.gaps(minute(0)...minute(9000)).gaps.count == 8000)
  }
}

func minute(_ number: Int) -> Tick { Tick(unixMilliseconds: 1_800_000_000_000 + Int64(number) * 60_000) }

extension History {
  /// Moves the write-ahead log into the file, so that a test can damage what it holds.
  func checkpointForTests() throws {
    try database.pool.writeWithoutTransaction { db in _ = try db.checkpoint(.truncate) }
    try database.pool.close()
  }
}

/// Whether this process may mount file systems in this place.
let canMount: Bool = {
  guard getuid() == 0, let directory = try? TemporaryDirectory() else { return false }
  guard (try? shell("mount -t tmpfs -o size=64k bongsu-test \(directory.path)")) != nil else { return false }
  _ = try? shell("umount \(directory.path)")
  return true
}()

struct CommandFailed: Error {}

func shell(_ command: String) throws {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: "/bin/sh")
  process.arguments = ["-c", command + " 2>/dev/null"]
  try process.run()
  process.waitUntilExit()
  guard process.terminationStatus == 0 else { throw CommandFailed() }
}
