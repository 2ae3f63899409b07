import BongsuReports
import BongsuTestKit
import Testing

@Suite struct TopSelectionTests {
  static func row(_ id: String, _ milliwatts: Int64, parent: String? = nil, energy: Int64? = nil) -> TopRow {
    var row = TopRow(id: id, name: id, depth: parent == nil ? 0 : 1, parent: parent)
    row.measuredMilliwatts = milliwatts
    row.energyMillijoules = energy
    return row
  }

  @Test("a bounded pick equals sorting everything, for random rows with many ties")
  func picker() {
    var random = SeededRandom(default: 20_261_121)
    for _ in 0..<200 {
      let count = Int.random(in: 0...60, using: &random)
      let rows = (0..<count).map { Self.row("r\($0)", Int64.random(in: 0...9, using: &random)) }.shuffled(
        using: &random)
      let limit = Int.random(in: 0...70, using: &random)
      let expected = rows.sorted {
        $0.measuredMilliwatts != $1.measuredMilliwatts ? $0.measuredMilliwatts > $1.measuredMilliwatts : $0.id < $1.id
      }
      #expect(
        TopSelection.rows(rows, order: .power, limit: limit) == Array(expected.prefix(limit)), "seed \(random.seed)")
    }
  }

  @Test("unknown figures come last, not first and not as zero")
  func unknownLast() {
    let rows = [Self.row("a", 5), Self.row("b", 4, energy: -7), Self.row("c", 3, energy: 9)]
    #expect(TopSelection.rows(rows, order: .energy, limit: 9).map(\.id) == ["c", "b", "a"])
    #expect(TopSelection.rows(rows, order: .utilization, limit: 9).map(\.id) == ["a", "b", "c"])
  }

  @Test("estimated power counts, so a row whose agents vanish does not sink")
  func estimatedCounts() {
    var vanished = Self.row("vanished", 1)
    vanished.estimatedMilliwatts = 100
    #expect(TopSelection.rows([Self.row("there", 50), vanished], order: .power, limit: 1).map(\.id) == ["vanished"])
  }

  @Test("a tree keeps children under their parent, sorts siblings, and cutting leaves no orphan")
  func tree() {
    let rows = [
      Self.row("a/small", 1, parent: "a"), Self.row("b", 10), Self.row("a", 9), Self.row("a/large", 8, parent: "a"),
      Self.row("b/x", 10, parent: "b"), Self.row("c", 1),
    ]
    let order = ["b", "b/x", "a", "a/large", "a/small", "c"]
    for limit in 0...order.count {
      #expect(TopSelection.rows(rows, order: .power, limit: limit).map(\.id) == Array(order.prefix(limit)))
    }
  }

  @Test("rows whose parents are missing or go in a ring still appear once each")
  func brokenTree() {
    let rows = [
      Self.row("orphan", 5, parent: "nobody"), Self.row("x", 4, parent: "y"), Self.row("y", 3, parent: "x"),
      Self.row("self", 2, parent: "self"), Self.row("child", 1, parent: "x"),
    ]
    let picked = TopSelection.rows(rows, order: .power, limit: 100).map(\.id)
    #expect(picked.sorted() == ["child", "orphan", "self", "x", "y"])
  }

  @Test("a path lies within its own subtree and not within one that merely starts alike")
  func subtree() {
    #expect(TopFilter.allocation("msit", isWithin: "msit"))
    #expect(TopFilter.allocation("msit/naver", isWithin: "msit"))
    #expect(!TopFilter.allocation("msit2", isWithin: "msit"))
    #expect(!TopFilter.allocation("msit", isWithin: "msit/naver"))
  }
}
