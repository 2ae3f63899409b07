internal import ArgumentParser
internal import BongsuReports
internal import Foundation

struct StatusCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "How the aggregator is doing.",
    discussion: """
      Shows nodes, ingest, journal, lag, and what was refused or lost, with the next step for each.

      Example:
        bongsu status
        bongsu status --format json --url http://aggregator:7480
      """)

  @OptionGroup var server: ServerOptions

  @Option(help: "How to print it.") var format = OutputFormat.table

  func run() async throws {
    let (report, text) = try await AggregatorClient.with(server) { client in
      try await client.get("/api/bongsu/v1/status", as: StatusReport.self)
    }
    switch format {
    case .json: StandardOutput.write(text)
    case .csv:
      let cells = StatusText.figures(report)
      StandardOutput.write(CSVText.line(cells.map(\.name)) + CSVText.line(cells.map(\.value)))
    case .table:
      let style = TerminalStyle(
        isTerminal: StandardOutput.isTerminal, environment: ProcessInfo.processInfo.environment)
      StandardOutput.print(StatusText.lines(report, style: style).joined(separator: "\n"))
    }
  }
}
