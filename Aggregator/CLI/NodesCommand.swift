public import ArgumentParser
public import BongsuReports
internal import Foundation

extension NodeState: ExpressibleByArgument {}

struct NodesCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nodes", abstract: "List, show and revoke nodes.",
    discussion: """
      Example:
        bongsu nodes list --state silent
        bongsu nodes revoke r017-n03
      """,
    subcommands: [List.self, Show.self, Revoke.self], defaultSubcommand: List.self)

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Nodes, by name.",
      discussion: """
        Example:
          bongsu nodes list --factory naver-sejong --state missing
          bongsu nodes list --unassigned --format csv
        """)

    @Option(help: "Only nodes in this state.") var state: NodeState?
    @Option(help: "Only nodes of this factory.") var factory: String?
    @Flag(help: "Only nodes that no rack of the fleet file names.") var unassigned = false
    @Option(help: "How many at most, 1 to \(ReportLimits.nodeRowsMax).") var limit = ReportLimits.nodeRowsDefault
    @Option(help: "How to print it.") var format = OutputFormat.table
    @OptionGroup var server: ServerOptions

    func validate() throws {
      guard (1...ReportLimits.nodeRowsMax).contains(limit) else {
        throw ValidationError("--limit is \(limit); give 1 to \(ReportLimits.nodeRowsMax)")
      }
    }

    func run() async throws {
      let (list, text) = try await AggregatorClient.with(server) { client in
        try await client.get(
          "/api/bongsu/v1/nodes",
          [
            ("state", state?.rawValue), ("factory", factory), ("unassigned", unassigned ? "true" : nil),
            ("limit", String(limit)),
          ], as: NodeList.self)
      }
      switch format {
      case .json: StandardOutput.write(text)
      case .csv: StandardOutput.write(NodeText.csv(list.nodes))
      case .table:
        let style = TerminalStyle(
          isTerminal: StandardOutput.isTerminal, environment: ProcessInfo.processInfo.environment)
        StandardOutput.print(NodeText.lines(list, style: style).joined(separator: "\n"))
      }
    }
  }

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Everything known of one node.",
      discussion: """
        Example:
          bongsu nodes show r017-n03
        """)

    @Argument(help: "Name of the node.") var name: String
    @Option(help: "How to print it.") var format = OutputFormat.table
    @OptionGroup var server: ServerOptions

    func run() async throws {
      let path = try NodeText.path(of: name)
      let (node, text) = try await AggregatorClient.with(server) { try await $0.get(path, as: NodeReport.self) }
      NodeText.printOne(node, text, format)
    }
  }

  struct Revoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Cut a node off at once and refuse its key from now on.",
      discussion: """
        The machine can join again with a new join token.

        Example:
          bongsu nodes revoke r017-n03
        """)

    @Argument(help: "Name of the node.") var name: String
    @Option(help: "How to print it.") var format = OutputFormat.table
    @OptionGroup var server: ServerOptions

    func run() async throws {
      let path = try NodeText.path(of: name) + "/revoke"
      let (node, text) = try await AggregatorClient.with(server) {
        try await $0.post(path, [String: String](), as: NodeReport.self)
      }
      NodeText.printOne(node, text, format)
    }
  }
}
