internal import BongsuReports

/// Draws the live view: the same state always gives the same lines. Pure.
enum LiveTopView {
  /// Lines above the rows (total, tabs, place, headings) and below them (state).
  static let linesAround = 5

  /// At most `view.lines` lines, none wider than `view.columns`, without the newline at their ends.
  static func lines(_ view: LiveTop, atUnixMilliseconds now: Int64, style: TerminalStyle) -> [String] {
    var lines = [total(view), tabs(view), place(view)]
    if view.showsHelp {
      lines += help.map { [Span($0)] }
    } else {
      let table = LiveTopColumns(view)
      lines.append(table.headings())
      let last = min(view.rows.count, view.firstVisible + view.visibleRows)
      for position in view.firstVisible..<max(view.firstVisible, last) {
        lines.append(table.line(view.rows[position], isSelected: position == view.selection))
      }
      if view.rows.isEmpty { lines.append([Span("  " + emptiness(view), .faint)]) }
    }
    let body = max(1, view.lines - 1)
    lines = Array(lines.prefix(body)) + Array(repeating: [], count: max(0, body - lines.count))
    if view.lines > 1 { lines.append(state(view, now)) }
    return lines.map { text(of: $0, columns: view.columns, style) }
  }

  /// A piece of a line.
  struct Span {
    var text: String
    var emphasis: Emphasis

    init(_ text: String, _ emphasis: Emphasis = .none) {
      self.text = TextTable.withoutControls(text)
      self.emphasis = emphasis
    }
  }

  private static func text(of spans: [Span], columns: Int, _ style: TerminalStyle) -> String {
    var left = columns
    var out = ""
    for span in spans where left > 0 {
      let text = DisplayWidth.cut(span.text, to: left)
      left -= DisplayWidth.columns(text)
      out += style.text(text, span.emphasis)
    }
    return out
  }

  // MARK: The lines around the rows

  private static func total(_ view: LiveTop) -> [Span] {
    guard let total = view.total, let row = total.rows.first else { return [Span("bongsu", .heading)] }
    let name = row.name.isEmpty ? row.id : row.name
    let measured = row.gpusReporting > 0 ? UnitText.power(milliwatts: row.measuredMilliwatts) : UnitText.unknown
    var spans = [Span(name, .heading), Span("  \(measured)", .heading)]
    if total.hasEstimates {
      spans.append(
        Span(
          " + \(UnitText.power(milliwatts: row.estimatedMilliwatts)) estimated",
          row.estimatedMilliwatts > 0 ? .warning : .none))
    }
    spans.append(
      Span("  coverage \(UnitText.coverage(row.coverageRatio))", TopTable.emphasis(ofCoverage: row.coverageRatio)))
    spans.append(
      Span(
        "  \(UnitText.count(Int64(row.gpusReporting))) of \(UnitText.count(Int64(row.gpusExpected))) GPUs report, "
          + "\(UnitText.count(Int64(row.gpusBusy))) busy, utilization \(UnitText.percent(row.utilizationRatio))"))
    return spans
  }

  private static func tabs(_ view: LiveTop) -> [Span] {
    LiveTop.tabs.enumerated().flatMap { number, level -> [Span] in
      let isShown = level == view.level
      let text = isShown ? "[\(number + 1) \(level.rawValue)]" : " \(number + 1) \(level.rawValue) "
      return [Span(text, isShown ? .heading : .faint)]
    }
  }

  private static func place(_ view: LiveTop) -> [Span] {
    let filter = view.filter
    var parts = ["all"]
    if let factory = filter.factory { parts.append(factory) }
    if let hall = filter.hall { parts.append(lastPart(of: hall)) }
    if let rack = filter.rack { parts.append(lastPart(of: rack)) }
    if let node = filter.node { parts.append(node) }
    var spans = [Span(parts.joined(separator: " › "))]
    if let allocation = filter.allocation { spans.append(Span("  of allocation \(allocation)")) }
    if view.isTyping || !view.search.isEmpty {
      spans.append(Span("  /\(view.search)\(view.isTyping ? "▏" : "")", .heading))
    }
    return spans
  }

  private static func state(_ view: LiveTop, _ now: Int64) -> [Span] {
    if let failure = view.failure {
      let seconds = max(0, now - failure.sinceUnixMilliseconds) / 1000
      let age = view.report == nil ? "" : "figures are old, "
      return [Span("\(age)no answer for \(UnitText.duration(seconds: seconds)): \(failure.text)", .alarm)]
    }
    guard let report = view.report else { return [Span("asking  ? help  q quit", .faint)] }
    var parts: [String] = []
    if let tick = report.closedTickUnixMilliseconds {
      parts.append("at \(TimeText.rfc3339(unixMilliseconds: tick / 1000 * 1000))")
    } else {
      parts.append("no complete tick yet")
    }
    if !report.rows.isEmpty {
      let last = min(report.rows.count, view.firstVisible + view.visibleRows)
      parts.append("rows \(view.firstVisible + 1)-\(last) of \(UnitText.count(Int64(report.matched)))")
    }
    parts.append("by \(report.order.rawValue)")
    return [
      Span(view.isPaused ? "PAUSED " : "", .warning),
      Span(parts.joined(separator: ", ") + "  ? help  q quit", .faint),
    ]
  }

  private static func emptiness(_ view: LiveTop) -> String {
    if view.report == nil { return "" }
    return view.search.isEmpty
      ? "nothing here is in service or reports" : "no name contains \"\(view.search)\", Esc drops the filter"
  }

  private static func lastPart(of path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? path
  }

  private static let help = [
    "",
    "  up, down, k, j     choose a row          Enter, right, l       into it",
    "  PgUp, PgDn         a screen at a time    Backspace, left, h    back",
    "  Home, End, g, G    first row, last row   1 to 7, Tab           level of this place",
    "  /                  filter by name        Esc                   drop the filter",
    "  s                  sort by the next      Space                 hold the picture",
    "  p power   u utilization   e energy   m estimated   c coverage   i idle   n name",
    "  ?                  this help             q, Ctrl-C             quit",
    "",
    "  POWER is measured. ESTIMATED comes on top, for GPUs that should report and do not;",
    "  - means that nothing is estimated at this level. COVERAGE is the share of the GPUs in",
    "  service that reported. IDLE are GPUs that report and do less than busy ones.",
    "  LAST MINUTE is power, 5 s a bar, each row to its own scale; a gap is not known.",
  ]
}
