public import BongsuSeries

/// A series with its values in the notation of Prometheus's unit tests: `up{job="a"} 1+2x5 _x3 stale NaN`.
public struct SeriesDescription: Sendable {
  public let labels: LabelSet
  /// One element per interval; `nil` for no sample, the stale marker for `stale`.
  public let values: [Double?]

  /// Most values one description may expand to; a test that needs more should use a longer interval.
  static let valuesMax = 10_000_000

  /// Parses a description.
  public init(_ source: String) throws(ParseFailure) {
    let tokens = Lexer.seriesDescriptionTokens(of: source)
    var reader = Reader(source: source, tokens: tokens)
    labels = try reader.labels()
    values = try reader.values()
  }

  private struct Reader {
    let source: String
    let tokens: [Token]
    var next = 0

    private var token: Token { tokens[min(next, tokens.count - 1)] }

    mutating func labels() throws(ParseFailure) -> LabelSet {
      guard let space = tokens.firstIndex(where: { $0.kind == .space }) else {
        if let failed = tokens.last, failed.kind == .failure {
          throw ParseFailure(failed.text, at: failed.position, in: source)
        }
        next = tokens.count - 1
        return try Parser.parseMetric(source)
      }
      next = space
      let bytes = source.utf8.prefix(tokens[space].position)
      return try Parser.parseMetric(String(decoding: Array(bytes), as: UTF8.self))
    }

    mutating func values() throws(ParseFailure) -> [Double?] {
      var values: [Double?] = []
      while token.kind != .endOfInput {
        guard token.kind == .space else { throw unexpected("series values") }
        next += 1
        if token.kind == .endOfInput { break }
        try appendItem(to: &values)
      }
      return values
    }

    private mutating func appendItem(to values: inout [Double?]) throws(ParseFailure) {
      if token.kind == .blank {
        next += 1
        let count = token.kind == .times ? try repetitions(after: values.count) : 1
        values.append(contentsOf: Array(repeating: nil, count: count))
        return
      }
      if token.kind == .identifier {
        guard token.text == "stale" else {
          throw ParseFailure(
            "unknown special value \(token.described), expected \"stale\"", at: token.position, in: source)
        }
        next += 1
        guard token.kind == .times else {
          values.append(StaleMarker.value)
          return
        }
        let count = try repetitions(after: values.count) + 1
        values.append(contentsOf: Array(repeating: StaleMarker.value, count: count))
        return
      }
      var value = try signedNumber(signRequired: false)
      var increment: Double?
      if token.kind == .binary(.add) || token.kind == .binary(.subtract) {
        increment = try signedNumber(signRequired: true)
        guard token.kind == .times else { throw unexpected("series values", expected: "\"x\"") }
      }
      guard token.kind == .times else {
        values.append(value)
        return
      }
      // `1x4` is one value and four repetitions of it.
      for _ in 0...(try repetitions(after: values.count)) {
        values.append(value)
        // Without an increment a negative zero stays one.
        if let increment { value += increment }
      }
    }

    private mutating func repetitions(after count: Int) throws(ParseFailure) -> Int {
      next += 1
      guard token.kind == .number, let times = Int(token.text), times >= 0 else {
        throw unexpected("series values", expected: "number of repetitions")
      }
      guard times <= valuesMax - count else {
        throw ParseFailure("more than \(valuesMax) values in one series", at: token.position, in: source)
      }
      next += 1
      return times
    }

    private mutating func signedNumber(signRequired: Bool) throws(ParseFailure) -> Double {
      var sign = 1.0
      if token.kind == .binary(.add) || token.kind == .binary(.subtract) {
        sign = token.kind == .binary(.subtract) ? -1 : 1
        next += 1
      } else if signRequired {
        throw unexpected("series values")
      }
      guard token.kind == .number, let value = Parser.number(token.text) else {
        throw unexpected("series values", expected: "number")
      }
      next += 1
      return sign * value
    }

    private func unexpected(_ context: String, expected: String? = nil) -> ParseFailure {
      if token.kind == .failure { return ParseFailure(token.text, at: token.position, in: source) }
      let suffix = expected.map { ", expected \($0)" } ?? ""
      return ParseFailure("unexpected \(token.described) in \(context)\(suffix)", at: token.position, in: source)
    }
  }
}
