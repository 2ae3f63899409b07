internal import BongsuQuery
internal import Yams

/// Why a YAML file was refused, and where.
public struct FileFailure: Error, Sendable, Hashable, CustomStringConvertible {
  public let file: String
  /// From 1; zero when the place is not known.
  public let line: Int
  public let column: Int
  public let message: String

  public init(file: String, line: Int = 0, column: Int = 0, message: String) {
    self.file = file
    self.line = line
    self.column = column
    self.message = message
  }

  public var description: String {
    line > 0 ? "\(file):\(line):\(column): \(message)" : "\(file): \(message)"
  }
}

/// A mapping of a YAML file whose keys are all known; anything else in it is refused with its line.
struct YAMLMap {
  let file: String
  let node: Node
  private var entries: [String: Node] = [:]
  private var keys: [String: Node] = [:]

  /// Reads a document. An empty document is an empty mapping.
  static func document(_ text: String, file: String, allowing keys: [String]) throws(FileFailure) -> YAMLMap {
    let node: Node?
    do { node = try Yams.compose(yaml: text) } catch {
      throw FileFailure(file: file, message: "not valid YAML: \(YAMLMap.summary(of: error))")
    }
    return try YAMLMap(node ?? Node.mapping([:]), file: file, allowing: keys)
  }

  init(_ node: Node, file: String, allowing allowed: [String], of what: String = "") throws(FileFailure) {
    self.file = file
    self.node = node
    if node.isNullScalar { return }
    guard case .mapping(let mapping) = node else { throw Self.failure(node, file, "expected a mapping") }
    for (key, value) in mapping {
      let name = key.scalar?.string ?? ""
      guard allowed.contains(name) else {
        let known = allowed.joined(separator: ", ")
        throw Self.failure(
          key, file, "unknown field \"\(name)\"\(what.isEmpty ? "" : " in \(what)"); known are \(known)")
      }
      entries[name] = value
      keys[name] = key
    }
  }

  func contains(_ key: String) -> Bool { entries[key].map { !$0.isNullScalar } ?? false }

  /// The text of a scalar; `nil` when the key is absent or null.
  func text(_ key: String) throws(FileFailure) -> String? {
    guard let value = entries[key], !value.isNullScalar else { return nil }
    guard let scalar = value.scalar else { throw failure(key, "expected \(key) to be text") }
    return scalar.string
  }

  /// A duration in milliseconds.
  func duration(_ key: String) throws(FileFailure) -> Int64? {
    guard let text = try text(key) else { return nil }
    do throws(DurationText.Failure) { return try DurationText.parse(text) } catch {
      throw failure(key, "\(key): \(error)")
    }
  }

  func integer(_ key: String) throws(FileFailure) -> Int? {
    guard let text = try text(key) else { return nil }
    guard let value = Int(text) else { throw failure(key, "expected \(key) to be a whole number, got \"\(text)\"") }
    return value
  }

  /// A number in YAML's notation, which writes infinity as `.inf` and NaN as `.nan`.
  func number(_ key: String) throws(FileFailure) -> Double? {
    guard let text = try text(key) else { return nil }
    if let style = entries[key]?.scalar?.style, style == .singleQuoted || style == .doubleQuoted {
      throw failure(key, "expected \(key) to be a number, got text in quotes")
    }
    switch text {
    case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF": return .infinity
    case "-.inf", "-.Inf", "-.INF": return -.infinity
    case ".nan", ".NaN", ".NAN": return .nan
    default: break
    }
    let plain = text.filter { $0 != "_" }
    let isNumeral = plain.utf8.contains { (0x30...0x39).contains($0) }
    guard isNumeral, let value = YAMLMap.literal(plain) else {
      throw failure(key, "expected \(key) to be a number, got \"\(text)\"")
    }
    return value
  }

  private static func literal(_ text: String) -> Double? {
    let isNegative = text.hasPrefix("-")
    let digits = isNegative || text.hasPrefix("+") ? String(text.dropFirst()) : text
    for (prefix, radix) in [("0x", 16), ("0b", 2), ("0o", 8)] where digits.hasPrefix(prefix) {
      return Int64(digits.dropFirst(2), radix: radix).map { Double(isNegative ? -$0 : $0) }
    }
    if digits.hasPrefix("0"), digits.utf8.count > 1, let octal = Int64(digits, radix: 8) {
      return Double(isNegative ? -octal : octal)
    }
    return FloatText.parse(text)
  }

  /// `true` or `false`.
  func boolean(_ key: String) throws(FileFailure) -> Bool? {
    guard let text = try text(key) else { return nil }
    switch text {
    case "true", "True", "TRUE": return true
    case "false", "False", "FALSE": return false
    default: throw failure(key, "expected \(key) to be true or false, got \"\(text)\"")
    }
  }

  /// A mapping below a key; `nil` when the key is absent or null.
  func map(_ key: String, allowing keys: [String]) throws(FileFailure) -> YAMLMap? {
    guard let value = entries[key], !value.isNullScalar else { return nil }
    return try YAMLMap(value, file: file, allowing: keys, of: key)
  }

  /// The elements of a sequence; empty when the key is absent or null.
  func list(_ key: String) throws(FileFailure) -> [Node] {
    guard let value = entries[key], !value.isNullScalar else { return [] }
    guard case .sequence(let sequence) = value else { throw failure(key, "expected \(key) to be a list") }
    return Array(sequence)
  }

  func texts(_ key: String) throws(FileFailure) -> [String] {
    var texts: [String] = []
    for node in try list(key) {
      guard let scalar = node.scalar else { throw Self.failure(node, file, "expected text") }
      texts.append(scalar.string)
    }
    return texts
  }

  /// A mapping from text to text, in order of the file.
  func pairs(_ key: String) throws(FileFailure) -> [(name: String, value: String)] {
    guard let value = entries[key], !value.isNullScalar else { return [] }
    guard case .mapping(let mapping) = value else { throw failure(key, "expected \(key) to be a mapping") }
    var pairs: [(name: String, value: String)] = []
    for (name, value) in mapping {
      guard let nameText = name.scalar?.string else { throw Self.failure(name, file, "expected text") }
      if value.isNullScalar {
        pairs.append((nameText, ""))
        continue
      }
      guard let valueText = value.scalar?.string else { throw Self.failure(value, file, "expected text") }
      pairs.append((nameText, valueText))
    }
    return pairs
  }

  /// A failure at the value of a key, or at the mapping itself.
  func failure(_ key: String?, _ message: String) -> FileFailure {
    let place = key.flatMap { entries[$0] ?? keys[$0] } ?? node
    return Self.failure(place, file, message)
  }

  static func failure(_ node: Node, _ file: String, _ message: String) -> FileFailure {
    FileFailure(file: file, line: node.mark?.line ?? 0, column: node.mark?.column ?? 0, message: message)
  }

  private static func summary(of error: any Error) -> String {
    String(describing: error).split(separator: "\n").joined(separator: " ")
  }
}

extension Node {
  /// Whether the node is an unquoted null: nothing, `~` or `null`.
  fileprivate var isNullScalar: Bool {
    guard let scalar, scalar.style == .plain || scalar.style == .any else { return false }
    return ["", "~", "null", "Null", "NULL"].contains(scalar.string)
  }
}
