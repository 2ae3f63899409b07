internal import ArgumentParser
internal import BongsuReports

struct TokenCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "token", abstract: "Make, list and revoke the tokens that let people and programs ask the aggregator.",
    discussion: """
      A viewer reads. An operator also lets machines join, cuts nodes off and has rules read again. An admin also makes \
      and ends tokens. Matchers narrow what a viewer or operator sees; an allocation stands for all below it.

      Example:
        bongsu token create --name samsung-grafana --match 'allocation="samsung"' --expires 90d
        bongsu token list
      """,
    subcommands: [Create.self, List.self, Revoke.self])

  struct Create: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a token; it is printed once and never again.",
      discussion: """
        Matchers name allocation, factory, hall, rack or node, as in PromQL; all given ones must hold. What they leave out \
        is to the bearer as if it did not exist.

        Example:
          bongsu token create --name grafana --role viewer --match 'allocation="samsung"' --expires 90d
          bongsu token create --name duty-officer --role operator --expires 12h
        """)

    @Option(help: "Who or what it is for: letters, digits, dots, underscores, hyphens.") var name: String
    @Option(help: "viewer, operator or admin.") var role = TokenRole.viewer
    @Option(help: "Matcher that narrows what it sees; may be repeated. Everything when left out.") var match: [String] =
      []
    @Option(help: "Until when, such as 12h, 90d; at most ten years. Never when left out.") var expires: String?
    @Option(help: "How to print it.") var format = OutputFormat.table
    @OptionGroup var server: ServerOptions

    /// What is asked of the aggregator.
    func request() throws -> AccessTokenRequest {
      var life: Int64?
      if let expires {
        guard let seconds = DurationText.seconds(expires) else {
          throw ValidationError("--expires is \"\(expires)\"; give a time such as 12h, 90d")
        }
        life = seconds
      }
      let request = AccessTokenRequest(name: name, role: role.value, matchers: match, lifeSeconds: life)
      if let objection = request.objection { throw ValidationError(objection) }
      return request
    }

    func validate() throws { _ = try request() }

    func run() async throws {
      let request = try request()
      let (created, text) = try await AggregatorClient.with(server) {
        try await $0.post("/api/bongsu/v1/tokens", request, as: CreatedAccessToken.self)
      }
      TokenText.printMade(
        [(created.secret, created.token)], text, format, secretColumn: "secret",
        advice: "give it by BONGSU_TOKEN, --token or Authorization: Bearer")
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Tokens, without their secrets.",
      discussion: """
        Example:
          bongsu token list --format csv
        """)

    @Option(help: "How to print it.") var format = OutputFormat.table
    @OptionGroup var server: ServerOptions

    func run() async throws {
      let (list, text) = try await AggregatorClient.with(server) {
        try await $0.get("/api/bongsu/v1/tokens", as: AccessTokenList.self)
      }
      TokenText.printAll(list.tokens, text, format)
    }
  }

  struct Revoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "End a token, at once.",
      discussion: """
        Example:
          bongsu token revoke samsung-grafana
        """)

    @Argument(help: "Name or identifier from the list.") var name: String
    @Option(help: "How to print it.") var format = OutputFormat.table
    @OptionGroup var server: ServerOptions

    func validate() throws {
      if let objection = AccessTokenRequest(name: name, role: .viewer).objection { throw ValidationError(objection) }
    }

    func run() async throws {
      let (token, text) = try await AggregatorClient.with(server) {
        try await $0.post("/api/bongsu/v1/tokens/\(name)/revoke", [String: String](), as: AccessTokenReport.self)
      }
      TokenText.printAll([token], text, format)
    }
  }
}

/// A role as it is typed.
enum TokenRole: String, ExpressibleByArgument, CaseIterable {
  case viewer
  case `operator`
  case admin

  var value: AccessRole {
    switch self {
    case .viewer: .viewer
    case .operator: .operator
    case .admin: .admin
    }
  }
}

enum TokenText: TokenListText {
  static let columns = ["id", "name", "role", "state", "created", "expires", "matchers"]

  static func cells(_ token: AccessTokenReport) -> [String] {
    [
      token.id, token.name, token.role.rawValue, token.state.rawValue,
      TimeText.rfc3339(unixMilliseconds: token.createdUnixMilliseconds),
      token.expiresUnixMilliseconds.map { TimeText.rfc3339(unixMilliseconds: $0) } ?? "",
      token.matchers.joined(separator: " "),
    ]
  }

  static let heading: [(title: String, alignment: TextTable.Alignment)] = [
    ("ID", .left), ("NAME", .left), ("ROLE", .left), ("STATE", .left), ("CREATED", .left), ("EXPIRES", .left),
    ("SEES", .left),
  ]

  static func row(_ token: AccessTokenReport) -> [TextTable.Cell] {
    let cells = cells(token)
    return [
      TextTable.Cell(cells[0]), TextTable.Cell(cells[1]), TextTable.Cell(cells[2]),
      TextTable.Cell(cells[3], token.state == .active ? .none : .faint), TextTable.Cell(cells[4]),
      TextTable.Cell(token.expiresUnixMilliseconds == nil ? "never" : cells[5]),
      TextTable.Cell(token.matchers.isEmpty ? "everything" : cells[6]),
    ]
  }
}
