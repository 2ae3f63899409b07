/// How a piece of text stands out on a terminal that shows colour. The meaning is always in the text too.
enum Emphasis: Sendable {
  case none
  case heading
  case faint
  case warning
  case alarm
  case selected
}

/// Whether and how text is coloured.
struct TerminalStyle: Sendable {
  let isColoured: Bool

  static let plain = TerminalStyle(isColoured: false)

  /// Colour is for terminals only, and not for people who asked for none (no-color.org) or terminals without it.
  init(isTerminal: Bool, environment: [String: String]) {
    isColoured =
      isTerminal && (environment["NO_COLOR"] ?? "").isEmpty && environment["TERM"] != "dumb"
      && environment["TERM"] != nil
  }

  private init(isColoured: Bool) {
    self.isColoured = isColoured
  }

  /// `text` with the escape sequences of `emphasis` around it.
  func text(_ text: String, _ emphasis: Emphasis) -> String {
    guard isColoured else { return text }
    switch emphasis {
    case .none: return text
    case .heading: return "\u{1B}[1m\(text)\u{1B}[0m"
    case .faint: return "\u{1B}[2m\(text)\u{1B}[0m"
    case .warning: return "\u{1B}[33m\(text)\u{1B}[0m"
    case .alarm: return "\u{1B}[1;31m\(text)\u{1B}[0m"
    case .selected: return "\u{1B}[7m\(text)\u{1B}[0m"
    }
  }
}

/// Rows in aligned columns. Pure: the same cells always give the same text.
struct TextTable {
  /// Which side of its column a cell keeps to.
  enum Alignment {
    case left
    case right
  }

  struct Cell: ExpressibleByStringLiteral {
    let text: String
    let emphasis: Emphasis

    init(_ text: String, _ emphasis: Emphasis = .none) {
      self.text = TextTable.withoutControls(text)
      self.emphasis = emphasis
    }

    init(stringLiteral text: String) {
      self.init(text)
    }
  }

  private let columns: [(title: String, alignment: Alignment)]
  private var rows: [[Cell]] = []

  init(columns: [(title: String, alignment: Alignment)]) {
    self.columns = columns
  }

  /// Adds a row of one cell per column.
  mutating func add(_ cells: [Cell]) {
    precondition(cells.count == columns.count, "\(cells.count) cells for \(columns.count) columns")
    rows.append(cells)
  }

  /// All lines, the headings first, two spaces between columns and none at the end of a line.
  func lines(style: TerminalStyle) -> [String] {
    let headings = columns.map { Cell($0.title, .heading) }
    let widths = columns.indices.map { column in
      ([headings] + rows).reduce(0) { max($0, DisplayWidth.columns($1[column].text)) }
    }
    return ([headings] + rows).map { row in
      var line = ""
      var owed = 0
      for (index, cell) in row.enumerated() {
        let padding = widths[index] - DisplayWidth.columns(cell.text)
        let before = columns[index].alignment == .right ? padding : 0
        if index > 0 { owed += 2 }
        if cell.text.isEmpty {
          owed += widths[index]
          continue
        }
        line += String(repeating: " ", count: owed + before) + style.text(cell.text, cell.emphasis)
        owed = columns[index].alignment == .right ? 0 : padding
      }
      return line
    }
  }

  /// Names come from fleet files and from the network: whatever would move the cursor is shown as a question mark.
  static func withoutControls(_ text: String) -> String {
    func isHarmless(_ scalar: Unicode.Scalar) -> Bool {
      switch scalar.properties.generalCategory {
      case .control, .lineSeparator, .paragraphSeparator, .surrogate: return false
      default: return true
      }
    }
    guard !text.unicodeScalars.allSatisfy(isHarmless) else { return text }
    var out = String.UnicodeScalarView()
    for scalar in text.unicodeScalars { out.append(isHarmless(scalar) ? scalar : "?") }
    return String(out)
  }
}
