/// Shows where in an expression a server found fault.
enum ExpressionPlace {
  /// Columns of the expression that are shown around the place.
  private static let columnsShown = 100

  /// The refusal in the server's words and, when it names a place (`1:5: parse error: …`), the line of the expression
  /// with a caret under it.
  static func text(_ refusal: QueryRefusal, of expression: String) -> String {
    let message = TextTable.withoutControls(refusal.error)
    let said = "\(message) (\(refusal.errorType))"
    guard let place = place(in: refusal.error), let lines = lines(expression, place) else { return said }
    return ([said, ""] + lines).joined(separator: "\n")
  }

  /// The first `LINE:BYTE: parse error` of a message.
  static func place(in message: String) -> (line: Int, byte: Int)? {
    guard let found = message.firstMatch(of: /(\d{1,7}):(\d{1,7}): parse error/), let line = Int(found.1),
      let byte = Int(found.2), line > 0, byte > 0
    else { return nil }
    return (line, byte)
  }

  /// The line of the expression and the line with the caret; `nil` when the expression has no such place.
  static func lines(_ expression: String, _ place: (line: Int, byte: Int)) -> [String]? {
    let all = expression.split(separator: "\n", omittingEmptySubsequences: false)
    guard place.line <= all.count else { return nil }
    let line = all[place.line - 1]
    guard place.byte <= line.utf8.count + 1 else { return nil }
    let before = TextTable.withoutControls(String(decoding: line.utf8.prefix(place.byte - 1), as: UTF8.self))
    let behind = TextTable.withoutControls(String(decoding: line.utf8.dropFirst(place.byte - 1), as: UTF8.self))
    // Of a long line the neighbourhood is enough.
    let shownBefore = suffix(of: before, columns: columnsShown * 2 / 3)
    let shownBehind = DisplayWidth.cut(behind, to: columnsShown - DisplayWidth.columns(shownBefore))
    return [
      "  " + shownBefore + shownBehind, "  " + String(repeating: " ", count: DisplayWidth.columns(shownBefore)) + "^",
    ]
  }

  private static func suffix(of text: String, columns: Int) -> String {
    guard DisplayWidth.columns(text) > columns else { return text }
    var kept: [Character] = []
    var width = 1
    for character in text.reversed() {
      width += DisplayWidth.columns(String(character))
      guard width <= columns else { break }
      kept.append(character)
    }
    return "…" + String(kept.reversed())
  }
}
