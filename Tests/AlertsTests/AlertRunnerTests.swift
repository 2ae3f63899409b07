import BongsuAlerts
import BongsuSeries
import Foundation
import Logging
import Synchronization
import Testing

/// The runner over series in memory, with saved state that outlives it, as the file of a real one does.
@Suite("Alert runner")
struct AlertRunnerTests {
  /// Keeps what is committed.
  private final class Memory: AlertPersistence {
    private struct Held {
      var alerts: [String: [SavedAlert]] = [:]
      var events: [(number: Int64, receiver: String, event: AlertEvent)] = []
      var transitions: [AlertTransition] = []
      var next: Int64 = 1
    }
    private let held = Mutex(Held())

    func load() throws -> SavedAlerting {
      held.withLock { held in
        var saved = SavedAlerting()
        saved.alerts = held.alerts.values.flatMap(\.self)
        saved.events = held.events
        return saved
      }
    }

    func commit(_ change: AlertingChange) throws -> [Int64] {
      held.withLock { held in
        held.alerts.merge(change.alerts) { $1 }
        held.transitions += change.transitions
        held.events.removeAll { change.doneEvents.contains($0.number) }
        return change.events.map { event in
          held.events.append((held.next, event.receiver, event.event))
          held.next += 1
          return held.next - 1
        }
      }
    }

    func history(from start: Int64, through end: Int64, limit: Int) throws -> [AlertTransition] {
      held.withLock { $0.transitions.reversed() }
    }

    var saved: [SavedAlert] { held.withLock { $0.alerts.values.flatMap(\.self) } }
  }

  /// Series that are not in memory: nobody gets an answer before the gate is open.
  private final class Gate: SeriesSource {
    let isOpen = Mutex(false)
    let asked = Mutex(0)

    func visitSeries(_ selection: SeriesSelection, _ visit: (LabelSet, SampleBuffer) throws -> Void) throws {
      asked.withLock { $0 += 1 }
      while !isOpen.withLock({ $0 }) { Thread.sleep(forTimeInterval: 0.002) }
      var buffer = SampleBuffer()
      buffer.append(timestamp: selection.endMilliseconds, value: 1)
      try visit(LabelSet([Label(name: "gpu", value: "0")]).named("gpu_power"), buffer)
    }

    func labelSets(
      matchingAnyOf selections: [[LabelMatcher]], from startMilliseconds: Int64, through endMilliseconds: Int64
    ) throws -> [LabelSet] { [] }
  }

  private final class Bench {
    let live = TickSeries()
    let gate = Gate()
    let memory: Memory
    let runner: AlertRunner
    private let running: Task<Void, Never>

    init(_ rules: String, memory: Memory = Memory(), file: String) throws {
      self.memory = memory
      try rules.write(toFile: file, atomically: true, encoding: .utf8)
      live.define("power", [LabelSet([Label(name: "factory", value: "f")])], keepMilliseconds: 60_000)
      var configuration = AlertingConfiguration()
      configuration.usesShippedRules = false
      configuration.ruleFiles = [file]
      let runner = try AlertRunner(
        configuration, persistence: memory,
        inputs: .init(
          source: RuleSource(live: live, written: RuleSeries(), others: gate),
          circumstances: { _ in .init(coverage: 1) }, prepare: { _ in }), logger: Logger(label: "test"))
      self.runner = runner
      running = Task { try? await runner.run() }
    }

    /// Closes a tick and waits until it was evaluated.
    func tick(_ time: Int64, _ power: Double) async throws {
      live.append("power", at: time, [power])
      runner.tickClosed(time)
      let runner = runner
      try await AlertRunnerTests.reached { runner.snapshot.time == time }
    }

    var states: [String] {
      runner.snapshot.groups.flatMap { group in
        zip(group.state.group.rules, group.state.alerting).flatMap { rule, state in
          state.active.map { "\(rule.name) \($0.phase.rawValue) \($0.activeSince)" }
        }
      }.sorted()
    }

    func stop() async {
      gate.isOpen.withLock { $0 = true }
      running.cancel()
      await running.value
    }
  }

  fileprivate static func reached(_ condition: () -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(600)
    while !condition() {
      try #require(ContinuousClock.now < deadline, "not reached within ten minutes")
      try await Task.sleep(for: .milliseconds(2))
    }
  }

  private func withFile(_ body: (String) async throws -> Void) async throws {
    let file = FileManager.default.temporaryDirectory.appending(path: "rules-\(UUID().uuidString).yaml").path
    defer { try? FileManager.default.removeItem(atPath: file) }
    try await body(file)
  }

  private static let slowAndFast = """
    groups:
      - name: gpus
        interval: 1s
        rules:
          - {alert: Raw, expr: 'gpu_power > 0'}
      - name: power
        interval: 1s
        rules:
          - {record: 'double', expr: 'power * 2'}
          - {alert: High, expr: 'double > 20 unless ALERTS{alertname="None"}', for: 2s}
    """

  @Test("rules over what is in memory go on while a group that reads more waits for its answer")
  func lanes() async throws {
    try await withFile { file in
      let bench = try Bench(Self.slowAndFast, file: file)
      for time in [1000, 2000, 3000, 4000] as [Int64] { try await bench.tick(time, 11) }
      #expect(bench.states == ["High firing 1000"])
      #expect(bench.gate.asked.withLock { $0 } == 1, "one evaluation at a time")
      #expect(bench.runner.snapshot.groups.map(\.isSlow) == [true, false])
      bench.gate.isOpen.withLock { $0 = true }
      let runner = bench.runner
      try await Self.reached { !runner.snapshot.groups.contains { $0.isLent } }
      #expect(bench.states == ["High firing 1000", "Raw firing 1000"])
      try await bench.tick(5000, 11)
      try await Self.reached { runner.snapshot.groups[0].lastEvaluation == 5000 }
      #expect(Set(bench.memory.saved.map { $0.alert.labels["alertname"] }) == ["High", "Raw"])
      await bench.stop()
    }
  }

  @Test("a reload waits for the group that is being evaluated, and keeps its alerts")
  func reload() async throws {
    try await withFile { file in
      let bench = try Bench(Self.slowAndFast, file: file)
      try await bench.tick(1000, 11)
      try Self.slowAndFast.replacing("> 20", with: "> 21").write(toFile: file, atomically: true, encoding: .utf8)
      let runner = bench.runner
      let reload = Task { await runner.reload() }
      for time in [2000, 3000] as [Int64] { try await bench.tick(time, 11) }
      bench.gate.isOpen.withLock { $0 = true }
      #expect(await reload.value == nil)
      try await Self.reached { runner.snapshot.groups.last?.state.group.rules.last?.source.contains("> 21") == true }
      try await bench.tick(4000, 11)
      try await Self.reached { bench.states.contains("Raw firing 1000") }
      #expect(bench.states == ["High pending 4000", "Raw firing 1000"])
      await bench.stop()
    }
  }

  @Test("a broken file is told by line, and the rules in use stay with their alerts")
  func brokenReload() async throws {
    try await withFile { file in
      let bench = try Bench(Self.slowAndFast, file: file)
      bench.gate.isOpen.withLock { $0 = true }
      for time in [1000, 2000, 3000] as [Int64] { try await bench.tick(time, 11) }
      try Self.slowAndFast.replacing("power * 2", with: "power * (").write(
        toFile: file, atomically: true, encoding: .utf8)
      let failures = await bench.runner.reload()
      #expect(failures?.description.contains("\(file):9:") == true, "\(failures?.description ?? "none")")
      let runner = bench.runner
      try await Self.reached { !runner.snapshot.loadFailures.isEmpty }
      try await bench.tick(4000, 11)
      #expect(bench.states.contains("High firing 1000"))
      await bench.stop()
    }
  }

  @Test("an alert between its two thresholds goes on through a restart, and so does the time it is kept")
  func restart() async throws {
    let rules = """
      groups:
        - name: power
          interval: 1s
          rules:
            - alert: High
              expr: power > 10 or power > 5 and ignoring (alertname, alertstate) ALERTS{alertname="High", alertstate="firing"}
              keep_firing_for: 5s
      """
    try await withFile { file in
      let memory = Memory()
      let before = try Bench(rules, memory: memory, file: file)
      try await before.tick(1000, 11)
      try await before.tick(2000, 7)
      #expect(before.states == ["High firing 1000"])
      await before.stop()
      let between = try Bench(rules, memory: memory, file: file)
      try await between.tick(10_000, 7)
      #expect(between.states == ["High firing 1000"])
      #expect(between.runner.snapshot.groups[0].state.alerting[0].active[0].keepsFiringSince == nil)
      try await between.tick(11_000, 1)
      try await between.tick(14_000, 1)
      await between.stop()
      let after = try Bench(rules, memory: memory, file: file)
      try await after.tick(15_000, 1)
      #expect(after.states == ["High firing 1000"])
      try await after.tick(16_000, 1)
      #expect(after.states == [])
      await after.stop()
    }
  }
}
