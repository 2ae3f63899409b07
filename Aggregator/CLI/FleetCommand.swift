internal import ArgumentParser
internal import BongsuFleet
internal import BongsuModel
internal import BongsuReports
internal import Foundation

struct FleetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fleet", abstract: "Check and show fleet files; have the past restated by a changed one.",
    discussion: """
      Example:
        bongsu fleet check ops/fleets/korea.yaml
      """,
    subcommands: [Check.self, Show.self, Restate.self])

  /// A fleet report has no CSV form.
  enum Format: String, ExpressibleByArgument, CaseIterable {
    case table
    case json

    var report: FleetReport.Format { self == .json ? .json : .text }
  }

  struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Name every mistake of a fleet file by line, value and remedy.",
      discussion: """
        Example:
          bongsu fleet check ops/fleets/korea.yaml
        """)

    @Argument(help: "The fleet file.") var file: String
    @Option(help: "How to print it.") var format = Format.table

    func run() throws {
      try FleetCommand.finish(FleetReport.check(FleetFile(path: file), format: format.report), format)
    }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "The tree of a fleet file with counts and estimated power.",
      discussion: """
        Example:
          bongsu fleet show ops/fleets/korea.yaml
          bongsu fleet show ops/fleets/korea.yaml --at 2027-06-01T00:00:00Z --format json
        """)

    @Argument(help: "The fleet file.") var file: String
    @Option(help: "As of this instant; now when left out.") var at: String?
    @Flag(help: "Count planned halls as in service, for demonstrations.") var demoInService = false
    @Option(help: "How to print it.") var format = Format.table

    func validate() throws {
      if let at, TimeText.unixMilliseconds(at) == nil {
        throw ValidationError("--at is \"\(TextTable.withoutControls(at))\"; give RFC 3339 or seconds since 1970")
      }
    }

    func run() throws {
      let now = at.flatMap { TimeText.unixMilliseconds($0) } ?? Int64(Date().timeIntervalSince1970 * 1000)
      let fleet = FleetFile(path: file, options: FleetOptions(demoInService: demoInService))
      try FleetCommand.finish(
        FleetReport.show(fleet, now: Tick(unixMilliseconds: now), format: format.report), format)
    }
  }

  struct Restate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Form stored rollups anew by the aggregator's present fleet file.",
      discussion: """
        A changed fleet file counts for what comes after the aggregator is started with it; stored rollups, the ledger \
        and accounts stay as they were. This has them formed anew from their raw rows, as far back as those are kept. \
        It is entered in the audit log.

        Example:
          bongsu fleet restate --from 2026-11-01
        """)

    @Option(help: "A day of the nation's time zone, or an instant such as 2026-11-01T09:30 or 2026-11-01T00:30Z.")
    var from: String
    @Option(help: "How to print it.") var format = Format.table
    @OptionGroup var server: ServerOptions

    func validate() throws {
      guard (1...64).contains(from.utf8.count) else {
        throw ValidationError("--from is \"\(TextTable.withoutControls(from))\"; give a day such as 2026-11-01")
      }
    }

    func run() async throws {
      let (report, text) = try await AggregatorClient.with(server) {
        try await $0.post("/api/bongsu/v1/fleet/restate", RestateRequest(from: from), as: RestateReport.self)
      }
      switch format {
      case .json: StandardOutput.write(text)
      case .table:
        StandardOutput.print(
          TextTable.withoutControls(
            "\(report.minutes) minutes since \(report.from) are formed anew by the present fleet file, oldest first; "
              + "`bongsu doctor` tells how many wait"))
      }
    }
  }

  /// Prints a report; findings of a file that cannot be used are errors, and JSON is data either way.
  fileprivate static func finish(_ report: FleetReport, _ format: Format) throws {
    if report.exitCode == 0 || format == .json {
      StandardOutput.write(report.text)
    } else {
      StandardOutput.printError(String(report.text.dropLast()))
    }
    if report.exitCode != 0 { throw ExitCode(report.exitCode) }
  }
}
