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
import Synchronization
import Testing

@testable import BongsuIngest

/// A keeper over the real store, as the daemon has one.
struct TestKeeper: JournalKeeper {
  let store: DataKeeper
  /// While it is set nothing is kept, as if the time had not come.
  let isPaused: Pause

  func checkpoint(shard: Int) -> ShardCheckpoint? {
    store.checkpoint(shard: shard).map { ShardCheckpoint(record: $0.record, bytes: $0.bytes) }
  }

  func highestRecord(shard: Int) -> UInt64 { store.highestRecord(shard: shard) }

  func keep(_ journals: [JournalProgress]) -> [UInt64] {
    if isPaused.isSet { return journals.map { _ in 0 } }
    return store.keep(
      journals.map { journal in
        DataKeeper.Progress(
          committed: journal.committed, segments: journal.segments,
          checkpoint: journal.checkpoint.map { ($0.record, $0.bytes) })
      })
  }
}

/// A switch that tests set.
final class Pause: Sendable {
  private let state = Mutex(false)
  var isSet: Bool { state.withLock { $0 } }
  func set() { state.withLock { $0 = true } }
}

/// A data directory and what runs over it: an ingest core on loopback, started and ended as a test wants.
final class TestEngine {
  let directory: String
  let shards: Int
  private let context: Context
  private(set) var engine: IngestEngine
  private(set) var store: DataKeeper
  let said = Lines()
  let keeping = Pause()

  /// What can be set; times are short, so that tests are.
  struct Options {
    var shards = 1
    var segmentBytes = 1 << 20
    var keepIntervalMilliseconds: Int64 = 300
    var receivers = 1
    var retentionMilliseconds: Int64 = 30 * 86_400_000
    var journalBytesMax: Int64 = 1 << 30
  }

  init(_ directory: String, _ options: Options = Options()) throws {
    self.directory = directory
    shards = options.shards
    context = try Context(ioThreads: 1)
    for shard in 0..<options.shards {
      try FileManager.default.createDirectory(
        atPath: "\(directory)/journal/shard-\(shard)", withIntermediateDirectories: true)
    }
    let tree = TestFleet.tree
    let settings = DataKeeper.Settings(journalBytesMax: options.journalBytesMax)
    let said = said
    store = try DataKeeper(directory: directory, shards: options.shards, settings: settings) { said.add($0) }
    var configuration = IngestConfiguration(
      listen: Array(repeating: "tcp://127.0.0.1:*", count: options.receivers), journalDirectory: "\(directory)/journal",
      connectionsMax: 1000)
    configuration.shards = options.shards
    configuration.segmentBytes = options.segmentBytes
    configuration.keepIntervalMilliseconds = options.keepIntervalMilliseconds
    configuration.retentionMilliseconds = options.retentionMilliseconds
    configuration.ackIntervalMilliseconds = 100
    engine = IngestEngine(
      configuration, tree: tree, context: context, registry: MetricRegistry(),
      keeper: TestKeeper(store: store, isPaused: keeping)
    ) { said.add("failed: \($0)") }
    for line in try engine.start() { said.add("damage: \(line)") }
  }

  /// Forms the minutes that rows have come for, as if all their ticks were closed. While the engine runs.
  func formMinutes() throws {
    let engine = engine
    let store = store
    _ = try engine.readingJournals { try store.follow(through: $0) }
    let history = store.rawHistory { body in try engine.readingJournals(body) != nil }
    let keeper = TierKeeper(store: store.tiers, plan: engine.plan) { try history.forEachRun($0, $1) }
    let never = Tick(unixMilliseconds: Int64(Date().timeIntervalSince1970 * 1000) + 86_400_000)
    while let newest = try store.tiers.newestNoted(), try keeper.work(closedThrough: newest, now: never) > 0 {}
  }

  var endpoint: String { engine.endpoints?.first ?? "" }

  /// Ends as at a power cut: threads stop where they are, nothing more is kept. What was not on disk is lost.
  ///
  /// - Parameter copyingTo: a directory that gets the data as it is on disk at this moment, under load.
  func snapshot(to target: String) throws {
    try FileManager.default.copyItem(atPath: directory, toPath: target)
  }

  func stop() {
    engine.stop()
    context.shutdown()
  }

  deinit { stop() }
}

/// Lines that something said, from any thread.
final class Lines: Sendable {
  private let lines = Mutex<[String]>([])
  func add(_ line: String) { lines.withLock { $0.append(line) } }
  var all: [String] { lines.withLock { $0 } }
}

/// Every row in the journals of a data directory, by node and tick, and how often it is there.
struct StoredRows {
  var rows: [NodeID: [Int64: [[Int64]]]] = [:]
  var losses = RawLosses()

  init(_ directory: String, shards: Int = 1, from: Int64 = 0) throws {
    let disks = try (0..<shards).map { try PosixDisk(path: "\(directory)/journal/shard-\($0)") }
    var rows: [NodeID: [Int64: [[Int64]]]] = [:]
    let filter = RawFilter(ticks: Tick(unixMilliseconds: from)...Limits.tickRange.upperBound)
    losses = try RawExport(journals: disks).forEachRow(filter) { node, _, tick, row in
      var words: [Int64] = []
      for index in 0..<row.count { words.append(row[index]) }
      rows[node, default: [:]][tick.unixMilliseconds, default: []].append(words)
      return true
    }
    self.rows = rows
  }

  func count(_ node: NodeID) -> Int { rows[node]?.count ?? 0 }
}

/// Waits until `condition` holds; `false` when it does not within `seconds`.
func eventually(within seconds: Double = 15, _ condition: () throws -> Bool) rethrows -> Bool {
  let end = Date().addingTimeInterval(seconds)
  while Date() < end {
    if try condition() { return true }
    Thread.sleep(forTimeInterval: 0.02)
  }
  return try condition()
}
