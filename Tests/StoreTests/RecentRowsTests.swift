import BongsuModel
import BongsuTestKit
import Foundation
import Testing

@testable import BongsuStore

@Suite("Recent rows")
struct RecentRowsTests {
  /// A present that is always at hand, and bounds for three nodes.
  private static func recent(
    _ journal: RawJournal, _ change: (inout RecentRows.Bounds) -> Void = { _ in }
  ) -> RecentRows {
    var bounds = RecentRows.Bounds()
    bounds.nodesMin = 2
    change(&bounds)
    return RecentRows(journals: journal.journals, bounds: bounds, now: { RawJournal.epoch })
  }

  private static func since(_ number: Int, _ metrics: Set<MetricID> = [.gpuPower]) -> RawSelection {
    RawSelection(ticks: RawJournal.tick(number)...RawJournal.tick(1_000_000), metrics: metrics)
  }

  @Test(
    "whatever comes, is packed, is trimmed or asked for: rows from memory are those of the long way",
    arguments: [1, 2, 3, 4, 5, 6])
  func equality(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let directory = try TemporaryDirectory()
    let shards = Int(seed % 2) + 1
    let journal = try RawJournal(directory.path, shards: shards)
    let keeper = try journal.keeper()
    let recent = Self.recent(journal)
    var number = 3_400
    var put: [Set<Int>] = [[], [], [], []]
    var fromMemory = 0
    let kinds: [Set<MetricID>] = [[.gpuPower], [.gpuEnergy], [.gpuPower, .nodePower], [.gpuPower, .gpuUtilization]]
    for _ in 0..<60 {
      for _ in 0..<Int.random(in: 1...40, using: &random) {
        number += 1
        for node in 0..<4 where Int.random(in: 0..<20, using: &random) > 0 {
          try journal.put(node, number)
          put[node].insert(number)
        }
      }
      if Int.random(in: 0..<3, using: &random) == 0 {
        // Late ones, where none or some are.
        let node = Int.random(in: 0..<4, using: &random)
        let first = max(1, number - Int.random(in: 0..<300, using: &random))
        let last = min(number, first + Int.random(in: 0..<20, using: &random))
        try journal.put(node, first...last)
        put[node].formUnion(first...last)
      }
      try journal.commit()
      switch Int.random(in: 0..<8, using: &random) {
      case 0: try keeper.advance(through: journal.committed, now: RawJournal.tick(number).unixMilliseconds)
      case 1: try journal.trim((0..<shards).map { keeper.needed(shard: $0) })
      default: break
      }
      for _ in 0..<Int.random(in: 0..<4, using: &random) {
        let metrics = kinds[Int.random(in: 0..<kinds.count, using: &random)]
        let back = [40, 100, 400][Int.random(in: 0..<3, using: &random)]
        var selection = Self.since(number - back, metrics)
        if Bool.random(using: &random) {
          selection.ticks =
            selection.ticks.lowerBound...RawJournal.tick(number - Int.random(in: 0..<20, using: &random))
        }
        if Int.random(in: 0..<4, using: &random) == 0 {
          selection.nodes = Set((0..<Int.random(in: 1...3, using: &random)).map { journal.node($0) })
        }
        let isKept = recent.rows(selection, journal.committed, packed: keeper.progress) != nil
        fromMemory += isKept ? 1 : 0
        let found = try RawReading(journal.history(keeper, recent: recent), selection)
        let expected = try RawReading(journal.history(keeper), selection)
        #expect(found.rows == expected.rows, "seed \(seed) at \(number): \(selection)")
        #expect(found.losses == expected.losses)
      }
    }
    #expect(fromMemory > 5)
    #expect(recent.size.tables > 0)
    #expect(journal.said.all == [])
  }

  @Test("a question that comes again reads new records only, and what nobody asks for any more goes")
  func growth() throws {
    let directory = try TemporaryDirectory()
    let journal = try RawJournal(directory.path)
    let keeper = try journal.keeper()
    let recent = Self.recent(journal)
    for number in 1...300 { for node in 0..<3 { try journal.put(node, number) } }
    try journal.commit()
    _ = try RawReading(journal.history(keeper, recent: recent), Self.since(100))
    let first = recent.size
    // Ticks, and the power of two GPUs, or of one.
    let small = (100...300).count { RawJournal.isSmall($0) }
    #expect(first.tables == 1)
    #expect(first.words == 3 * (3 * 201 - small))
    for number in 301...310 { for node in 0..<3 { try journal.put(node, number) } }
    try journal.commit()
    _ = try RawReading(journal.history(keeper, recent: recent), Self.since(150))
    #expect(recent.size.words > first.words)
    for number in 311...400 { for node in 0..<3 { try journal.put(node, number) } }
    try journal.commit()
    let last = try RawReading(journal.history(keeper, recent: recent), Self.since(250))
    #expect(last.rows[journal.node(1)]?.keys.sorted() == Array(250...400))
    // The oldest that was asked for since is 150.
    _ = try RawReading(journal.history(keeper, recent: recent), Self.since(150))
    #expect(recent.size.words < 3 * 3 * 252)
    // Further back than is kept: the long way, which is kept in turn.
    let whole = try RawReading(journal.history(keeper, recent: recent), Self.since(1))
    #expect(whole.rows[journal.node(2)]?.count == 400)
    #expect(recent.size.tables == 1)
  }

  @Test("what is too large, too old, too little or whole rows is not kept")
  func bounds() throws {
    let directory = try TemporaryDirectory()
    let journal = try RawJournal(directory.path)
    let keeper = try journal.keeper()
    for number in 1...100 { for node in 0..<3 { try journal.put(node, number) } }
    try journal.commit()
    func tables(_ selection: RawSelection, _ change: (inout RecentRows.Bounds) -> Void = { _ in }) throws -> Int {
      let recent = Self.recent(journal, change)
      #expect(!(try RawReading(journal.history(keeper, recent: recent), selection).rows.isEmpty))
      return recent.size.tables
    }
    #expect(try tables(Self.since(1)) == 1)
    #expect(try tables(Self.since(1)) { $0.tableWords = 500 } == 0)
    #expect(try tables(RawSelection(ticks: RawJournal.tick(1)...RawJournal.tick(100))) == 0)
    var one = Self.since(1)
    one.nodes = [journal.node(1)]
    #expect(try tables(one) == 0)
    #expect(try tables(Self.since(1)) { $0.endMilliseconds = -2_000_000_000 } == 0)
    #expect(try tables(RawSelection(ticks: RawJournal.tick(-2_000)...RawJournal.tick(100), metrics: [.gpuPower])) == 0)
    // Six tables where two may be.
    let recent = Self.recent(journal) { $0.tables = 2 }
    for metric in [MetricID.gpuPower, .gpuEnergy, .gpuUtilization, .nodePower] {
      _ = try RawReading(journal.history(keeper, recent: recent), Self.since(1, [metric]))
    }
    #expect(recent.size.tables == 2)
  }

  @Test("a record that cannot be read is told of as ever, and what was kept is given up")
  func damage() throws {
    let directory = try TemporaryDirectory()
    let journal = try RawJournal(directory.path, segmentBytes: 1 << 20)
    let keeper = try journal.keeper()
    let recent = Self.recent(journal)
    for number in 1...50 { for node in 0..<3 { try journal.put(node, number) } }
    try journal.commit()
    _ = try RawReading(journal.history(keeper, recent: recent), Self.since(1))
    _ = try RawReading(journal.history(keeper, recent: recent), Self.since(1))
    #expect(recent.size.tables == 1)
    let folder = journal.journals[0]
    let name = try #require(try FileManager.default.contentsOfDirectory(atPath: folder).sorted().last)
    let before = try Data(contentsOf: URL(filePath: "\(folder)/\(name)")).count
    for number in 51...80 { for node in 0..<3 { try journal.put(node, number) } }
    try journal.commit()
    let file = try FileHandle(forUpdating: URL(filePath: "\(folder)/\(name)"))
    try file.seek(toOffset: UInt64(before + 400))
    try file.write(contentsOf: [0x55, 0xAA, 0x55, 0xAA])
    try file.close()
    let found = try RawReading(journal.history(keeper, recent: recent), Self.since(1))
    let expected = try RawReading(journal.history(keeper), Self.since(1))
    #expect(!found.losses.damage.isEmpty)
    #expect(found.losses == expected.losses)
    #expect(found.rows == expected.rows)
  }
}
