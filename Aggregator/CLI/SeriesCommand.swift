internal import ArgumentParser
internal import BongsuQuery
internal import Foundation

struct SeriesCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "series", abstract: "Series that match a selector.",
    discussion: """
      Without a span those of the last five minutes are listed.

      Example:
        bongsu series 'bongsu_gpu_power_watts{factory="naver-sejong"}'
        bongsu series '{node="r017-n03"}' --last 1d --format csv
      """)

  @Argument(help: "Series selectors as in PromQL.") var selectors: [String]
  @OptionGroup var asked: AskedSpan
  @Option(help: "How many at most, 1 to 1000000.") var limit = 1000
  @Option(help: "How to print it.") var format = OutputFormat.table
  @OptionGroup var server: ServerOptions

  func validate() throws {
    guard !selectors.isEmpty else { throw ValidationError("give a selector, such as bongsu_gpu_power_watts") }
    guard (1...1_000_000).contains(limit) else { throw ValidationError("--limit is \(limit); give 1 to 1000000") }
  }

  func run() async throws {
    let (answer, text) = try await AggregatorClient.with(server) { client in
      try await client.listing("series", selectors, asked, limit: limit, of: [String: String].self)
    }
    let sets = answer.data.prefix(limit)
    switch format {
    case .json: StandardOutput.write(text)
    case .csv: StandardOutput.write(QueryText.csv(Array(sets)))
    case .table:
      for set in sets { StandardOutput.print(TextTable.withoutControls(QueryText.selector(set))) }
      Listing.tell(answer, limit: limit, of: "series")
    }
  }
}

struct LabelsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "labels", abstract: "Names of labels, or the values of one.",
    discussion: """
      Without a span those of the last five minutes are listed. Metric names are the values of __name__.

      Example:
        bongsu labels
        bongsu labels allocation --match 'bongsu_gpu_power_watts{factory="naver-sejong"}'
        bongsu labels __name__
      """)

  @Argument(help: "Label whose values to list; all names of labels when left out.") var name: String?
  @Option(help: "Only in series that this selector matches; may be repeated.") var match: [String] = []
  @OptionGroup var asked: AskedSpan
  @Option(help: "How many at most, 1 to 1000000.") var limit = 1000
  @Option(help: "How to print it.") var format = OutputFormat.table
  @OptionGroup var server: ServerOptions

  func validate() throws {
    guard (1...1_000_000).contains(limit) else { throw ValidationError("--limit is \(limit); give 1 to 1000000") }
    if let name, name.wholeMatch(of: /[a-zA-Z_][a-zA-Z0-9_]*/) == nil {
      throw ValidationError("\"\(TextTable.withoutControls(name))\" cannot be the name of a label")
    }
  }

  func run() async throws {
    let path = name.map { "label/\($0)/values" } ?? "labels"
    let (answer, text) = try await AggregatorClient.with(server) { client in
      try await client.listing(path, match, asked, limit: limit, of: String.self)
    }
    let found = answer.data.prefix(limit)
    switch format {
    case .json: StandardOutput.write(text)
    case .csv: StandardOutput.write(([name ?? "label"] + found).map { CSVText.line([$0]) }.joined())
    case .table:
      for text in found { StandardOutput.print(TextTable.withoutControls(text)) }
      Listing.tell(answer, limit: limit, of: name == nil ? "labels" : "values")
    }
  }
}

/// What lists of series, names and values have in common.
enum Listing {
  /// How far back a listing looks that names no span.
  static let defaultMilliseconds: Int64 = 300_000

  /// Tells beside a list, not in it, what it leaves out and what the server remarked.
  static func tell<Element>(_ answer: QueryAnswer<[Element]>, limit: Int, of what: String) {
    if answer.data.count > limit {
      StandardOutput.printError("the first \(limit) \(what), --limit shows more")
    } else if answer.data.isEmpty {
      StandardOutput.printError("no \(what)")
    }
    for line in QueryText.remarks(infos: nil, warnings: answer.warnings, style: .plain) {
      StandardOutput.printError(line)
    }
  }
}

extension AggregatorClient {
  /// Asks for a list of at most `limit` elements, and one more when there are more.
  func listing<Element: Decodable>(
    _ path: String, _ selectors: [String], _ asked: AskedSpan, limit: Int, of type: Element.Type
  ) async throws -> (value: QueryAnswer<[Element]>, text: String) {
    let now = AskedSpan.now
    let span = asked.span(now: now) ?? AskedSpan.Span(start: now - Listing.defaultMilliseconds, end: now)
    let parameters: [(name: String, value: String?)] =
      selectors.map { ("match[]", $0) } + [
        ("start", AskedSpan.parameter(span.start)), ("end", AskedSpan.parameter(span.end)),
        ("limit", String(limit + 1)),
      ]
    do {
      return try await get("/api/v1/\(path)", parameters)
    } catch let refusal as QueryRefusal {
      // The server does not say which selector it means: the first that we cannot read either.
      let meant = selectors.first { (try? Parser.parseSelector($0)) == nil } ?? selectors.first ?? ""
      throw CommandFailure(ExpressionPlace.text(refusal, of: meant))
    }
  }
}
