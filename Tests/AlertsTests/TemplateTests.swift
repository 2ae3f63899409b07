import BongsuAlerts
import BongsuQuery
import BongsuSeries
import Foundation
import Testing

@Suite("Templates")
struct TemplateTests {
  /// The annotation of an alert whose expression is the constant 4.
  private func expand(_ text: String) throws -> String {
    let source = """
      groups:
        - name: g
          rules:
            - alert: A
              expr: vector(4)
              annotations:
                text: \(QuotedText.quote(text))
      """
    let file = try RuleFile.parse(source, path: "rules.yaml").get()
    var state = RuleGroupState(file.groups[0])
    _ = try state.evaluate(
      0, at: 0, engine: QueryEngine(), source: MemorySeries(), environment: TemplateEnvironment()
    ).get()
    return state.alerting[0].alerts[0].annotations[0].value
  }

  @Test(
    "a template that fails says so in its place, and the alert goes out",
    arguments: [
      (#"{{ gt $value 5 }}"#, "incompatible types for comparison"),
      (#"{{ query "sum(" }}"#, "unclosed left parenthesis"),
      (#"{{ query "nope" | first }}"#, "first() called on vector with no elements"),
      (#"{{ .Nope }}"#, "can't evaluate field Nope"),
      (#"{{ $labels.a.b }}"#, "can't evaluate field b in type string"),
      (#"{{ humanize "x" }}"#, "invalid syntax"),
      (#"{{ template "nope" . }}"#, "not defined"),
      (#"{{ humanizeTimestamp 1e19 }}"#, "overflows int64"),
    ])
  func failsInPlace(template: String, message: String) throws {
    let text = try expand(template)
    #expect(text.hasPrefix("<error expanding template:"), "\(text)")
    #expect(text.contains(message), "\(text)")
  }

  @Test("templates that would never end or grow without bound are stopped")
  func isBounded() throws {
    let endless = try expand(#"{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}"#)
    #expect(endless.contains("exceeded maximum template depth"))
    let huge = try expand(#"{{ printf "%999999999d" 1 }}"#)
    #expect(huge.utf8.count <= 2000)
  }

  @Test("random text between braces is refused or expanded, and never traps", arguments: [UInt64(5), 6])
  func fuzz(seed: UInt64) throws {
    print("template fuzzing: seed \(seed)")
    var state = seed
    func next(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int((state >> 33) % UInt64(bound))
    }
    let parts = [
      "{{", "}}", "{{-", "-}}", " ", ".", "$", "$value", "$labels", ".a", "(", ")", "|", "if", "else", "end", "range",
      "with",
      "define", "\"x\"", "`r`", "'c'", "1", "1.5", "-", "printf", "\"%v %d\"", "query", "first", "eq", "and", ":=", "=",
      ",",
      "/*", "*/", "text", "template", "break", "nil", "true", "humanize", "len", "index", "é",
    ]
    for _ in 0..<400 {
      let text = (0..<(1 + next(12))).map { _ in parts[next(parts.count)] }.joined(separator: next(2) == 0 ? " " : "")
      _ = try? expand(text)
      _ = try? expand("{{ " + text + " }}")
    }
  }
}
