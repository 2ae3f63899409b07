internal import BongsuAlerts
internal import BongsuQuery
internal import BongsuReports
internal import BongsuSeries
internal import HTTPTypes
internal import Hummingbird

/// `/api/v1/rules` and `/api/v1/alerts`, as Prometheus 2.42 answers them.
struct RuleRoutes {
  let alerts: AlertRunner?

  func install(in table: inout RouteTable) {
    let alerts = alerts
    table.on(.get, "/api/v1/rules", right: .read) { request, _, person in
      do {
        guard let alerts else { throw PrometheusError(.unavailable, "this aggregator evaluates no rules") }
        let parameters = try await PrometheusParameters(of: request)
        let kind = parameters.text("type") ?? ""
        guard ["", "alert", "record"].contains(kind) else {
          throw PrometheusError.invalid("type", "not supported value \(QuotedText.quote(kind))")
        }
        let groups = alerts.snapshot.groups.compactMap { GroupAnswer($0, kind: kind, person.scope) }
        return try JSONText.response(Envelope(data: Groups(groups: groups)))
      } catch let error as PrometheusError {
        return PrometheusJSON.response(error)
      }
    }
    table.on(.get, "/api/v1/alerts", right: .read) { _, _, person in
      do {
        guard let alerts else { throw PrometheusError(.unavailable, "this aggregator evaluates no rules") }
        let active = alerts.snapshot.groups.flatMap { group in
          group.state.alerting.flatMap { state in
            state.active.filter { person.scope.includes($0.labels) }.map(AlertAnswer.init)
          }
        }
        return try JSONText.response(Envelope(data: Alerts(alerts: active)))
      } catch let error as PrometheusError {
        return PrometheusJSON.response(error)
      }
    }
  }

  private struct Envelope<Payload: Encodable>: Encodable {
    let status = "success"
    let data: Payload
  }

  private struct Groups: Encodable { let groups: [GroupAnswer] }
  private struct Alerts: Encodable { let alerts: [AlertAnswer] }

  private struct GroupAnswer: Encodable {
    let name: String
    let file: String
    let interval: Double
    let limit: Int
    let rules: [RuleAnswer]
    let evaluationTime: Double
    let lastEvaluation: String

    /// `nil` when a scope leaves none of the group's rules.
    init?(_ group: RuleEngine.Group, kind: String, _ scope: AccessScope) {
      name = group.state.group.name
      file = scope.isUnlimited ? group.file : ""
      interval = Double(group.intervalMilliseconds) / 1000
      limit = group.state.group.limit
      rules = group.state.group.rules.indices.compactMap { RuleAnswer(group, $0, kind: kind, scope) }
      if rules.isEmpty, !scope.isUnlimited { return nil }
      evaluationTime = group.seconds
      lastEvaluation = RuleRoutes.instant(group.lastEvaluation)
    }
  }

  private struct RuleAnswer: Encodable {
    let state: String?
    let name: String
    let query: String
    let duration: Double?
    let keepFiringFor: Double?
    let labels: [String: String]?
    let annotations: [String: String]?
    let alerts: [AlertAnswer]?
    let health: String
    let lastError: String?
    let evaluationTime: Double
    let lastEvaluation: String
    let type: String

    /// `nil` for a rule of another kind, and for one whose text tells of what a scope does not have.
    init?(_ group: RuleEngine.Group, _ index: Int, kind: String, _ scope: AccessScope) {
      let rule = group.state.group.rules[index]
      let health = group.health[index]
      guard scope.mayRead(rule) else { return nil }
      name = rule.name
      query = rule.source
      labels = AlertRoutes.dictionary(rule.labels)
      // What failed names the labels of series.
      lastError = scope.isUnlimited ? health.lastError : nil
      evaluationTime = health.seconds
      lastEvaluation = RuleRoutes.instant(health.lastEvaluation)
      self.health = health.lastEvaluation == nil ? "unknown" : lastError == nil ? "ok" : "err"
      switch rule.kind {
      case .recording:
        if kind == "alert" { return nil }
        type = "recording"
        (state, duration, keepFiringFor, annotations, alerts) = (nil, nil, nil, nil, nil)
      case .alerting:
        if kind == "record" { return nil }
        type = "alerting"
        let active = group.state.alerting[index].active.filter { scope.includes($0.labels) }
        state =
          active.contains { $0.phase == .firing } ? "firing" : active.isEmpty ? "inactive" : "pending"
        duration = Double(rule.holdMilliseconds) / 1000
        keepFiringFor = Double(rule.keepFiringMilliseconds) / 1000
        // Free text may name anybody; of a visible alert it is that alert's.
        annotations = scope.isUnlimited || !active.isEmpty ? AlertRoutes.dictionary(rule.annotations) : [:]
        alerts = active.map(AlertAnswer.init)
      }
    }
  }

  private struct AlertAnswer: Encodable {
    let labels: [String: String]
    let annotations: [String: String]
    let state: String
    let activeAt: String
    let keepFiringSince: String?
    let value: String

    init(_ alert: AlertingState.Alert) {
      labels = AlertRoutes.dictionary(alert.labels.allLabels)
      annotations = AlertRoutes.dictionary(alert.annotations)
      state = alert.phase.rawValue
      activeAt = RuleRoutes.instant(alert.activeSince)
      keepFiringSince = alert.keepsFiringSince.map { RuleRoutes.instant($0) }
      value = FloatText.scientific(alert.value).replacing("E", with: "e")
    }
  }

  private static func instant(_ unixMilliseconds: Int64?) -> String {
    // As Prometheus writes an instant that never was.
    unixMilliseconds.map { TimeText.rfc3339(unixMilliseconds: $0) } ?? "0001-01-01T00:00:00Z"
  }
}
