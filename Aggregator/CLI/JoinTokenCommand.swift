internal import ArgumentParser
internal import BongsuReports

struct JoinTokenCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "join-token", abstract: "Make, list and revoke the tokens that let machines join.",
    discussion: """
      Example:
        bongsu join-token create --expires 24h --nodes 'r[001-120]-n[01-04]' --uses 480
        bongsu join-token list
      """,
    subcommands: [Create.self, List.self, Revoke.self])

  struct Create: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make join tokens; each is printed once and never again.",
      discussion: """
        Prints one join string per line, for `bongsu-agent join STRING`.

        Example:
          bongsu join-token create --expires 2h
          bongsu join-token create --count 3 --uses 8 --nodes 'r017-n[01-08]' --comment 'row 17'
        """)

    @Option(help: "How many tokens.") var count = 1
    @Option(help: "How many machines each token may enrol.") var uses = 1
    @Option(help: "Until when, such as 90s, 15m, 24h, 7d; at most 30d.") var expires = "24h"
    @Option(help: "Pattern of nodes that may join by it; may be repeated. Any node when left out.") var nodes:
      [String] = []
    @Option(help: "A note for the list.") var comment: String?
    @Option(help: "How to print it.") var format = OutputFormat.table
    @OptionGroup var server: ServerOptions

    /// What is asked of the aggregator.
    func request() throws -> JoinTokenRequest {
      guard let life = DurationText.seconds(expires) else {
        throw ValidationError("--expires is \"\(expires)\"; give a time such as 90s, 15m, 24h or 7d")
      }
      let request = JoinTokenRequest(
        count: count, uses: uses, lifeSeconds: life, nodePatterns: nodes, comment: comment)
      if let objection = request.objection { throw ValidationError(objection) }
      return request
    }

    func validate() throws { _ = try request() }

    func run() async throws {
      let request = try request()
      let (created, text) = try await AggregatorClient.with(server) {
        try await $0.post("/api/bongsu/v1/join-tokens", request, as: CreatedJoinTokens.self)
      }
      JoinTokenText.printMade(
        created.tokens.map { ($0.joinString, $0.token) }, text, format, secretColumn: "join_string",
        advice: "give it to `bongsu-agent join` on the machine")
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Join tokens, without their secrets.",
      discussion: """
        Example:
          bongsu join-token list --format csv
        """)

    @Option(help: "How to print it.") var format = OutputFormat.table
    @OptionGroup var server: ServerOptions

    func run() async throws {
      let (list, text) = try await AggregatorClient.with(server) {
        try await $0.get("/api/bongsu/v1/join-tokens", as: JoinTokenList.self)
      }
      JoinTokenText.printAll(list.tokens, text, format)
    }
  }

  struct Revoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Close a join token; machines that joined by it stay.",
      discussion: """
        Example:
          bongsu join-token revoke jt-7f3a
        """)

    @Argument(help: "Identifier from the list.") var id: String
    @Option(help: "How to print it.") var format = OutputFormat.table
    @OptionGroup var server: ServerOptions

    func validate() throws {
      let isPlain = id.utf8.allSatisfy { byte in
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x2D
          || byte == 0x5F
      }
      guard isPlain, (1...ReportLimits.textBytesMax).contains(id.utf8.count) else {
        throw ValidationError("\"\(TextTable.withoutControls(id))\" cannot be the identifier of a join token")
      }
    }

    func run() async throws {
      let (token, text) = try await AggregatorClient.with(server) {
        try await $0.post("/api/bongsu/v1/join-tokens/\(id)/revoke", [String: String](), as: JoinTokenReport.self)
      }
      JoinTokenText.printAll([token], text, format)
    }
  }
}

enum JoinTokenText: TokenListText {
  static let columns = ["id", "state", "created", "expires", "uses_left", "uses_total", "nodes", "comment"]

  static func cells(_ token: JoinTokenReport) -> [String] {
    [
      token.id, token.state.rawValue, TimeText.rfc3339(unixMilliseconds: token.createdUnixMilliseconds),
      TimeText.rfc3339(unixMilliseconds: token.expiresUnixMilliseconds), String(token.usesLeft),
      String(token.usesTotal), token.nodePatterns.joined(separator: " "), token.comment ?? "",
    ]
  }

  static let heading: [(title: String, alignment: TextTable.Alignment)] = [
    ("ID", .left), ("STATE", .left), ("CREATED", .left), ("EXPIRES", .left), ("USES LEFT", .right), ("NODES", .left),
    ("COMMENT", .left),
  ]

  static func row(_ token: JoinTokenReport) -> [TextTable.Cell] {
    let cells = cells(token)
    return [
      TextTable.Cell(cells[0]), TextTable.Cell(cells[1], token.state == .open ? .none : .faint),
      TextTable.Cell(cells[2]), TextTable.Cell(cells[3]), TextTable.Cell("\(token.usesLeft)/\(token.usesTotal)"),
      TextTable.Cell(token.nodePatterns.isEmpty ? "any" : cells[6]), TextTable.Cell(cells[7]),
    ]
  }
}
