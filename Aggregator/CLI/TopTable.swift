internal import BongsuReports

/// A top report as a table or as CSV. Pure.
enum TopTable {
  /// Coverage below which a row is worth a look, and below which its total says little.
  private static let coverageWarning = 0.999
  private static let coverageAlarm = 0.9

  /// The table and a line that says when it was true and what was left out.
  static func lines(_ report: TopReport, style: TerminalStyle) -> [String] {
    let hasNames = report.rows.contains { $0.name != lastPart(of: $0.id) && $0.name != $0.id }
    let isTree = report.level == .allocations
    var columns: [(title: String, alignment: TextTable.Alignment)] = [(heading(of: report.level), .left)]
    if hasNames { columns.append(("NAME", .left)) }
    columns += [("POWER", .right), ("ESTIMATED", .right), ("UTIL", .right), ("ENERGY", .right)]
    if isTree { columns.append(("GRANTED", .right)) }
    columns += [("BUSY", .right), ("REPORTING", .right), ("COVERAGE", .right)]
    var table = TextTable(columns: columns)
    for row in report.rows {
      let label = isTree ? String(repeating: "  ", count: min(row.depth, 16)) + lastPart(of: row.id) : row.id
      var cells = [TextTable.Cell(label)]
      if hasNames { cells.append(TextTable.Cell(row.name == lastPart(of: row.id) ? "" : row.name)) }
      cells += [
        TextTable.Cell(row.gpusReporting > 0 ? UnitText.power(milliwatts: row.measuredMilliwatts) : UnitText.unknown),
        !report.hasEstimates
          ? TextTable.Cell(UnitText.unknown)
          : row.estimatedMilliwatts == 0
            ? "" : TextTable.Cell("+" + UnitText.power(milliwatts: row.estimatedMilliwatts), .warning),
        TextTable.Cell(UnitText.percent(row.utilizationRatio)),
        TextTable.Cell(UnitText.energy(millijoules: row.energyMillijoules)),
      ]
      if isTree { cells.append(TextTable.Cell(row.gpusGranted.map { UnitText.count(Int64($0)) } ?? "")) }
      cells += [
        TextTable.Cell(UnitText.count(Int64(row.gpusBusy))),
        TextTable.Cell("\(UnitText.count(Int64(row.gpusReporting)))/\(UnitText.count(Int64(row.gpusExpected)))"),
        TextTable.Cell(UnitText.coverage(row.coverageRatio), emphasis(ofCoverage: row.coverageRatio)),
      ]
      table.add(cells)
    }
    return table.lines(style: style) + [style.text(footer(report), .faint)]
  }

  /// One line per row with exact figures, empty where unknown. The tick comes first, so that the lines of `--watch` can
  /// be told apart.
  static func csv(_ report: TopReport, withHeader: Bool) -> String {
    func text(_ value: (some CustomStringConvertible)?) -> String { value.map(\.description) ?? "" }
    var out = withHeader ? CSVText.line(csvColumns) : ""
    let tick = report.closedTickUnixMilliseconds.map { TimeText.rfc3339(unixMilliseconds: $0) }
    for row in report.rows {
      out += CSVText.line([
        text(tick), report.level.rawValue, row.id, row.name, text(row.parent), text(row.depth), text(row.factory),
        text(row.hall), text(row.rack), text(row.node), text(row.allocation), text(row.model),
        text(row.measuredMilliwatts), text(row.estimatedMilliwatts), text(row.totalMilliwatts),
        text(row.utilizationRatio), text(row.energyMillijoules), text(row.gpusGranted), text(row.gpusExpected),
        text(row.gpusReporting), text(row.gpusBusy), text(row.coverageRatio),
      ])
    }
    return out
  }

  private static let csvColumns = [
    "time", "level", "id", "name", "parent", "depth", "factory", "hall", "rack", "node", "allocation", "model",
    "power_milliwatts", "power_estimated_milliwatts", "power_total_milliwatts", "utilization_ratio",
    "energy_millijoules", "gpus_granted", "gpus_expected", "gpus_reporting", "gpus_busy", "coverage_ratio",
  ]

  private static func heading(of level: TopLevel) -> String {
    switch level {
    case .nation: "NATION"
    case .factories: "FACTORY"
    case .halls: "HALL"
    case .racks: "RACK"
    case .nodes: "NODE"
    case .gpus: "GPU"
    case .allocations: "ALLOCATION"
    }
  }

  private static func footer(_ report: TopReport) -> String {
    var parts: [String] = []
    if let tick = report.closedTickUnixMilliseconds {
      parts.append("at \(TimeText.rfc3339(unixMilliseconds: tick))")
    } else {
      parts.append("no complete tick yet")
    }
    if let since = report.energySinceUnixMilliseconds {
      parts.append("energy since \(TimeText.rfc3339(unixMilliseconds: since))")
    }
    parts.append(
      report.matched > report.rows.count
        ? "\(report.rows.count) of \(report.matched) rows by \(report.order.rawValue), --limit shows more"
        : "\(report.rows.count) rows by \(report.order.rawValue)")
    return parts.joined(separator: ", ")
  }

  /// How a coverage stands out.
  static func emphasis(ofCoverage ratio: Double?) -> Emphasis {
    guard let ratio else { return .none }
    return ratio < coverageAlarm ? .alarm : ratio < coverageWarning ? .warning : .none
  }

  private static func lastPart(of path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? path
  }
}
