internal import ArgumentParser
internal import BongsuAlerts

struct RulesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rules", abstract: "Check and unit-test rule files; needs no aggregator.",
    discussion: """
      Takes the files that promtool takes.

      Example:
        bongsu rules check ops/rules/power.yaml
      """,
    subcommands: [Check.self, Test.self])

  struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Name every mistake of rule files by place.",
      discussion: """
        Example:
          bongsu rules check ops/rules/power.yaml
        """)

    @Argument(help: "Rule files.") var files: [String]

    func run() throws {
      try RulesCommand.finish(
        RuleCheckCommand(paths: files).run(print: StandardOutput.print, printError: StandardOutput.printError))
    }
  }

  struct Test: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Run unit tests of rules, in promtool's format.",
      discussion: """
        Example:
          bongsu rules test ops/rules/power.test.yaml
        """)

    @Argument(help: "Test files.") var files: [String]

    func run() throws {
      try RulesCommand.finish(
        RuleTestCommand(paths: files).run(print: StandardOutput.print, printError: StandardOutput.printError))
    }
  }

  fileprivate static func finish(_ outcome: CommandOutcome) throws {
    if outcome != .succeeded { throw ExitCode(outcome.rawValue) }
  }
}
