/// The query part of an address, or a form body, taken apart.
///
/// Strict on purpose: a parameter that the address does not have, one that comes twice, or bytes that are not UTF-8 are
/// refused, so that a slip of the pen is never answered with more than was asked for.
struct QueryParameters {
  private var values: [String: [String]] = [:]

  /// Takes `query` apart; `nil` and empty mean no parameters.
  ///
  /// `allowed` names what the address knows; of those, `repeatable` may come more than once.
  init(_ query: String?, allowed: [String], repeatable: Set<String> = []) throws(APIError) {
    for (name, value) in try Self.pairs(of: query, bytesMax: APILimits.parameterBytesMax) {
      guard allowed.contains(name) else {
        throw APIError(
          .unknownParameter, "no parameter \"\(name.quotedForMessage)\" here",
          nextStep: allowed.isEmpty ? "ask without parameters" : "use \(allowed.joined(separator: ", "))")
      }
      guard repeatable.contains(name) || values[name] == nil else {
        throw APIError(.unknownParameter, "parameter \(name) is given twice", nextStep: "give it once")
      }
      values[name, default: []].append(value)
    }
  }

  /// Takes a query apart the way Prometheus does: whatever comes is taken, unknown names are nobody's business.
  init(ofPrometheus query: String?) throws(APIError) {
    for (name, value) in try Self.pairs(of: query, bytesMax: APILimits.queryParameterBytesMax) {
      values[name, default: []].append(value)
    }
  }

  private static func pairs(of query: String?, bytesMax: Int) throws(APIError) -> [(name: String, value: String)] {
    guard let query, !query.isEmpty else { return [] }
    var pairs: [(name: String, value: String)] = []
    for pair in query.utf8.split(separator: 0x26) {
      guard pairs.count < APILimits.parametersMax else {
        throw APIError(
          .badParameter, "more than \(APILimits.parametersMax) query parameters", nextStep: "ask in several requests")
      }
      let parts = pair.split(separator: 0x3D, maxSplits: 1, omittingEmptySubsequences: false)
      let name = try Self.decoded(parts[0], bytesMax: bytesMax)
      pairs.append((name, parts.count > 1 ? try Self.decoded(parts[1], bytesMax: bytesMax) : ""))
    }
    return pairs
  }

  /// The value of `name`, `nil` when it is not given; an empty value counts as not given.
  func text(_ name: String) -> String? {
    guard let value = values[name]?.first, !value.isEmpty else { return nil }
    return value
  }

  /// All values of a repeatable parameter.
  func texts(_ name: String) -> [String] { values[name] ?? [] }

  /// A whole number within `range`, or `fallback` when it is not given.
  func integer(_ name: String, in range: ClosedRange<Int>, default fallback: Int) throws(APIError) -> Int {
    guard let text = text(name) else { return fallback }
    guard let value = Int(text), range.contains(value) else {
      throw APIError(
        .badParameter, "\(name) is \"\(text.quotedForMessage)\"",
        nextStep: "give a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }

  /// One of a closed set of words, or `fallback` when it is not given.
  func choice<Choice>(_ name: String, default fallback: Choice) throws(APIError) -> Choice
  where Choice: RawRepresentable & CaseIterable, Choice.RawValue == String {
    try optionalChoice(name) ?? fallback
  }

  /// One of a closed set of words, `nil` when it is not given.
  func optionalChoice<Choice>(_ name: String, of type: Choice.Type = Choice.self) throws(APIError) -> Choice?
  where Choice: RawRepresentable & CaseIterable, Choice.RawValue == String {
    guard let text = text(name) else { return nil }
    guard let choice = Choice(rawValue: text) else {
      throw APIError(
        .badParameter, "\(name) is \"\(text.quotedForMessage)\"",
        nextStep: "use \(Choice.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    return choice
  }

  /// `true` or `false`, or `false` when it is not given.
  func flag(_ name: String) throws(APIError) -> Bool {
    switch text(name) {
    case nil, "false": return false
    case "true": return true
    case .some(let text):
      throw APIError(.badParameter, "\(name) is \"\(text.quotedForMessage)\"", nextStep: "use true or false")
    }
  }

  /// Undoes percent encoding and `+` for a space (URL Standard, application/x-www-form-urlencoded).
  private static func decoded(
    _ text: Substring.UTF8View.SubSequence, bytesMax: Int
  ) throws(APIError) -> String {
    guard text.count <= bytesMax else {
      throw APIError(
        .badParameter, "a query parameter has \(text.count) bytes; at most \(bytesMax) are accepted",
        nextStep: "shorten it")
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.count)
    var index = text.startIndex
    while index < text.endIndex {
      let byte = text[index]
      text.formIndex(after: &index)
      switch byte {
      case 0x2B: bytes.append(0x20)
      case 0x25:
        guard let high = digit(text, &index), let low = digit(text, &index) else {
          throw APIError(
            .badParameter, "a query parameter has a % without two hexadecimal digits", nextStep: "write a % as %25")
        }
        bytes.append(high << 4 | low)
      default: bytes.append(byte)
      }
    }
    guard let decoded = String(validating: bytes, as: UTF8.self) else {
      throw APIError(.badParameter, "a query parameter is not UTF-8", nextStep: "encode it as UTF-8")
    }
    return decoded
  }

  private static func digit(_ text: Substring.UTF8View.SubSequence, _ index: inout String.Index) -> UInt8? {
    guard index < text.endIndex else { return nil }
    defer { text.formIndex(after: &index) }
    switch text[index] {
    case let byte where (0x30...0x39).contains(byte): return byte - 0x30
    case let byte where (0x41...0x46).contains(byte): return byte - 0x41 + 10
    case let byte where (0x61...0x66).contains(byte): return byte - 0x61 + 10
    default: return nil
    }
  }
}
