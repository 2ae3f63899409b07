/// Parses RE2 syntax into a tree.
struct PatternParser {
  private struct Flags {
    var ignoresCase = false
    var isMultiline = false
    var dotMatchesNewline = false
    var isUngreedy = false
  }

  private let text: [Unicode.Scalar]
  private var position = 0
  private var flags = Flags()
  private var depth = 0
  /// Names of the capturing groups in order; empty for a group without a name.
  private(set) var groupNames: [String] = []

  init(_ source: String) { text = Array(source.unicodeScalars) }

  mutating func parse() throws(PatternError) -> PatternNode {
    let node = try parseAlternation()
    if position < text.count { throw failure("unexpected )", nil) }
    return node
  }

  // MARK: structure

  private mutating func parseAlternation() throws(PatternError) -> PatternNode {
    depth += 1
    defer { depth -= 1 }
    guard depth <= SeriesLimits.patternNestingMax else {
      throw PatternError(reason: "expression nests too deeply", fragment: nil)
    }
    var branches = [try parseSequence()]
    while peek == "|" {
      position += 1
      branches.append(try parseSequence())
    }
    return branches.count == 1 ? branches[0] : .alternation(branches)
  }

  private mutating func parseSequence() throws(PatternError) -> PatternNode {
    var nodes: [PatternNode] = []
    while let next = peek, next != "|", next != ")" {
      let start = position
      switch next {
      case "*", "+", "?":
        throw PatternError(reason: "missing argument to repetition operator", fragment: String(next))
      case "{":
        if let range = countedRepetition() {
          _ = range
          throw failure("missing argument to repetition operator", start)
        }
        position = start + 1
        nodes.append(.scalar("{"))
      case "\\" where peek(1) == "Q":
        position += 2
        while position < text.count, !(peek == "\\" && peek(1) == "E") {
          nodes.append(literal(text[position]))
          position += 1
        }
        position = min(text.count, position + 2)
      case "(":
        if let node = try parseGroup() { nodes.append(node) } else { continue }
      default: nodes.append(try parseAtom())
      }
      try parseRepetitions(of: &nodes)
    }
    if nodes.isEmpty { return .empty }
    return nodes.count == 1 ? nodes[0] : .sequence(nodes)
  }

  private mutating func parseRepetitions(of nodes: inout [PatternNode]) throws(PatternError) {
    var operatorStart: Int?
    while let next = peek, !nodes.isEmpty {
      let start = position
      var minimum = 0
      var maximum: Int?
      switch next {
      case "*": position += 1
      case "+":
        position += 1
        minimum = 1
      case "?":
        position += 1
        maximum = 1
      case "{":
        guard let counts = countedRepetition() else {
          position = start
          return
        }
        (minimum, maximum) = counts
        let isOrdered = maximum.map { minimum <= $0 } ?? true
        guard minimum <= SeriesLimits.patternRepeatMax, (maximum ?? 0) <= SeriesLimits.patternRepeatMax, isOrdered
        else {
          throw failure("invalid repeat count", start)
        }
      default: return
      }
      var isGreedy = !flags.isUngreedy
      if peek == "?" {
        position += 1
        isGreedy.toggle()
      }
      if let operatorStart { throw failure("invalid nested repetition operator", operatorStart) }
      operatorStart = start
      let node = PatternNode.repetition(nodes.removeLast(), minimum: minimum, maximum: maximum, isGreedy: isGreedy)
      guard next != "{" || node.repeatsAtMost(SeriesLimits.patternRepeatMax) else {
        throw failure("invalid repeat count", start)
      }
      nodes.append(node)
    }
  }

  /// Reads `{n}`, `{n,}` or `{n,m}`; anything else is no repetition but text.
  private mutating func countedRepetition() -> (Int, Int?)? {
    position += 1
    guard let minimum = number() else { return nil }
    var maximum: Int? = minimum
    if peek == "," {
      position += 1
      maximum = peek == "}" ? nil : number()
      if maximum == nil, peek != "}" { return nil }
    }
    guard peek == "}" else { return nil }
    position += 1
    return (minimum, maximum)
  }

  private mutating func number() -> Int? {
    let start = position
    var value = 0
    while let digit = peek, digit.value >= 0x30, digit.value <= 0x39 {
      value = min(value * 10 + Int(digit.value - 0x30), 1_000_000)
      position += 1
    }
    let hasLeadingZero = position - start > 1 && text[start] == "0"
    return position == start || hasLeadingZero ? nil : value
  }

  /// Parses a group, or returns `nil` for flags that change what follows, such as `(?i)`.
  private mutating func parseGroup() throws(PatternError) -> PatternNode? {
    let start = position
    position += 1
    let outer = flags
    var number: Int?
    if peek == "?" {
      if peek(1) == "P" || peek(1) == "<" {
        number = try namedGroup(from: start)
      } else {
        position += 1
        if try parseFlags(from: start) { return nil }
      }
    } else {
      groupNames.append("")
      number = groupNames.count
    }
    let inner = try parseAlternation()
    guard peek == ")" else { throw failure("missing closing )", 0) }
    position += 1
    flags = outer
    return .group(inner, number)
  }

  private mutating func namedGroup(from start: Int) throws(PatternError) -> Int {
    guard peek(1) == "P", peek(2) == "<" else { throw failure("invalid or unsupported Perl syntax", start, start + 3) }
    position += 3
    var name = ""
    while let next = peek, next != ">" {
      name.unicodeScalars.append(next)
      position += 1
    }
    let isWord = name.unicodeScalars.allSatisfy {
      $0 == "_" || ($0.isASCII && ($0.properties.isAlphabetic || $0.properties.numericType != nil))
    }
    guard peek == ">", !name.isEmpty, isWord else { throw failure("invalid named capture", start, position + 1) }
    position += 1
    groupNames.append(name)
    return groupNames.count
  }

  /// Parses flags after `(?`. True when they stand alone, false when a group follows after `:`.
  private mutating func parseFlags(from start: Int) throws(PatternError) -> Bool {
    var isOn = true
    var sawFlag = false
    var next = flags
    while let flag = peek {
      position += 1
      switch flag {
      case "i": next.ignoresCase = isOn
      case "m": next.isMultiline = isOn
      case "s": next.dotMatchesNewline = isOn
      case "U": next.isUngreedy = isOn
      case "-" where isOn:
        isOn = false
        sawFlag = false
        continue
      case ":", ")":
        if !isOn, !sawFlag { throw failure("invalid or unsupported Perl syntax", start, position) }
        if flag == ")", !sawFlag { throw failure("missing argument to repetition operator", start + 1, start + 2) }
        flags = next
        return flag == ")"
      default: throw failure("invalid or unsupported Perl syntax", start, position)
      }
      sawFlag = true
    }
    throw failure("missing closing )", 0)
  }

  // MARK: atoms

  private mutating func parseAtom() throws(PatternError) -> PatternNode {
    let next = text[position]
    switch next {
    case "^":
      position += 1
      return .assertion(flags.isMultiline ? .lineStart : .textStart)
    case "$":
      position += 1
      return .assertion(flags.isMultiline ? .lineEnd : .textEnd)
    case ".":
      position += 1
      return flags.dotMatchesNewline ? .any : .anyExceptNewline
    case "[": return try parseSet()
    case "\\": return try parseEscape()
    default:
      position += 1
      return literal(next)
    }
  }

  private func literal(_ scalar: Unicode.Scalar) -> PatternNode {
    guard flags.ignoresCase else { return .scalar(scalar) }
    var set = CharacterSet()
    set.insert(scalar.value...scalar.value, ignoringCase: true)
    set.normalize()
    return set.ranges.count == 1 && set.ranges[0].count == 1 ? .scalar(scalar) : .set(set)
  }

  private mutating func parseEscape() throws(PatternError) -> PatternNode {
    let start = position
    guard let next = peek(1) else {
      throw PatternError(reason: "trailing backslash at end of expression", fragment: "")
    }
    switch next {
    case "A":
      position += 2
      return .assertion(.textStart)
    case "z":
      position += 2
      return .assertion(.textEnd)
    case "b":
      position += 2
      return .assertion(.wordBoundary)
    case "B":
      position += 2
      return .assertion(.notWordBoundary)
    default: break
    }
    var set = CharacterSet()
    if try parseClassEscape(into: &set) {
      set.normalize()
      return .set(set)
    }
    position = start
    return literal(try parseCharacterEscape())
  }

  /// Reads `\d`, `\pL` and their kind into a set; false when the escape is of another kind.
  private mutating func parseClassEscape(into set: inout CharacterSet) throws(PatternError) -> Bool {
    guard peek == "\\", let next = peek(1) else { return false }
    let start = position
    if let (members, isNegated) = Self.perlClass(next) {
      position += 2
      set.insert(members, isNegated: isNegated, ignoringCase: flags.ignoresCase)
      return true
    }
    guard next == "p" || next == "P" else { return false }
    position += 2
    var name = ""
    if peek == "{" {
      position += 1
      while let part = peek, part != "}" {
        name.unicodeScalars.append(part)
        position += 1
      }
      guard peek == "}" else { throw failure("invalid character class range", start) }
      position += 1
    } else if let single = peek {
      name = String(single)
      position += 1
    }
    var isNegated = next == "P"
    if name.hasPrefix("^") {
      name.removeFirst()
      isNegated.toggle()
    }
    if name == "Any" {
      if !isNegated { set.insert(0...0x10_FFFF) }
      return true
    }
    guard UnicodeCategory.names.contains(name) else { throw failure("invalid character class range", start, position) }
    set.insert(CharacterSet.Category(name: name, isNegated: isNegated, ignoresCase: flags.ignoresCase))
    return true
  }

  private mutating func parseCharacterEscape() throws(PatternError) -> Unicode.Scalar {
    let start = position
    guard let next = peek(1) else {
      throw PatternError(reason: "trailing backslash at end of expression", fragment: "")
    }
    position += 2
    switch next {
    case "a": return "\u{07}"
    case "f": return "\u{0C}"
    case "n": return "\n"
    case "r": return "\r"
    case "t": return "\t"
    case "v": return "\u{0B}"
    case "x": return try hexEscape(from: start)
    case "0"..."7":
      // A single digit other than zero would be a back reference, which a linear-time matcher cannot have.
      let isOctal = peek.map { $0.value >= 0x30 && $0.value <= 0x37 } ?? false
      if next != "0", !isOctal { throw failure("invalid escape sequence", start, position) }
      var value = next.value - 0x30
      for _ in 0..<2 {
        guard let digit = peek, digit.value >= 0x30, digit.value <= 0x37 else { break }
        value = value * 8 + digit.value - 0x30
        position += 1
      }
      return Unicode.Scalar(value) ?? "\u{FFFD}"
    default:
      let isWord = next.properties.isAlphabetic || next.properties.numericType != nil
      guard next.isASCII, !isWord else { throw failure("invalid escape sequence", start, position) }
      return next
    }
  }

  private mutating func hexEscape(from start: Int) throws(PatternError) -> Unicode.Scalar {
    var digits = ""
    if peek == "{" {
      position += 1
      while let digit = peek, digit != "}", digits.utf8.count < 9 {
        digits.unicodeScalars.append(digit)
        position += 1
      }
      guard peek == "}" else { throw failure("invalid escape sequence", start, position) }
      position += 1
    } else {
      for _ in 0..<2 {
        guard let digit = peek else { break }
        digits.unicodeScalars.append(digit)
        position += 1
      }
      guard digits.utf8.count == 2 else { throw failure("invalid escape sequence", start, position) }
    }
    guard !digits.hasPrefix("+"), !digits.hasPrefix("-"), let value = UInt32(digits, radix: 16),
      let scalar = Unicode.Scalar(value)
    else { throw failure("invalid escape sequence", start, position) }
    return scalar
  }

  private mutating func parseSet() throws(PatternError) -> PatternNode {
    let start = position
    position += 1
    var set = CharacterSet()
    var isNegated = false
    if peek == "^" {
      isNegated = true
      position += 1
    }
    var isFirst = true
    while isFirst || peek != "]" {
      guard peek != nil else { throw failure("missing closing ]", start) }
      isFirst = false
      if peek == "[", peek(1) == ":", try parseNamedClass(into: &set) { continue }
      if try parseClassEscape(into: &set) { continue }
      let low = try setMember(from: start)
      var high = low
      if peek == "-", let after = peek(1), after != "]" {
        position += 1
        let rangeStart = position - 2
        high = try setMember(from: start)
        guard low.value <= high.value else {
          throw failure("invalid character class range", max(0, rangeStart), position)
        }
      }
      set.insert(low.value...high.value, ignoringCase: flags.ignoresCase)
    }
    position += 1
    set.normalize()
    set.isNegated = isNegated
    return .set(set)
  }

  private mutating func setMember(from start: Int) throws(PatternError) -> Unicode.Scalar {
    guard let next = peek else { throw failure("missing closing ]", start) }
    if next == "\\" { return try parseCharacterEscape() }
    position += 1
    return next
  }

  /// Reads `[:alpha:]`; false when no `:]` follows, so that the bracket is a member like any other.
  private mutating func parseNamedClass(into set: inout CharacterSet) throws(PatternError) -> Bool {
    var end = position + 2
    while end + 1 < text.count, !(text[end] == ":" && text[end + 1] == "]") { end += 1 }
    guard end + 1 < text.count else { return false }
    var name = String(String.UnicodeScalarView(text[(position + 2)..<end]))
    var isNegated = false
    if name.hasPrefix("^") {
      name.removeFirst()
      isNegated = true
    }
    guard let members = Self.namedClasses[name] else {
      throw failure("invalid character class range", position, end + 2)
    }
    set.insert(members, isNegated: isNegated, ignoringCase: flags.ignoresCase)
    position = end + 2
    return true
  }

  // MARK: tables and helpers

  private static func perlClass(_ letter: Unicode.Scalar) -> ([ClosedRange<UInt32>], Bool)? {
    switch letter {
    case "d": (namedClasses["digit"] ?? [], false)
    case "D": (namedClasses["digit"] ?? [], true)
    case "s": ([0x09...0x0A, 0x0C...0x0D, 0x20...0x20], false)
    case "S": ([0x09...0x0A, 0x0C...0x0D, 0x20...0x20], true)
    case "w": (namedClasses["word"] ?? [], false)
    case "W": (namedClasses["word"] ?? [], true)
    default: nil
    }
  }

  private static let namedClasses: [String: [ClosedRange<UInt32>]] = [
    "alnum": [0x30...0x39, 0x41...0x5A, 0x61...0x7A], "alpha": [0x41...0x5A, 0x61...0x7A], "ascii": [0...0x7F],
    "blank": [0x09...0x09, 0x20...0x20], "cntrl": [0...0x1F, 0x7F...0x7F], "digit": [0x30...0x39],
    "graph": [0x21...0x7E], "lower": [0x61...0x7A], "print": [0x20...0x7E],
    "punct": [0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E], "space": [0x09...0x0D, 0x20...0x20],
    "upper": [0x41...0x5A], "word": [0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A],
    "xdigit": [0x30...0x39, 0x41...0x46, 0x61...0x66],
  ]

  private var peek: Unicode.Scalar? { position < text.count ? text[position] : nil }

  private func peek(_ distance: Int) -> Unicode.Scalar? {
    position + distance < text.count ? text[position + distance] : nil
  }

  private func failure(_ reason: String, _ start: Int?, _ end: Int? = nil) -> PatternError {
    guard let start else { return PatternError(reason: reason, fragment: String(String.UnicodeScalarView(text))) }
    // The start of a repetition is reported to where it was read, everything else to the end of the expression.
    let upper = min(text.count, end ?? (reason.contains("repe") ? position : text.count))
    return PatternError(reason: reason, fragment: String(String.UnicodeScalarView(text[min(start, upper)..<upper])))
  }
}
