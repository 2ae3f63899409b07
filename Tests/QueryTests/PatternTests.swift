import BongsuSeries
import Testing

@Suite("Pattern")
struct PatternTests {
  @Test("a pattern must match the whole value")
  func isAnchored() throws {
    for (pattern, text, expected) in [
      ("a", "a", true), ("a", "ab", false), ("a|b", "b", true), ("a|bc", "abc", false), ("a.*", "abc", true),
      ("a.*", "a", true),
      ("a.+", "a", false), (".*", "a\nb", false), ("(?s).*", "a\nb", true), ("", "", true), ("", "a", false),
      ("(?i)gPu-\\d{2}", "GPU-07", true), ("[^x]+", "abc", true), ("\\p{Lu}+", "ÉA", true),
      ("r(00[1-9]|01\\d)", "r013", true),
      ("x*", "xxxxy", false), ("(a|b)*c", "ababc", true), ("a{2,3}", "aaaa", false), ("\\bword\\b", "word", true),
    ] { #expect(try Pattern(pattern).matches(text) == expected, "\(pattern) on \(text)") }
  }

  @Test("patterns that make backtracking matchers explode are matched in time linear in the text")
  func isLinear() throws {
    let text = String(repeating: "a", count: 20_000)
    let patterns = try ["(a*)*b", "(a|aa)+b", "(a?){50}a{50}b", "(.*)(.*)(.*)(.*)x"].map { try Pattern($0) }
    let taken = ContinuousClock().measure {
      for pattern in patterns { #expect(!pattern.matches(text)) }
    }
    #expect(taken < .seconds(20))
  }

  @Test("groups fill templates by number and by name")
  func expands() throws {
    #expect(try Pattern("(.*)-(?P<n>\\d+)").expand("$2/${n}/$1x/${1}x/$$/$", matching: "gpu-07") == "07/07//gpux/$/$")
    #expect(try Pattern("a").expand("$0", matching: "b") == nil)
    #expect(try Pattern("b*", anchoring: .anywhere).replacingAll(in: "abc", with: "-") == "-a-c-")
  }

  @Test(
    "what RE2 refuses is refused",
    arguments: [
      "(", ")", "[a", "a**", "*", "a{1001}", "(a{100}){11}", "\\1", "\\q", "(?=a)", "[z-a]", "\\p{Nope}", "a{2,1}",
      "\\",
    ])
  func refuses(pattern: String) {
    #expect(throws: PatternError.self) { try Pattern(pattern) }
  }

  @Test("a matcher knows the only values it can match")
  func exactValues() throws {
    #expect(try LabelMatcher("a", .matches, "x|yz").exactValues == ["x", "yz"])
    #expect(try LabelMatcher("a", .matches, "x.*").exactValues == nil)
    #expect(LabelMatcher("a", equals: "x").exactValues == ["x"])
    #expect(try LabelMatcher("a", .notEqual, "x").exactValues == nil)
  }
}

@Suite("Label sets")
struct LabelSetTests {
  @Test("labels are sorted by bytes, empty ones left out, and the last of equal names wins")
  func normalizes() {
    let set = LabelSet([
      Label(name: "b", value: "2"), Label(name: "__name__", value: "up"), Label(name: "A", value: "1"),
      Label(name: "empty", value: ""), Label(name: "b", value: "3"),
    ])
    #expect(set.description == #"up{A="1", b="3"}"#)
    #expect(set.allLabels.map(\.name) == ["A", "__name__", "b"])
    #expect(set["empty"] == "")
    #expect(set.withoutMetricName.metricName.isEmpty)
  }

  @Test("values that differ in their Unicode normalization only are different")
  func comparesBytes() {
    let composed = LabelSet([Label(name: "a", value: "\u{E9}")])
    let decomposed = LabelSet([Label(name: "a", value: "e\u{301}")])
    #expect(composed != decomposed)
    #expect(Set([composed, decomposed]).count == 2)
  }

  @Test("the in-memory source keeps order and says what became of a sample")
  func memorySeries() throws {
    var series = MemorySeries()
    let labels = LabelSet(metricName: "m", labels: [])
    #expect(series.append(labels, timestamp: 10, value: 1) == .appended)
    #expect(series.append(labels, timestamp: 10, value: 1) == .duplicate)
    #expect(series.append(labels, timestamp: 10, value: 2) == .conflict)
    #expect(series.append(labels, timestamp: 9, value: 2) == .outOfOrder)
    #expect(try series.labelNames(matchingAnyOf: [], from: 0, through: 100) == ["__name__"])
    #expect(try series.labelValues(of: "__name__", matchingAnyOf: [], from: 11, through: 100) == [])
  }
}
