/// One alert, as `/api/bongsu/v1/alerts` lists it.
public struct AlertReport: Codable, Hashable, Sendable {
  /// How the delivery to one receiver stands.
  public struct Delivery: Codable, Hashable, Sendable {
    public var receiver: String
    /// `waiting`, `delivered` or `refused`.
    public var state: String

    /// How far one receiver is with an alert.
    public init(receiver: String, state: String) {
      self.receiver = receiver
      self.state = state
    }
  }

  public var name: String
  /// `pending`, `firing` or `inactive`.
  public var state: String
  public var group: String
  public var labels: [String: String]
  public var annotations: [String: String]
  public var value: Double?
  /// When the expression first held, when the alert began to fire and when it ended, milliseconds since 1970.
  public var activeSinceUnixMilliseconds: Int64
  public var firedUnixMilliseconds: Int64?
  public var resolvedUnixMilliseconds: Int64?
  /// Whether it stays only because its data is missing.
  public var isHeld: Bool
  /// Share of the GPUs behind it that reported when it began to fire.
  public var coverageAtFiring: Double?
  public var deliveries: [Delivery]

  private enum CodingKeys: String, CodingKey {
    case name, state, group, labels, annotations, value, deliveries
    case activeSinceUnixMilliseconds = "active_since_ms"
    case firedUnixMilliseconds = "fired_ms"
    case resolvedUnixMilliseconds = "resolved_ms"
    case isHeld = "held"
    case coverageAtFiring = "coverage_at_firing"
  }

  /// As it stands at one evaluation.
  public init(
    name: String, state: String, group: String, labels: [String: String], annotations: [String: String],
    value: Double?, activeSinceUnixMilliseconds: Int64, firedUnixMilliseconds: Int64?,
    resolvedUnixMilliseconds: Int64?, isHeld: Bool, coverageAtFiring: Double?, deliveries: [Delivery]
  ) {
    self.name = name
    self.state = state
    self.group = group
    self.labels = labels
    self.annotations = annotations
    self.value = value
    self.activeSinceUnixMilliseconds = activeSinceUnixMilliseconds
    self.firedUnixMilliseconds = firedUnixMilliseconds
    self.resolvedUnixMilliseconds = resolvedUnixMilliseconds
    self.isHeld = isHeld
    self.coverageAtFiring = coverageAtFiring
    self.deliveries = deliveries
  }
}

/// How many alerts of one name and severity there are: rules may share a name.
public struct AlertRuleCount: Codable, Hashable, Sendable {
  public var name: String
  /// The label `severity`; empty where there is none.
  public var severity: String
  public var firing: Int
  public var pending: Int

  /// None, as long as none is counted.
  public init(name: String, severity: String, firing: Int = 0, pending: Int = 0) {
    self.name = name
    self.severity = severity
    self.firing = firing
    self.pending = pending
  }
}

/// How a receiver of alerts does.
public struct AlertReceiverReport: Codable, Hashable, Sendable {
  public var name: String
  /// Events that wait; how many were delivered, refused, dropped for want of room; attempts that failed.
  public var waiting: Int
  public var delivered: Int
  public var failed: Int
  public var refused: Int
  public var dropped: Int
  public var isFailing: Bool
  public var lastFailure: String?
  public var lastDeliveredUnixMilliseconds: Int64?

  private enum CodingKeys: String, CodingKey {
    case name, waiting, delivered, failed, refused, dropped
    case isFailing = "failing"
    case lastFailure = "last_failure"
    case lastDeliveredUnixMilliseconds = "last_delivered_ms"
  }

  /// As of now, counted since the start.
  public init(
    name: String, waiting: Int, delivered: Int, failed: Int, refused: Int, dropped: Int, isFailing: Bool,
    lastFailure: String?, lastDeliveredUnixMilliseconds: Int64?
  ) {
    self.name = name
    self.waiting = waiting
    self.delivered = delivered
    self.failed = failed
    self.refused = refused
    self.dropped = dropped
    self.isFailing = isFailing
    self.lastFailure = lastFailure
    self.lastDeliveredUnixMilliseconds = lastDeliveredUnixMilliseconds
  }
}

/// What `/api/bongsu/v1/alerts` answers.
public struct AlertList: Codable, Hashable, Sendable {
  /// Firing ones first, critical before others, then pending ones, each by their beginning.
  public var alerts: [AlertReport]
  /// How many there are; more than `alerts` when a limit cut some off.
  public var matched: Int
  /// How many of each rule fire or wait, those beyond a limit too; `nil` from a server that does not say.
  public var byRule: [AlertRuleCount]?
  public var receivers: [AlertReceiverReport]
  public var groups: Int
  public var rules: Int
  /// Rules that failed when they were last evaluated, with the reason.
  public var failingRules: [String]
  /// What was wrong with rule files when they were last read.
  public var fileFailures: [String]
  /// The data's time of the newest evaluation, milliseconds since 1970.
  public var evaluatedUnixMilliseconds: Int64?
  /// Whether coverage and loss rules wait for agents after a start.
  public var isAfterRestart: Bool
  /// Why the state cannot be saved; `nil` while all is well.
  public var saveFailure: String?

  private enum CodingKeys: String, CodingKey {
    case alerts, matched, receivers, groups, rules
    case byRule = "by_rule"
    case failingRules = "failing_rules"
    case fileFailures = "file_failures"
    case evaluatedUnixMilliseconds = "evaluated_ms"
    case isAfterRestart = "after_restart"
    case saveFailure = "save_failure"
  }

  /// - Parameter matched: how many there are; `nil`: those that are listed.
  public init(
    alerts: [AlertReport], matched: Int? = nil, byRule: [AlertRuleCount]? = nil, receivers: [AlertReceiverReport],
    groups: Int, rules: Int, failingRules: [String], fileFailures: [String], evaluatedUnixMilliseconds: Int64?,
    isAfterRestart: Bool, saveFailure: String?
  ) {
    self.alerts = alerts
    self.matched = matched ?? alerts.count
    self.byRule = byRule
    self.receivers = receivers
    self.groups = groups
    self.rules = rules
    self.failingRules = failingRules
    self.fileFailures = fileFailures
    self.evaluatedUnixMilliseconds = evaluatedUnixMilliseconds
    self.isAfterRestart = isAfterRestart
    self.saveFailure = saveFailure
  }
}

/// A change of an alert, as `/api/bongsu/v1/alerts/history` lists it.
public struct AlertChangeReport: Codable, Hashable, Sendable {
  /// The data's time, milliseconds since 1970.
  public var unixMilliseconds: Int64
  public var name: String
  public var group: String
  public var from: String
  public var to: String
  public var labels: [String: String]
  public var annotations: [String: String]
  public var value: Double?
  public var coverage: Double?
  public var estimatedShare: Double?

  private enum CodingKeys: String, CodingKey {
    case name, group, from, to, labels, annotations, value, coverage
    case unixMilliseconds = "at_ms"
    case estimatedShare = "estimated_share"
  }

  /// One change, as it was kept.
  public init(
    unixMilliseconds: Int64, name: String, group: String, from: String, to: String, labels: [String: String],
    annotations: [String: String], value: Double?, coverage: Double?, estimatedShare: Double?
  ) {
    self.unixMilliseconds = unixMilliseconds
    self.name = name
    self.group = group
    self.from = from
    self.to = to
    self.labels = labels
    self.annotations = annotations
    self.value = value
    self.coverage = coverage
    self.estimatedShare = estimatedShare
  }
}

/// What `/api/bongsu/v1/alerts/history` answers, newest first.
public struct AlertHistory: Codable, Hashable, Sendable {
  public var changes: [AlertChangeReport]

  /// - Parameter changes: newest first.
  public init(changes: [AlertChangeReport]) { self.changes = changes }
}
