import BongsuCodec
import BongsuModel
import BongsuRecordLog
import BongsuStore
import BongsuTestKit
import BongsuWire
import Foundation
import Testing

@Suite("Minute builder")
struct MinuteBuilderTests {
  private static let layout: RowLayout = {
    let devices = (0..<3).map { Device(scope: .gpu, index: UInt16($0), key: "GPU-\($0)", model: "B200") }
    // Known metrics and distinct devices make a valid layout.
    return try! RowLayout(
      interval: .second, columns: [MetricID.gpuPower, .gpuEnergy].map { MetricCatalogue.metric($0)! },
      devices: devices)
  }()

  private static func values(_ node: Int, _ number: UInt64) -> [Int64] {
    var random = SeededRandom(seed: UInt64(node) &* 7_919 &+ number)
    let power = (0..<3).map { _ in
      Int.random(in: 0..<9, using: &random) == 0 ? Int64.min : Int64.random(in: 1...900_000, using: &random)
    }
    return power + (1...3).map { Int64(number) * 700 * $0 }
  }

  private static func tick(_ number: UInt64) -> Tick {
    Tick(unixMilliseconds: 1_800_000_000_000 + Int64(number) * 1_000)
  }

  /// One shard's writing side: sessions' entries into segments that stand alone, as the ingest core writes them.
  private struct Shard: ~Copyable {
    var writer: LogWriter
    var encoder = BlockEncoder()
    var introduced: Set<Int> = []
    let shape = BlockShape(MinuteBuilderTests.layout)

    init(_ disk: any Disk) throws {
      writer = try LogWriter(
        disk: disk, log: JournalReplay.logName,
        limits: LogLimits(segmentBytes: 3_000, recordBytesMax: 300 << 10, batchBytesMax: 1 << 20), salt: 5)
      writer.requestSegment()
    }

    mutating func append(_ entry: JournalEntry, _ payload: [UInt8] = []) {
      if writer.startsSegment && writer.stagedBytes == 0 { introduced.removeAll() }
      var bytes: [UInt8] = []
      entry.encode(into: &bytes)
      guard writer.stage(bytes + payload, kind: 1) != nil else { preconditionFailure("batch is full") }
    }

    /// Rows of a node; based on the row before when that is in the segment.
    mutating func rows(_ node: Int, _ numbers: Range<UInt64>, isLate: Bool) throws {
      let number = NodeNumber(rawValue: UInt32(node))
      if writer.startsSegment && writer.stagedBytes == 0 { introduced.removeAll() }
      let isKnown = introduced.contains(node)
      if !isKnown {
        introduced.insert(node)
        append(.node(number, NodeID("n\(node)")!))
        append(
          .layout(number, StreamID(rawValue: 1), LayoutAnnouncement(number: 2, layout: MinuteBuilderTests.layout)))
      }
      let isBased = isKnown && !isLate && numbers.lowerBound > 1 && lastLive[node] == numbers.lowerBound - 1
      let header = BlockHeader(
        layoutNumber: 2, firstSequence: numbers.lowerBound, rowCount: numbers.count,
        anchor: isBased
          ? .based(sequenceDistance: 1, ticks: 1)
          : .standalone(tick: tick(numbers.lowerBound), boottimeMilliseconds: 1, boot: nil),
        isCorrected: false, isLate: isLate)
      var payload: [UInt8] = []
      let words = numbers.flatMap { values(node, $0) }
      if isBased {
        let base = values(node, numbers.lowerBound - 1)
        try encoder.encode(rows: words.span, shape: shape, base: base.span, appendingTo: &payload)
      } else {
        try encoder.encode(rows: words.span, shape: shape, base: nil, appendingTo: &payload)
      }
      append(.block(JournalBlock(node: number, header: header, firstTick: tick(numbers.lowerBound))), payload)
      if !isLate { lastLive[node] = numbers.upperBound - 1 }
    }

    var lastLive: [Int: UInt64] = [:]
  }

  /// What the history must say: every row once, by brute force.
  private func expected(_ rows: [(node: Int, number: UInt64)]) -> [String: TierCell] {
    var cells: [String: TierCell] = [:]
    for (node, number) in rows {
      let time = Self.tick(number).unixMilliseconds
      let minute = time % 60_000 == 0 ? time : time - time % 60_000 + 60_000
      var cell = TierCell()
      let present = Self.values(node, number).prefix(3).filter { $0 != .min }
      if let low = present.min(), let high = present.max() {
        cell.add(
          .gpuPower,
          TierCell.Totals(sum: present.reduce(0, +), count: Int64(present.count), minimum: low, maximum: high))
      }
      cell.add(field: MinuteBuilder.rowsField, 1)
      cells["n\(node) \(minute)", default: TierCell()].merge(cell)
    }
    return cells
  }

  private func stored(_ history: History) throws -> [String: TierCell] {
    var cells: [String: TierCell] = [:]
    for group in try history.groups(level: MinuteBuilder.nodeLevel) {
      let answer = try history.minutes(level: MinuteBuilder.nodeLevel, group: group, Limits.tickRange)
      #expect(answer.damaged == 0)
      for (minute, cell) in answer.rows { cells["\(group.dropFirst(5)) \(minute.unixMilliseconds)"] = cell }
    }
    return cells
  }

  @Test(
    "minutes equal a brute-force sum over all rows, with outages, late rows, and kills of builder and writer at any point",
    arguments: 0..<15)
  func exactly(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let directory = try TemporaryDirectory()
    let disk = SimulatedDisk(seed: seed)
    var shard = try Shard(disk)
    var history = try History(path: directory.path + "/history.sqlite")
    var builder = try MinuteBuilder(shard: 0, journal: disk, history: history)
    var rows: [(node: Int, number: UInt64)] = []
    var pending: [Int: [UInt64]] = [:]
    var gaps = 0
    for number in UInt64(1)...240 {
      for node in 0..<3 {
        // Node 1 is cut off for a while; its rows come late, in runs.
        if node == 1, (60..<130).contains(number) {
          pending[node, default: []].append(number)
          continue
        }
        try shard.rows(node, number..<(number + 1), isLate: false)
        rows.append((node, number))
      }
      if number > 130, let late = pending[1]?.prefix(9), let first = late.first, let last = late.last {
        try shard.rows(1, first..<(last + 1), isLate: true)
        rows += late.map { (1, $0) }
        pending[1]?.removeFirst(late.count)
      }
      if number % 50 == 0 {
        gaps += 1
        shard.append(
          .gap(
            JournalGap(
              node: NodeNumber(rawValue: 2), sequences: nil, reason: .agentRestart,
              ticks: Self.tick(number)...Self.tick(number + 2))))
      }
      try shard.writer.commit()
      switch Int.random(in: 0..<12, using: &random) {
      case 0...3: _ = try builder.advance(through: shard.writer.durableNumber)
      case 4:
        // The process is killed and starts again: everything in memory is gone.
        let next = shard.writer.durableNumber
        shard = try Shard(disk)
        #expect(next + 1 == shard.writer.nextNumber)
        try shard.writer.repair()
        history = try History(path: directory.path + "/history.sqlite")
        builder = try MinuteBuilder(shard: 0, journal: disk, history: history)
      case 5: try shard.writer.trim(below: builder.applied)
      default: break
      }
    }
    _ = try builder.advance(through: shard.writer.durableNumber)
    #expect(builder.applied == shard.writer.durableNumber)
    let losses = builder.losses
    #expect(losses == RawLosses(), "seed \(seed): \(losses)")
    #expect(pending[1]?.isEmpty == true)
    #expect(try stored(history) == expected(rows), "seed \(seed)")
    #expect(try history.gaps(Limits.tickRange).gaps.count == gaps)
    let again = try builder.advance(through: shard.writer.durableNumber)
    #expect(again == 0)
  }
}

extension MinuteBuilderTests {
  @Test("a damaged journal costs rows, which are counted, and never a wrong minute", arguments: 0..<30)
  func damage(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let directory = try TemporaryDirectory()
    let disk = SimulatedDisk(seed: seed)
    var shard = try Shard(disk)
    for number in UInt64(1)...100 {
      try shard.rows(0, number..<(number + 1), isLate: false)
      try shard.writer.commit()
    }
    let name = try #require(try disk.names().randomElement(using: &random))
    disk.flipBit(of: name, byte: Int.random(in: 64..<(disk.byteCount(named: name) ?? 65), using: &random), bit: 3)
    let history = try History(path: directory.path + "/history.sqlite")
    var builder = try MinuteBuilder(shard: 0, journal: disk, history: history)
    _ = try builder.advance(through: shard.writer.durableNumber)
    let applied = builder.applied
    #expect(applied == shard.writer.durableNumber)
    let losses = builder.losses
    let rows = try stored(history).values.reduce(0) { $0 + ($1.fields[MinuteBuilder.rowsField] ?? 0) }
    #expect(rows <= 100)
    #expect(rows == 100 || !losses.damage.isEmpty)
    #expect(rows + Int64(losses.undecodedRows) >= 99)
    for (key, cell) in try stored(history) {
      let whole = try #require(expected((1...100).map { (0, $0) })[key])
      #expect((cell.metrics[.gpuPower]?.count ?? 0) <= (whole.metrics[.gpuPower]?.count ?? 0))
      #expect(cell.metrics[.gpuPower]?.maximum ?? 0 <= whole.metrics[.gpuPower]?.maximum ?? 0)
    }
  }
}
