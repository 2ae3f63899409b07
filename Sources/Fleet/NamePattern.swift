/// A short notation for many names: `r[001-120]`, `n[1-4,7]`, `a[01-02]-b[1-3],spare`.
///
/// Commas outside brackets separate items; each item is literal text with any number of bracket groups; a group is a
/// list of words and numeric ranges. Both ends of a range have the same number of digits when they are padded with
/// zeros, and the names keep that width. Names come out in order, the last group of an item moving fastest.
public struct NamePattern: Hashable, Sendable, CustomStringConvertible {
  /// The pattern as it was written.
  public let text: String
  /// How many names it stands for, repeated ones included. At least 1, at most ``Limits/patternNamesMax``.
  public let count: Int

  private let items: [[Part]]

  private enum Part: Hashable, Sendable {
    case literal(String)
    case group([Choice])
  }

  private enum Choice: Hashable, Sendable {
    case word(String)
    case range(first: Int, last: Int, width: Int)

    var count: Int {
      switch self {
      case .word: 1
      case .range(let first, let last, _): last - first + 1
      }
    }
  }

  /// Why a text is not a pattern.
  public enum Invalid: Error, Hashable, Sendable, CustomStringConvertible {
    case empty
    case tooLong(bytes: Int)
    case emptyItem
    case unbalancedBracket
    case emptyGroup
    case emptyChoice
    case notANumber(String)
    case backwardRange(String)
    case unequalWidths(String)
    case tooManyNames

    public var description: String {
      switch self {
      case .empty: "pattern is empty and stands for no name"
      case .tooLong(let bytes): "pattern has \(bytes) bytes, limit \(Limits.patternBytesMax)"
      case .emptyItem: "pattern has an empty item between commas"
      case .unbalancedBracket: "pattern has a bracket that is not closed or not opened"
      case .emptyGroup: "pattern has empty brackets and stands for no name"
      case .emptyChoice: "pattern has an empty choice between commas in brackets"
      case .notANumber(let range): "range '\(range)' is not NUMBER-NUMBER of at most 9 digits"
      case .backwardRange(let range): "range '\(range)' counts backwards and stands for no name"
      case .unequalWidths(let range): "range '\(range)' has zero-padded ends of different lengths"
      case .tooManyNames: "pattern stands for more than \(Limits.patternNamesMax) names"
      }
    }

    /// What to write instead.
    public var remedy: String {
      switch self {
      case .empty, .emptyItem, .emptyGroup, .emptyChoice: "write names such as 'r[001-120]' or 'a,b,c'"
      case .tooLong, .tooManyNames: "split it into several patterns"
      case .unbalancedBracket: "write ranges as '[001-120]'; brackets do not nest"
      case .notANumber: "write a range as two numbers, such as '001-120'"
      case .backwardRange: "put the smaller number first"
      case .unequalWidths: "pad both ends to the same length, such as '001-120'"
      }
    }
  }

  /// Reads a pattern.
  public init(_ text: String) throws(Invalid) {
    guard !text.isEmpty else { throw .empty }
    guard text.utf8.count <= Limits.patternBytesMax else { throw .tooLong(bytes: text.utf8.count) }
    var items: [[Part]] = []
    for item in try Self.splitItems(text) {
      items.append(try Self.parts(of: item))
    }
    self.text = text
    self.items = items
    self.count = try Self.count(items)
  }

  public var description: String { text }

  /// Calls `body` with each name, in order. Stops when `body` throws.
  public func forEachName<Failure: Error>(_ body: (String) throws(Failure) -> Void) throws(Failure) {
    for item in items {
      try Self.expand(item[...], prefix: "", body)
    }
  }

  /// All names, in order.
  public var names: [String] {
    var names: [String] = []
    names.reserveCapacity(count)
    forEachName { names.append($0) }
    return names
  }

  /// Whether the pattern stands for `name`, without expanding it.
  public func matches(_ name: String) -> Bool {
    items.contains { Self.matches($0[...], Substring(name)) }
  }

  private static func splitItems(_ text: String) throws(Invalid) -> [Substring] {
    var items: [Substring] = []
    var start = text.startIndex
    var isInside = false
    for index in text.indices {
      switch text[index] {
      case "[":
        guard !isInside else { throw .unbalancedBracket }
        isInside = true
      case "]":
        guard isInside else { throw .unbalancedBracket }
        isInside = false
      case "," where !isInside:
        items.append(text[start..<index])
        start = text.index(after: index)
      default: break
      }
    }
    guard !isInside else { throw .unbalancedBracket }
    items.append(text[start...])
    var trimmedItems: [Substring] = []
    for item in items {
      let trimmed = item.drop { $0 == " " }
      let end = trimmed.lastIndex { $0 != " " }
      guard let end else { throw .emptyItem }
      trimmedItems.append(trimmed[...end])
    }
    return trimmedItems
  }

  private static func parts(of item: Substring) throws(Invalid) -> [Part] {
    var parts: [Part] = []
    var rest = item
    while let open = rest.firstIndex(of: "[") {
      if open > rest.startIndex { parts.append(.literal(String(rest[..<open]))) }
      // `splitItems` has seen a closing bracket for each opening one.
      let close = rest[open...].firstIndex(of: "]")!
      let inside = rest[rest.index(after: open)..<close]
      guard !inside.isEmpty else { throw .emptyGroup }
      var choices: [Choice] = []
      for choice in inside.split(separator: ",", omittingEmptySubsequences: false) {
        choices.append(try Self.choice(choice))
      }
      parts.append(.group(choices))
      rest = rest[rest.index(after: close)...]
    }
    if !rest.isEmpty { parts.append(.literal(String(rest))) }
    return parts
  }

  private static func choice(_ text: Substring) throws(Invalid) -> Choice {
    guard !text.isEmpty else { throw .emptyChoice }
    guard let dash = text.firstIndex(of: "-") else { return .word(String(text)) }
    let firstText = text[..<dash]
    let lastText = text[text.index(after: dash)...]
    guard let first = number(firstText), let last = number(lastText) else { throw .notANumber(String(text)) }
    guard first <= last else { throw .backwardRange(String(text)) }
    let isPadded = firstText.hasPrefix("0") && firstText.utf8.count > 1
    let isLastPadded = lastText.hasPrefix("0") && lastText.utf8.count > 1
    guard !(isPadded || isLastPadded) || firstText.utf8.count == lastText.utf8.count else {
      throw .unequalWidths(String(text))
    }
    return .range(first: first, last: last, width: isPadded ? firstText.utf8.count : 0)
  }

  private static func number(_ text: Substring) -> Int? {
    guard (1...9).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    return Int(text)
  }

  private static func count(_ items: [[Part]]) throws(Invalid) -> Int {
    var total = 0
    for item in items {
      var product = 1
      for case .group(let choices) in item {
        // Nine-digit ranges times the limit stay far below 2^63, and the limit is checked at each step.
        product *= choices.reduce(0) { $0 + $1.count }
        guard product <= Limits.patternNamesMax else { throw .tooManyNames }
      }
      total += product
      guard total <= Limits.patternNamesMax else { throw .tooManyNames }
    }
    return total
  }

  private static func expand<Failure: Error>(
    _ parts: ArraySlice<Part>, prefix: String, _ body: (String) throws(Failure) -> Void
  ) throws(Failure) {
    guard let part = parts.first else { return try body(prefix) }
    let rest = parts.dropFirst()
    switch part {
    case .literal(let text): try expand(rest, prefix: prefix + text, body)
    case .group(let choices):
      for choice in choices {
        switch choice {
        case .word(let word): try expand(rest, prefix: prefix + word, body)
        case .range(let first, let last, let width):
          for value in first...last {
            try expand(rest, prefix: prefix + padded(value, width: width), body)
          }
        }
      }
    }
  }

  private static func padded(_ value: Int, width: Int) -> String {
    let digits = String(value)
    return digits.utf8.count >= width ? digits : String(repeating: "0", count: width - digits.utf8.count) + digits
  }

  private static func matches(_ parts: ArraySlice<Part>, _ name: Substring) -> Bool {
    guard let part = parts.first else { return name.isEmpty }
    let rest = parts.dropFirst()
    switch part {
    case .literal(let text): return name.hasPrefix(text) && matches(rest, name.dropFirst(text.count))
    case .group(let choices):
      return choices.contains { choice in
        switch choice {
        case .word(let word): name.hasPrefix(word) && matches(rest, name.dropFirst(word.count))
        case .range(let first, let last, let width):
          // A number may be followed by digits of the next part, so every length is tried.
          (max(width, 1)...9).contains { length in
            guard let value = number(name.prefix(length)), name.prefix(length).utf8.count == length else {
              return false
            }
            return (first...last).contains(value) && padded(value, width: width) == name.prefix(length)
              && matches(rest, name.dropFirst(length))
          }
        }
      }
    }
  }
}
