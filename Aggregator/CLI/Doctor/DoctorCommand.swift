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
      With --data and --verify it asks nobody and reads a data directory whole, while its aggregator is stopped: every \
      record of the journals, every page and row of history, each against its checksum. Nothing is changed.
      Exit status: 0 nothing to do, 1 findings, 2 wrong usage.

      Example:
        bongsu doctor
        bongsu doctor --format json --url https://aggregator:7480
        bongsu doctor --data /var/lib/bongsu/aggregator --verify
      """)

  enum Format: String, ExpressibleByArgument, CaseIterable {
    case table
    case json
  }

  @Option(help: "How to print it.") var format = Format.table

  @Option(help: "Data directory of an aggregator that is stopped, on this machine; with --verify.") var data: String?

  @Flag(help: "Read all of --data and compare every checksum.") var verify = false

  @OptionGroup var server: ServerOptions

  func validate() throws {
    guard (data != nil) == verify else {
      throw ValidationError("--data DIR and --verify belong together; without both, a running aggregator is looked at")
    }
  }

  func run() async throws {
    let diagnosis: Diagnosis
    if let data {
      diagnosis = try DataDiagnosis.of(data)
    } else {
      diagnosis = Doctor.diagnosis(try await AggregatorClient.with(server) { await DoctorFacts.gather($0) })
    }
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
