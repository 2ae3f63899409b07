internal import Foundation

/// Tokens of one kind as a table or as CSV.
protocol TokenListText {
  associatedtype Token
  /// Columns of CSV, and what stands in them.
  static var columns: [String] { get }
  static func cells(_ token: Token) -> [String]
  /// The same for people.
  static var heading: [(title: String, alignment: TextTable.Alignment)] { get }
  static func row(_ token: Token) -> [TextTable.Cell]
}

extension TokenListText {
  /// Prints tokens in the wanted form; `text` is the answer as it came.
  static func printAll(_ tokens: [Token], _ text: String, _ format: OutputFormat) {
    switch format {
    case .json: StandardOutput.write(text)
    case .csv: StandardOutput.write(CSVText.line(columns) + tokens.map { CSVText.line(cells($0)) }.joined())
    case .table:
      var table = TextTable(columns: heading)
      for token in tokens { table.add(row(token)) }
      let style = TerminalStyle(
        isTerminal: StandardOutput.isTerminal, environment: ProcessInfo.processInfo.environment)
      StandardOutput.print(table.lines(style: style).joined(separator: "\n"))
    }
  }

  /// Prints tokens that were just made, each with what is shown only now; `advice` goes to people alone.
  static func printMade(
    _ tokens: [(secret: String, token: Token)], _ text: String, _ format: OutputFormat, secretColumn: String,
    advice: String
  ) {
    switch format {
    case .json: StandardOutput.write(text)
    case .csv:
      StandardOutput.write(CSVText.line([secretColumn] + columns))
      for (secret, token) in tokens { StandardOutput.write(CSVText.line([secret] + cells(token))) }
    case .table:
      for (secret, _) in tokens { StandardOutput.print(TextTable.withoutControls(secret)) }
      StandardOutput.printError("keep it safe: it is not shown again; \(advice)")
    }
  }
}
