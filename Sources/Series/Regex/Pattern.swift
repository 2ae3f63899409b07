/// A regular expression in RE2's syntax, matched in time linear in the text.
///
/// The pattern is compiled to a small program that is run by advancing all its threads together (Thompson, Pike), so no
/// pattern can make matching exponential. Literals, alternations of literals and prefixes, which are most of what
/// label matchers say, are answered without running the program.
///
/// Source of the rules: the syntax page of RE2, as implemented by Go's `regexp`. Not supported: names of scripts in
/// `\p{…}` (general categories are).
public struct Pattern: Sendable {
  /// Where a match may begin and end.
  public enum Anchoring: Sendable {
    /// The whole text must match: label matchers and `label_replace`.
    case wholeText
    /// Any part of the text may match: template functions.
    case anywhere
  }

  /// The pattern as written.
  public let source: String
  private let anchoring: Anchoring
  private let program: PatternProgram
  private let shortcut: Shortcut

  /// What can be decided without the program.
  private enum Shortcut: Sendable {
    case none
    case alternatives([String])
    case prefix(String, restMayBeEmpty: Bool)
  }

  /// Compiles a pattern, or says what is wrong with it.
  public init(_ source: String, anchoring: Anchoring = .wholeText) throws(PatternError) {
    guard source.utf8.count <= SeriesLimits.patternBytesMax else {
      throw PatternError(
        reason: "expression too long, \(source.utf8.count) bytes of at most \(SeriesLimits.patternBytesMax)",
        fragment: nil)
    }
    self.source = source
    self.anchoring = anchoring
    var parser = PatternParser(source)
    let node = try parser.parse()
    program = try PatternCompiler.compile(node, groupNames: parser.groupNames)
    shortcut = anchoring == .wholeText ? Self.shortcut(for: node) : .none
  }

  /// The only texts that match, when the pattern is an alternation of literals.
  public var literalAlternatives: [String]? {
    if case .alternatives(let texts) = shortcut { return texts }
    return nil
  }

  /// Whether the text matches.
  public func matches(_ text: String) -> Bool {
    switch shortcut {
    case .alternatives(let texts):
      return texts.contains { ByteOrder.areEqual($0, text) }
    case .prefix(let prefix, let restMayBeEmpty):
      let bytes = text.utf8
      guard bytes.starts(with: prefix.utf8) else { return false }
      let rest = bytes.count - prefix.utf8.count
      if rest == 0 { return restMayBeEmpty }
      return !bytes.dropFirst(prefix.utf8.count).contains(UInt8(ascii: "\n"))
    case .none:
      let scalars = Array(text.unicodeScalars)
      return program.run(scalars, from: 0, isAnchored: anchoring == .wholeText, wantsCaptures: false) != nil
    }
  }

  /// The groups of the first match as ranges into the text's scalars; index 0 is the whole match, absent groups are
  /// `nil`. `nil` when nothing matches.
  func firstMatch(in scalars: [Unicode.Scalar], from start: Int = 0) -> [Range<Int>?]? {
    program.run(scalars, from: start, isAnchored: anchoring == .wholeText, wantsCaptures: true)
  }

  /// Fills a template with the groups of the match, or returns `nil` when the text does not match.
  ///
  /// `$1` and `${1}` stand for a group by number, `$name` and `${name}` by name, `$$` for a dollar sign. A name is as
  /// long as letters, digits and underscores go, so `$1x` names the group `1x`; unknown groups are empty.
  public func expand(_ template: String, matching text: String) -> String? {
    let scalars = Array(text.unicodeScalars)
    guard let groups = firstMatch(in: scalars) else { return nil }
    return expand(template, groups: groups, in: scalars)
  }

  /// Replaces every match by the filled-in template, from left to right, without overlap.
  public func replacingAll(in text: String, with template: String) -> String {
    let scalars = Array(text.unicodeScalars)
    var out = String.UnicodeScalarView()
    var searchStart = 0
    var copied = 0
    var lastMatchEnd = 0
    while searchStart <= scalars.count, let groups = firstMatch(in: scalars, from: searchStart), let whole = groups[0] {
      out.append(contentsOf: scalars[copied..<whole.lowerBound])
      // An empty match right after the previous match is not a match of its own.
      if whole.upperBound > lastMatchEnd || whole.lowerBound == 0 {
        out.append(contentsOf: expand(template, groups: groups, in: scalars).unicodeScalars)
      }
      copied = whole.upperBound
      lastMatchEnd = whole.upperBound
      if whole.isEmpty {
        if whole.upperBound < scalars.count { out.append(scalars[whole.upperBound]) }
        copied = min(whole.upperBound + 1, scalars.count)
        searchStart = whole.upperBound + 1
      } else {
        searchStart = whole.upperBound
      }
    }
    if copied < scalars.count { out.append(contentsOf: scalars[copied...]) }
    return String(out)
  }

  private func expand(_ template: String, groups: [Range<Int>?], in scalars: [Unicode.Scalar]) -> String {
    var out = String.UnicodeScalarView()
    var rest = Array(template.unicodeScalars)[...]
    while let dollar = rest.firstIndex(of: "$") {
      out.append(contentsOf: rest[..<dollar])
      rest = rest[(dollar + 1)...]
      if rest.first == "$" {
        out.append("$")
        rest = rest.dropFirst()
        continue
      }
      guard let (name, after) = Self.groupReference(rest) else {
        out.append("$")
        continue
      }
      rest = after
      let range = groupIndexes(name).lazy.compactMap { $0 < groups.count ? groups[$0] : nil }.first
      if let range { out.append(contentsOf: scalars[range]) }
    }
    out.append(contentsOf: rest)
    return String(out)
  }

  /// The groups a reference may mean: one by number, or all of a name, of which the first that took part counts.
  private func groupIndexes(_ name: String) -> [Int] {
    let isNumber = name.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 } && name.utf8.count < 9
    if isNumber, name == "0" || name.utf8.first != 0x30 { return Int(name).map { [$0] } ?? [] }
    return program.groupNames.indices.filter { program.groupNames[$0] == name }.map { $0 + 1 }
  }

  private static func groupReference(_ text: ArraySlice<Unicode.Scalar>) -> (String, ArraySlice<Unicode.Scalar>)? {
    var rest = text
    let isBraced = rest.first == "{"
    if isBraced { rest = rest.dropFirst() }
    let name = rest.prefix {
      $0 == "_" || $0.properties.isAlphabetic || $0.properties.generalCategory == .decimalNumber
    }
    if name.isEmpty { return nil }
    rest = rest[name.endIndex...]
    if isBraced {
      guard rest.first == "}" else { return nil }
      rest = rest.dropFirst()
    }
    var view = String.UnicodeScalarView()
    view.append(contentsOf: name)
    return (String(view), rest)
  }

  // MARK: shortcuts

  private static func shortcut(for node: PatternNode) -> Shortcut {
    if let texts = literals(node) { return .alternatives(texts) }
    var parts: [PatternNode] = [node]
    if case .sequence(let nodes) = node { parts = nodes }
    guard let last = parts.last, let prefix = literal(.sequence(Array(parts.dropLast()))) else { return .none }
    guard case .repetition(.anyExceptNewline, let minimum, nil, _) = last, minimum <= 1 else { return .none }
    return .prefix(prefix, restMayBeEmpty: minimum == 0)
  }

  private static func literals(_ node: PatternNode) -> [String]? {
    if let one = literal(node) { return [one] }
    switch node {
    case .group(let inner, _): return literals(inner)
    case .alternation(let branches):
      var texts: [String] = []
      for branch in branches {
        guard let text = literal(branch) else { return nil }
        texts.append(text)
      }
      return texts
    default: return nil
    }
  }

  private static func literal(_ node: PatternNode) -> String? {
    switch node {
    case .empty: return ""
    case .scalar(let scalar): return String(scalar)
    case .group(let inner, nil): return literal(inner)
    case .sequence(let nodes):
      var text = ""
      for node in nodes {
        guard let part = literal(node) else { return nil }
        text += part
      }
      return text
    default: return nil
    }
  }
}

/// Why a regular expression was refused.
public struct PatternError: Error, Sendable, Hashable, CustomStringConvertible {
  /// What is wrong, in RE2's words.
  public let reason: String
  /// The part of the expression it is about.
  public let fragment: String?

  public var description: String {
    "error parsing regexp: \(reason)" + (fragment.map { ": `\($0)`" } ?? "")
  }
}
