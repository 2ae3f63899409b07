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
