/// The tree of a parsed pattern.
indirect enum PatternNode: Sendable {
  case empty
  case scalar(Unicode.Scalar)
  case any
  case anyExceptNewline
  case set(CharacterSet)
  case assertion(PatternAssertion)
  case sequence([PatternNode])
  case alternation([PatternNode])
  /// A group; the number is `nil` for a group that captures nothing.
  case group(PatternNode, Int?)
  case repetition(PatternNode, minimum: Int, maximum: Int?, isGreedy: Bool)

  /// Whether the node can match the empty text.
  var matchesEmpty: Bool {
    switch self {
    case .empty, .assertion: true
    case .scalar, .any, .anyExceptNewline, .set: false
    case .sequence(let nodes): nodes.allSatisfy(\.matchesEmpty)
    case .alternation(let nodes): nodes.contains(where: \.matchesEmpty)
    case .group(let inner, _): inner.matchesEmpty
    case .repetition(let inner, let minimum, _, _): minimum == 0 || inner.matchesEmpty
    }
  }

  /// Whether no copy of a part would be repeated more than `budget` times by nested counted repetitions.
  func repeatsAtMost(_ budget: Int) -> Bool {
    switch self {
    case .sequence(let nodes), .alternation(let nodes): return nodes.allSatisfy { $0.repeatsAtMost(budget) }
    case .group(let inner, _): return inner.repeatsAtMost(budget)
    case .repetition(let inner, let minimum, let maximum, _):
      let times = maximum ?? minimum
      if times == 0 { return true }
      return times <= budget && inner.repeatsAtMost(budget / times)
    default: return true
    }
  }
}

/// A condition on a place in the text.
enum PatternAssertion: Sendable {
  case textStart
  case textEnd
  case lineStart
  case lineEnd
  case wordBoundary
  case notWordBoundary
}

/// A set of characters: sorted ranges and Unicode categories.
struct CharacterSet: Sendable {
  /// A Unicode general category by its one- or two-letter name, perhaps negated.
  struct Category: Sendable {
    var name: String
    var isNegated: Bool
    /// A character belongs when any of its cases does.
    var ignoresCase: Bool

    func contains(_ scalar: Unicode.Scalar) -> Bool {
      var belongs = Self.code(scalar).hasPrefix(name)
      if ignoresCase, !belongs {
        for (_, others) in CaseFolding.table(in: scalar.value...scalar.value) {
          for other in others {
            if let other = Unicode.Scalar(other), Self.code(other).hasPrefix(name) { belongs = true }
          }
        }
      }
      return belongs != isNegated
    }

    private static func code(_ scalar: Unicode.Scalar) -> String {
      UnicodeCategory.code(scalar.properties.generalCategory)
    }
  }

  private(set) var ranges: [ClosedRange<UInt32>] = []
  private(set) var categories: [Category] = []
  var isNegated = false

  /// Adds characters, and those that differ from them in case only when asked to.
  mutating func insert(_ range: ClosedRange<UInt32>, ignoringCase: Bool = false) {
    ranges.append(range)
    guard ignoringCase else { return }
    for (_, others) in CaseFolding.table(in: range) { for other in others { ranges.append(other...other) } }
  }

  mutating func insert(_ category: Category) { categories.append(category) }

  /// Adds the members of an ASCII class, or everything but them and their other cases.
  mutating func insert(_ members: [ClosedRange<UInt32>], isNegated: Bool, ignoringCase: Bool) {
    guard isNegated else {
      for range in members { insert(range, ignoringCase: ignoringCase) }
      return
    }
    var excluded = CharacterSet()
    for range in members { excluded.insert(range, ignoringCase: ignoringCase) }
    excluded.normalize()
    var next: UInt32 = 0
    for range in excluded.ranges {
      if range.lowerBound > next { ranges.append(next...(range.lowerBound - 1)) }
      next = range.upperBound + 1
    }
    if next <= 0x10_FFFF { ranges.append(next...0x10_FFFF) }
  }

  /// Sorts and merges the ranges; call once after the last insertion.
  mutating func normalize() {
    ranges.sort { $0.lowerBound < $1.lowerBound }
    var merged: [ClosedRange<UInt32>] = []
    for range in ranges {
      if let last = merged.last, range.lowerBound <= last.upperBound &+ 1 {
        merged[merged.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
      } else {
        merged.append(range)
      }
    }
    ranges = merged
  }

  func contains(_ scalar: Unicode.Scalar) -> Bool {
    var low = 0
    var high = ranges.count
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].upperBound < scalar.value { low = middle + 1 } else { high = middle }
    }
    if low < ranges.count, ranges[low].contains(scalar.value) { return !isNegated }
    for category in categories where category.contains(scalar) { return !isNegated }
    return isNegated
  }
}

/// Two-letter names of general categories.
enum UnicodeCategory {
  static let names: Set<String> = {
    let two = [
      "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm",
      "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Co", "Cs",
    ]
    return Set(two + ["L", "M", "N", "P", "S", "Z", "C"])
  }()

  static func code(_ category: Unicode.GeneralCategory) -> String {
    switch category {
    case .uppercaseLetter: "Lu"
    case .lowercaseLetter: "Ll"
    case .titlecaseLetter: "Lt"
    case .modifierLetter: "Lm"
    case .otherLetter: "Lo"
    case .nonspacingMark: "Mn"
    case .spacingMark: "Mc"
    case .enclosingMark: "Me"
    case .decimalNumber: "Nd"
    case .letterNumber: "Nl"
    case .otherNumber: "No"
    case .connectorPunctuation: "Pc"
    case .dashPunctuation: "Pd"
    case .openPunctuation: "Ps"
    case .closePunctuation: "Pe"
    case .initialPunctuation: "Pi"
    case .finalPunctuation: "Pf"
    case .otherPunctuation: "Po"
    case .mathSymbol: "Sm"
    case .currencySymbol: "Sc"
    case .modifierSymbol: "Sk"
    case .otherSymbol: "So"
    case .spaceSeparator: "Zs"
    case .lineSeparator: "Zl"
    case .paragraphSeparator: "Zp"
    case .control: "Cc"
    case .format: "Cf"
    case .privateUse: "Co"
    case .surrogate: "Cs"
    // Unassigned code points are in no class of RE2, not even C.
    case .unassigned: "-"
    @unknown default: "-"
    }
  }
}

/// Characters that are equal but for case, by simple folding.
enum CaseFolding {
  private static let table: [(UInt32, [UInt32])] = {
    var orbits: [UInt32: Set<UInt32>] = [:]
    for value in UInt32(0x41)...0x1_E943 {
      guard let scalar = Unicode.Scalar(value) else { continue }
      let lower = scalar.properties.lowercaseMapping.unicodeScalars
      guard lower.count == 1, let base = lower.first, base != scalar else { continue }
      orbits[base.value, default: [base.value]].insert(value)
    }
    // Characters whose upper case is shared with another lower-case letter: long s, final sigma, Greek symbols.
    for value in UInt32(0xB5)...0x1_E943 {
      guard let scalar = Unicode.Scalar(value) else { continue }
      let upper = scalar.properties.uppercaseMapping.unicodeScalars
      guard upper.count == 1, let capital = upper.first, capital != scalar else { continue }
      let lower = capital.properties.lowercaseMapping.unicodeScalars
      guard lower.count == 1, let base = lower.first, base != scalar else { continue }
      orbits[base.value, default: [base.value, capital.value]].insert(value)
    }
    var pairs: [(UInt32, [UInt32])] = []
    for orbit in orbits.values {
      for member in orbit { pairs.append((member, orbit.subtracting([member]).sorted())) }
    }
    return pairs.sorted { $0.0 < $1.0 }
  }()

  /// The characters in a range that have others of the same letter, with those others.
  static func table(in range: ClosedRange<UInt32>) -> ArraySlice<(UInt32, [UInt32])> {
    var low = 0
    var high = table.count
    while low < high {
      let middle = (low + high) / 2
      if table[middle].0 < range.lowerBound { low = middle + 1 } else { high = middle }
    }
    var end = low
    while end < table.count, table[end].0 <= range.upperBound { end += 1 }
    return table[low..<end]
  }
}
