internal import BongsuSeries

/// What a rule is called where its alerts are saved: the same as long as group, name, expression and labels are.
public struct RuleKey: Hashable, Sendable {
  public let text: String

  /// `occurrences` counts rules that are alike, so that each has a key of its own.
  init(_ rule: Rule, group: String, _ occurrences: inout [String: Int]) {
    var hash = ByteOrder.mix(ByteOrder.hash(rule.source), rule.kind == .recording(rule.name) ? 1 : 2)
    for label in rule.labels {
      hash = ByteOrder.mix(ByteOrder.mix(hash, ByteOrder.hash(label.name)), ByteOrder.hash(label.value))
    }
    let text = "\(group)/\(rule.name)/\(String(hash, radix: 16))"
    let occurrence = occurrences[text, default: 0]
    occurrences[text] = occurrence + 1
    self.text = occurrence == 0 ? text : "\(text)/\(occurrence)"
  }
}
