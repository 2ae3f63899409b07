import BongsuModel
import BongsuTestKit
import Testing

@testable import BongsuStore

@Suite("Raw chunks")
struct RawChunkTests {
  /// Which rows a test has put, by node.
  private struct Put {
    var rows: [NodeID: Set<Int>] = [:]

    mutating func note(_ node: NodeID, _ numbers: ClosedRange<Int>) { rows[node, default: []].formUnion(numbers) }

    /// Every row once with its values, and none that was not put.
    func expectAll(of history: RawHistory, _ when: String = "") throws {
      let problems = try RawReading(history).problems(rows) { Int($0.name.dropFirst()) ?? -1 }
      #expect(problems.isEmpty, "\(problems.count) \(when): \(problems.prefix(5))")
    }
  }

  @Test("rows read from chunks, from the journal and from both at once equal what was put", arguments: [1, 2])
  func seam(shards: Int) throws {
    let directory = try TemporaryDirectory()
    let journal = try RawJournal(directory.path, shards: shards)
    var keeper = try journal.keeper()
    var put = Put()
    // Over an hour's end, with late rows behind it.
    let first = 2_700
    for step in 0..<5 {
      for number in (first + step * 300)..<(first + step * 300 + 300) where number % 40 != 0 {
        for node in 0..<3 {
          try journal.put(node, number)
          put.note(journal.node(node), number...number)
        }
      }
      try journal.commit()
      if step > 0 {
        try journal.put(step % 3, (first - 50 * step)...(first - 50 * step + 30))
        put.note(journal.node(step % 3), (first - 50 * step)...(first - 50 * step + 30))
        try journal.commit()
      }
      try put.expectAll(of: journal.history(keeper), "before \(step)")
      if step != 3 { try keeper.advance(through: journal.committed, now: RawJournal.tick(first).unixMilliseconds) }
      try put.expectAll(of: journal.history(keeper), "after \(step)")
      if step == 2 {
        keeper.stop()
        keeper = try journal.keeper()
      }
    }
    #expect(keeper.store.starts.count == 2)
    #expect(journal.said.all == [])
    #expect(try RawReading(RawHistory(directory: directory.path, shards: shards)).rows.count == 3)
    #expect(try journal.history(keeper).extent() == RawJournal.tick(first - 200)...RawJournal.tick(4_199))
  }

  @Test("a selection of nodes, metrics and ticks is the same from chunks as from the journal")
  func selections() throws {
    let directory = try TemporaryDirectory()
    let journal = try RawJournal(directory.path)
    for number in 1...700 { for node in 0..<2 { try journal.put(node, number) } }
    try journal.commit()
    let keeper = try journal.keeper()
    let selections = [
      RawSelection(ticks: RawJournal.tick(90)...RawJournal.tick(200), metrics: [.gpuEnergy]),
      RawSelection(ticks: RawJournal.tick(1)...RawJournal.tick(1), nodes: [journal.node(1)]),
      RawSelection(ticks: RawJournal.tick(350)...RawJournal.tick(360), metrics: [.gpuPower, .nodePower]),
      RawSelection(ticks: RawJournal.tick(701)...RawJournal.tick(900)),
      RawSelection(ticks: Limits.tickRange, metrics: [.gpuTemperature]),
    ]
    let before = try selections.map { try RawReading(journal.history(keeper), $0).rows }
    try keeper.advance(through: journal.committed, now: RawJournal.epoch)
    try journal.trim([journal.committed[0]])
    let after = try selections.map { try RawReading(journal.history(keeper), $0).rows }
    #expect(before == after)
    // All but those of the small layout, which has no energy.
    let energies = (90...200).filter { !RawJournal.isSmall($0) }
    #expect(before[0][journal.node(0)]?.keys.sorted() == energies)
    #expect(before[3].isEmpty)
  }

  @Test("rows that come hours late enter their hour, and merging it changes nothing but the number of chunks")
  func late() throws {
    let directory = try TemporaryDirectory()
    let journal = try RawJournal(directory.path)
    let keeper = try journal.keeper()
    var put = Put()
    for number in stride(from: 1, to: 1_200, by: 40) {
      try journal.put(0, number...(number + 19))
      put.note(journal.node(0), number...(number + 19))
      try journal.commit()
      try keeper.advance(through: journal.committed, now: RawJournal.epoch)
    }
    for number in stride(from: 21, to: 1_200, by: 40) {
      try journal.put(0, number...(number + 19))
      put.note(journal.node(0), number...(number + 19))
    }
    try journal.commit()
    try keeper.advance(through: journal.committed, now: RawJournal.epoch)
    let partition = try #require(try keeper.store.partition(RawJournal.epoch, making: false))
    #expect(try partition.fragmented(chunksMax: StoreLimits.chunksPerNodeMax) == [journal.node(0)])
    try keeper.advance(through: journal.committed, now: RawJournal.epoch + 10 * 3_600_000)
    // 1,200 rows with a change of layout at every 97th and 99th.
    #expect(try partition.fragmented(chunksMax: 2 * 1_200 / 97 + 1) == [])
    try put.expectAll(of: journal.history(keeper))
    #expect(try partition.problems() == [])
  }

  @Test("whole hours are removed by age and by size, oldest first, and rows for them are not taken any more")
  func retention() throws {
    let directory = try TemporaryDirectory()
    let journal = try RawJournal(directory.path)
    for hour in 0..<6 {
      for number in (hour * 3_600 + 1)...(hour * 3_600 + 40) { try journal.put(0, number) }
    }
    try journal.commit()
    let now = RawJournal.epoch + 6 * 3_600_000
    var keeper = try journal.keeper()
    try keeper.advance(through: journal.committed, now: now)
    #expect(keeper.store.starts.count == 6)
    // A page more or less does not matter.
    let bytes = keeper.store.starts.suffix(3).reduce(4_096) { $0 + keeper.store.bytes(of: $1) }
    keeper = try journal.keeper { $0.bytesMax = bytes }
    try keeper.advance(through: journal.committed, now: now)
    #expect(keeper.store.starts.count == 3)
    #expect(keeper.store.bytes <= bytes)
    #expect(keeper.floor >= RawJournal.epoch + 3 * 3_600_000)
    try journal.put(0, 100...110)
    try journal.commit()
    try keeper.advance(through: journal.committed, now: now)
    #expect(keeper.store.starts.count == 3)
    #expect(keeper.writer.work.expiredRows == 11)
    keeper = try journal.keeper { $0.keptMilliseconds = 3_600_000 }
    try keeper.advance(through: journal.committed, now: now)
    #expect(keeper.store.starts == [RawJournal.epoch + 5 * 3_600_000])
    #expect(try RawReading(journal.history(keeper)).rows[journal.node(0)]?.count == 40)
  }

  @Test("where rows of all nodes do not fit into memory, nodes go in groups, each row once")
  func groups() throws {
    let directory = try TemporaryDirectory()
    let journal = try RawJournal(directory.path, segmentBytes: 1 << 20)
    var put = Put()
    for number in 1...120 { for node in 0..<40 { try journal.put(node, number) } }
    for node in 0..<40 { put.note(journal.node(node), 1...120) }
    try journal.commit()
    let keeper = try journal.keeper()
    let writer = try RawWriter(store: keeper.store, journals: journal.journals, tailBytesMax: 40_000)
    try writer.advance(through: journal.committed, floor: 0)
    #expect(writer.progress.records[0].allSatisfy { $0 == journal.committed[0] })
    #expect(writer.work.rows == 4_800)
    // Two changes of layout, and pieces of no fewer rows than are worth a chunk.
    #expect(writer.work.chunks <= 40 * (3 + 120 / 20), "\(writer.work)")
    try put.expectAll(of: journal.history(keeper))
  }
}
