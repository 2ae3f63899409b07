internal import BongsuSeries

/// What the thread that evaluates rules owns: the engine, what is not saved yet, and how a restart goes.
struct AlertingCore: Sendable {
  var engine: RuleEngine
  /// Not saved yet.
  var change = AlertingChange()
  /// Of this evaluation.
  var transitions: [AlertTransition] = []
  /// Who waits for rules to be read again.
  var reloads: [CheckedContinuation<RuleFileFailures?, Never>] = []
  /// Saved alerts of rules that are gone.
  var orphans: [SavedAlert] = []
  var time: Int64?
  var tidiedAt: Int64 = 0
  var evaluations = 0
  var failures = 0
  var saveFailure: String?
  /// `nil`: as published before.
  var loadFailures: [String]?
  /// Whether agents are still coming back after the start.
  private(set) var isAfterRestart = true
  private var firstTick: Int64?
  private var coverageSavedAt: Int64 = 0
  private let wantedCoverage: Double

  /// `savedCoverage`: of the nation when the state was saved last.
  init(engine: RuleEngine, savedCoverage: Double?) {
    self.engine = engine
    // Agents are back when about as many report as before, or nearly all.
    wantedCoverage = min(0.98, savedCoverage.map { $0 - 0.01 } ?? 0.98)
  }

  /// Looks whether the agents are back: coverage as before, nothing expected, or the time is over.
  mutating func noteTick(_ time: Int64, coverage: Double?, holdMilliseconds: Int64) {
    let first = firstTick ?? time
    firstTick = first
    if isAfterRestart, coverage.map({ $0 >= wantedCoverage }) ?? true || time - first >= holdMilliseconds {
      isAfterRestart = false
    }
    if !isAfterRestart, let coverage, time - coverageSavedAt >= 30_000 {
      change.coverage = coverage
      coverageSavedAt = time
    }
  }

  /// Takes transitions, and with them the state of their rules and of `others`, to be saved.
  mutating func take(_ new: [AlertTransition], changed others: Set<String> = []) {
    guard !new.isEmpty || !others.isEmpty else { return }
    transitions += new
    let rules = others.union(new.map(\.rule))
    for group in engine.groups {
      for (rule, key) in group.keys.enumerated() where rules.contains(key.text) {
        change.alerts[key.text] = group.state.alerting[rule].alerts.map { SavedAlert(rule: key.text, alert: $0) }
      }
    }
  }
}

extension AlertingChange {
  /// Keeps history that cannot be saved within bounds.
  mutating func limitHistory() {
    let excess = transitions.count - AlertLimits.queueEntriesMax
    if excess > 0 { transitions.removeFirst(excess) }
  }
}

extension AlertTransition {
  /// The end of a saved alert whose rule is gone.
  init(endOf saved: SavedAlert, at time: Int64) {
    let labels = Self.dictionary(saved.alert.labels.allLabels)
    rule = saved.rule
    alertName = labels["alertname"] ?? ""
    group = saved.rule.split(separator: "/").first.map(String.init) ?? ""
    self.labels = labels
    annotations = Self.dictionary(saved.alert.annotations)
    from = saved.alert.phase
    to = .inactive
    at = time
    value = saved.alert.value.isFinite ? saved.alert.value : nil
    activeSince = saved.alert.activeSince
    firedAt = saved.alert.firedAt
    coverage = nil
    estimatedShare = nil
    expression = ""
  }
}
