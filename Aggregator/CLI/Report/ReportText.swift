internal import BongsuReports

/// A signed account for a terminal, and as CSV.
enum ReportText {
  static func lines(_ signed: SignedReport, style: TerminalStyle) -> [String] {
    let figures = ReportFigures(signed.report)
    var lines = [
      style.text("\(signed.report.subject.kind.rawValue) \(TextTable.withoutControls(figures.subject))", .heading),
      figures.span, "",
    ]
    var table = TextTable(columns: [("FIGURE", .left), ("VALUE", .right)])
    for figure in figures.all { table.add([TextTable.Cell(figure.label), TextTable.Cell(figure.text)]) }
    lines += table.lines(style: style)
    if let nodes = signed.report.idleNodes, !nodes.isEmpty {
      var table = TextTable(columns: [("IDLE MOST", .left), ("FACTORY", .left), ("IDLE", .right), ("HOURS", .right)])
      for node in nodes {
        table.add([
          TextTable.Cell(node.node), TextTable.Cell(node.factory), TextTable.Cell(UnitText.scaled(node.idleWatts, "W")),
          TextTable.Cell(UnitText.count(Int64(node.hours))),
        ])
      }
      lines += [""] + table.lines(style: style)
    }
    lines.append("")
    lines += signed.report.carbonFactors.map { "carbon: \(figures.factor($0))" }
    lines += figures.reservations.map { style.text("note: \($0)", .warning) }
    lines += [
      style.text("made \(figures.made)", .faint), style.text("SHA-256 \(signed.signature.sha256)", .faint),
      style.text("\(signed.signature.algorithm) \(signed.signature.value)", .faint),
      style.text("key \(signed.signature.key)", .faint),
    ]
    return lines
  }

  /// Exact figures, one a line; the last line holds the signed document itself.
  static func csv(_ signed: SignedReport) -> String {
    let report = signed.report
    let account = report.account
    var lines = [["part", "name", "value", "unit"]]
    lines += [
      ["report", report.subject.kind.rawValue, report.subject.id, ""], ["report", "name", report.subject.name, ""],
      ["report", "month", report.month, ""],
      ["report", "start", TimeText.rfc3339(unixMilliseconds: account.startUnixMilliseconds), "UTC"],
      ["report", "end", TimeText.rfc3339(unixMilliseconds: account.endUnixMilliseconds), "UTC"],
      ["report", "made", TimeText.rfc3339(unixMilliseconds: report.madeUnixMilliseconds), "UTC"],
      ["report", "whole_month", report.isWholeMonth ? "true" : "false", ""],
    ]
    lines += ReportFigures(report).all.map { ["account", $0.field, $0.exact, $0.exact.isEmpty ? "" : $0.unit] }
    lines += (report.idleNodes ?? []).map { ["idle_node", $0.node, ReportFigures.exact($0.idleWatts), "W"] }
    lines += report.carbonFactors.map {
      [
        "carbon_factor", TimeText.rfc3339(unixMilliseconds: $0.sinceUnixMilliseconds),
        ReportFigures.exact($0.tonnesPerMegawattHour), "tCO2eq/MWh",
      ]
    }
    lines.append([
      documentPart, UsageReport.formatName, String(decoding: signed.document.dropLast(), as: UTF8.self), "",
    ])
    return lines.map(CSVText.line).joined()
  }

  static let documentPart = "signed_document"
}
