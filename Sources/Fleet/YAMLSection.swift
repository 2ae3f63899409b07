import Yams

/// A mapping of the fleet file, read key by key: types are checked, unknown keys are named, and every complaint carries
/// the line of the value it is about. Keys that were asked for count as known; ``finish()`` reports the rest.
struct YAMLSection {
  /// Where the mapping begins.
  let position: FilePosition
  /// What the mapping is, for messages: `hall 'a'`.
  let subject: String
  let findings: FindingCollector

  private var values: [String: Yams.Node] = [:]
  private var positions: [String: FilePosition] = [:]
  private var knownKeys: Set<String> = []

  /// Reads `node` as a mapping, `nil` with a finding when it is something else.
  init?(_ node: Yams.Node, subject: String, findings: FindingCollector) {
    position = node.filePosition
    self.subject = subject
    self.findings = findings
    guard case .mapping(let mapping) = node else {
      findings.error(
        position, "\(subject) is \(node.kindName), expected a mapping", remedy: "write it as 'key: value' lines")
      return nil
    }
    for (key, value) in mapping {
      guard case .scalar(let scalar) = key else {
        findings.error(key.filePosition, "a key of \(subject) is \(key.kindName)", remedy: "use plain words as keys")
        continue
      }
      values[scalar.string] = value
      positions[scalar.string] = key.filePosition
    }
  }

  /// Where the value of `key` stands, or the mapping itself when it has none.
  func position(of key: String) -> FilePosition {
    values[key]?.filePosition ?? position
  }

  /// Whether `key` has a value.
  func has(_ key: String) -> Bool {
    guard let node = values[key] else { return false }
    return !node.isNull
  }

  /// Text of `key`, `nil` when it is missing or wrong.
  mutating func text(_ key: String, isRequired: Bool = false) -> String? {
    guard let scalar = scalar(key, isRequired: isRequired) else { return nil }
    guard scalar.utf8.count <= Limits.patternBytesMax else {
      complain(key, "has \(scalar.utf8.count) bytes, limit \(Limits.patternBytesMax)", remedy: "shorten it")
      return nil
    }
    return scalar
  }

  /// A whole number within `range`.
  mutating func integer(_ key: String, in range: ClosedRange<Int>, isRequired: Bool = false) -> Int? {
    guard let scalar = scalar(key, isRequired: isRequired) else { return nil }
    // Underscores may group digits, as in 50_000.
    let digits = scalar.filter { $0 != "_" }
    guard let value = Int(digits), range.contains(value) else {
      complain(
        key, "is '\(scalar)', expected a whole number from \(range.lowerBound) to \(range.upperBound)",
        remedy: "write the number without unit or quotes")
      return nil
    }
    return value
  }

  /// `true` or `false`.
  mutating func boolean(_ key: String) -> Bool? {
    guard let scalar = scalar(key, isRequired: false) else { return nil }
    switch scalar {
    case "true", "yes": return true
    case "false", "no": return false
    default:
      complain(key, "is '\(scalar)', expected true or false", remedy: "write true or false")
      return nil
    }
  }

  /// A power with its unit, in milliwatts.
  mutating func milliwatts(_ key: String, isRequired: Bool = false) -> Int64? {
    guard let scalar = scalar(key, isRequired: isRequired) else { return nil }
    guard let value = Quantities.milliwatts(scalar) else {
      complain(
        key, "is '\(scalar)', expected a power of at most \(Quantities.text(milliwatts: Limits.milliwattsMax))",
        remedy: "write number and unit, such as '55 MW', '132 kW' or '700 W'")
      return nil
    }
    return value
  }

  /// A share such as `90 %` or `0.9`, in thousandths.
  mutating func permille(_ key: String, in range: ClosedRange<Int>) -> Int? {
    guard let scalar = scalar(key, isRequired: false) else { return nil }
    guard let value = Quantities.permille(scalar), range.contains(value) else {
      complain(
        key,
        "is '\(scalar)', expected a number from \(Self.decimal(range.lowerBound)) to \(Self.decimal(range.upperBound))",
        remedy: "write a share such as '90 %' or '0.9', with at most three decimals")
      return nil
    }
    return value
  }

  /// The elements of the list under `key`; empty when it is missing.
  mutating func list(_ key: String, isRequired: Bool = false) -> [Yams.Node] {
    knownKeys.insert(key)
    guard let node = values[key], !node.isNull else {
      if isRequired { complainMissing(key) }
      return []
    }
    guard case .sequence(let sequence) = node else {
      complain(key, "is \(node.kindName), expected a list", remedy: "write one '- ' line per entry")
      return []
    }
    return Array(sequence)
  }

  /// Texts of a list, or the one text that stands in its place, each with its position.
  mutating func texts(_ key: String, isRequired: Bool = false) -> [(text: String, position: FilePosition)] {
    knownKeys.insert(key)
    guard let node = values[key], !node.isNull else {
      if isRequired { complainMissing(key) }
      return []
    }
    let nodes: [Yams.Node]
    if case .sequence(let sequence) = node { nodes = Array(sequence) } else { nodes = [node] }
    return nodes.compactMap { element in
      guard case .scalar(let scalar) = element, !element.isNull else {
        findings.error(
          element.filePosition, "\(key) of \(subject) holds \(element.kindName), expected text",
          remedy: "write one name or pattern per entry")
        return nil
      }
      return (scalar.string, element.filePosition)
    }
  }

  /// Reports every key that nobody asked for.
  func finish() {
    for key in values.keys.sorted() where !knownKeys.contains(key) {
      let guess = EditDistance.nearest(to: key, in: knownKeys.sorted())
      findings.error(
        positions[key] ?? position, "\(subject) has no key '\(key)'",
        remedy: guess.map { "did you mean '\($0)'?" } ?? "known keys are \(knownKeys.sorted().joined(separator: ", "))")
    }
  }

  /// Reports that the value of `key` is wrong.
  func complain(_ key: String, _ problem: String, remedy: String) {
    findings.error(position(of: key), "\(key) of \(subject) \(problem)", remedy: remedy)
  }

  private func complainMissing(_ key: String) {
    findings.error(position, "\(subject) has no '\(key)'", remedy: "add '\(key): …'")
  }

  private mutating func scalar(_ key: String, isRequired: Bool) -> String? {
    knownKeys.insert(key)
    guard let node = values[key], !node.isNull else {
      if isRequired { complainMissing(key) }
      return nil
    }
    guard case .scalar(let scalar) = node else {
      complain(key, "is \(node.kindName), expected a single value", remedy: "write one value on the line")
      return nil
    }
    return scalar.string
  }

  private static func decimal(_ permille: Int) -> String {
    let fraction = String(permille % 1000 + 1000).dropFirst()
    return "\(permille / 1000).\(fraction)"
  }
}

extension Yams.Node {
  var filePosition: FilePosition {
    mark.map { FilePosition(line: $0.line, column: $0.column) } ?? .wholeFile
  }

  /// An empty value, `~` or `null`.
  var isNull: Bool {
    guard case .scalar(let scalar) = self, scalar.style == .any || scalar.style == .plain else { return false }
    return ["", "~", "null", "Null", "NULL"].contains(scalar.string)
  }

  var kindName: String {
    switch self {
    case .scalar(let scalar): isNull ? "empty" : "the text '\(scalar.string.prefix(60))'"
    case .mapping: "a mapping"
    case .sequence: "a list"
    case .alias: "an alias"
    }
  }
}
