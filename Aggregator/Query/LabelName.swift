/// What may be the name of a label.
public enum LabelName {
  /// Letters, digits and underscores, not starting with a digit.
  public static func isValid(_ name: String) -> Bool {
    guard let first = name.utf8.first, Lexer.isAlpha(first) else { return false }
    return name.utf8.allSatisfy(Lexer.isWord)
  }

  /// Names of metrics may contain colons as well.
  public static func isValidMetricName(_ name: String) -> Bool {
    let colon = UInt8(ascii: ":")
    guard let first = name.utf8.first, Lexer.isAlpha(first) || first == colon else { return false }
    return name.utf8.allSatisfy { Lexer.isWord($0) || $0 == colon }
  }
}
