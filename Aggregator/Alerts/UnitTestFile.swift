internal import BongsuQuery
internal import BongsuSeries
internal import Yams

/// A unit-test file in promtool's format.
struct UnitTestFile {
  /// One `tests` entry: series, and what rules and expressions must make of them.
  struct Group {
    var name: String
    /// Between input samples. Without one, promtool puts all values of a series at time 0, where the first wins.
    var intervalMilliseconds: Int64
    var inputSeries: [(series: String, values: String)]
    var alertTests: [AlertTest]
    var expressionTests: [ExpressionTest]
    var externalLabels: LabelSet
    var externalURL: String
  }

  struct AlertTest {
    var evaluationMilliseconds: Int64
    var alertName: String
    var expected: [(labels: [Label], annotations: [Label])]
  }

  struct ExpressionTest {
    var expression: String
    var evaluationMilliseconds: Int64
    var expected: [(labels: String, value: Double)]
  }

  var rulePaths: [String]
  var evaluationIntervalMilliseconds: Int64
  var groupOrder: [String]
  var groups: [Group]

  static func parse(_ text: String, path: String) throws(FileFailure) -> UnitTestFile {
    let root = try YAMLMap.document(
      text, file: path, allowing: ["rule_files", "evaluation_interval", "group_eval_order", "tests"])
    var interval = try root.duration("evaluation_interval") ?? 0
    if interval == 0 { interval = 60_000 }
    var groups: [Group] = []
    for node in try root.list("tests") {
      let map = try YAMLMap(
        node, file: path,
        allowing: [
          "interval", "input_series", "alert_rule_test", "promql_expr_test", "external_labels", "external_url", "name",
        ], of: "a test")
      groups.append(try group(map))
    }
    return UnitTestFile(
      rulePaths: try root.texts("rule_files"), evaluationIntervalMilliseconds: interval,
      groupOrder: try root.texts("group_eval_order"), groups: groups)
  }

  private static func group(_ map: YAMLMap) throws(FileFailure) -> Group {
    let interval = try map.duration("interval") ?? 0
    var group = Group(
      name: try map.text("name") ?? "", intervalMilliseconds: interval,
      inputSeries: [],
      alertTests: [], expressionTests: [],
      externalLabels: LabelSet(try map.pairs("external_labels").map { Label(name: $0.name, value: $0.value) }),
      externalURL: try map.text("external_url") ?? "")
    for node in try map.list("input_series") {
      let series = try YAMLMap(node, file: map.file, allowing: ["series", "values"], of: "input_series")
      group.inputSeries.append((try series.text("series") ?? "", try series.text("values") ?? ""))
    }
    for node in try map.list("alert_rule_test") {
      let test = try YAMLMap(
        node, file: map.file, allowing: ["eval_time", "alertname", "exp_alerts"], of: "alert_rule_test")
      var expected: [(labels: [Label], annotations: [Label])] = []
      for node in try test.list("exp_alerts") {
        let alert = try YAMLMap(node, file: map.file, allowing: ["exp_labels", "exp_annotations"], of: "exp_alerts")
        expected.append(
          (
            try alert.pairs("exp_labels").map { Label(name: $0.name, value: $0.value) },
            try alert.pairs("exp_annotations").map { Label(name: $0.name, value: $0.value) }
          ))
      }
      group.alertTests.append(
        AlertTest(
          evaluationMilliseconds: try test.duration("eval_time") ?? 0, alertName: try test.text("alertname") ?? "",
          expected: expected))
    }
    for node in try map.list("promql_expr_test") {
      let test = try YAMLMap(
        node, file: map.file, allowing: ["expr", "eval_time", "exp_samples"], of: "promql_expr_test")
      var expected: [(labels: String, value: Double)] = []
      for node in try test.list("exp_samples") {
        let sample = try YAMLMap(node, file: map.file, allowing: ["labels", "value"], of: "exp_samples")
        expected.append((try sample.text("labels") ?? "", try sample.number("value") ?? 0))
      }
      group.expressionTests.append(
        ExpressionTest(
          expression: try test.text("expr") ?? "", evaluationMilliseconds: try test.duration("eval_time") ?? 0,
          expected: expected))
    }
    return group
  }
}
