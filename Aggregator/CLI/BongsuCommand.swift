internal import ArgumentParser
internal import BongsuReports

/// The command that people and scripts use: see, ask, administrate.
@main
struct BongsuCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bongsu",
    abstract: "See and run Bongsu, the power and utilization watch of AI factories.",
    discussion: """
      Commands that ask the aggregator find it by --url or BONGSU_URL and prove their right by --token or BONGSU_TOKEN.
      An https address is checked against the system's authorities, or those of --ca-file or BONGSU_CA_FILE.
      Exit status: 0 done, 1 failed, 2 wrong usage.

      Example:
        bongsu status
        bongsu top factories --by power --watch
        bongsu graph 'sum by (factory) (bongsu_gpu_power_watts)' --last 15m
        bongsu fleet check ops/fleets/korea.yaml
      """,
    version: "bongsu \(Release.version)",
    subcommands: [
      StatusCommand.self, TopCommand.self, DoctorCommand.self, QueryCommand.self, GraphCommand.self,
      SeriesCommand.self, LabelsCommand.self, AlertsCommand.self, NodesCommand.self, GapsCommand.self,
      ReportCommand.self, JoinTokenCommand.self, TokenCommand.self, ExportCommand.self,
      FleetCommand.self, RulesCommand.self, BackupCommand.self, RestoreCommand.self,
    ])

  /// Parses, runs, and turns whatever was thrown into output and exit status.
  static func main() async {
    do {
      var command = try parseAsRoot(TimeArguments.joined(Array(CommandLine.arguments.dropFirst())))
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
    } catch {
      finish(error)
    }
  }

  private static func finish(_ error: any Error) -> Never {
    if let failure = error as? CommandFailure {
      StandardOutput.printError("bongsu: \(failure.description)")
      ExitStatus.failed.end()
    }
    let status = exitCode(for: error)
    let message = fullMessage(for: error)
    if status.isSuccess {
      StandardOutput.print(message)
      ExitStatus.done.end()
    }
    // A bare exit status has no message of its own: the command has said what there was to say.
    if !(error is ExitCode) { StandardOutput.printError(message) }
    (status == .validationFailure ? ExitStatus.usage : .failed).end()
  }
}
