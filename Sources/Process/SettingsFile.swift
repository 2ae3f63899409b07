/// The file of a daemon's settings, read and not yet judged.
///
///     # a comment, on a line of its own or behind a value
///     node   = r001-n07
///     source = nvml          # `source` may come several times
///     source = host
///     label  = "a # b"       # quotation marks keep blanks and `#`
///
/// Everything that is wrong is reported at once, each with its line. Old names of keys are taken, with a warning.
public struct SettingsFile: Hashable, Sendable {
  /// One value and where it stands.
  public struct Entry: Hashable, Sendable {
    public let value: String
    public let line: Int
  }

  /// Largest file, bytes.
  public static let bytesMax = 1 << 20
  /// Problems named at once; the rest is counted.
  static let problemsMax = 20

  /// Values by key, in the order of the file.
  public private(set) var entries: [String: [Entry]] = [:]
  /// What is understood and should be changed, one line each.
  public private(set) var warnings: [String] = []

  /// Reads `text`, the content of the file `path`.
  public init(parsing text: String, path: String, keys: [SettingKey]) throws(SettingsError) {
    var problems: [String] = []
    for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let content = Self.content(of: line)
      if content.isEmpty { continue }
      if let problem = take(content, line: number + 1, path: path, keys: keys) {
        problems.append("\(path):\(number + 1): \(problem)")
      }
    }
    guard problems.isEmpty else {
      let rest = problems.count - Self.problemsMax
      throw SettingsError(problems.prefix(Self.problemsMax) + (rest > 0 ? ["\(path): \(rest) more problems"] : []))
    }
  }

  /// - Returns: what is wrong with the line, `nil` when nothing is.
  private mutating func take(_ content: Substring, line: Int, path: String, keys: [SettingKey]) -> String? {
    guard let equals = content.firstIndex(of: "=") else { return "expected 'key = value', got '\(content)'" }
    let written = String(Self.trimmed(content[..<equals]))
    let value = Self.unquoted(Self.trimmed(content[content.index(after: equals)...]))
    guard let key = keys.first(where: { $0.name == written || $0.formerNames.contains(written) }) else {
      return "unknown key '\(written)', expected one of \(keys.map(\.name).joined(separator: ", "))"
    }
    guard !value.isEmpty else { return "'\(written)' has no value; comment the line out to take the default" }
    if key.isFlag, value != "true", value != "false" { return "'\(written)' is '\(value)', expected true or false" }
    if let first = entries[key.name]?.first, !key.repeats {
      return "'\(written)' is given twice, first in line \(first.line)"
    }
    if written != key.name {
      warnings.append("\(path):\(line): '\(written)' is called '\(key.name)' now; the old name is still understood")
    }
    entries[key.name, default: []].append(Entry(value: value, line: line))
    return nil
  }

  /// The line without its comment. A `#` within quotation marks, or without a blank before it, begins none.
  private static func content(of line: Substring) -> Substring {
    var isQuoted = false
    var before: Character = " "
    for index in line.indices {
      let character = line[index]
      if character == "\"" { isQuoted.toggle() }
      if character == "#", !isQuoted, before.isWhitespace { return trimmed(line[..<index]) }
      before = character
    }
    return trimmed(line)
  }

  private static func unquoted(_ text: Substring) -> String {
    guard text.count >= 2, text.first == "\"", text.last == "\"" else { return String(text) }
    return String(text.dropFirst().dropLast())
  }

  private static func trimmed(_ text: Substring) -> Substring {
    var slice = text
    while let first = slice.first, first.isWhitespace { slice.removeFirst() }
    while let last = slice.last, last.isWhitespace { slice.removeLast() }
    return slice
  }
}
