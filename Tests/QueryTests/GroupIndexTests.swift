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

  /// Hands over families whole, as the live table does.
  private struct FamilySeries: SeriesSource {
    let series: MemorySeries
    let families: [LabelSet: LabelFamily]

    func visitSeries(_ selection: SeriesSelection, _ visit: (LabelSet, SampleBuffer) throws -> Void) throws {
      try series.visitSeries(selection, visit)
    }

    func visitFamilies(
      _ selection: SeriesSelection, _ whole: FamilyVisit, _ visit: (LabelSet, SampleBuffer) throws -> Void
    ) throws {
      var members: (family: LabelFamily, labels: LabelSet, values: [Double])?
      func flush() throws {
        if let members { try whole.visit(members.labels, members.values) }
        members = nil
      }
      try series.visitSeries(selection) { labels, samples in
        guard let family = families[labels], whole.isTakenWhole(family) else {
          try flush()
          return try visit(labels, samples)
        }
        guard let last = samples.values.last, !StaleMarker.isStale(last) else { return }
        if members?.family !== family { try flush() }
        if members == nil { members = (family, labels, []) }
        members?.values.append(last)
      }
      try flush()
    }

    func labelSets(matchingAnyOf selections: [[LabelMatcher]], from start: Int64, through end: Int64) throws
      -> [LabelSet]
    { try series.labelSets(matchingAnyOf: selections, from: start, through: end) }
  }

  @Test("aggregations of what is newest are the same whether the source hands over families or series")
  func wholeFamilies() throws {
    var random = SeededRandom(seed: 9)
    var series = MemorySeries()
    var families: [LabelSet: LabelFamily] = [:]
    for node in 0..<40 {
      let family = LabelFamily(differing: ["gpu"])
      for gpu in 0..<4 {
        let labels = LabelSet(
          metricName: "m",
          labels: [
            Label(name: "factory", value: "f\(node / 15)"), Label(name: "gpu", value: "\(gpu)"),
            Label(name: "node", value: "n\(node)"),
          ], family: family)
        if random.chance(0.8) { families[labels] = family }
        for second in 0..<4 {
          let value = random.pick([Double(node * gpu), .nan, .infinity, 0.1, StaleMarker.value, 417.9, -3])
          series.append(labels, timestamp: Int64(second) * 1000, value: value)
        }
      }
    }
    let whole = FamilySeries(series: series, families: families)
    let engine = QueryEngine()
    for operation in ["sum", "avg", "min", "max", "count", "stddev", "stdvar", "group"] {
      for clause in ["", "by (factory)", "by (gpu)", "by (node, factory)", "without (gpu)", "without (node)"] {
        for selector in ["m", "(m)", "m{factory!=\"f1\"}", "m offset 1s", "m @ 2", "m @ 900", "n"] {
          for time in [Int64(0), 3_000, 200_000, 303_001] {
            let query = "\(operation) \(clause) (\(selector))"
            let expected = try engine.instant(query, at: time, over: series)
            let found = try engine.instant(query, at: time, over: whole)
            guard case .vector(let one) = expected, case .vector(let other) = found else {
              Issue.record("no vector")
              return
            }
            #expect(one.map(\.labels) == other.map(\.labels), "\(query) at \(time)")
            #expect(one.map(\.value.bitPattern) == other.map(\.value.bitPattern), "\(query) at \(time)")
          }
        }
      }
    }
    // Series count towards the limit one by one.
    var options = QueryEngine.Options()
    options.seriesMax = 60
    #expect(throws: QueryError.self) { try QueryEngine(options: options).instant("sum(m)", at: 0, over: whole) }
  }
}
