internal import BongsuSeries

/// A change of an alert, with what was known at that moment: an entry of the history.
public struct AlertTransition: Sendable, Codable, Hashable {
  /// Key of the rule; see ``RuleKey``.
  public var rule: String
  public var alertName: String
  public var group: String
  public var labels: [String: String]
  public var annotations: [String: String]
  public var from: AlertingState.Phase
  public var to: AlertingState.Phase
  /// Time of the data, milliseconds since 1970.
  public var at: Int64
  /// `nil` for a value that JSON has no word for (NaN, infinities).
  public var value: Double?
  public var activeSince: Int64
  public var firedAt: Int64?
  /// Share of the expected GPUs behind the alert that reported, 0 to 1; `nil` when not known.
  public var coverage: Double?
  /// Share of the power that was estimated, 0 to 1; `nil` when not known.
  public var estimatedShare: Double?
  /// The rule's expression.
  public var expression: String
  /// Whether receivers are told of it.
  public var isNews: Bool { from == .firing || to == .firing }

  /// A transition as it was saved, or made up.
  public init(
    rule: String, alertName: String, group: String, labels: [String: String], annotations: [String: String],
    from: AlertingState.Phase, to: AlertingState.Phase, at time: Int64, value: Double?, activeSince: Int64,
    firedAt: Int64?, coverage: Double?, estimatedShare: Double?, expression: String
  ) {
    self.rule = rule
    self.alertName = alertName
    self.group = group
    self.labels = labels
    self.annotations = annotations
    self.from = from
    self.to = to
    at = time
    self.value = value
    self.activeSince = activeSince
    self.firedAt = firedAt
    self.coverage = coverage
    self.estimatedShare = estimatedShare
    self.expression = expression
  }

  init(
    _ alert: AlertingState.Alert, from: AlertingState.Phase, key: RuleKey, rule: Rule, group: String, at time: Int64,
    _ circumstances: RuleEngine.Circumstances
  ) {
    self.rule = key.text
    alertName = rule.name
    self.group = group
    labels = Self.dictionary(alert.labels.allLabels)
    annotations = Self.dictionary(alert.annotations)
    self.from = from
    to = alert.phase
    at = time
    value = alert.value.isFinite ? alert.value : nil
    activeSince = alert.activeSince
    firedAt = alert.firedAt
    coverage = circumstances.coverage
    estimatedShare = circumstances.estimatedShare
    expression = rule.source
  }

  /// What changed from one state of a rule to the next.
  static func between(
    _ before: AlertingState, _ after: AlertingState, key: RuleKey, rule: Rule, group: String, at time: Int64,
    _ circumstances: (LabelSet) -> RuleEngine.Circumstances
  ) -> [AlertTransition] {
    var transitions: [AlertTransition] = []
    let old = Dictionary(before.alerts.map { ($0.labels, $0) }) { first, _ in first }
    func add(_ alert: AlertingState.Alert, from phase: AlertingState.Phase) {
      transitions.append(
        AlertTransition(
          alert, from: phase, key: key, rule: rule, group: group, at: time, circumstances(alert.labels)))
    }
    for alert in after.alerts {
      let phase = old[alert.labels]?.phase ?? .inactive
      // An alert that came anew while the old one was still remembered has begun again.
      if phase != alert.phase { add(alert, from: phase) }
    }
    let remaining = Set(after.alerts.map(\.labels))
    for alert in before.alerts where alert.phase != .inactive && !remaining.contains(alert.labels) {
      var over = alert
      over.phase = .inactive
      over.resolvedAt = alert.phase == .firing ? time : nil
      add(over, from: alert.phase)
    }
    return transitions
  }

  static func dictionary(_ labels: [Label]) -> [String: String] {
    Dictionary(labels.map { ($0.name, $0.value) }) { _, last in last }
  }
}

extension AlertingState.Phase: Codable {}

/// An alert as it is saved.
public struct SavedAlert: Sendable {
  /// Key of its rule.
  public let rule: String
  public let alert: AlertingState.Alert

  public init(rule: String, alert: AlertingState.Alert) {
    self.rule = rule
    self.alert = alert
  }
}

extension SavedAlert: Codable {
  private enum Key: String, CodingKey {
    case rule, phase, labels, annotations, value, activeSince, firedAt, resolvedAt, keepsFiringSince, coverageAtFiring
  }

  public init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: Key.self)
    let labels = try fields.decode([String: String].self, forKey: .labels)
    let annotations = try fields.decode([String: String].self, forKey: .annotations)
    rule = try fields.decode(String.self, forKey: .rule)
    alert = AlertingState.Alert(
      phase: try fields.decode(AlertingState.Phase.self, forKey: .phase),
      labels: LabelSet(labels.map { Label(name: $0.key, value: $0.value) }),
      annotations: annotations.map { Label(name: $0.key, value: $0.value) }.sorted { $0.name < $1.name },
      value: try fields.decodeIfPresent(Double.self, forKey: .value) ?? .nan,
      activeSince: try fields.decode(Int64.self, forKey: .activeSince),
      firedAt: try fields.decodeIfPresent(Int64.self, forKey: .firedAt),
      resolvedAt: try fields.decodeIfPresent(Int64.self, forKey: .resolvedAt),
      keepsFiringSince: try fields.decodeIfPresent(Int64.self, forKey: .keepsFiringSince),
      coverageAtFiring: try fields.decodeIfPresent(Double.self, forKey: .coverageAtFiring))
  }

  public func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: Key.self)
    try fields.encode(rule, forKey: .rule)
    try fields.encode(alert.phase, forKey: .phase)
    try fields.encode(AlertTransition.dictionary(alert.labels.allLabels), forKey: .labels)
    try fields.encode(AlertTransition.dictionary(alert.annotations), forKey: .annotations)
    try fields.encodeIfPresent(alert.value.isFinite ? alert.value : nil, forKey: .value)
    try fields.encode(alert.activeSince, forKey: .activeSince)
    try fields.encodeIfPresent(alert.firedAt, forKey: .firedAt)
    try fields.encodeIfPresent(alert.resolvedAt, forKey: .resolvedAt)
    try fields.encodeIfPresent(alert.keepsFiringSince, forKey: .keepsFiringSince)
    try fields.encodeIfPresent(alert.coverageAtFiring, forKey: .coverageAtFiring)
  }
}
