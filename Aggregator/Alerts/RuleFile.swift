public import BongsuQuery
public import BongsuSeries

/// A rule file in Prometheus's format, read and checked.
public struct RuleFile: Sendable {
  public let path: String
  public let groups: [RuleGroup]
}

/// Rules that are evaluated together, one after the other.
public struct RuleGroup: Sendable {
  public let name: String
  /// Milliseconds between evaluations; `nil` for the server's default.
  public let intervalMilliseconds: Int64?
  /// Most series or alerts a rule may give; zero for no limit.
  public let limit: Int
  public let rules: [Rule]
}

/// A recording or an alerting rule.
public struct Rule: Sendable {
  public enum Kind: Sendable, Hashable {
    /// Stores the result under this name.
    case recording(String)
    /// Raises alerts of this name.
    case alerting(String)
  }

  public let kind: Kind
  public let source: String
  public let expression: Expression
  /// How long the expression must hold before an alert fires, in milliseconds.
  public let holdMilliseconds: Int64
  /// How long an alert keeps firing after the expression no longer holds, in milliseconds.
  public let keepFiringMilliseconds: Int64
  public let labels: [Label]
  public let annotations: [Label]
  /// Place of the expression in the file, from 1.
  public let line: Int

  public var name: String {
    switch kind {
    case .recording(let name), .alerting(let name): name
    }
  }
}

extension RuleFile {
  /// Reads a rule file from its text. All mistakes are reported together, in order of the file.
  public static func parse(_ text: String, path: String) -> Result<RuleFile, RuleFileFailures> {
    var reader = RuleFileReader(path: path)
    return reader.read(text)
  }
}

/// Everything that is wrong with a rule file.
public struct RuleFileFailures: Error, Sendable, CustomStringConvertible {
  public let failures: [FileFailure]
  public var description: String { failures.map(\.description).joined(separator: "\n") }
}

/// Reads rule files and collects what is wrong with them.
private struct RuleFileReader {
  let path: String
  private var failures: [FileFailure] = []

  init(path: String) { self.path = path }

  mutating func read(_ text: String) -> Result<RuleFile, RuleFileFailures> {
    var groups: [RuleGroup] = []
    do throws(FileFailure) {
      let root = try YAMLMap.document(text, file: path, allowing: ["groups"])
      var names: Set<String> = []
      for node in try root.list("groups") {
        let map = try YAMLMap(node, file: path, allowing: ["name", "interval", "limit", "rules"], of: "a group")
        let group = try readGroup(map)
        if group.name.isEmpty { failures.append(map.failure("name", "group name must not be empty")) }
        if !names.insert(group.name).inserted {
          failures.append(map.failure("name", "groupname: \"\(group.name)\" is repeated in the same file"))
        }
        groups.append(group)
      }
    } catch {
      failures.append(error)
    }
    return failures.isEmpty
      ? .success(RuleFile(path: path, groups: groups)) : .failure(RuleFileFailures(failures: failures))
  }

  private mutating func readGroup(_ map: YAMLMap) throws(FileFailure) -> RuleGroup {
    let name = try map.text("name") ?? ""
    let interval = try map.duration("interval")
    let limit = try map.integer("limit") ?? 0
    var rules: [Rule] = []
    for (index, node) in try map.list("rules").enumerated() {
      let rule = try YAMLMap(
        node, file: path,
        allowing: ["record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"], of: "a rule")
      if let read = try readRule(rule, group: name, number: index + 1) { rules.append(read) }
    }
    let usedInterval = interval.flatMap { $0 == 0 ? nil : $0 }
    return RuleGroup(name: name, intervalMilliseconds: usedInterval, limit: limit, rules: rules)
  }

  private mutating func readRule(_ map: YAMLMap, group: String, number: Int) throws(FileFailure) -> Rule? {
    let record = try map.text("record") ?? ""
    let alert = try map.text("alert") ?? ""
    let source = try map.text("expr") ?? ""
    let countBefore = failures.count
    let place = "group \"\(group)\", rule \(number), \"\(record.isEmpty ? alert : record)\""
    func failure(_ key: String?, _ message: String) -> FileFailure { map.failure(key, "\(place): \(message)") }

    if !record.isEmpty, !alert.isEmpty {
      failures.append(failure("record", "only one of 'record' and 'alert' must be set"))
    }
    if record.isEmpty, alert.isEmpty { failures.append(failure(nil, "one of 'record' or 'alert' must be set")) }
    var expression: Expression?
    if source.isEmpty {
      failures.append(failure(nil, "field 'expr' must be set in rule"))
    } else {
      do throws(ParseFailure) { expression = try Parser.parse(source) } catch {
        failures.append(failure("expr", "could not parse expression: \(error)"))
      }
    }
    let labels = try map.pairs("labels").map { Label(name: $0.name, value: $0.value) }
    let annotations = try map.pairs("annotations").map { Label(name: $0.name, value: $0.value) }
    let hold = try map.duration("for") ?? 0
    let keep = try map.duration("keep_firing_for") ?? 0
    if !record.isEmpty {
      if !annotations.isEmpty {
        failures.append(failure("annotations", "invalid field 'annotations' in recording rule"))
      }
      if hold != 0 { failures.append(failure("for", "invalid field 'for' in recording rule")) }
      if keep != 0 { failures.append(failure("keep_firing_for", "invalid field 'keep_firing_for' in recording rule")) }
      if !LabelName.isValidMetricName(record) {
        failures.append(failure("record", "invalid recording rule name: \(record)"))
      }
    }
    for label in labels where !LabelName.isValid(label.name) || label.name == Label.metricName {
      failures.append(failure("labels", "invalid label name: \(label.name)"))
    }
    for annotation in annotations where !LabelName.isValid(annotation.name) {
      failures.append(failure("annotations", "invalid annotation name: \(annotation.name)"))
    }
    if !alert.isEmpty {
      for (key, texts) in [("labels", labels), ("annotations", annotations)] {
        for text in texts {
          do throws(TemplateFailure) { _ = try Template.parse(text.value, name: text.name) } catch {
            failures.append(failure(key, "\(key == "labels" ? "label" : "annotation") \"\(text.name)\": \(error)"))
          }
        }
      }
    }
    guard failures.count == countBefore, let expression else { return nil }
    return Rule(
      kind: alert.isEmpty ? .recording(record) : .alerting(alert), source: source, expression: expression,
      holdMilliseconds: hold, keepFiringMilliseconds: keep, labels: labels, annotations: annotations,
      line: map.failure("expr", "").line)
  }
}
