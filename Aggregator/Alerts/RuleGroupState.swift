public import BongsuQuery
public import BongsuSeries

/// What templates may know besides the alert.
public struct TemplateEnvironment: Sendable {
  public var externalLabels: LabelSet
  public var externalURL: String

  public init(externalLabels: LabelSet = .empty, externalURL: String = "") {
    self.externalLabels = externalLabels
    self.externalURL = externalURL
  }
}

/// A rule group being evaluated: the state of its alerts, and which series each rule wrote last time.
///
/// A value: evaluating returns the samples to store, stale markers for series that ended among them.
public struct RuleGroupState: Sendable {
  /// A sample a rule wrote.
  public struct Output: Sendable {
    public var labels: LabelSet
    public var value: Double
  }

  public private(set) var group: RuleGroup
  /// Per rule; recording rules have an empty one.
  public private(set) var alerting: [AlertingState]
  private var written: [[LabelSet: Bool]]
  /// Of labels and of annotations, by rule.
  private let templates: [(labels: [ParsedTemplate], annotations: [ParsedTemplate])]

  /// Begins without alerts and without written series, as before the first evaluation.
  public init(_ group: RuleGroup) {
    self.group = group
    templates = group.rules.map { rule in
      guard case .alerting(let name) = rule.kind else { return ([], []) }
      return (
        rule.labels.map { ParsedTemplate($0.value, alert: name) },
        rule.annotations.map { ParsedTemplate($0.value, alert: name) }
      )
    }
    alerting = Array(repeating: AlertingState(), count: group.rules.count)
    written = Array(repeating: [:], count: group.rules.count)
  }

  /// Takes over the state of rule number `old` of another group for rule number `index`: the same rule before a reload.
  public mutating func inherit(_ index: Int, from other: RuleGroupState, _ old: Int) {
    alerting[index] = other.alerting[old]
    written[index] = other.written[old]
  }

  /// Takes over saved alerts of rule number `index`.
  public mutating func restore(_ index: Int, _ alerts: [AlertingState.Alert]) {
    alerting[index] = AlertingState(restoring: alerts)
  }

  /// Series that rule number `index` wrote last: what has to end when the rule goes away.
  public func writtenSeries(_ index: Int) -> [LabelSet] { Array(written[index].keys) }

  /// Evaluates one rule at `time` in milliseconds; call for each rule in order and store the output before the next, as
  /// later rules of a group read what earlier ones recorded.
  public mutating func evaluate(
    _ index: Int, at time: Int64, engine: QueryEngine, source: any SeriesSource, environment: TemplateEnvironment,
    isHeld: (AlertingState.Alert) -> Bool = { _ in false }, coverage: (LabelSet) -> Double? = { _ in nil }
  ) -> Result<[Output], RuleFailure> {
    let rule = group.rules[index]
    do {
      let vector = try Self.vector(of: engine.instant(rule.expression, at: time, over: source))
      var outputs: [Output]
      switch rule.kind {
      case .recording(let name): outputs = try record(vector, as: name, rule)
      case .alerting:
        let expander = TemplateExpander(time: time, environment: environment) { expression in
          try Self.vector(of: engine.instant(expression, at: time, over: source))
        }
        outputs = try alert(vector, index, rule, at: time, expander, isHeld, coverage)
      }
      var now: [LabelSet: Bool] = [:]
      for output in outputs { now[output.labels] = true }
      for ended in written[index].keys where now[ended] == nil {
        outputs.append(Output(labels: ended, value: StaleMarker.value))
      }
      written[index] = now
      return .success(outputs)
    } catch {
      return .failure(RuleFailure(rule: rule.name, message: "\(error)"))
    }
  }

  private static func vector(of result: InstantResult) throws -> [InstantResult.Sample] {
    switch result {
    case .vector(let samples): return samples
    case .scalar(let value): return [InstantResult.Sample(labels: .empty, value: value)]
    case .string, .matrix: throw QueryError.execution("rule result is not a vector or scalar")
    }
  }

  private func record(_ vector: [InstantResult.Sample], as name: String, _ rule: Rule) throws -> [Output] {
    var outputs: [Output] = []
    var seen: Set<LabelSet> = []
    for sample in vector {
      var labels = sample.labels.named(name)
      for label in rule.labels { labels = labels.setting(label.name, to: label.value) }
      guard seen.insert(labels).inserted else {
        throw QueryError.execution("vector contains metrics with the same labelset after applying rule labels")
      }
      outputs.append(Output(labels: labels, value: sample.value))
    }
    if group.limit > 0, outputs.count > group.limit {
      throw QueryError.execution("exceeded limit of \(group.limit) with \(outputs.count) series")
    }
    return outputs
  }

  private mutating func alert(
    _ vector: [InstantResult.Sample], _ index: Int, _ rule: Rule, at time: Int64, _ expander: TemplateExpander,
    _ isHeld: (AlertingState.Alert) -> Bool, _ coverage: (LabelSet) -> Double?
  ) throws -> [Output] {
    let candidates = vector.map { sample in
      let subject = expander.subject(sample)
      var labels = sample.labels.withoutMetricName
      for (label, template) in zip(rule.labels, templates[index].labels) {
        labels = labels.setting(label.name, to: expander.expand(template, subject))
      }
      labels = labels.setting("alertname", to: rule.name)
      let annotations = zip(rule.annotations, templates[index].annotations).map { annotation, template in
        Label(name: annotation.name, value: expander.expand(template, subject))
      }
      return AlertingState.Candidate(labels: labels, annotations: annotations, value: sample.value)
    }
    try alerting[index].apply(
      candidates, at: time, holdMilliseconds: rule.holdMilliseconds,
      keepFiringMilliseconds: rule.keepFiringMilliseconds,
      limit: group.limit > 0 ? group.limit : AlertLimits.alertsPerRuleMax, isHeld: isHeld, coverage: coverage)
    return alertSeries(index)
  }

  /// The `ALERTS` and `ALERTS_FOR_STATE` of rule number `index` as it stands.
  func alertSeries(_ index: Int) -> [Output] {
    var outputs: [Output] = []
    for alert in alerting[index].active {
      // A label whose template came out empty is not part of the alert, but its series carries the template itself.
      let labels = LabelSet(group.rules[index].labels + alert.labels.allLabels)
      let state = labels.named("ALERTS").setting("alertstate", to: alert.phase.rawValue)
      outputs.append(Output(labels: state, value: 1))
      let since = Double(alert.activeSince.flooredSeconds)
      outputs.append(Output(labels: labels.named("ALERTS_FOR_STATE"), value: since))
    }
    return outputs
  }
}

/// Why a rule gave nothing.
public struct RuleFailure: Error, Sendable, CustomStringConvertible {
  public let rule: String
  public let message: String
  public var description: String { message }
}

extension Int64 {
  /// Whole seconds of a time in milliseconds, rounded down.
  fileprivate var flooredSeconds: Int64 { self >= 0 ? self / 1000 : -((-self + 999) / 1000) }
}
