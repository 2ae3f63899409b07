import BongsuAlerts
import BongsuSeries
import Testing

@Suite("Rule engine")
struct RuleEngineTests {
  /// An engine over one live family `power{factory=…}`, driven tick by tick.
  struct Bench {
    var engine = RuleEngine()
    let live = TickSeries()
    let written = RuleSeries()
    var coverage: Double? = 1
    var transitions: [AlertTransition] = []
    var evaluated: [Int64] = []

    init(_ yaml: String, series: [String] = ["power"]) throws {
      _ = engine.replace([try RuleFile.parse(yaml, path: "rules.yaml").get()], at: 0)
      for name in series {
        live.define(
          name, [LabelSet([Label(name: "factory", value: "f")]), LabelSet([Label(name: "factory", value: "g")])],
          keepMilliseconds: 60_000)
      }
    }

    mutating func tick(_ time: Int64, _ values: [String: [Double]], isAfterRestart: Bool = false) {
      for (name, values) in values { live.append(name, at: time, values) }
      let source = RuleSource(live: live, written: written, others: nil)
      for group in engine.due(at: time) {
        evaluated.append(time)
        for rule in engine.groups[group].state.group.rules.indices {
          transitions += engine.evaluate(
            group, rule, at: time, over: source, isAfterRestart: isAfterRestart,
            circumstances: { [coverage] _ in .init(coverage: coverage, estimatedShare: 0.1) },
            write: { try written.append($0, at: time) })
        }
        engine.finish(group, at: time, seconds: [])
      }
    }

    var story: [String] {
      transitions.map { "\($0.at) \($0.alertName) \($0.labels["factory"] ?? "") \($0.from.rawValue)>\($0.to.rawValue)" }
    }

    func saved() -> [SavedAlert] {
      engine.alerts().map { SavedAlert(rule: $0.group.keys[$0.rule].text, alert: $0.alert) }
    }
  }

  static let simple = """
    groups:
      - name: g
        interval: 1s
        rules:
          - alert: High
            expr: power > 10
            for: 3s
    """

  @Test("a group is evaluated once per interval of the data's time, however ticks come")
  func intervals() throws {
    var bench = try Bench(Self.simple.replacing("interval: 1s", with: "interval: 5s"))
    for time in [1000, 2000, 4000, 5000, 6000, 9000, 10_200, 10_900, 11_000, 30_000] as [Int64] {
      bench.tick(time, ["power": [1, 1]])
    }
    #expect(bench.evaluated == [1000, 5000, 10_200, 30_000])
  }

  @Test("an interval below a second is kept")
  func subsecond() throws {
    var bench = try Bench(Self.simple.replacing("interval: 1s", with: "interval: 100ms"))
    for time in stride(from: Int64(1000), through: 1500, by: 50) { bench.tick(time, ["power": [1, 1]]) }
    #expect(bench.evaluated == [1000, 1100, 1200, 1300, 1400, 1500])
  }

  @Test("pending, firing, over; each change is told once, with value and coverage")
  func life() throws {
    var bench = try Bench(Self.simple)
    for time in stride(from: Int64(1000), through: 8000, by: 1000) {
      bench.tick(time, ["power": [time >= 2000 && time < 7000 ? 11 : 9, 0]])
    }
    #expect(
      bench.story == ["2000 High f inactive>pending", "5000 High f pending>firing", "7000 High f firing>inactive"])
    #expect(bench.transitions.map(\.coverage) == [1, 1, 1])
    #expect(bench.transitions.map(\.isNews) == [false, true, true])
  }

  @Test("a restart in the middle of the hold time keeps the timer, and a firing alert is not begun again")
  func restart() throws {
    var before = try Bench(Self.simple)
    for time in [1000, 2000] as [Int64] { before.tick(time, ["power": [11, 0]]) }
    var after = try Bench(Self.simple)
    _ = after.engine.restore(before.saved())
    for time in [3000, 4000, 5000] as [Int64] { after.tick(time, ["power": [11, 0]]) }
    #expect(after.story == ["4000 High f pending>firing"])
    var third = try Bench(Self.simple)
    _ = third.engine.restore(after.saved())
    third.tick(6000, ["power": [11, 0]])
    #expect(third.story.isEmpty)
    third.tick(7000, ["power": [1, 0]])
    #expect(third.story == ["7000 High f firing>inactive"])
  }

  @Test(
    "a restart in the middle of `for: 5m` keeps the timer, wherever it falls and however long it takes",
    arguments: [1, 60, 150, 299], [0, 1, 45, 200] as [Int64])
  func restartWithinFiveMinutes(secondsBefore: Int64, secondsDown: Int64) throws {
    let rules = Self.simple.replacing("for: 3s", with: "for: 5m")
    var before = try Bench(rules)
    let start: Int64 = 1_000_000
    for second in 0...secondsBefore { before.tick(start + second * 1000, ["power": [11, 0]]) }
    #expect(before.story == ["\(start) High f inactive>pending"])
    var after = try Bench(rules)
    _ = after.engine.restore(before.saved())
    // Ticks that nobody evaluated count as held: the first one after the restart goes on with the old beginning.
    let back = secondsBefore + 1 + secondsDown
    for second in back...max(back, 301) { after.tick(start + second * 1000, ["power": [11, 0]]) }
    #expect(after.story == ["\(start + max(back, 300) * 1000) High f pending>firing"])
    #expect(after.engine.groups[0].state.alerting[0].active.map(\.activeSince) == [start])
  }

  @Test("what ended while nobody looked begins its `for: 5m` anew")
  func endedWhileDown() throws {
    let rules = Self.simple.replacing("for: 3s", with: "for: 5m")
    var before = try Bench(rules)
    for second in Int64(0)...200 { before.tick(second * 1000, ["power": [11, 0]]) }
    var after = try Bench(rules)
    _ = after.engine.restore(before.saved())
    after.tick(220_000, ["power": [9, 0]])
    for second in Int64(221)...521 { after.tick(second * 1000, ["power": [11, 0]]) }
    #expect(
      after.story.filter { !$0.hasSuffix("pending>inactive") } == [
        "221000 High f inactive>pending", "521000 High f pending>firing",
      ])
  }

  @Test("after a restart nothing ends for want of data before the agents are back")
  func afterRestart() throws {
    var before = try Bench(Self.simple)
    for time in [1000, 2000, 3000, 4000] as [Int64] { before.tick(time, ["power": [11, 0]]) }
    var after = try Bench(Self.simple)
    _ = after.engine.restore(before.saved())
    after.tick(5000, ["power": [TickSeries.absent, 0]], isAfterRestart: true)
    #expect(after.story.isEmpty)
    #expect(after.engine.groups[0].state.alerting[0].active.first?.isHeld == true)
    after.tick(6000, ["power": [1, 0]])
    #expect(after.story == ["6000 High f firing>inactive"])
  }

  @Test("rules that wait are left out after a restart, the others run")
  func waits() throws {
    var bench = try Bench(
      """
      groups:
        - name: g
          interval: 1s
          rules:
            - alert: Waits
              expr: power > 10
              annotations: {bongsu_after_restart: wait}
            - alert: Runs
              expr: power > 10
      """)
    bench.tick(1000, ["power": [11, 0]], isAfterRestart: true)
    #expect(bench.story == ["1000 Runs f inactive>firing"])
    bench.tick(2000, ["power": [11, 0]])
    #expect(bench.story.last == "2000 Waits f inactive>firing")
  }

  @Test("hold keeps a firing alert while coverage is lower than at firing; resolve does not", arguments: [true, false])
  func onMissing(holds: Bool) throws {
    let annotation = holds ? "annotations: {bongsu_on_missing: hold}" : ""
    var bench = try Bench(Self.simple.replacing("for: 3s", with: annotation))
    bench.tick(1000, ["power": [11, 0]])
    bench.coverage = 0.7
    bench.tick(2000, ["power": [5, 0]])
    #expect(bench.story.count == (holds ? 1 : 2))
    bench.coverage = 1
    bench.tick(3000, ["power": [5, 0]])
    #expect(bench.story.last?.hasSuffix("firing>inactive") == true)
    #expect(bench.story.count == 2)
  }

  @Test("recorded series are read by later rules of the same evaluation, and end with their rule")
  func records() throws {
    var bench = try Bench(
      """
      groups:
        - name: g
          interval: 1s
          rules:
            - record: all:power
              expr: sum(power)
            - alert: Sum
              expr: all:power > 15
            - alert: Own
              expr: count(ALERTS{alertname="Sum", alertstate="firing"}) > 0
      """)
    bench.tick(1000, ["power": [8, 8]])
    #expect(bench.story == ["1000 Sum  inactive>firing", "1000 Own  inactive>firing"])
    let (ended, transitions) = bench.engine.replace([], at: 2000)
    #expect(ended.allSatisfy { StaleMarker.isStale($0.value) })
    #expect(Set(ended.map(\.labels.metricName)) == ["all:power", "ALERTS", "ALERTS_FOR_STATE"])
    #expect(transitions.map(\.to) == [.inactive, .inactive])
  }

  @Test("a reload keeps the alerts of unchanged rules and ends those of changed ones")
  func reload() throws {
    let two = """
      groups:
        - name: g
          interval: 1s
          rules:
            - {alert: Kept, expr: power > 10, for: 10s}
            - {alert: Changed, expr: power > 10}
      """
    var bench = try Bench(two)
    for time in [1000, 2000] as [Int64] { bench.tick(time, ["power": [11, 0]]) }
    let changed = two.replacing("Changed, expr: power > 10", with: "Changed, expr: power > 11")
    let (_, transitions) = bench.engine.replace([try RuleFile.parse(changed, path: "rules.yaml").get()], at: 3000)
    #expect(transitions.map { "\($0.alertName) \($0.to.rawValue)" } == ["Changed inactive"])
    bench.transitions = []
    for time in stride(from: Int64(3000), through: 12_000, by: 1000) { bench.tick(time, ["power": [11, 0]]) }
    #expect(bench.story == ["11000 Kept f pending>firing"])
  }

  @Test("a rule that fails is named and counted, and the others of its group run")
  func failing() throws {
    var bench = try Bench(
      """
      groups:
        - name: g
          interval: 1s
          rules:
            - {record: twice, expr: 'label_replace(power, "factory", "same", "factory", ".*")'}
            - {alert: Fine, expr: power > 10}
      """)
    bench.tick(1000, ["power": [11, 0]])
    #expect(bench.story == ["1000 Fine f inactive>firing"])
    #expect(bench.engine.groups[0].health[0].failures == 1)
    #expect(bench.engine.groups[0].health[0].lastError?.isEmpty == false)
    #expect(bench.engine.groups[0].health[1].lastError == nil)
  }

  @Test("alerts whose rule is gone at a start are given back")
  func orphans() throws {
    var before = try Bench(Self.simple)
    before.tick(1000, ["power": [11, 0]])
    var after = try Bench(Self.simple.replacing("High", with: "Other"))
    let orphans = after.engine.restore(before.saved())
    #expect(orphans.count == 1)
  }

  @Test("the metrics that rules read are known, with how far back")
  func names() throws {
    let bench = try Bench(
      """
      groups:
        - name: g
          rules:
            - {record: r, expr: 'avg_over_time(power[5m] offset 1m) + max_over_time(sum(other)[10m:1m])'}
            - {alert: A, expr: 'power > 1 and {__name__=~"x|y"}'}
      """)
    #expect(bench.engine.namesRead == ["power": 360_000, "other": 600_000, "x": 0, "y": 0])
  }
}
