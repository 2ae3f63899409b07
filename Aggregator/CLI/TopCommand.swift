public import ArgumentParser
public import BongsuReports
internal import Foundation

extension TopLevel: ExpressibleByArgument {}
extension TopOrder: ExpressibleByArgument {}

struct TopCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "top", abstract: "Power, utilization and coverage now, largest first.",
    discussion: """
      POWER is measured; ESTIMATED comes on top, for GPUs that should report and do not. COVERAGE is the share of the GPUs \
      in service that reported. Filters cut the figures too: factories filtered by an allocation show its share only.

      Example:
        bongsu top factories
        bongsu top allocations --by utilization
        bongsu top racks --factory naver-sejong --allocation msit --limit 20
        bongsu top nodes --by idle --search r01 --format csv
        bongsu top nation --watch
      """)

  @Argument(help: "What the rows stand for.") var level = TopLevel.factories

  @Option(help: "What to sort by.") var by = TopOrder.power

  @Option(help: "How many rows at most, 1 to \(ReportLimits.topRowsMax).") var limit = ReportLimits.topRowsDefault

  @Option(help: "Only this factory.") var factory: String?
  @Option(help: "Only this hall.") var hall: String?
  @Option(help: "Only this rack.") var rack: String?
  @Option(help: "Only this allocation and what lies below it.") var allocation: String?
  @Option(help: "Only this node; for nodes and gpus.") var node: String?

  @Option(help: "Only rows whose identifier or name contains this.") var search: String?

  @Flag(help: "Live: a full screen on a terminal (? shows its keys), anywhere else a new table every second.")
  var watch = false

  @Option(help: "With --watch: stop after this many drawings.") var count: Int?

  @Option(help: "How to print it.") var format = OutputFormat.table

  @OptionGroup var server: ServerOptions

  func validate() throws {
    guard (1...ReportLimits.topRowsMax).contains(limit) else {
      throw ValidationError("--limit is \(limit); give 1 to \(ReportLimits.topRowsMax)")
    }
    if let count, count < 1 || !watch { throw ValidationError("--count is for --watch and at least 1") }
    if node != nil, level != .nodes, level != .gpus {
      throw ValidationError("--node narrows nodes and gpus, not \(level.rawValue)")
    }
  }

  func run() async throws {
    try await AggregatorClient.with(server) { client in
      guard watch else {
        let (report, text) = try await ask(client)
        return StandardOutput.write(rendered(report, text, isFirst: true, style: Self.style()))
      }
      if format == .table, LiveTerminal.isUsable { return try await live(client) }
      try await LiveScreen.run(drawings: count) { isFirst in
        let (report, text) = try await ask(client)
        return rendered(report, text, isFirst: isFirst, style: Self.style())
      }
    }
  }

  private func ask(_ client: AggregatorClient) async throws -> (value: TopReport, text: String) {
    try await client.get(
      "/api/bongsu/v1/top/\(level.rawValue)",
      [
        ("by", by.rawValue), ("limit", String(limit)), ("factory", factory), ("hall", hall), ("rack", rack),
        ("allocation", allocation), ("node", node), ("search", search),
      ])
  }

  private func live(_ client: AggregatorClient) async throws {
    let size = StandardOutput.terminalSize ?? (columns: 80, rows: 24)
    let filter = TopFilter(factory: factory, hall: hall, rack: rack, allocation: allocation, node: node)
    try await LiveTopRun(client: client, style: Self.style(), answers: count).run(
      LiveTop(
        level: level, order: by, filter: filter, search: search ?? "", columns: size.columns, lines: size.rows))
  }

  private func rendered(_ report: TopReport, _ text: String, isFirst: Bool, style: TerminalStyle) -> String {
    switch format {
    case .json: text
    case .csv: TopTable.csv(report, withHeader: isFirst)
    case .table: TopTable.lines(report, style: style).joined(separator: "\n") + "\n"
    }
  }

  private static func style() -> TerminalStyle {
    TerminalStyle(isTerminal: StandardOutput.isTerminal, environment: ProcessInfo.processInfo.environment)
  }
}
