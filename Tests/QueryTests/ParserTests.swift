import BongsuQuery
import BongsuSeries
import QueryOracle
import Testing

@Suite("Parser")
struct ParserTests {
  @Test(
    "precedence and associativity are those of the language",
    arguments: [
      ("-1 ^ 2", "-1 ^ 2"), ("2 ^ 3 ^ 2", "2 ^ 3 ^ 2"), ("a+b*c", "a + b * c"),
      ("sum(x)by(a)", "sum by (a) (x)"), ("sum without() (x)", "sum without () (x)"),
      ("x offset 1h30m @ 5", "x @ 5.000 offset 1h30m"), ("x[90s:] offset -1m", "x[1m30s:] offset -1m"),
      ("a == bool on(b) group_left(c) d", "a == bool on (b) group_left (c) d"), ("SUM(x)", "sum(x)"),
      ("0x1F + 010 + 08", "31 + 8 + 8"), ("a # comment\n+ b", "a + b"), (#"{__name__="x y"}"#, #"{__name__="x y"}"#),
      (#"x{b="1",a=~'2'}"#, #"x{a=~"2",b="1"}"#), (#""\x41\u00e9\n""#, #""Aé\n""#), ("sum", "sum"),
    ])
  func canonicalForm(source: String, expected: String) throws {
    #expect(try Parser.parse(source).description == expected)
  }

  @Test("printing and parsing again gives the same text", arguments: [UInt64(1), 2, 3])
  func printsWhatItParses(seed: UInt64) throws {
    var queries = RandomQuery(seed: seed)
    for _ in 0..<300 {
      let query = queries.next()
      guard let expression = try? Parser.parse(query) else { continue }
      let again = try Parser.parse(expression.description)
      #expect(again.description == expression.description, "\(query)")
      #expect(try Parser.parse(expression.formatted).description == expression.description, "\(query)")
    }
  }

  @Test(
    "errors name the place and what was expected",
    arguments: [
      ("", "1:1: parse error: no expression found in input"),
      ("foo{", "1:5: parse error: unexpected end of input inside braces"),
      ("sum(", "1:5: parse error: unclosed left parenthesis"),
      ("foo{a=b}", #"1:7: parse error: unexpected identifier "b" in label matching, expected string"#),
      ("foo[5]", "1:5: parse error: missing unit character in duration"),
      ("nope(x)", #"1:1: parse error: unknown function with name "nope""#),
      ("a\n+ )", "2:3: parse error: unexpected right parenthesis ')'"),
      ("rate(x)", #"1:6: parse error: expected type range vector in call to function "rate", got instant vector"#),
      ("1 > 2", "1:3: parse error: comparisons between scalars must use BOOL modifier"),
      ("x{}[5m] + 1", "1:1: parse error: binary expression must contain only scalar and instant vector types"),
      ("{a=\"\"}", "1:1: parse error: vector selector must contain at least one non-empty matcher"),
      ("abs()", #"1:1: parse error: expected 1 argument(s) in call to "abs", got 0"#),
      ("x and 1", #"1:1: parse error: set operator "and" not allowed in binary scalar expression"#),
      ("x offset 1m offset 1m", "1:1: parse error: offset may not be set multiple times"),
      (#"x{a=~"("}"#, #"1:3: parse error: error parsing regexp: missing closing ): `(`"#),
    ])
  func errorText(source: String, expected: String) {
    let failure = #expect(throws: ParseFailure.self) { try Parser.parse(source) }
    #expect(failure?.description == expected)
  }

  @Test(
    "deep, long and malformed expressions are refused quickly and do not exhaust the stack",
    arguments: HostileInput.all)
  func refusesHostileInput(input: HostileInput) {
    let clock = ContinuousClock()
    let taken = clock.measure { #expect(throws: ParseFailure.self) { try Parser.parse(input.source) } }
    // Milliseconds in release builds; the bound leaves room for debug builds on a busy machine.
    #expect(taken < .seconds(3))
  }

  @Test("an expression as deep as allowed is evaluated")
  func evaluatesTheDeepestExpression() throws {
    let half = QueryLimits.expressionDepthMax / 2 - 2
    let source = String(repeating: "abs((", count: half / 2) + "vector(-1)" + String(repeating: "))", count: half / 2)
    let chain = "vector(1)" + String(repeating: " + vector(1)", count: half)
    for (expression, expected) in [(source, 1.0), (chain, Double(half + 1))] {
      guard case .vector(let samples) = try QueryEngine().instant(expression, at: 0, over: MemorySeries()) else {
        Issue.record("not a vector")
        continue
      }
      #expect(samples.map(\.value) == [expected])
    }
  }

  @Test("durations are read and written as Prometheus does")
  func durations() throws {
    for (text, milliseconds) in [("1h30m", 5_400_000), ("1y2w3d4h5m6s7ms", 33_019_506_007), ("0", 0), ("5ms", 5)]
      as [(String, Int64)]
    {
      #expect(try DurationText.parse(text) == milliseconds)
    }
    for text in ["", "5", "m", "1m1h", "5s5m", "1.5h", "-1m", "300y", "1h 5m", "5m5m"] {
      #expect(throws: DurationText.Failure.self) { try DurationText.parse(text) }
    }
    #expect(DurationText.format(milliseconds: 90_000) == "1m30s")
    #expect(DurationText.format(milliseconds: 86_400_000) == "1d")
    #expect(DurationText.format(milliseconds: 90_000_000) == "25h")
  }

  @Test("numbers print with the shortest digits that read back as the same number")
  func numbers() {
    for (value, text) in [
      (0.1, "0.1"), (1e21, "1000000000000000000000"), (1e-7, "0.0000001"), (-0.0, "-0"),
      (123456789.125, "123456789.125"),
      (.infinity, "+Inf"), (-.infinity, "-Inf"), (.nan, "NaN"),
      (Double.leastNonzeroMagnitude, "0." + String(repeating: "0", count: 323) + "5"),
    ] { #expect(FloatText.plain(value) == text) }
    #expect(FloatText.general(1_000_000) == "1e+06")
    #expect(FloatText.parse("1e400") == nil)
    #expect(FloatText.parse("+Inf") == .infinity)
    #expect(FloatText.parse("0x1p-2") == 0.25)
    #expect(FloatText.parse("1 ") == nil)
  }

  @Test("series descriptions expand their values")
  func seriesDescriptions() throws {
    let series = try SeriesDescription("up{job=\"a\"} 1+2x2 _x2 stale -3 NaN 0x1 1-1x1")
    #expect(series.labels == LabelSet(metricName: "up", labels: [Label(name: "job", value: "a")]))
    let bits = series.values.map { $0?.bitPattern }
    let expected: [Double?] = [1, 3, 5, nil, nil, StaleMarker.value, -3, .nan, 0, 0, 1, 0]
    #expect(bits == expected.map { $0?.bitPattern })
    for text in ["up 1+x2", "up 1 + 2", "up x", "up 1x", "up{ 1", "up 1xx2", "up 1x-2", "up dead", "up 1x99999999999"] {
      #expect(throws: ParseFailure.self) { try SeriesDescription(text) }
    }
  }
}

/// Input made to exhaust a parser; its name stands for it in the test's output.
struct HostileInput: Sendable, CustomTestStringConvertible {
  let name: String
  let source: String
  var testDescription: String { name }

  private static func times(_ count: Int, _ text: String) -> String { String(repeating: text, count: count) }

  static let all = [
    HostileInput(name: "10,000 parentheses", source: times(10_000, "(") + "x" + times(10_000, ")")),
    HostileInput(name: "200,000 open parentheses", source: times(200_000, "(")),
    HostileInput(name: "100,000 signs", source: times(100_000, "-") + "x"),
    HostileInput(name: "a sum of 50,000 terms", source: times(50_000, "1+") + "1"),
    HostileInput(name: "a tower of 50,000 powers", source: times(50_000, "1^") + "1"),
    HostileInput(name: "20,000 open calls", source: times(20_000, "abs(") + "x"),
    HostileInput(name: "20,000 subqueries", source: "x" + times(20_000, "[5m:1m]")),
    HostileInput(name: "10,000 aggregations", source: times(10_000, "sum(") + "x" + times(10_000, ")")),
    HostileInput(name: "a megabyte", source: times(1_000_000, "x") + "+1"),
    HostileInput(name: "100,000 braces", source: times(100_000, "{")),
    HostileInput(name: "a pattern of 50,000 groups", source: "x{a=~\"" + times(50_000, "(") + "\"}"),
    HostileInput(name: "a pattern of nested repetitions", source: "x{a=~\"((a{100}){100}){100}\"}"),
    HostileInput(name: "a pattern of 180,000 bytes", source: "x{a=~\"" + times(30_000, "(a|b)*") + "\"}"),
  ]
}
