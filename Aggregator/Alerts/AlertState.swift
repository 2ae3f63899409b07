public import BongsuSeries

/// The life of the alerts of one rule, as a value that takes results of the expression and changes state.
///
/// An alert begins `pending` when the expression first gives its labels, is `firing` once that has lasted for the rule's
/// hold time, and becomes `inactive` when the labels are gone: a pending alert is forgotten at once, a firing one is
/// remembered for a while, so that its end can be reported. No clock, no I/O: the time comes with each evaluation.
public struct AlertingState: Sendable {
  public enum Phase: String, Sendable, Hashable {
    case inactive, pending, firing
  }

  /// One alert.
  public struct Alert: Sendable {
    public var phase: Phase
    public let labels: LabelSet
    public var annotations: [Label]
    public var value: Double
    /// When the expression first held, in milliseconds.
    public let activeSince: Int64
    public var firedAt: Int64?
    public var resolvedAt: Int64?
    /// Since when the alert fires although the expression no longer holds.
    public var keepsFiringSince: Int64?
    /// Share of the expected GPUs behind the alert that reported when it began to fire; `nil` when that is not known.
    public var coverageAtFiring: Double?
    /// Whether the alert stays only because its data is missing.
    public var isHeld = false

    /// An alert as it was saved.
    public init(
      phase: Phase, labels: LabelSet, annotations: [Label], value: Double, activeSince: Int64, firedAt: Int64? = nil,
      resolvedAt: Int64? = nil, keepsFiringSince: Int64? = nil, coverageAtFiring: Double? = nil
    ) {
      self.phase = phase
      self.labels = labels
      self.annotations = annotations
      self.value = value
      self.activeSince = activeSince
      self.firedAt = firedAt
      self.resolvedAt = resolvedAt
      self.keepsFiringSince = keepsFiringSince
      self.coverageAtFiring = coverageAtFiring
    }
  }

  /// One element of the expression's result with labels and annotations filled in.
  public struct Candidate: Sendable {
    public var labels: LabelSet
    public var annotations: [Label]
    public var value: Double

    public init(labels: LabelSet, annotations: [Label], value: Double) {
      self.labels = labels
      self.annotations = annotations
      self.value = value
    }
  }

  /// Why an evaluation gave no new state.
  public enum Failure: Error, Sendable, Hashable, CustomStringConvertible {
    case equalLabels
    case tooMany(limit: Int, found: Int)

    public var description: String {
      switch self {
      case .equalLabels: "vector contains metrics with the same labelset after applying alert labels"
      case .tooMany(let limit, let found): "exceeded limit of \(limit) with \(found) alerts"
      }
    }
  }

  /// All alerts remembered, resolved ones among them, in order of first appearance.
  public private(set) var alerts: [Alert] = []
  private var positions: [LabelSet: Int] = [:]

  /// No alert, as before the first evaluation.
  public init() {}

  /// Restores alerts that were saved, so that a restart neither forgets a pending time nor reports a start twice.
  public init(restoring alerts: [Alert]) {
    self.alerts = alerts
    reindex()
  }

  /// Alerts that are pending or firing.
  public var active: [Alert] { alerts.filter { $0.phase != .inactive } }

  /// Since when alerts fire without their reason, by alert: what changes without a transition.
  var timers: [LabelSet: Int64] {
    var timers: [LabelSet: Int64] = [:]
    for alert in alerts where alert.phase == .firing { timers[alert.labels] = alert.keepsFiringSince }
    return timers
  }

  /// Applies the result of one evaluation at `time`, in milliseconds.
  ///
  /// On a failure the state is as before, but that too many alerts clear it, as in Prometheus. `isHeld` is asked about an
  /// active alert that the result lacks: `true` keeps it as it is, because its data is missing and not its reason.
  /// `coverage` is asked once about an alert that begins to fire.
  public mutating func apply(
    _ candidates: [Candidate], at time: Int64, holdMilliseconds: Int64, keepFiringMilliseconds: Int64, limit: Int,
    isHeld: (Alert) -> Bool = { _ in false }, coverage: (LabelSet) -> Double? = { _ in nil }
  ) throws(Failure) {
    var present: Set<LabelSet> = []
    for candidate in candidates where !present.insert(candidate.labels).inserted { throw .equalLabels }
    for candidate in candidates { update(candidate, at: time) }
    var kept: [Alert] = []
    var activeCount = 0
    for alert in alerts {
      let isPresent = present.contains(alert.labels)
      var alert = alert
      alert.isHeld = !isPresent && alert.phase != .inactive && isHeld(alert)
      if alert.isHeld {
        kept.append(alert)
        activeCount += 1
        continue
      }
      guard
        var next = Self.step(
          alert, isPresent: isPresent, at: time, hold: holdMilliseconds, keep: keepFiringMilliseconds)
      else { continue }
      if next.phase == .firing, alert.phase != .firing { next.coverageAtFiring = coverage(next.labels) }
      kept.append(next)
      if next.phase != .inactive { activeCount += 1 }
    }
    alerts = kept
    reindex()
    if limit > 0, activeCount > limit {
      alerts = []
      positions = [:]
      throw .tooMany(limit: limit, found: activeCount)
    }
  }

  private mutating func update(_ candidate: Candidate, at time: Int64) {
    let fresh = Alert(
      phase: .pending, labels: candidate.labels, annotations: candidate.annotations, value: candidate.value,
      activeSince: time)
    guard let position = positions[candidate.labels] else {
      positions[candidate.labels] = alerts.count
      alerts.append(fresh)
      return
    }
    if alerts[position].phase == .inactive {
      alerts[position] = fresh
    } else {
      alerts[position].value = candidate.value
      alerts[position].annotations = candidate.annotations
    }
  }

  /// The next state of one alert; `nil` when it is forgotten.
  private static func step(_ alert: Alert, isPresent: Bool, at time: Int64, hold: Int64, keep: Int64) -> Alert? {
    var alert = alert
    if isPresent {
      alert.keepsFiringSince = nil
      if alert.phase == .pending, time - alert.activeSince >= hold {
        alert.phase = .firing
        alert.firedAt = time
      }
      return alert
    }
    if alert.phase == .firing, keep > 0 {
      let since = alert.keepsFiringSince ?? time
      alert.keepsFiringSince = since
      if time - since < keep { return alert }
    }
    if alert.phase == .pending { return nil }
    if let resolvedAt = alert.resolvedAt, time - resolvedAt > AlertLimits.resolvedRetentionMilliseconds { return nil }
    if alert.phase != .inactive {
      alert.phase = .inactive
      alert.resolvedAt = time
    }
    return alert
  }

  private mutating func reindex() {
    positions.removeAll(keepingCapacity: true)
    for (position, alert) in alerts.enumerated() { positions[alert.labels] = position }
  }
}
