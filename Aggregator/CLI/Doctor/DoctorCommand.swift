internal import ArgumentParser
internal import BongsuReports
internal import Foundation

struct DoctorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor", abstract: "Looks for what is wrong or will be, and says what to do.",
    discussion: """
      Looks at connection, versions, clocks, journal, disk forecast, the fleet file against what reports, expiry of \
      certificate and tokens, descriptors, rules and receivers of alerts. Each check is fine, a finding with its next step, \
      or not known with the reason.
      Exit status: 0 nothing to do, 1 findings, 2 wrong usage.

      Example:
        bongsu doctor
        bongsu doctor --format json --url https://aggregator:7480
      """)

  enum Format: String, ExpressibleByArgument, CaseIterable {
    case table
    case json
  }

  @Option(help: "How to print it.") var format = Format.table

  @OptionGroup var server: ServerOptions

  func run() async throws {
    let facts = try await AggregatorClient.with(server) { await DoctorFacts.gather($0) }
    let diagnosis = Doctor.diagnosis(facts)
    switch format {
    case .json:
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      StandardOutput.print(String(decoding: try encoder.encode(diagnosis), as: UTF8.self))
    case .table:
      let style = TerminalStyle(isTerminal: StandardOutput.isTerminal, environment: ProcessInfo.processInfo.environment)
      StandardOutput.print(diagnosis.lines(style: style).joined(separator: "\n"))
    }
    if diagnosis.findings > 0 { throw ExitCode(ExitStatus.failed.rawValue) }
  }
}
