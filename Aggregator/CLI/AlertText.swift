internal import BongsuReports

/// Alerts in words. Pure.
enum AlertText {
  /// What fires, what waits, and what is wrong with rules and receivers.
  static func lines(_ list: AlertList, now: Int64, style: TerminalStyle) -> [String] {
    var lines: [String] = []
    if list.alerts.isEmpty {
      lines.append("no alert")
    } else {
      var table = TextTable(columns: [
        ("STATE", .left), ("FOR", .right), ("SEVERITY", .left), ("ALERT", .left), ("WHERE", .left), ("VALUE", .right),
        ("DELIVERY", .left), ("SUMMARY", .left),
      ])
      for alert in list.alerts {
        let severity = alert.labels["severity"] ?? ""
        let emphasis: Emphasis =
          alert.state != "firing" ? .faint : severity == "critical" ? .alarm : severity == "info" ? .none : .warning
        let since = alert.firedUnixMilliseconds ?? alert.activeSinceUnixMilliseconds
        table.add([
          .init(alert.isHeld ? "\(alert.state), held" : alert.state, emphasis),
          .init(UnitText.duration(seconds: max(0, (now - since) / 1000))), .init(severity), .init(alert.name),
          .init(place(alert.labels)), .init(number(alert.value)), .init(delivery(alert)),
          .init(alert.annotations["summary"] ?? ""),
        ])
      }
      lines += table.lines(style: style)
    }
    lines.append("")
    let evaluated = list.evaluatedUnixMilliseconds.map { UnitText.lag(milliseconds: now - $0) + " ago" } ?? "not yet"
    lines.append("\(list.rules) rules in \(list.groups) groups, evaluated \(evaluated)")
    if list.isAfterRestart { lines.append("after a start: coverage and loss rules wait for agents to be back") }
    for rule in list.failingRules { lines.append(style.text(clean("rule fails: \(rule)"), .warning)) }
    for failure in list.fileFailures {
      lines.append(style.text(clean("rule file refused, mend it and reload: \(failure)"), .alarm))
    }
    if let failure = list.saveFailure { lines.append(style.text(clean("state is not saved: \(failure)"), .alarm)) }
    for receiver in list.receivers {
      var text = "\(receiver.name): \(receiver.delivered) delivered, \(receiver.waiting) waiting"
      if receiver.refused > 0 { text += ", \(receiver.refused) refused" }
      if receiver.dropped > 0 { text += ", \(receiver.dropped) dropped" }
      if receiver.isFailing { text += "; failing: \(receiver.lastFailure ?? "")" }
      lines.append(style.text(clean(text), receiver.isFailing ? .warning : .none))
    }
    if list.receivers.isEmpty { lines.append("no receiver is told; give --alertmanager URL or --alerting FILE") }
    return lines
  }

  static func lines(_ history: AlertHistory, style: TerminalStyle) -> [String] {
    guard !history.changes.isEmpty else { return ["no change of an alert in that time"] }
    var table = TextTable(columns: [
      ("TIME", .left), ("CHANGE", .left), ("SEVERITY", .left), ("ALERT", .left), ("WHERE", .left), ("VALUE", .right),
      ("COVERAGE", .right), ("ESTIMATED", .right),
    ])
    for change in history.changes {
      let word =
        switch (change.from, change.to) {
        case (_, "firing"): "fires"
        case ("firing", _): "over"
        case (_, "pending"): "pending"
        default: "gone"
        }
      table.add([
        .init(TimeText.rfc3339(unixMilliseconds: change.unixMilliseconds)),
        .init(word, word == "fires" ? .alarm : .none), .init(change.labels["severity"] ?? ""), .init(change.name),
        .init(place(change.labels)), .init(number(change.value)), .init(UnitText.coverage(change.coverage)),
        .init(UnitText.percent(change.estimatedShare)),
      ])
    }
    return table.lines(style: style)
  }

  static func csv(_ list: AlertList) -> String {
    var text = CSVText.line([
      "state", "name", "group", "severity", "place", "value", "active_since_ms", "fired_ms", "held", "delivery",
      "summary",
    ])
    for alert in list.alerts {
      text += CSVText.line([
        alert.state, alert.name, alert.group, alert.labels["severity"] ?? "", place(alert.labels),
        alert.value.map { "\($0)" } ?? "", "\(alert.activeSinceUnixMilliseconds)",
        alert.firedUnixMilliseconds.map { "\($0)" } ?? "", "\(alert.isHeld)", delivery(alert),
        alert.annotations["summary"] ?? "",
      ])
    }
    return text
  }

  static func csv(_ history: AlertHistory) -> String {
    var text = CSVText.line([
      "at_ms", "name", "group", "from", "to", "severity", "place", "value", "coverage", "estimated_share",
    ])
    for change in history.changes {
      text += CSVText.line([
        "\(change.unixMilliseconds)", change.name, change.group, change.from, change.to,
        change.labels["severity"] ?? "", place(change.labels), change.value.map { "\($0)" } ?? "",
        change.coverage.map { "\($0)" } ?? "", change.estimatedShare.map { "\($0)" } ?? "",
      ])
    }
    return text
  }

  /// `naver-sejong/gov/r001`: the labels that say where, else all that are not the rule's own.
  static func place(_ labels: [String: String]) -> String {
    let parts = ["factory", "hall", "rack", "node", "gpu", "meter", "allocation"].compactMap { labels[$0] }
    if !parts.isEmpty { return parts.joined(separator: "/") }
    return labels.filter { !["alertname", "severity", "nation"].contains($0.key) }.sorted { $0.key < $1.key }
      .map { "\($0.key)=\($0.value)" }.joined(separator: " ")
  }

  private static func delivery(_ alert: AlertReport) -> String {
    guard alert.state == "firing" else { return "" }
    guard !alert.deliveries.isEmpty else { return UnitText.unknown }
    let states = Set(alert.deliveries.map(\.state))
    if states.count == 1 { return states.first ?? "" }
    return alert.deliveries.map { "\($0.receiver) \($0.state)" }.joined(separator: ", ")
  }

  /// Four significant digits with a metric prefix.
  private static func number(_ value: Double?) -> String {
    guard let value else { return UnitText.unknown }
    return String(UnitText.scaled(value, "").reversed().drop { $0 == " " }.reversed())
  }

  private static func clean(_ text: String) -> String { TextTable.withoutControls(text) }
}
