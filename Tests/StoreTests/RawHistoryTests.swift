import BongsuModel
import BongsuRecordLog
import BongsuTestKit
import BongsuWire
import Foundation
import Testing

@testable import BongsuStore

@Suite("Raw history")
struct RawHistoryTests {
  @Test("runs come by node and tick, late rows where they belong, absence kept, and only the metrics asked for")
  func runs() throws {
    let directory = try TemporaryDirectory()
    let journal = try RawJournal(directory.path)
    for number in 1...40 where !(11...20).contains(number) {
      for node in 0..<3 { try journal.put(node, number) }
    }
    try journal.put(1, 11...20)
    try journal.commit()
    let history = try journal.history()
    var selection = RawSelection(ticks: RawJournal.tick(5)...RawJournal.tick(35))
    let all = try RawReading(history, selection)
    #expect(all.losses == RawLosses())
    #expect(all.rows[journal.node(0)]?.keys.sorted() == Array(5...10) + Array(21...35))
    #expect(all.rows[journal.node(1)]?.keys.sorted() == Array(5...35))
    for node in 0..<3 {
      for (number, row) in all.rows[journal.node(node)] ?? [:] { #expect(row == RawJournal.row(node, number)) }
    }
    selection.nodes = [journal.node(2)]
    selection.metrics = [.gpuUtilization]
    let narrow = try RawReading(history, selection)
    #expect(narrow.rows.count == 1)
    #expect(narrow.rows[journal.node(2)]?[7] == Array(RawJournal.row(2, 7)[4..<6]))
    #expect(try history.extent() == RawJournal.tick(1)...RawJournal.tick(40))
    let inventory = try history.inventory(RawSelection(ticks: Limits.tickRange)).found
    #expect(inventory.map(\.node) == (0..<3).map { journal.node($0) })
  }

  @Test(
    "any stretch of time and any nodes are read exactly, also when the journals hold more than fits",
    arguments: [1, 7, 42])
  func stretches(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let directory = try TemporaryDirectory()
    let journal = try RawJournal(directory.path, shards: 2, segmentBytes: 60_000)
    let keeper = try journal.keeper()
    var put: [Int: Set<Int>] = [:]
    var next = Array(repeating: 1, count: 6)
    for round in 0..<900 {
      let node = Int.random(in: 0..<6, using: &random)
      // Now and then numbers are left out, and some of them come late.
      if Int.random(in: 0..<25, using: &random) == 0 {
        let gap = next[node]..<(next[node] + Int.random(in: 2...9, using: &random))
        next[node] = gap.upperBound
        if Bool.random(using: &random) {
          try journal.put(node, next[node])
          put[node, default: []].insert(next[node])
          next[node] += 1
          try journal.put(node, gap.lowerBound...(gap.upperBound - 1))
          put[node, default: []].formUnion(gap)
        }
      }
      try journal.put(node, next[node])
      put[node, default: []].insert(next[node])
      next[node] += 1
      if round == 500 {
        try journal.commit()
        try keeper.advance(through: journal.committed, now: RawJournal.tick(0).unixMilliseconds)
      }
    }
    try journal.commit()
    for _ in 0..<40 {
      let first = Int.random(in: 1...200, using: &random)
      let last = first + Int.random(in: 0...120, using: &random)
      var selection = RawSelection(ticks: RawJournal.tick(first)...RawJournal.tick(last))
      let nodes = Set((0..<6).filter { _ in Bool.random(using: &random) })
      if Bool.random(using: &random) { selection.nodes = Set(nodes.map(journal.node)) }
      let wanted = selection.nodes == nil ? Set(0..<6) : nodes
      let history = journal.history(
        keeper, tailBytesMax: [1, 3_000, 30_000, 1 << 20].randomElement(using: &random) ?? 1)
      let found = try RawReading(history, selection)
      #expect(found.losses == RawLosses())
      for node in 0..<6 {
        let expected = wanted.contains(node) ? (put[node] ?? []).filter { (first...last).contains($0) } : []
        let rows = found.rows[journal.node(node)] ?? [:]
        #expect(rows.keys.sorted() == expected.sorted(), "seed \(seed), node \(node), \(first)...\(last)")
        for (number, row) in rows { #expect(row == RawJournal.row(node, number), "seed \(seed), \(node) \(number)") }
      }
      // Where rows lie is known without unpacking any: of a chunk only from when to when it goes.
      let lies = try history.inventory(selection).found
      #expect(Set(found.rows.keys.map(\.name)).isSubset(of: lies.map(\.node.name)), "seed \(seed)")
    }
  }

  @Test("where it is asked for, controllers come right before their nodes, wherever names are divided")
  func controllersFirst() {
    let names = ["x", "x-a", "x.bmc", "x.bmc.bmc", "w.bmc", "y"].compactMap { NodeID($0) }
    var selection = RawSelection(ticks: Limits.tickRange)
    #expect(selection.sorted(names).map(\.name) == ["w.bmc", "x", "x-a", "x.bmc", "x.bmc.bmc", "y"])
    selection.order = .controllersFirst
    let sorted = selection.sorted(names)
    #expect(sorted.map(\.name) == ["w.bmc", "x.bmc", "x", "x-a", "x.bmc.bmc", "y"])
    let places = sorted.map { selection.place(of: $0) }
    #expect(places == places.sorted() && places[1] == places[2])
  }

  @Test("a partition that is closed while somebody reads it is the same one when it is asked for again")
  func onePartitionAtATime() throws {
    let directory = try TemporaryDirectory()
    let store = try RawStore(directory: directory.path, shards: 1, openMax: 2, say: { _ in })
    let hours = (0..<4).map { RawJournal.epoch + $0 * StoreLimits.partitionMilliseconds }
    let first = try store.partition(hours[0], making: true)
    weak let second = try store.partition(hours[1], making: true)
    #expect(second != nil)
    for hour in hours[2...] { _ = try store.partition(hour, making: true) }
    #expect(second == nil, "nobody has it, and two others were used since")
    let again = try store.partition(hours[0], making: false)
    #expect(first != nil && again === first)
    #expect(try store.partition(hours[1], making: false) != nil)
  }

  @Test("without open journals a reader is told so")
  func closed() throws {
    let directory = try TemporaryDirectory()
    let store = try RawStore(directory: directory.path, shards: 0, say: { _ in })
    let history = RawHistory(
      store: store, journals: [], progress: { RawProgress(shards: 0) }, access: { _ in false })
    #expect(throws: StoreError.notOpen) {
      try history.forEachRun(RawSelection(ticks: Limits.tickRange)) { _ in true }
    }
  }
}
