import BongsuAlerts
import BongsuSeries
import Testing

@Suite("Alerting state")
struct AlertingStateTests {
  private let labels = LabelSet([Label(name: "alertname", value: "A")])

  private func candidate(_ value: Double = 1) -> AlertingState.Candidate {
    AlertingState.Candidate(labels: labels, annotations: [], value: value)
  }

  private func apply(
    _ state: inout AlertingState, _ present: Bool, at time: Int64, hold: Int64 = 0, keep: Int64 = 0
  ) throws {
    try state.apply(
      present ? [candidate(Double(time))] : [], at: time, holdMilliseconds: hold, keepFiringMilliseconds: keep, limit: 0
    )
  }

  @Test("an alert without hold fires at once, is remembered when it ends, and forgotten after the retention")
  func firesAndResolves() throws {
    var state = AlertingState()
    try apply(&state, true, at: 1000)
    #expect(state.alerts.map(\.phase) == [.firing])
    #expect(state.alerts[0].firedAt == 1000)
    try apply(&state, false, at: 2000)
    #expect(state.alerts.map(\.phase) == [.inactive])
    #expect(state.alerts[0].resolvedAt == 2000)
    #expect(state.active.isEmpty)
    let retention = AlertLimits.resolvedRetentionMilliseconds
    try apply(&state, false, at: 2000 + retention)
    #expect(state.alerts.count == 1)
    try apply(&state, false, at: 2001 + retention)
    #expect(state.alerts.isEmpty)
  }

  @Test("a pending alert fires when it has held for long enough, and is forgotten when it has not")
  func holds() throws {
    var state = AlertingState()
    try apply(&state, true, at: 0, hold: 60_000)
    try apply(&state, true, at: 59_999, hold: 60_000)
    #expect(state.alerts.map(\.phase) == [.pending])
    #expect(state.alerts[0].value == 59_999)
    try apply(&state, true, at: 60_000, hold: 60_000)
    #expect(state.alerts.map(\.phase) == [.firing])
    #expect(state.alerts[0].activeSince == 0)
    var other = AlertingState()
    try apply(&other, true, at: 0, hold: 60_000)
    try apply(&other, false, at: 30_000, hold: 60_000)
    #expect(other.alerts.isEmpty)
  }

  @Test("a firing alert is kept for the time asked for, and the time starts again when the expression holds again")
  func keepsFiring() throws {
    var state = AlertingState()
    try apply(&state, true, at: 0, keep: 30_000)
    try apply(&state, false, at: 10_000, keep: 30_000)
    try apply(&state, false, at: 39_999, keep: 30_000)
    #expect(state.active.map(\.phase) == [.firing])
    try apply(&state, true, at: 39_999 + 1, keep: 30_000)
    try apply(&state, false, at: 60_000, keep: 30_000)
    #expect(state.active.count == 1)
    try apply(&state, false, at: 90_000, keep: 30_000)
    #expect(state.active.isEmpty)
  }

  @Test("an alert that comes back after it was resolved begins anew")
  func beginsAnew() throws {
    var state = AlertingState()
    try apply(&state, true, at: 0)
    try apply(&state, false, at: 1000)
    try apply(&state, true, at: 2000, hold: 500)
    #expect(state.alerts.map(\.phase) == [.pending])
    #expect(state.alerts[0].activeSince == 2000)
    #expect(state.alerts[0].resolvedAt == nil)
  }

  @Test("a restart in the middle of the hold time keeps the timer")
  func restores() throws {
    var before = AlertingState()
    try apply(&before, true, at: 0, hold: 300_000)
    var after = AlertingState(restoring: before.alerts)
    try apply(&after, true, at: 299_999, hold: 300_000)
    #expect(after.alerts.map(\.phase) == [.pending])
    try apply(&after, true, at: 300_000, hold: 300_000)
    #expect(after.alerts.map(\.phase) == [.firing])
  }

  @Test("two results with equal labels are refused and change nothing; too many alerts clear the rule")
  func refuses() throws {
    var state = AlertingState()
    try apply(&state, true, at: 0)
    #expect(throws: AlertingState.Failure.equalLabels) {
      try state.apply([candidate(), candidate()], at: 1, holdMilliseconds: 0, keepFiringMilliseconds: 0, limit: 0)
    }
    #expect(state.active.count == 1)
    let second = AlertingState.Candidate(labels: labels.setting("a", to: "b"), annotations: [], value: 1)
    #expect(throws: AlertingState.Failure.tooMany(limit: 1, found: 2)) {
      try state.apply([candidate(), second], at: 2, holdMilliseconds: 0, keepFiringMilliseconds: 0, limit: 1)
    }
    #expect(state.alerts.isEmpty)
  }
}
