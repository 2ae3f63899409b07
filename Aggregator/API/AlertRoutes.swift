internal import BongsuAlerts
internal import BongsuReports
internal import BongsuSeries
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

/// Alerts in Bongsu's own words: what fires and how it was delivered, what happened, and reading rule files again.
struct AlertRoutes {
  let alerts: AlertRunner?
  /// Whether an asker may see what carries these labels.
  var isVisible: @Sendable (Operator, LabelSet) -> Bool = { _, _ in true }

  func install(in table: inout RouteTable) {
    let alerts = alerts
    let isVisible = isVisible
    table.on(.get, "/api/bongsu/v1/alerts", right: .read) { request, _, person in
      let parameters = try QueryParameters(request.uri.query, allowed: ["firing"])
      let firingOnly = try parameters.flag("firing")
      guard let alerts else { throw APIError.notAvailable("alerts") }
      return try JSONText.response(await Self.list(alerts, firingOnly: firingOnly) { isVisible(person, $0) })
    }
    table.on(.get, "/api/bongsu/v1/alerts/history", right: .read) { request, _, person in
      let parameters = try QueryParameters(request.uri.query, allowed: ["start", "end", "limit"])
      guard let alerts else { throw APIError.notAvailable("alerts") }
      let start = try Self.instant("start", parameters) ?? 0
      let end = try Self.instant("end", parameters) ?? Int64.max
      let limit = try parameters.integer("limit", in: 1...100_000, default: 1000)
      let changes = try alerts.history(from: start, through: end, limit: limit)
        .filter { isVisible(person, LabelSet($0.labels.map { Label(name: $0.key, value: $0.value) })) }
      return try JSONText.response(AlertHistory(changes: changes.map(AlertChangeReport.init)))
    }
    for method in [HTTPRequest.Method.post, .put] {
      table.on(method, "/-/reload", right: .change) { _, _, _ in
        guard let alerts else { throw APIError.notAvailable("reload") }
        guard let failures = await alerts.reload() else {
          return Self.text("rules are read again\n", .ok)
        }
        return Self.text(
          "failed to reload rules, those in use stay:\n\(failures.description)\n", .internalServerError)
      }
    }
  }

  private static func list(
    _ alerts: AlertRunner, firingOnly: Bool, isVisible: (LabelSet) -> Bool
  ) async -> AlertList {
    let snapshot = alerts.snapshot
    var reports: [AlertReport] = []
    for group in snapshot.groups {
      for (rule, state) in zip(group.state.group.rules, group.state.alerting) {
        for alert in state.active where isVisible(alert.labels) && (!firingOnly || alert.phase == .firing) {
          let deliveries = await alerts.deliveries(of: alert.labels)
          reports.append(
            AlertReport(
              name: rule.name, state: alert.phase.rawValue, group: group.state.group.name,
              labels: Self.dictionary(alert.labels.allLabels), annotations: Self.dictionary(alert.annotations),
              value: alert.value.isFinite ? alert.value : nil, activeSinceUnixMilliseconds: alert.activeSince,
              firedUnixMilliseconds: alert.firedAt, resolvedUnixMilliseconds: alert.resolvedAt, isHeld: alert.isHeld,
              coverageAtFiring: alert.coverageAtFiring,
              deliveries: deliveries.map { .init(receiver: $0.receiver, state: $0.state.rawValue) }))
        }
      }
    }
    reports.sort {
      ($0.state == "firing" ? 0 : 1, $0.activeSinceUnixMilliseconds) < (
        $1.state == "firing" ? 0 : 1, $1.activeSinceUnixMilliseconds
      )
    }
    let failing = snapshot.groups.flatMap { group in
      zip(group.state.group.rules, group.health).compactMap { rule, health in
        health.lastError.map { "\(group.state.group.name)/\(rule.name): \($0)" }
      }
    }
    let receivers = await alerts.receivers().map { report in
      AlertReceiverReport(
        name: report.name, waiting: report.waiting, delivered: report.delivered, failed: report.failed,
        refused: report.refused, dropped: report.dropped, isFailing: report.isFailing,
        lastFailure: report.lastFailure, lastDeliveredUnixMilliseconds: report.lastDeliveredUnixMilliseconds)
    }
    return AlertList(
      alerts: reports, receivers: receivers, groups: snapshot.groups.count,
      rules: snapshot.groups.reduce(0) { $0 + $1.state.group.rules.count }, failingRules: failing,
      fileFailures: snapshot.loadFailures, evaluatedUnixMilliseconds: snapshot.time,
      isAfterRestart: snapshot.isAfterRestart, saveFailure: snapshot.saveFailure)
  }

  static func dictionary(_ labels: [Label]) -> [String: String] {
    Dictionary(labels.map { ($0.name, $0.value) }) { _, last in last }
  }

  private static func instant(_ name: String, _ parameters: QueryParameters) throws(APIError) -> Int64? {
    guard let text = parameters.text(name) else { return nil }
    guard let milliseconds = TimeText.unixMilliseconds(text) else {
      throw APIError(
        .badParameter, "\(name) is \"\(text.quotedForMessage)\", which is no instant",
        nextStep: "give RFC 3339 such as 2026-11-21T09:30:00Z, or seconds since 1970")
    }
    return milliseconds
  }

  private static func text(_ text: String, _ status: HTTPResponse.Status) -> Response {
    Response(
      status: status, headers: [.contentType: "text/plain; charset=utf-8"],
      body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
  }
}

extension AlertChangeReport {
  fileprivate init(_ change: AlertTransition) {
    self.init(
      unixMilliseconds: change.at, name: change.alertName, group: change.group, from: change.from.rawValue,
      to: change.to.rawValue, labels: change.labels, annotations: change.annotations, value: change.value,
      coverage: change.coverage, estimatedShare: change.estimatedShare)
  }
}
