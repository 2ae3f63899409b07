internal import ArgumentParser
internal import BongsuFleet
internal import BongsuModel
internal import BongsuReports
internal import Foundation

struct FleetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fleet", abstract: "Check and show fleet files; needs no aggregator.",
    discussion: """
      Example:
        bongsu fleet check ops/fleets/korea.yaml
      """,
    subcommands: [Check.self, Show.self])

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
