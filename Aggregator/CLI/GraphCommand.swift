internal import ArgumentParser
internal import BongsuQuery
internal import BongsuReports
internal import Foundation

struct GraphCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "graph", abstract: "A PromQL expression over time, drawn in the terminal.",
    discussion: """
      Without --last or --start the last hour is drawn. Times are UTC. Of many series the largest are drawn, by their
      mean. Into a pipe it is drawn with letters.

      Example:
        bongsu graph 'sum by (factory) (bongsu_gpu_power_watts)' --last 15m
        bongsu graph 'nation:bongsu_power_total_watts:sum' --start 2026-11-21T00:00:00Z --end 2026-11-22T00:00:00Z
      """)

  @Argument(help: "Expression in PromQL.") var expression: String
  @OptionGroup var asked: AskedSpan
  @Option(help: "Time between two values; as the width of the chart allows when left out.") var step: String?
  @Option(help: "How many series at most, 1 to 26.") var limit = 8
  @Option(help: "Columns of the chart, 40 to 500; those of the terminal when left out.") var width: Int?
  @Option(help: "Rows of the plot, 4 to 200; what the terminal leaves when left out.") var height: Int?
  @OptionGroup var server: ServerOptions

  func validate() throws {
    try NiceStep.check(step)
    guard (1...26).contains(limit) else { throw ValidationError("--limit is \(limit); give 1 to 26") }
    if let width, !(40...500).contains(width) { throw ValidationError("--width is \(width); give 40 to 500") }
    if let height, !(4...200).contains(height) { throw ValidationError("--height is \(height); give 4 to 200") }
  }

  func run() async throws {
    let now = AskedSpan.now
    let span = asked.span(now: now) ?? AskedSpan.Span(start: now - 3_600_000, end: now)
    let columns = width ?? Self.terminalColumns
    let step = step.flatMap(NiceStep.parse) ?? NiceStep.milliseconds(for: span.end - span.start, points: columns * 2)
    let answer = try await AggregatorClient.with(server) { try await $0.range(expression, span, step: step).value }
    let style = TerminalStyle(
      isTerminal: StandardOutput.isTerminal, environment: ProcessInfo.processInfo.environment)
    let quantity = (try? Parser.parse(expression)).map { Quantity(of: $0) } ?? .plain
    let drawing = GraphText(
      expression: expression, span: span, step: step, quantity: quantity, limit: limit, columns: columns,
      rows: height, terminalRows: StandardOutput.terminalSize?.rows)
    StandardOutput.print(drawing.lines(answer, style: style).joined(separator: "\n"))
  }

  private static var terminalColumns: Int {
    let fromEnvironment = ProcessInfo.processInfo.environment["COLUMNS"].flatMap { Int($0) }
    return min(500, max(40, StandardOutput.terminalSize?.columns ?? fromEnvironment ?? 80))
  }
}

/// A chart with its title, legend and remarks. Pure.
struct GraphText {
  let expression: String
  let span: AskedSpan.Span
  let step: Int64
  let quantity: Quantity
  let limit: Int
  let columns: Int
  let rows: Int?
  let terminalRows: Int?

  private struct Line {
    let metric: [String: String]
    let points: [(time: Int64, value: Double)]
    let mean: Double
    let unusable: Int

    init(_ series: QueryData.Series) {
      metric = series.metric
      points = series.points.map { ($0.unixMilliseconds, $0.value) }
      let finite = points.lazy.map(\.value).filter(\.isFinite)
      let count = points.count { $0.value.isFinite }
      mean = count == 0 ? -.infinity : finite.reduce(0) { $0 + $1 / Double(count) }
      unusable = points.count - count
    }
  }

  func lines(_ answer: QueryAnswer<QueryData>, style: TerminalStyle) -> [String] {
    let all = answer.data.series.map(Line.init)
    let drawn = Array(all.sorted { $0.mean > $1.mean }.prefix(limit))
    let title = style.text(DisplayWidth.cut(TextTable.withoutControls(expression), to: columns), .heading)
    let remarks = QueryText.remarks(infos: answer.infos, warnings: answer.warnings, style: style)
    guard !drawn.isEmpty else { return [title, style.text("no series in \(spanText)", .faint)] + remarks }
    var foot = spanText
    if all.count > drawn.count {
      foot += "; \(drawn.count) of \(all.count) series, the largest by mean, --limit shows more"
    }
    let unusable = drawn.reduce(0) { $0 + $1.unusable }
    if unusable > 0 { foot += "; \(unusable) values are not finite and left out" }
    let legend = legend(drawn, style: style)
    let spare = (terminalRows ?? 30) - legend.count - remarks.count - 5
    let plotRows = rows ?? (style.isColoured ? max(6, min(24, spare)) : 16)
    let chart = Chart(
      series: drawn.map { Chart.Series(points: $0.points) }, start: span.start, end: span.end, step: step,
      quantity: quantity)
    return [title] + chart.lines(width: columns, height: plotRows, style: style) + legend
      + [style.text(foot, .faint)] + remarks
  }

  private var spanText: String {
    // Whole seconds: the eye compares these with a clock.
    let from = TimeText.rfc3339(unixMilliseconds: span.start / 1000 * 1000)
    let to = TimeText.rfc3339(unixMilliseconds: span.end / 1000 * 1000)
    let every = step % 1000 == 0 ? UnitText.duration(seconds: step / 1000) : UnitText.lag(milliseconds: step)
    return "\(from) to \(to), every \(every)"
  }

  /// A line for each series: its mark, the labels that tell it from the others, and its figures.
  private func legend(_ drawn: [Line], style: TerminalStyle) -> [String] {
    let (names, shared) = QueryText.columns(drawn.map(\.metric))
    var table = TextTable(columns: [
      ("SERIES", .left), ("LAST", .right), ("MIN", .right), ("MEAN", .right), ("MAX", .right),
    ])
    for line in drawn {
      let values = line.points.map(\.value).filter(\.isFinite)
      let labels = line.metric.filter { names.contains($0.key) }
      table.add([
        TextTable.Cell(DisplayWidth.cut(QueryText.selector(labels), to: max(20, columns - 48))),
        TextTable.Cell(line.points.last.map { quantity.text($0.value) } ?? UnitText.unknown),
        TextTable.Cell(values.min().map { quantity.text($0) } ?? UnitText.unknown),
        TextTable.Cell(values.isEmpty ? UnitText.unknown : quantity.text(line.mean)),
        TextTable.Cell(values.max().map { quantity.text($0) } ?? UnitText.unknown),
      ])
    }
    let lines = table.lines(style: style)
    let width = style.isColoured ? 2 : 1
    var marked = [String(repeating: " ", count: width + 1) + lines[0]]
    for (index, line) in lines.dropFirst().enumerated() { marked.append("\(Chart.mark(index, style: style)) \(line)") }
    if !shared.isEmpty {
      marked.append(
        style.text("all with \(DisplayWidth.cut(QueryText.selector(shared), to: max(20, columns - 9)))", .faint))
    }
    return marked
  }
}
