import BongsuCodec
import BongsuModel
import BongsuRecordLog
import BongsuTestKit
import BongsuWire
import Foundation
import Synchronization

@testable import BongsuStore

/// A data directory whose journals a test writes as shards do, with rows that follow from node and number.
final class RawJournal {
  let directory: String
  let shards: Int
  private var writers: [ShardWriter] = []

  init(_ directory: String, shards: Int = 1, segmentBytes: Int = 20_000) throws {
    self.directory = directory
    self.shards = shards
    for shard in 0..<shards {
      let path = "\(directory)/journal/shard-\(shard)"
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
      writers.append(try ShardWriter(PosixDisk(path: path), segmentBytes: segmentBytes))
    }
  }

  static let layout: RowLayout = {
    let gpus = (0..<2).map { Device(scope: .gpu, index: UInt16($0), key: "GPU-\($0)", model: "B200") }
    let columns = [MetricID.gpuPower, .gpuEnergy, .gpuUtilization, .nodePower].map { MetricCatalogue.metric($0)! }
    // Known metrics and distinct devices make a valid layout.
    return try! RowLayout(interval: .second, columns: columns, devices: gpus + [.node])
  }()

  /// Another layout of the same nodes, as after a GPU was taken out: rows of numbers that are 0 modulo 97 and 98 have it.
  static let smallLayout: RowLayout = {
    let gpus = [Device(scope: .gpu, index: 0, key: "GPU-0", model: "B200")]
    let columns = [MetricID.gpuPower, .gpuUtilization].map { MetricCatalogue.metric($0)! }
    return try! RowLayout(interval: .second, columns: columns, devices: gpus)
  }()

  static let epoch: Int64 = 1_800_000_000_000

  static func tick(_ number: Int) -> Tick { Tick(unixMilliseconds: epoch + Int64(number) * 1_000) }
  static func number(_ tick: Tick) -> Int { Int((tick.unixMilliseconds - epoch) / 1_000) }
  func node(_ number: Int) -> NodeID { NodeID("n\(number)")! }

  static func isSmall(_ number: Int) -> Bool { number % 97 < 2 && number > 97 }

  /// The row of a node at a tick, with readings absent here and there.
  static func row(_ node: Int, _ number: Int) -> [Int64] {
    var random = SeededRandom(seed: UInt64(node) &* 1_000_003 &+ UInt64(number))
    let power = (0..<2).map { _ in Int64.random(in: 100_000...1_000_000, using: &random) }
    let absent = number % 7 == 0 ? Int64.min : nil
    let busy = Int64.random(in: 0...100, using: &random) * 10
    if isSmall(number) { return [power[0], busy] }
    let energy = (0..<2).map { device in Int64(number) * 700_123 + Int64(device * 5 + node) }
    return [power[0], absent ?? power[1], absent ?? energy[0], energy[1], busy, busy / 2, power[0] + power[1]]
  }

  /// Puts one live row.
  func put(_ node: Int, _ number: Int) throws { try put(node, number...number, isLate: false) }

  /// Puts rows that come together, late.
  func put(_ node: Int, _ numbers: ClosedRange<Int>) throws { try put(node, numbers, isLate: true) }

  private func put(_ node: Int, _ numbers: ClosedRange<Int>, isLate: Bool) throws {
    // A block has one layout.
    var start = numbers.lowerBound
    for number in numbers where number == numbers.upperBound || Self.isSmall(number) != Self.isSmall(number + 1) {
      try writers[node % shards].put(node, start...number, isLate: isLate)
      start = number + 1
    }
  }

  func commit() throws { for writer in writers { try writer.commit() } }

  /// What is on disk of each journal.
  var committed: [UInt64] { writers.map(\.committed) }
  var segments: [[LogWriter.Segment]] { writers.map(\.segments) }

  func trim(_ below: [UInt64]) throws {
    for (writer, number) in zip(writers, below) where number > 0 { try writer.trim(below: number) }
  }

  func progress() -> [DataKeeper.Progress] {
    zip(committed, segments).map { DataKeeper.Progress(committed: $0, segments: $1, checkpoint: nil) }
  }

  var journals: [String] { (0..<shards).map { "\(directory)/journal/shard-\($0)" } }

  /// The raw history over the directory, without a thread of its own.
  func keeper(_ change: (inout RawKeeper.Settings) -> Void = { _ in }) throws -> RawKeeper {
    var settings = RawKeeper.Settings(
      bytesMax: .max, keptMilliseconds: 100 * 365 * 86_400_000, chunkMilliseconds: 300_000, journalBytesMax: 1 << 30,
      isInBackground: false)
    change(&settings)
    let said = said
    return try RawKeeper(
      directory: "\(directory)/raw", journals: journals, settings: settings, say: { line in said.add(line) })
  }

  let said = SaidLines()

  func history(
    _ keeper: RawKeeper, tailBytesMax: Int = StoreLimits.tailBytesMax, segments: SegmentTicks? = nil,
    recent: RecentRows? = nil
  ) -> RawHistory {
    let committed = committed
    let progress: @Sendable () -> RawProgress = { keeper.progress }
    return RawHistory(
      store: keeper.store, journals: journals, tailBytesMax: tailBytesMax, progress: progress, segments: segments,
      recent: recent
    ) { body in
      try body(committed)
      return true
    }
  }

  func history() throws -> RawHistory { history(try keeper()) }
}

/// Lines that something said, from any thread.
final class SaidLines: Sendable {
  private let lines = Mutex<[String]>([])
  func add(_ line: String) { lines.withLock { $0.append(line) } }
  var all: [String] { lines.withLock { $0 } }
}

/// One shard's journal.
private final class ShardWriter {
  private var writer: LogWriter
  private var encoder = BlockEncoder()
  private var introduced: Set<Int> = []
  private var lastLive: [Int: Int] = [:]
  private let shape = BlockShape(RawJournal.layout)
  private let smallShape = BlockShape(RawJournal.smallLayout)
  private(set) var committed: UInt64 = 0

  init(_ disk: any Disk, segmentBytes: Int) throws {
    writer = try LogWriter(
      disk: disk, log: JournalReplay.logName,
      limits: LogLimits(segmentBytes: segmentBytes, recordBytesMax: 300 << 10, batchBytesMax: 1 << 20), salt: 5)
    writer.requestSegment()
    committed = writer.nextNumber - 1
  }

  var segments: [LogWriter.Segment] { writer.segments }
  func trim(below number: UInt64) throws { try writer.trim(below: number) }

  func put(_ node: Int, _ numbers: ClosedRange<Int>, isLate: Bool) throws {
    if writer.stagedBytes > 200_000 { try commit() }
    if writer.startsSegment && writer.stagedBytes == 0 {
      introduced.removeAll()
      lastLive.removeAll()
    }
    let number = NodeNumber(rawValue: UInt32(node))
    let isKnown = !introduced.insert(node).inserted
    if !isKnown {
      append(.node(number, NodeID("n\(node)")!))
      let stream = StreamID(rawValue: 1)
      append(.layout(number, stream, LayoutAnnouncement(number: 2, layout: RawJournal.layout)))
      append(.layout(number, stream, LayoutAnnouncement(number: 3, layout: RawJournal.smallLayout)))
    }
    let first = numbers.lowerBound
    let isSmall = RawJournal.isSmall(first)
    // As agents do, a block stands alone from time to time.
    let isBased =
      isKnown && !isLate && !isSmall && lastLive[node] == first - 1 && !RawJournal.isSmall(first - 1) && first > 1
      && (first + node) % 23 != 0
    let header = BlockHeader(
      layoutNumber: isSmall ? 3 : 2, firstSequence: UInt64(first), rowCount: numbers.count,
      anchor: isBased
        ? .based(sequenceDistance: 1, ticks: 1)
        : .standalone(tick: RawJournal.tick(first), boottimeMilliseconds: 1, boot: nil),
      isCorrected: false, isLate: isLate)
    var payload: [UInt8] = []
    let words = numbers.flatMap { RawJournal.row(node, $0) }
    if isBased {
      let base = RawJournal.row(node, first - 1)
      try encoder.encode(rows: words.span, shape: shape, base: base.span, appendingTo: &payload)
    } else {
      try encoder.encode(rows: words.span, shape: isSmall ? smallShape : shape, base: nil, appendingTo: &payload)
    }
    append(.block(JournalBlock(node: number, header: header, firstTick: RawJournal.tick(first))), payload)
    if !isLate { lastLive[node] = numbers.upperBound }
  }

  private func append(_ entry: JournalEntry, _ payload: [UInt8] = []) {
    var bytes: [UInt8] = []
    entry.encode(into: &bytes)
    guard writer.stage(bytes + payload, kind: 1) != nil else { preconditionFailure("batch is full") }
  }

  func commit() throws {
    guard writer.stagedBytes > 0 else { return }
    try writer.commit()
    committed = writer.nextNumber - 1
  }
}

/// All rows that a history gives, by node and number, each checked to come once and in order.
struct RawReading {
  var rows: [NodeID: [Int: [Int64]]] = [:]
  var losses = RawLosses()

  init(_ history: RawHistory, _ selection: RawSelection = RawSelection(ticks: Limits.tickRange)) throws {
    var rows: [NodeID: [Int: [Int64]]] = [:]
    var last: (node: NodeID, tick: Tick)?
    losses = try history.forEachRun(selection) { run in
      for (index, tick) in run.ticks.enumerated() {
        if let last {
          guard (last.node, last.tick) < (run.node, tick) else {
            throw OutOfOrder(description: "\(run.node) \(RawJournal.number(tick)) after \(last)")
          }
        }
        last = (run.node, tick)
        var row: [Int64] = []
        for column in run.columns {
          for device in 0..<run.layout.deviceCount(of: column) {
            let series = run.series(column: column, device: device)
            row.append(series[series.startIndex + index])
          }
        }
        rows[run.node, default: [:]][RawJournal.number(tick)] = row
      }
      return true
    }
    self.rows = rows
  }

  struct OutOfOrder: Error, CustomStringConvertible { let description: String }

  /// The rows that differ from what was put: named when missing, wrong or never put.
  func problems(_ expected: [NodeID: Set<Int>], _ node: (NodeID) -> Int) -> [String] {
    var problems: [String] = []
    for name in Set(expected.keys).union(rows.keys).sorted() {
      let wanted = expected[name] ?? []
      let found = rows[name] ?? [:]
      for number in wanted where found[number] == nil { problems.append("\(name) \(number) is missing") }
      for (number, row) in found {
        if !wanted.contains(number) { problems.append("\(name) \(number) was never put") }
        if row != RawJournal.row(node(name), number) { problems.append("\(name) \(number) is wrong") }
      }
    }
    return problems
  }
}
