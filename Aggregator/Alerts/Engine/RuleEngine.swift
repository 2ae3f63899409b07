public import BongsuQuery
public import BongsuSeries

/// All rule groups and the state of their alerts, as a value: takes the time of the data and what can be read then, gives
/// back what changed. No clock, no thread, no disk.
///
/// A group is evaluated when the watermark of the data enters a new interval of it: at most once per interval, however
/// late or early the tick closes. Rules of a group run in order, each reading what the ones before it wrote. A rule that
/// fails is reported and does not keep the others from running.
public struct RuleEngine: Sendable {
  /// How a rule did when it was last evaluated.
  public struct Health: Sendable {
    public var lastError: String?
    /// Milliseconds since 1970; `nil` before the first evaluation.
    public var lastEvaluation: Int64?
    public var seconds = 0.0
    public var failures = 0
  }

  /// A group in use.
  public struct Group: Sendable {
    public let file: String
    public let intervalMilliseconds: Int64
    public internal(set) var state: RuleGroupState
    public internal(set) var health: [Health]
    public internal(set) var lastEvaluation: Int64?
    public internal(set) var seconds = 0.0
    /// What rules are called where their alerts are saved; by rule.
    public let keys: [RuleKey]
    /// Whether the group reads more than what is in memory, and so is evaluated apart from the others.
    public internal(set) var isSlow = false
    /// Whether the group is being evaluated elsewhere.
    public internal(set) var isLent = false
  }

  /// What is known of the data behind an alert, for rules that hold their alerts while data is missing.
  public struct Circumstances: Sendable {
    /// Share of the expected GPUs that report, 0 to 1; `nil` when not known.
    public var coverage: Double?
    /// Share of the power that is estimated, 0 to 1; `nil` when not known.
    public var estimatedShare: Double?

    public init(coverage: Double? = nil, estimatedShare: Double? = nil) {
      self.coverage = coverage
      self.estimatedShare = estimatedShare
    }
  }

  public internal(set) var groups: [Group] = []
  public let defaultIntervalMilliseconds: Int64
  public let environment: TemplateEnvironment
  private let engine: QueryEngine

  /// An engine without rules. `defaultIntervalMilliseconds` is for groups that name none.
  public init(
    defaultIntervalMilliseconds: Int64 = 1000, environment: TemplateEnvironment = TemplateEnvironment(),
    options: QueryEngine.Options = QueryEngine.Options()
  ) {
    self.defaultIntervalMilliseconds = defaultIntervalMilliseconds
    self.environment = environment
    engine = QueryEngine(options: options)
  }

  // MARK: rules

  /// Puts other rules in place. Rules that are the same as before (group, name, expression, labels) keep their alerts.
  ///
  /// Returns what ended with the rules that are gone: series to end, and the transitions of their alerts.
  public mutating func replace(
    _ files: [RuleFile], at time: Int64
  ) -> (ended: [RuleGroupState.Output], transitions: [AlertTransition]) {
    var old: [RuleKey: (group: Int, rule: Int)] = [:]
    for (index, group) in groups.enumerated() {
      for (rule, key) in group.keys.enumerated() { old[key] = (index, rule) }
    }
    var occurrences: [String: Int] = [:]
    var next: [Group] = []
    for file in files {
      for group in file.groups {
        let keys = group.rules.map { RuleKey($0, group: group.name, &occurrences) }
        let interval = max(
          group.intervalMilliseconds ?? defaultIntervalMilliseconds, AlertLimits.intervalMillisecondsMin)
        var made = Group(
          file: file.path, intervalMilliseconds: interval, state: RuleGroupState(group),
          health: Array(repeating: Health(), count: group.rules.count), keys: keys)
        for (rule, key) in keys.enumerated() {
          guard let place = old.removeValue(forKey: key) else { continue }
          made.state.inherit(rule, from: groups[place.group].state, place.rule)
          made.health[rule] = groups[place.group].health[place.rule]
          if groups[place.group].intervalMilliseconds == interval {
            made.lastEvaluation = groups[place.group].lastEvaluation
          }
        }
        next.append(made)
      }
    }
    var ended: [RuleGroupState.Output] = []
    var transitions: [AlertTransition] = []
    for place in old.values.sorted(by: { ($0.group, $0.rule) < ($1.group, $1.rule) }) {
      let group = groups[place.group]
      ended += group.state.writtenSeries(place.rule).map { .init(labels: $0, value: StaleMarker.value) }
      for alert in group.state.alerting[place.rule].active {
        var over = alert
        over.phase = .inactive
        over.resolvedAt = time
        transitions.append(
          AlertTransition(
            over, from: alert.phase, key: group.keys[place.rule], rule: group.state.group.rules[place.rule],
            group: group.state.group.name, at: time, Circumstances()))
      }
    }
    groups = next
    return (ended, transitions)
  }

  /// Takes over saved alerts. Returns those whose rule is gone.
  public mutating func restore(_ saved: [SavedAlert]) -> [SavedAlert] {
    var byRule = Dictionary(grouping: saved, by: \.rule)
    for group in groups.indices {
      for (rule, key) in groups[group].keys.enumerated() {
        guard let alerts = byRule.removeValue(forKey: key.text) else { continue }
        groups[group].state.restore(rule, alerts.map(\.alert))
      }
    }
    return byRule.values.flatMap(\.self)
  }

  /// The `ALERTS` of restored alerts, which rules with a lower threshold to end look at: to be written before the first
  /// evaluation.
  public var standingSeries: [RuleGroupState.Output] {
    groups.flatMap { group in group.state.group.rules.indices.flatMap { group.state.alertSeries($0) } }
  }

  /// Metric names that the rules read, each with how far back at most, milliseconds. Selectors that name no metric give
  /// nothing.
  public var namesRead: [String: Int64] {
    var names: [String: Int64] = [:]
    var allNamed = true
    for group in groups {
      for rule in group.state.group.rules {
        rule.expression.collectNames(reachingBack: 0, into: &names, allNamed: &allNamed)
      }
    }
    return names
  }

  // MARK: evaluation

  /// Groups whose turn it is when the data is complete up to `time`, in order.
  public func due(at time: Int64) -> [Int] {
    groups.indices.filter { index in
      guard !groups[index].isLent else { return false }
      let interval = groups[index].intervalMilliseconds
      guard let last = groups[index].lastEvaluation else { return true }
      return time > last && time.flooredDivision(by: interval) > last.flooredDivision(by: interval)
    }
  }

  /// Evaluates one rule of a group at `time`; call for each rule in order, then ``finish(_:at:seconds:)``.
  ///
  /// `isAfterRestart` says that not all agents are back: rules that wait for that are left out, and no alert ends for want
  /// of data. `write` stores what the rule wrote.
  public mutating func evaluate(
    _ group: Int, _ rule: Int, at time: Int64, over source: any SeriesSource, isAfterRestart: Bool,
    circumstances: (LabelSet) -> Circumstances, write: ([RuleGroupState.Output]) throws -> Void
  ) -> [AlertTransition] {
    let definition = groups[group].state.group.rules[rule]
    if isAfterRestart, definition.waitsAfterRestart { return [] }
    let before = groups[group].state.alerting[rule]
    let isHolding = definition.holdsWhenMissing
    let outcome = groups[group].state.evaluate(
      rule, at: time, engine: engine, source: source, environment: environment,
      isHeld: { alert in
        if isAfterRestart { return true }
        guard isHolding, alert.phase == .firing, let then = alert.coverageAtFiring else { return false }
        return (circumstances(alert.labels).coverage ?? 0) < then
      }, coverage: { circumstances($0).coverage })
    groups[group].health[rule].lastEvaluation = time
    switch outcome {
    case .success(let outputs):
      do {
        try write(outputs)
        groups[group].health[rule].lastError = nil
      } catch {
        groups[group].health[rule].lastError = "\(error)"
        groups[group].health[rule].failures += 1
      }
    case .failure(let failure):
      groups[group].health[rule].lastError = failure.message
      groups[group].health[rule].failures += 1
    }
    guard case .alerting = definition.kind else { return [] }
    return AlertTransition.between(
      before, groups[group].state.alerting[rule], key: groups[group].keys[rule], rule: definition,
      group: groups[group].state.group.name, at: time, circumstances)
  }

  /// Notes that a group was evaluated, and how long each rule took.
  public mutating func finish(_ group: Int, at time: Int64, seconds: [Double]) {
    groups[group].lastEvaluation = time
    groups[group].seconds = seconds.reduce(0, +)
    for (rule, taken) in seconds.enumerated() { groups[group].health[rule].seconds = taken }
  }

  /// All alerts of all rules, resolved ones that are remembered among them.
  public func alerts() -> [(group: Group, rule: Int, alert: AlertingState.Alert)] {
    groups.flatMap { group in
      group.state.alerting.enumerated().flatMap { rule, state in state.alerts.map { (group, rule, $0) } }
    }
  }
}

extension Rule {
  /// Whether a firing alert stays while its data is missing (`bongsu_on_missing: hold`).
  public var holdsWhenMissing: Bool { control(Self.onMissing) == "hold" }

  /// Whether the rule is left out after a start until the agents are back (`bongsu_after_restart: wait`).
  public var waitsAfterRestart: Bool { control(Self.afterRestart) == "wait" }

  /// What is wrong with the annotations that steer evaluation, one line each.
  public var remarks: [String] {
    let known = [(Self.onMissing, ["hold", "resolve"]), (Self.afterRestart, ["wait", "evaluate"])]
    return known.compactMap { name, values in
      guard let value = control(name), !values.contains(value) else { return nil }
      return "rule '\(self.name)' (line \(line)): annotation \(name) is '\(value)', expected "
        + "\(values.joined(separator: " or ")); it is ignored"
    }
  }

  static let onMissing = "bongsu_on_missing"
  static let afterRestart = "bongsu_after_restart"

  private func control(_ name: String) -> String? { annotations.first { $0.name == name }?.value }
}

extension Int64 {
  func flooredDivision(by divisor: Int64) -> Int64 {
    let quotient = self / divisor
    return self % divisor < 0 ? quotient - 1 : quotient
  }
}
