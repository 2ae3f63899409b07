internal import ArgumentParser
internal import BongsuReports
internal import Foundation

struct GapsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gaps", abstract: "Samples that are lost for good: which node, which ticks, why.",
    discussion: """
      Ticks in a gap may be lost; those that came after all are stored beside it. Times are RFC 3339, seconds since 1970,
      `now`, or back from now such as -1h.

      Example:
        bongsu gaps --last 24h
        bongsu gaps --node r017-n03 --start 2026-11-21T00:00:00Z --end now --format csv
      """)

  @Option(help: "Only this node.") var node: String?
  @Option(help: "Only nodes of this factory.") var factory: String?
  @Option(help: "Only nodes of this allocation and those below it.") var allocation: String?
  @Option(help: "How far back to look, such as 15m, 1h or 7d. (default: 1h)") var last: String?
  @Option(parsing: .unconditional, help: "First instant, in place of --last.") var start: String?
  @Option(parsing: .unconditional, help: "Last instant.") var end: String = "now"
  @Option(help: "How many at most, the newest first to stay, 1 to \(ReportLimits.gapRowsMax).")
  var limit = ReportLimits.gapRowsDefault
  @Option(help: "How to print it.") var format = OutputFormat.table
  @OptionGroup var server: ServerOptions

  func validate() throws {
    guard start == nil || last == nil else { throw ValidationError("--start and --last exclude each other") }
    if let last, DurationText.seconds(last) == nil {
      throw ValidationError("--last is \"\(TextTable.withoutControls(last))\"; give a time such as 15m, 1h or 7d")
    }
    for text in [start, end].compactMap(\.self) where ExportCommand.unixMilliseconds(text, now: 0) == nil {
      throw ValidationError(
        "\"\(TextTable.withoutControls(text))\" is not a time; give RFC 3339, seconds since 1970, now, or -1h")
    }
    guard (1...ReportLimits.gapRowsMax).contains(limit) else {
      throw ValidationError("--limit is \(limit); give 1 to \(ReportLimits.gapRowsMax)")
    }
  }

  func run() async throws {
    let now = Int64(Date().timeIntervalSince1970 * 1000)
    let until = ExportCommand.unixMilliseconds(end, now: now) ?? now
    let span = (last.flatMap(DurationText.seconds) ?? 3600) * 1000
    let from = start.flatMap { ExportCommand.unixMilliseconds($0, now: now) } ?? max(0, until - span)
    let (list, text) = try await AggregatorClient.with(server) { client in
      try await client.get(
        "/api/bongsu/v1/gaps",
        [
          ("node", node), ("factory", factory), ("allocation", allocation),
          ("start", TimeText.rfc3339(unixMilliseconds: from)), ("end", TimeText.rfc3339(unixMilliseconds: until)),
          ("limit", String(limit)),
        ], as: GapList.self)
    }
    switch format {
    case .json: StandardOutput.write(text)
    case .csv: StandardOutput.write(GapText.csv(list))
    case .table:
      let style = TerminalStyle(
        isTerminal: StandardOutput.isTerminal, environment: ProcessInfo.processInfo.environment)
      StandardOutput.print(GapText.lines(list, style: style).joined(separator: "\n"))
    }
  }
}

/// Gap records as a table or as CSV.
enum GapText {
  static func lines(_ list: GapList, style: TerminalStyle) -> [String] {
    var table = TextTable(columns: [
      ("NODE", .left), ("FACTORY", .left), ("ALLOCATION", .left), ("FIRST TICK", .left), ("LAST TICK", .left),
      ("ROWS", .right), ("REASON", .left), ("WHAT", .left),
    ])
    for gap in list.gaps {
      table.add([
        TextTable.Cell(gap.node), TextTable.Cell(gap.factory ?? UnitText.unknown),
        TextTable.Cell(gap.allocation ?? UnitText.unknown), TextTable.Cell(time(gap.firstTickUnixMilliseconds)),
        TextTable.Cell(time(gap.lastTickUnixMilliseconds)),
        TextTable.Cell(gap.rows.map { UnitText.count($0) } ?? UnitText.unknown),
        TextTable.Cell(gap.reason, .warning), TextTable.Cell(gap.text),
      ])
    }
    var foot =
      list.matched > list.gaps.count
      ? "the newest \(list.gaps.count) of \(list.matched) gaps, --limit shows more" : "\(list.gaps.count) gaps"
    if list.damaged > 0 { foot += "; \(list.damaged) records are damaged and left out" }
    return (list.gaps.isEmpty ? [] : table.lines(style: style)) + [style.text(foot, .faint)]
  }

  static func csv(_ list: GapList) -> String {
    CSVText.line([
      "node", "factory", "allocation", "first_tick", "last_tick", "rows", "reason", "text", "next_step",
    ])
      + list.gaps.map { gap in
        CSVText.line([
          gap.node, gap.factory ?? "", gap.allocation ?? "", exact(gap.firstTickUnixMilliseconds),
          exact(gap.lastTickUnixMilliseconds), gap.rows.map(String.init) ?? "", gap.reason, gap.text, gap.nextStep,
        ])
      }.joined()
  }

  private static func exact(_ unixMilliseconds: Int64?) -> String {
    unixMilliseconds.map { TimeText.rfc3339(unixMilliseconds: $0) } ?? ""
  }

  private static func time(_ unixMilliseconds: Int64?) -> String {
    unixMilliseconds.map { TimeText.rfc3339(unixMilliseconds: $0) } ?? UnitText.unknown
  }
}
