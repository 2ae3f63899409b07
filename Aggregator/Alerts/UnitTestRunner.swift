internal import BongsuQuery
internal import BongsuSeries

/// Runs one group of unit tests: plays the input series, evaluates the rules along the way, and compares.
///
/// Time runs from 0 in steps of the evaluation interval to the last `eval_time`. At each step the input up to that time
/// is stored first, then the groups are evaluated in order. An alert test looks at the state after the last evaluation
/// not after its time; expression tests run at the end, over everything stored.
struct UnitTestRunner {
  let group: UnitTestFile.Group
  let evaluationInterval: Int64
  let rules: [RuleGroup]
  private var engine = QueryEngine()
  private var storage = MemorySeries()

  init(group: UnitTestFile.Group, evaluationInterval: Int64, rules: [RuleGroup]) {
    self.group = group
    self.evaluationInterval = evaluationInterval
    self.rules = rules
    engine.options.subqueryStepMilliseconds = evaluationInterval
  }

  /// Runs the tests. Returns what failed, as text to print.
  mutating func run() -> [String] {
    var input: [(labels: LabelSet, values: [Double?], next: Int)] = []
    do throws(ParseFailure) {
      for (series, values) in group.inputSeries { try describe("\(series) \(values)", in: &input) }
    } catch {
      return ["    input series: \(error)"]
    }
    for test in group.alertTests where test.alertName.isEmpty {
      let suffix = group.name.isEmpty ? "" : " (in TestGroup \(group.name))"
      let time = DurationText.format(milliseconds: test.evaluationMilliseconds)
      return ["an item under alert_rule_test misses required attribute alertname at eval_time \(time)\(suffix)"]
    }
    let times = group.alertTests.map(\.evaluationMilliseconds) + group.expressionTests.map(\.evaluationMilliseconds)
    let end = times.max() ?? 0
    guard end / evaluationInterval <= Int64(AlertLimits.testEvaluationsMax) else {
      return ["    more than \(AlertLimits.testEvaluationsMax) evaluations; use a longer evaluation_interval"]
    }
    var states = rules.map(RuleGroupState.init)
    var failures: [String] = []
    let alertTimes = Set(group.alertTests.map(\.evaluationMilliseconds)).sorted()
    var nextAlertTime = 0
    for time in stride(from: 0, through: end, by: Int64.Stride(evaluationInterval)) {
      load(&input, through: time)
      let errors = evaluate(&states, at: time)
      failures += errors
      if !errors.isEmpty { return failures }
      while nextAlertTime < alertTimes.count, alertTimes[nextAlertTime] < time + evaluationInterval {
        for test in group.alertTests where test.evaluationMilliseconds == alertTimes[nextAlertTime] {
          if let failure = check(test, states) { failures.append(failure) }
        }
        nextAlertTime += 1
      }
    }
    for test in group.expressionTests {
      if let failure = check(test) { failures.append(failure) }
    }
    return failures
  }

  /// Adds the series of a description; each further line of it, as from a YAML block, describes a series of its own.
  private func describe(_ text: String, in input: inout [(labels: LabelSet, values: [Double?], next: Int)])
    throws(ParseFailure)
  {
    for line in text.split(separator: "\n") {
      let trimmed = String(String(line.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed()))
      if trimmed.isEmpty || trimmed.hasPrefix("#") { continue }
      let description = try SeriesDescription(trimmed)
      if let known = input.firstIndex(where: { $0.labels == description.labels }) {
        // A series that is described again replaces the first description.
        input[known].values = description.values
      } else {
        input.append((description.labels, description.values, 0))
      }
    }
  }

  private mutating func load(_ input: inout [(labels: LabelSet, values: [Double?], next: Int)], through end: Int64) {
    for index in input.indices {
      while input[index].next < input[index].values.count {
        let time = Int64(input[index].next) * group.intervalMilliseconds
        if time > end { break }
        if let value = input[index].values[input[index].next] {
          storage.append(input[index].labels, timestamp: time, value: value)
        }
        input[index].next += 1
      }
    }
  }

  private mutating func evaluate(_ states: inout [RuleGroupState], at time: Int64) -> [String] {
    let environment = TemplateEnvironment(externalLabels: group.externalLabels, externalURL: group.externalURL)
    var errors: [String] = []
    for index in states.indices {
      for rule in states[index].group.rules.indices {
        switch states[index].evaluate(rule, at: time, engine: engine, source: storage, environment: environment) {
        case .success(let outputs):
          let rejected = store(outputs, at: time)
          if let rejected {
            let name = states[index].group.rules[rule].name
            errors.append("    rule: \(name), time: \(GoDuration.format(milliseconds: time)), err: \(rejected)")
          }
        case .failure(let failure):
          let at = GoDuration.format(milliseconds: time)
          errors.append("    rule: \(failure.rule), time: \(at), err: \(failure.message)")
        }
      }
    }
    return errors
  }

  /// Stores what a rule wrote. Returns why a sample was refused; a stale marker that comes too late is no error, as the
  /// series may live on in another rule.
  private mutating func store(_ outputs: [RuleGroupState.Output], at time: Int64) -> String? {
    var rejected: String?
    for output in outputs {
      let outcome = storage.append(output.labels, timestamp: time, value: output.value)
      if StaleMarker.isStale(output.value) { continue }
      switch outcome {
      case .appended, .duplicate: break
      case .conflict: rejected = "duplicate sample for timestamp"
      case .outOfOrder: rejected = "out of order sample"
      }
    }
    return rejected
  }

  // MARK: comparison

  private struct ComparedAlert: Equatable {
    var labels: LabelSet
    var annotations: LabelSet

    init(labels: LabelSet, annotations: [Label]) {
      self.labels = labels
      self.annotations = LabelSet(annotations)
    }
  }

  private func check(_ test: UnitTestFile.AlertTest, _ states: [RuleGroupState]) -> String? {
    var got: [ComparedAlert] = []
    for state in states {
      for (rule, alerting) in zip(state.group.rules, state.alerting) where rule.kind == .alerting(test.alertName) {
        for alert in alerting.alerts where alert.phase == .firing {
          got.append(ComparedAlert(labels: alert.labels, annotations: alert.annotations))
        }
      }
    }
    var expected = test.expected.map { alert in
      let labels = LabelSet(alert.labels + [Label(name: "alertname", value: test.alertName)])
      return ComparedAlert(labels: labels, annotations: alert.annotations)
    }
    let precedes = { (one: ComparedAlert, other: ComparedAlert) in
      one.labels != other.labels ? one.labels < other.labels : one.annotations < other.annotations
    }
    got.sort(by: precedes)
    expected.sort(by: precedes)
    if got == expected { return nil }
    let name = group.name.isEmpty ? "" : "    name: \(group.name),\n"
    let time = DurationText.format(milliseconds: test.evaluationMilliseconds)
    return "\(name)    alertname: \(test.alertName), time: \(time), \n        exp:\(Self.text(of: expected)), \n"
      + "        got:\(Self.text(of: got))"
  }

  private static func text(of alerts: [ComparedAlert]) -> String {
    if alerts.isEmpty { return "[]" }
    let indent = "            "
    let lines = alerts.enumerated().map { index, alert in
      "\(indent)\(index):\n\(indent)  Labels:\(bracedText(alert.labels))\n"
        + "\(indent)  Annotations:\(bracedText(alert.annotations))"
    }
    return "[\n" + lines.joined(separator: "\n") + "\n\(indent)]"
  }

  private func check(_ test: UnitTestFile.ExpressionTest) -> String? {
    let time = DurationText.format(milliseconds: test.evaluationMilliseconds)
    let place = "    expr: \(QuotedText.quote(test.expression)), time: \(time),"
    var got: [InstantResult.Sample]
    do {
      switch try engine.instant(test.expression, at: test.evaluationMilliseconds, over: storage) {
      case .vector(let samples): got = samples
      case .scalar(let value): got = [InstantResult.Sample(labels: .empty, value: value)]
      case .string, .matrix: throw QueryError.execution("rule result is not a vector or scalar")
      }
    } catch {
      return "\(place) err: \(error)"
    }
    var expected: [InstantResult.Sample] = []
    for sample in test.expected {
      do throws(ParseFailure) {
        expected.append(InstantResult.Sample(labels: try Parser.parseMetric(sample.labels), value: sample.value))
      } catch {
        return "\(place) err: labels \(QuotedText.quote(sample.labels)): \(error)"
      }
    }
    got.sort { $0.labels < $1.labels }
    expected.sort { $0.labels < $1.labels }
    let areEqual =
      got.count == expected.count
      && zip(got, expected).allSatisfy { pair in
        // Exact, as in promtool: a test that wants a tolerance says so in its expression. NaN equals nothing.
        pair.0.labels == pair.1.labels && pair.0.value == pair.1.value
      }
    if areEqual { return nil }
    return "\(place)\n        exp: \(Self.text(of: expected))\n        got: \(Self.text(of: got))"
  }

  private static func text(of samples: [InstantResult.Sample]) -> String {
    if samples.isEmpty { return "nil" }
    return samples.map { "\(bracedText($0.labels)) \(FloatText.scientific($0.value))" }.joined(separator: ", ")
  }

  /// All labels in braces, the metric name as a label like any other.
  private static func bracedText(_ labels: LabelSet) -> String {
    "{" + labels.allLabels.map { "\($0.name)=\(QuotedText.quote($0.value))" }.joined(separator: ", ") + "}"
  }
}

/// Durations as Go's standard library prints them: `1h30m0s`.
enum GoDuration {
  static func format(milliseconds: Int64) -> String {
    if milliseconds == 0 { return "0s" }
    if milliseconds.magnitude < 1000 { return "\(milliseconds)ms" }
    let (hours, minutes) = (milliseconds / 3_600_000, milliseconds / 60_000 % 60)
    let seconds = FloatText.plain(Double(milliseconds % 60_000) / 1000) + "s"
    if hours > 0 { return "\(hours)h\(minutes)m\(seconds)" }
    return minutes > 0 ? "\(minutes)m\(seconds)" : seconds
  }
}
