internal import BongsuAlerts
internal import BongsuReports
internal import BongsuSeries
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

/// Alerts in Bongsu's own words: what fires and how it was delivered, what happened, and reading rule files again.
struct AlertRoutes {
  let alerts: AlertRunner?

  func install(in table: inout RouteTable) {
    let alerts = alerts
    table.on(.get, "/api/bongsu/v1/alerts", right: .read) { request, _, person in
      let parameters = try QueryParameters(request.uri.query, allowed: ["firing", "limit"])
      let firingOnly = try parameters.flag("firing")
      let limit = try parameters.integer("limit", in: 1...100_000, default: 100_000)
      guard let alerts else { throw APIError.notAvailable("alerts") }
      return try JSONText.response(await Self.list(alerts, firingOnly: firingOnly, limit: limit, person.scope))
    }
    table.on(.get, "/api/bongsu/v1/alerts/history", right: .read) { request, _, person in
      let parameters = try QueryParameters(request.uri.query, allowed: ["start", "end", "limit"])
      guard let alerts else { throw APIError.notAvailable("alerts") }
      let start = try Self.instant("start", parameters) ?? 0
      let end = try Self.instant("end", parameters) ?? Int64.max
      let limit = try parameters.integer("limit", in: 1...100_000, default: 1000)
      let changes = try Self.history(alerts, from: start, through: end, limit: limit, person.scope)
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

  /// The newest transitions that a scope leaves. The limit counts those alone, so that others' cannot push them out.
  private static func history(
    _ alerts: AlertRunner, from start: Int64, through end: Int64, limit: Int, _ scope: AccessScope
  ) throws -> [AlertTransition] {
    guard !scope.isUnlimited else { return try alerts.history(from: start, through: end, limit: limit) }
    let all = try alerts.history(from: start, through: end, limit: Int.max)
    return Array(all.filter { scope.includes($0.labels) }.prefix(limit))
  }

  /// Alerts that a scope leaves; how rules and receivers do is told only to who sees everything, since failures name
  /// labels.
  private static func list(
    _ alerts: AlertRunner, firingOnly: Bool, limit: Int, _ scope: AccessScope
  ) async -> AlertList {
    let snapshot = alerts.snapshot
    var reports: [(report: AlertReport, labels: LabelSet)] = []
    for group in snapshot.groups {
      for (rule, state) in zip(group.state.group.rules, group.state.alerting) {
        for alert in state.active where scope.includes(alert.labels) && (!firingOnly || alert.phase == .firing) {
          let report = AlertReport(
            name: rule.name, state: alert.phase.rawValue, group: group.state.group.name,
            labels: Self.dictionary(alert.labels.allLabels), annotations: Self.dictionary(alert.annotations),
            value: alert.value.isFinite ? alert.value : nil, activeSinceUnixMilliseconds: alert.activeSince,
            firedUnixMilliseconds: alert.firedAt, resolvedUnixMilliseconds: alert.resolvedAt, isHeld: alert.isHeld,
            coverageAtFiring: alert.coverageAtFiring, deliveries: [])
          reports.append((report, alert.labels))
        }
      }
    }
    reports.sort { Self.rank($0.report) < Self.rank($1.report) }
    let matched = reports.count
    let rules = reports.map { AlertRuleCount(name: $0.report.name, severity: $0.report.labels["severity"] ?? "") }
    // Those that are over come last.
    let current = reports.prefix { $0.report.state != "inactive" }.count
    let byRule = Self.counts(reports.prefix(current).map(\.report), of: rules)
    var shown: [AlertReport] = []
    for position in AlertShare.positions(rules, current: current, limit: limit) {
      var (report, labels) = reports[position]
      report.deliveries = await alerts.deliveries(of: labels)
        .map { .init(receiver: $0.receiver, state: $0.state.rawValue) }
      shown.append(report)
    }
    guard scope.isUnlimited else {
      return AlertList(
        alerts: shown, matched: matched, byRule: byRule, receivers: [], groups: 0, rules: 0, failingRules: [],
        fileFailures: [], evaluatedUnixMilliseconds: snapshot.time, isAfterRestart: snapshot.isAfterRestart,
        saveFailure: nil)
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
      alerts: shown, matched: matched, byRule: byRule, receivers: receivers, groups: snapshot.groups.count,
      rules: snapshot.groups.reduce(0) { $0 + $1.state.group.rules.count }, failingRules: failing,
      fileFailures: snapshot.loadFailures, evaluatedUnixMilliseconds: snapshot.time,
      isAfterRestart: snapshot.isAfterRestart, saveFailure: snapshot.saveFailure)
  }

  /// How many of each rule fire and wait, in the order in which the rules come.
  private static func counts(_ reports: [AlertReport], of rules: [AlertRuleCount]) -> [AlertRuleCount] {
    var found: [AlertRuleCount] = []
    var places: [AlertRuleCount: Int] = [:]
    for (report, rule) in zip(reports, rules) {
      let place = places[rule] ?? found.count
      if place == found.count {
        places[rule] = place
        found.append(rule)
      }
      if report.state == "firing" { found[place].firing += 1 } else { found[place].pending += 1 }
    }
    return found
  }

  /// Firing ones first, then those that wait, then those that are over; of each the critical ones, then the oldest.
  private static func rank(_ report: AlertReport) -> (Int, Int, Int64) {
    let isCritical = report.labels["severity"] == "critical" || report.labels["severity"] == "page"
    let state = report.state == "firing" ? 0 : report.state == "pending" ? 1 : 2
    return (state, isCritical ? 0 : 1, report.activeSinceUnixMilliseconds)
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
