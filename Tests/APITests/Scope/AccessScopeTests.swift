import BongsuAPI
import BongsuReports
import BongsuSeries
import Testing

@Suite struct AccessScopeTests {
  private static func labels(_ pairs: [String: String]) -> LabelSet {
    LabelSet(metricName: "x", labels: pairs.map { Label(name: $0.key, value: $0.value) })
  }

  @Test(
    "a scope on an allocation covers its subtree and nothing beside it",
    arguments: [
      (
        "allocation=\"samsung\"", ["samsung", "samsung/a", "samsung/a/b"],
        ["samsungs", "samsung-x", "s", "", "x/samsung"]
      ),
      ("allocation=\"samsung/a\"", ["samsung/a", "samsung/a/b"], ["samsung", "samsung/ab", "samsung/b"]),
      ("allocation=~\"samsung|sk\"", ["samsung", "sk", "sk/x"], ["skx", "samsung|sk", ""]),
      ("allocation=~\"s.*\"", ["samsung", "sk/x", "s"], ["naver", ""]),
      ("allocation=~\"samsung(/.*)?\"", ["samsung", "samsung/a"], ["samsungs"]),
      ("allocation=\"a.c\"", ["a.c", "a.c/d"], ["abc", "abc/d"]), ("allocation=\"a|b\"", ["a|b"], ["a", "b"]),
      ("allocation!=\"sk\"", ["naver", "skx", "sk-x"], ["sk", "sk/a", ""]),
      // What lies above an excluded one contains it.
      ("allocation!=\"a/b/c\"", ["a/b/d", "a/bc", "b", "a/c"], ["a", "a/b", "a/b/c", "a/b/c/d", ""]),
      ("allocation=\"a\", allocation!=\"a/b\"", ["a/c"], ["a", "a/b", "a/b/c", "d"]),
    ])
  func subtrees(text: String, inside: [String], outside: [String]) throws {
    let scope = try AccessScope([text])
    for path in inside { #expect(scope.includes(Self.labels(["allocation": path])), "\(path)") }
    for path in outside { #expect(!scope.includes(Self.labels(["allocation": path])), "\(path)") }
  }

  @Test("what is in a scope is in it with everything below, whatever it says")
  func closedDownwards() throws {
    let paths = ["a", "a/b", "a/b/c", "a/b/c/d", "a/c", "b", "b/a", "ab", "ab/c"]
    for text in [
      "allocation=\"a\"", "allocation!=\"a/b\"", "allocation=~\"a/.\"", "allocation=~\"[ab]\"", "allocation!=\"b\"",
      "allocation=~\".*\", allocation!=\"a/b/c/d\"", "allocation=\"a\", allocation!=\"a/b/c\"",
    ] {
      let scope = try AccessScope([text])
      for path in paths where scope.covers("allocation", path) {
        for below in paths where below.hasPrefix(path + "/") { #expect(scope.covers("allocation", below), "\(text)") }
      }
    }
  }

  @Test("a series without the label is in no scope, since it may be a total")
  func totals() throws {
    for text in ["factory=~\".*\"", "factory!=\"sk\"", "factory!~\"sk.*\"", "node!=\"x\"", "hall=~\"|a\""] {
      #expect(!(try AccessScope([text]).includes(Self.labels(["nation": "kr"]))), "\(text)")
    }
  }

  @Test("several matchers must all hold, in one text or in several")
  func several() throws {
    for texts in [["factory=\"f\"", "hall=\"h\""], ["factory=\"f\",hall=\"h\""]] {
      let scope = try AccessScope(texts)
      #expect(scope.includes(Self.labels(["factory": "f", "hall": "h"])))
      #expect(!scope.includes(Self.labels(["factory": "f", "hall": "i"])))
      #expect(!scope.includes(Self.labels(["factory": "g", "hall": "h"])))
      #expect(scope.texts == texts && !scope.isUnlimited && scope.limits("hall") && !scope.limits("rack"))
    }
  }

  @Test("a node is in a scope by where it stands, one without a place by standing nowhere")
  func nodes() throws {
    var node = NodeReport(id: "n1", state: .connected, gpus: 8)
    #expect(try AccessScope(["factory=\"unassigned\""]).includes(node))
    #expect(!(try AccessScope(["factory=\"f\""]).includes(node)))
    (node.factory, node.hall, node.rack, node.allocation) = ("f", "h", "r", "a/b")
    for text in ["factory=\"f\"", "hall=\"h\"", "rack=\"r\"", "node=\"n1\"", "allocation=\"a\"", "node=~\"n.\""] {
      #expect(try AccessScope([text]).includes(node), "\(text)")
    }
    for text in ["factory=\"g\"", "rack!=\"r\"", "node=\"n\"", "allocation=\"b\"", "allocation!=\"a/b/c\""] {
      #expect(!(try AccessScope([text]).includes(node)), "\(text)")
    }
  }

  @Test(
    "what is no scope is refused with what is wrong",
    arguments: [
      ("", "it has no matcher"), ("allocation", "unexpected"), ("allocation=samsung", "unexpected"),
      ("gpu=\"0\"", "it matches gpu; a scope can match allocation, factory, hall, rack, node"),
      ("nation=\"kr\"", "it matches nation"), ("__name__=\"up\"", "it matches __name__"),
      ("allocation=\"\"", "allocation is matched with nothing"), ("factory!=\"\"", "factory is matched with nothing"),
      ("allocation=~\"(\"", "missing"), ("allocation=~\"a)|(b\"", "unexpected"),
      ("allocation!~\"sk.*\"", "use != with a path"), ("allocation=\"a\"} or x{a=\"b\"", "match is"),
      ("allocation=\"a\"}", "unexpected"),
    ])
  func refusals(text: String, reason: String) {
    do throws(APIError) {
      let scope = try AccessScope([text])
      Issue.record("\(scope.matchers) was taken")
    } catch {
      #expect(error.code == .badParameter && error.message.contains(reason), "\(error)")
    }
  }

  @Test("no matcher at all sees everything")
  func unlimited() throws {
    let scope = try AccessScope([])
    #expect(scope == .unlimited && scope.isUnlimited && scope.includes(Self.labels([:])))
  }
}
