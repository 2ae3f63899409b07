import BongsuSeries
import QueryOracle
import Testing

@testable import BongsuQuery

@Suite("Groups of series")
struct GroupIndexTests {
  @Test("series of a family fall into the groups that their labels say", arguments: [1, 2, 3] as [UInt64])
  func families(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let differing = ["gpu", "model", "uuid"]
    var sets: [LabelSet] = []
    for node in 0..<60 {
      let family = random.chance(0.9) ? LabelFamily(differing: differing) : nil
      let shared = [
        Label(name: "factory", value: "f\(node / 20)"), Label(name: "node", value: "n\(node)"),
        Label(name: "rack", value: random.chance(0.5) ? "" : "r\(node / 7)"),
      ]
      for gpu in 0..<4 {
        let own = [Label(name: "gpu", value: "\(gpu)"), Label(name: "model", value: gpu < 3 ? "B200" : "")]
        for metric in ["power", "clock"] {
          sets.append(LabelSet(metricName: metric, labels: shared + own, family: family))
        }
      }
    }
    if random.chance(0.5) { sets.shuffle(using: &random) }
    // The same without families: a label set and back takes them away.
    let plain = sets.map { LabelSet($0.allLabels) }
    #expect(zip(sets, plain).allSatisfy { $0 == $1 && $1.family == nil })
    let names = ["factory", "node", "rack", "gpu", "model", "uuid", "nothing", Label.metricName]
    for _ in 0..<200 {
      let chosen = names.filter { _ in random.chance(0.4) }
      let grouping = LabelGrouping(chosen, isExclusion: random.chance(0.5))
      var fast = GroupIndex(grouping)
      var slow = GroupIndex(grouping)
      for (one, other) in zip(sets, plain) {
        let found = fast.findOrInsert(one)
        #expect(found == slow.findOrInsert(other), "\(chosen) \(grouping.isExclusion)")
      }
    }
  }

  @Test("a set that was changed is of no family, one with another metric name stays in it")
  func changes() {
    let family = LabelFamily(differing: ["gpu"])
    let set = LabelSet(metricName: "a", labels: [Label(name: "gpu", value: "1")], family: family)
    #expect(set.named("b").family === family)
    #expect(set.withoutMetricName.family === family)
    #expect(set.setting("rack", to: "1").family == nil)
    #expect(set.keeping(["gpu"]).family == nil)
    #expect(set.removing(["gpu"]).family == nil)
  }
}
