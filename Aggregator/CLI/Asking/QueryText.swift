internal import BongsuReports

/// What a query gave, as a table or as CSV. Pure.
enum QueryText {
  /// The table and what the server remarked. Labels that all series share stand once, below.
  static func lines(_ answer: QueryAnswer<QueryData>, _ quantity: Quantity, style: TerminalStyle) -> [String] {
    let data = answer.data
    var lines: [String]
    if let single = data.single {
      lines = [
        TextTable.withoutControls(data.kind == .scalar ? quantity.text(single.value, exact: single.text) : single.text)
      ]
    } else if data.series.isEmpty {
      lines = [style.text("no series", .faint)]
    } else {
      lines = table(data, quantity, style: style)
    }
    return lines + remarks(infos: answer.infos, warnings: answer.warnings, style: style)
  }

  /// What the server told beside its answer.
  static func remarks(infos: [String]?, warnings: [String]?, style: TerminalStyle) -> [String] {
    (infos ?? []).map { style.text("note: " + TextTable.withoutControls($0), .faint) }
      + (warnings ?? []).map { style.text("warning: " + TextTable.withoutControls($0), .warning) }
  }

  private static func table(_ data: QueryData, _ quantity: Quantity, style: TerminalStyle) -> [String] {
    let (names, shared) = columns(data.series.map(\.metric))
    let showsTime = data.kind == .matrix
    var table = TextTable(
      columns: names.map { ($0, .left) } + (showsTime ? [("TIME", .left)] : []) + [("VALUE", .right)])
    for series in data.series {
      for (index, point) in series.points.enumerated() {
        // Labels once per series: the eye follows the values below.
        var cells = names.map { TextTable.Cell(index == 0 ? series.metric[$0] ?? "" : "") }
        if showsTime { cells.append(TextTable.Cell(TimeText.rfc3339(unixMilliseconds: point.unixMilliseconds))) }
        cells.append(TextTable.Cell(quantity.text(point.value, exact: point.text)))
        table.add(cells)
      }
    }
    var foot = data.series.count == 1 ? "1 series" : "\(data.series.count) series"
    if !shared.isEmpty { foot += ", all with \(TextTable.withoutControls(selector(shared)))" }
    return table.lines(style: style) + [style.text(foot, .faint)]
  }

  /// Names of the labels in which series differ, `__name__` first; and the labels that all have alike.
  static func columns(_ metrics: [[String: String]]) -> (names: [String], shared: [(String, String)]) {
    let names = Set(metrics.flatMap(\.keys)).sorted()
    guard metrics.count > 1 else { return (names, []) }
    var shared: [(String, String)] = []
    var differing: [String] = []
    for name in names {
      if let value = metrics[0][name], metrics.allSatisfy({ $0[name] == value }) {
        shared.append((name, value))
      } else {
        differing.append(name)
      }
    }
    return (differing, shared)
  }

  /// One line per value: all labels, the time, the value as the server wrote it.
  static func csv(_ data: QueryData) -> String {
    if let single = data.single {
      return CSVText.line(["time", "value"])
        + CSVText.line([TimeText.rfc3339(unixMilliseconds: single.unixMilliseconds), single.text])
    }
    let names = Set(data.series.flatMap(\.metric.keys)).sorted()
    var out = CSVText.line(names + ["time", "value"])
    for series in data.series {
      let labels = names.map { series.metric[$0] ?? "" }
      for point in series.points {
        out += CSVText.line(labels + [TimeText.rfc3339(unixMilliseconds: point.unixMilliseconds), point.text])
      }
    }
    return out
  }

  /// Label sets as CSV.
  static func csv(_ sets: [[String: String]]) -> String {
    let names = Set(sets.flatMap(\.keys)).sorted()
    return CSVText.line(names) + sets.map { set in CSVText.line(names.map { set[$0] ?? "" }) }.joined()
  }

  /// A label set as PromQL writes it.
  static func selector(_ labels: [(name: String, value: String)], metric: String = "") -> String {
    let inner = labels.map { "\($0.name)=\(quoted($0.value))" }.joined(separator: ", ")
    return labels.isEmpty && !metric.isEmpty ? metric : "\(metric){\(inner)}"
  }

  static func selector(_ set: [String: String]) -> String {
    let labels = set.filter { $0.key != "__name__" }.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) }
    return selector(labels, metric: set["__name__"] ?? "")
  }

  private static func quoted(_ text: String) -> String {
    "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n") + "\""
  }
}
