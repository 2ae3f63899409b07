import BongsuModel
import Yams

/// What several entries of a fleet file have in common.
extension FleetParser {
  static let identifierRule =
    "use 1 to \(Limits.identifierBytesMax) letters, digits, '.', '_' and '-', starting with a letter or digit"

  /// `hall 'a'` when the entry names itself, else `a hall`.
  static func subject(_ kind: String, _ node: Yams.Node, key: String = "id") -> String {
    guard case .mapping(let mapping) = node, let id = mapping[key]?.scalar?.string, !id.isEmpty else {
      return "\("aeiou".contains(kind.first!) ? "an" : "a") \(kind)"
    }
    return "\(kind) '\(id.prefix(60))'"
  }

  func identifier(_ key: String, of section: inout YAMLSection) -> String? {
    guard let text = section.text(key, isRequired: true) else { return nil }
    guard NodeID(text) != nil, text != FleetTree.unassignedID else {
      section.complain(
        key, "is '\(text)', which cannot be a label", remedy: "\(Self.identifierRule); 'unassigned' is taken")
      return nil
    }
    return text
  }

  func displayName(of section: inout YAMLSection) -> String? {
    guard let text = section.text("name") else { return nil }
    guard text.utf8.count <= Limits.displayNameBytesMax else {
      section.complain(
        "name", "has \(text.utf8.count) bytes, limit \(Limits.displayNameBytesMax)", remedy: "shorten it")
      return nil
    }
    return text
  }

  func pattern(_ key: String, of section: inout YAMLSection) -> NamePattern? {
    guard let text = section.text(key, isRequired: true) else { return nil }
    do {
      return try NamePattern(text)
    } catch {
      section.complain(key, "is '\(text)': \(error)", remedy: error.remedy)
      return nil
    }
  }

  func nodeDefaults(
    of section: inout YAMLSection, inheriting inherited: FleetDocument.NodeDefaults
  ) -> FleetDocument.NodeDefaults {
    var defaults = inherited
    if let model = section.text("model") { defaults.model = (model, section.position(of: "model")) }
    if let gpus = section.integer("gpus_per_node", in: 1...Limits.gpusPerNodeMax) { defaults.gpusPerNode = gpus }
    return defaults
  }

  func powerLimit(
    _ key: String, of section: inout YAMLSection, warnPermille: Int, criticalPermille: Int
  ) -> PowerLimit? {
    let milliwatts = section.milliwatts(key)
    let warn = section.permille("warn_at", in: 1...2000) ?? warnPermille
    let critical = section.permille("critical_at", in: 1...2000) ?? criticalPermille
    if warn > critical {
      section.complain("warn_at", "is above critical_at", remedy: "warn first: warn_at ≤ critical_at")
    }
    if milliwatts == nil && !section.has(key) && (section.has("warn_at") || section.has("critical_at")) {
      section.complain(
        section.has("warn_at") ? "warn_at" : "critical_at", "has no \(key) to be a share of", remedy: "add '\(key): …'")
    }
    return milliwatts.map { PowerLimit(milliwatts: $0, warnPermille: warn, criticalPermille: critical) }
  }

  func instant(_ key: String, of section: inout YAMLSection, isRequired: Bool = false) -> Tick? {
    guard let text = section.text(key, isRequired: isRequired) else { return nil }
    guard let tick = timeZone.tick(parsing: text) else {
      section.complain(
        key, "is '\(text)', not a date of the calendar",
        remedy: "write '2026-04-01' (local midnight), '2026-04-01T09:30' or '2026-04-01T00:30Z'")
      return nil
    }
    return tick
  }

  /// `from` (default: for ever before) to `until` (default: for ever after); `nil` with a finding when reversed or wrong.
  func span(of section: inout YAMLSection, isRequired: Bool = false) -> (from: Tick, until: Tick)? {
    let from = instant("from", of: &section, isRequired: isRequired)
    let until = instant("until", of: &section, isRequired: isRequired)
    guard from != nil || !(isRequired || section.has("from")), until != nil || !(isRequired || section.has("until"))
    else { return nil }
    let span = (from: from ?? .distantPast, until: until ?? .distantFuture)
    guard span.from < span.until else {
      section.complain("until", "is not after 'from'", remedy: "'until' is the first instant that is no longer inside")
      return nil
    }
    return span
  }

  func integers(_ key: String, in range: ClosedRange<Int>, of section: inout YAMLSection) -> [Int] {
    section.texts(key).compactMap { text, position in
      guard let value = Int(text), range.contains(value) else {
        findings.error(
          position, "\(key) of \(section.subject) holds '\(text)', expected \(range.lowerBound) to \(range.upperBound)",
          remedy: "write month numbers, such as '[12, 1, 2]'")
        return nil
      }
      return value
    }.sorted()
  }
}

extension Tick {
  /// Before and after everything a fleet file can name.
  static let distantPast = BongsuModel.Limits.tickRange.lowerBound
  static let distantFuture = BongsuModel.Limits.tickRange.upperBound
}

extension Yams.Node {
  /// Whether the tree stays within `depth` levels and the values that are left. Aliases count each time they are used,
  /// so that a few lines cannot stand for more than a file could hold.
  func fits(depth: Int, values: inout Int) -> Bool {
    values -= 1
    guard values >= 0 else { return false }
    switch self {
    case .scalar, .alias: return true
    case .sequence(let sequence):
      guard depth > 0 else { return false }
      for element in sequence where !element.fits(depth: depth - 1, values: &values) { return false }
    case .mapping(let mapping):
      guard depth > 0 else { return false }
      for (_, value) in mapping where !value.fits(depth: depth - 1, values: &values) { return false }
    }
    return true
  }
}

extension YamlError {
  /// Where libYAML stopped, and why.
  var placeAndProblem: (FilePosition, String) {
    switch self {
    case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
      .composer(let context, let problem, let mark, _):
      let prefix = context.map { $0.text + " " } ?? ""
      return (FilePosition(line: mark.line, column: mark.column), prefix + problem)
    case .duplicatedKeysInMapping(let duplicates, let context):
      return (
        FilePosition(line: context.mark.line, column: context.mark.column),
        "key '\(duplicates.joined(separator: "', '"))' appears twice in one mapping"
      )
    case .reader(let problem, let offset, _, let yaml):
      let before = yaml.utf8.prefix(offset ?? 0)
      let line = before.count { $0 == 0x0A } + 1
      return (FilePosition(line: line, column: 1), problem)
    default:
      return (.wholeFile, "\(self)")
    }
  }
}
