import BongsuTestKit
import Testing

@testable import BongsuAPI

@Suite struct AlertShareTests {
  @Test("all are listed while they fit", arguments: [3, 4, 100])
  func fitting(limit: Int) {
    #expect(AlertShare.positions(["a", "b", "a"], current: 3, limit: limit) == [0, 1, 2])
    #expect(AlertShare.positions([String](), current: 0, limit: limit).isEmpty)
  }

  @Test("a flood of one rule hides no other")
  func flood() {
    let rules = [String](repeating: "flood", count: 800) + ["late", "later", "late"]
    let kept = AlertShare.positions(rules, current: rules.count, limit: 100)
    #expect(kept == Array(0..<97) + [800, 801, 802])
  }

  @Test("what is over takes only the room that others leave")
  func over() {
    let rules = ["a", "a", "b", "c", "c", "a"]
    #expect(AlertShare.positions(rules, current: 3, limit: 3) == [0, 1, 2])
    #expect(AlertShare.positions(rules, current: 3, limit: 2) == [0, 2])
    #expect(AlertShare.positions(rules, current: 3, limit: 5) == [0, 1, 2, 3, 4])
    #expect(AlertShare.positions(rules, current: 0, limit: 2) == [0, 1])
  }

  @Test("where there are more rules than room, those that come first stay")
  func tooManyRules() {
    #expect(AlertShare.positions(["a", "b", "c", "d", "a"], current: 5, limit: 2) == [0, 1])
    #expect(AlertShare.positions(["a", "a", "b"], current: 3, limit: 1) == [0])
  }

  @Test("as many as fit, of every rule its first, and none has less than another that is not whole")
  func fairness() {
    let seed = UInt64.random(in: 0...UInt64.max)
    var random = SeededRandom(seed: seed)
    for _ in 0..<300 {
      let rules = (0..<Int.random(in: 1...200, using: &random)).map { _ in
        // Squares make some rules much larger than others.
        let side = Int.random(in: 0...5, using: &random)
        return side * side
      }
      let limit = Int.random(in: 1...200, using: &random)
      let kept = AlertShare.positions(rules, current: rules.count, limit: limit)
      #expect(kept.count == min(limit, rules.count), "seed \(seed)")
      #expect(kept == kept.sorted() && Set(kept).count == kept.count, "seed \(seed)")
      var counts: [Int: (kept: Int, all: Int)] = [:]
      let isKept = Set(kept)
      for (position, rule) in rules.enumerated() {
        var count = counts[rule] ?? (0, 0)
        if isKept.contains(position) {
          #expect(count.kept == count.all, "seed \(seed): \(position) is kept and one before it of rule \(rule) is not")
          count.kept += 1
        }
        count.all += 1
        counts[rule] = count
      }
      let most = counts.values.map(\.kept).max() ?? 0
      for (rule, count) in counts where count.kept < count.all {
        #expect(count.kept >= most - 1, "seed \(seed): rule \(rule) has \(count) while another has \(most)")
      }
    }
  }
}
