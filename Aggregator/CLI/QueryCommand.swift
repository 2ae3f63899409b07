internal import ArgumentParser
internal import BongsuQuery
internal import BongsuReports
internal import Foundation

struct QueryCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "query", abstract: "The value of a PromQL expression, now, at an instant, or over a span.",
    discussion: """
      Tables show values in their unit where names tell it; JSON is the server's answer and CSV has its digits. With
      --last or --start the expression is evaluated every --step, else once.

      Example:
        bongsu query 'sum by (factory) (bongsu_gpu_power_watts)'
        bongsu query 'topk(10, bongsu_gpu_temperature_celsius)' --time -1h
        bongsu query 'allocation:bongsu_gpu_utilization_ratio:avg{allocation=~"msit(/.*)?"}' --last 5m --format csv
      """)

  @Argument(help: "Expression in PromQL.") var expression: String
  @Option(parsing: .unconditional, help: "The instant; now when left out.") var time: String?
  @OptionGroup var asked: AskedSpan
  @Option(help: "Time between two values of a span; about a hundred of them when left out.") var step: String?
  @Option(help: "How to print it.") var format = OutputFormat.table
  @OptionGroup var server: ServerOptions

  private static let pointsDefault = 100

  func validate() throws {
    if let time {
      guard asked.last == nil, asked.start == nil else {
        throw ValidationError("--time is one instant; leave it out to ask for a span")
      }
      try AskedSpan.check(time)
    }
    try NiceStep.check(step)
    if step != nil, asked.last == nil, asked.start == nil { throw ValidationError("--step needs --last or --start") }
  }

  func run() async throws {
    let now = AskedSpan.now
    let (answer, text) = try await AggregatorClient.with(server) { client in
      guard let span = asked.span(now: now) else {
        let instant = time.flatMap { ExportCommand.unixMilliseconds($0, now: now) }.map(AskedSpan.parameter)
        return try await client.query("query", expression, [("time", instant)])
      }
      return try await client.range(
        expression, span,
        step: step.flatMap(NiceStep.parse)
          ?? NiceStep.milliseconds(
            for: span.end - span.start, points: Self.pointsDefault))
    }
    let style = TerminalStyle(
      isTerminal: StandardOutput.isTerminal, environment: ProcessInfo.processInfo.environment)
    switch format {
    case .json: StandardOutput.write(text)
    case .csv:
      StandardOutput.write(QueryText.csv(answer.data))
      for line in QueryText.remarks(infos: nil, warnings: answer.warnings, style: .plain) {
        StandardOutput.printError("bongsu: \(line)")
      }
    case .table:
      let quantity = (try? Parser.parse(expression)).map { Quantity(of: $0) } ?? .plain
      StandardOutput.print(QueryText.lines(answer, quantity, style: style).joined(separator: "\n"))
    }
  }
}

extension AggregatorClient {
  typealias Queried = (value: QueryAnswer<QueryData>, text: String)

  /// Asks the Prometheus API about an expression; a refusal shows the place in it.
  func query(
    _ path: String, _ expression: String, _ parameters: [(name: String, value: String?)]
  ) async throws -> Queried {
    do {
      return try await form("/api/v1/\(path)", [("query", expression)] + parameters)
    } catch let refusal as QueryRefusal {
      throw CommandFailure(ExpressionPlace.text(refusal, of: expression))
    }
  }

  /// Evaluates an expression at multiples of the step within a span.
  func range(_ expression: String, _ span: AskedSpan.Span, step: Int64) async throws -> Queried {
    // Aligned, so that two drawings in a row show the same instants.
    let start = min(span.end, (span.start + step - 1) / step * step)
    return try await query(
      "query_range", expression,
      [
        ("start", AskedSpan.parameter(start)), ("end", AskedSpan.parameter(span.end)),
        ("step", AskedSpan.parameter(step)),
      ])
  }
}
