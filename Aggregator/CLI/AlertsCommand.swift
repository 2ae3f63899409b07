internal import ArgumentParser
internal import BongsuReports
internal import Foundation

struct AlertsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "alerts", abstract: "What fires now, and what did.",
    discussion: """
      Example:
        bongsu alerts
        bongsu alerts --firing --exit-code
        bongsu alerts --watch
        bongsu alerts history --last 7d
      """,
    subcommands: [Now.self, History.self], defaultSubcommand: Now.self)

  struct Now: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "now", abstract: "Alerts that fire or are about to.",
      discussion: """
        With --exit-code the command ends with 3 when an alert fires, with 0 when none does, and with 1 when it could not \
        ask.

        Example:
          bongsu alerts --firing
          bongsu alerts --firing --exit-code --format json
        """)

    @Flag(help: "Only alerts that fire, not those that wait for their time.") var firing = false
    @Flag(help: "Draw it anew every second until interrupted.") var watch = false
    @Option(help: "With --watch: stop after this many drawings.") var count: Int?
    @Flag(name: .customLong("exit-code"), help: "End with status 3 when an alert fires.") var exitCode = false
    @Option(help: "How to print it.") var format = OutputFormat.table
    @OptionGroup var server: ServerOptions

    func validate() throws {
      if let count, count < 1 || !watch { throw ValidationError("--count is for --watch and at least 1") }
      if watch, exitCode { throw ValidationError("--watch and --exit-code exclude each other") }
    }

    func run() async throws {
      let style = TerminalStyle(
        isTerminal: StandardOutput.isTerminal, environment: ProcessInfo.processInfo.environment)
      let isFiring = try await AggregatorClient.with(server) { client in
        guard watch else {
          let (list, text) = try await ask(client)
          StandardOutput.write(rendered(list, text, style))
          return list.alerts.contains { $0.state == "firing" }
        }
        try await LiveScreen.run(drawings: count) { _ in
          let (list, text) = try await ask(client)
          return rendered(list, text, style)
        }
        return false
      }
      if exitCode, isFiring { throw ExitCode(3) }
    }

    private func ask(_ client: AggregatorClient) async throws -> (value: AlertList, text: String) {
      try await client.get("/api/bongsu/v1/alerts", [("firing", firing ? "true" : nil)])
    }

    private func rendered(_ list: AlertList, _ text: String, _ style: TerminalStyle) -> String {
      switch format {
      case .json: text
      case .csv: AlertText.csv(list)
      case .table:
        AlertText.lines(list, now: Int64(Date().timeIntervalSince1970 * 1000), style: style).joined(separator: "\n")
          + "\n"
      }
    }
  }

  struct History: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Changes of alerts, newest first.",
      discussion: """
        Example:
          bongsu alerts history --last 7d
          bongsu alerts history --last 24h --format csv
        """)

    @Option(help: "How far back: a number and s, m, h or d.") var last = "24h"
    @Option(help: "How many at most, 1 to 100000.") var limit = 1000
    @Option(help: "How to print it.") var format = OutputFormat.table
    @OptionGroup var server: ServerOptions

    func validate() throws {
      guard DurationText.seconds(last) != nil else {
        throw ValidationError("--last is '\(last)'; give a number and s, m, h or d, such as 7d")
      }
      guard (1...100_000).contains(limit) else { throw ValidationError("--limit is \(limit); give 1 to 100000") }
    }

    func run() async throws {
      let now = Int64(Date().timeIntervalSince1970 * 1000)
      let start = max(0, now - 1000 * (DurationText.seconds(last) ?? 0))
      let (history, text) = try await AggregatorClient.with(server) { client in
        try await client.get(
          "/api/bongsu/v1/alerts/history",
          [("start", TimeText.rfc3339(unixMilliseconds: start)), ("limit", String(limit))], as: AlertHistory.self)
      }
      switch format {
      case .json: StandardOutput.write(text)
      case .csv: StandardOutput.write(AlertText.csv(history))
      case .table:
        let style = TerminalStyle(
          isTerminal: StandardOutput.isTerminal, environment: ProcessInfo.processInfo.environment)
        StandardOutput.print(AlertText.lines(history, style: style).joined(separator: "\n"))
      }
    }
  }
}
