internal import BongsuQuery
internal import BongsuSeries

/// Fills in the templates of alerts: what is known at one evaluation, and a way to ask further queries.
struct TemplateExpander {
  let time: Int64
  let environment: TemplateEnvironment
  let query: (String) throws -> [InstantResult.Sample]

  init(
    time: Int64, environment: TemplateEnvironment, query: @escaping (String) throws -> [InstantResult.Sample]
  ) {
    self.time = time
    self.environment = environment
    self.query = query
  }

  /// The text with its actions carried out; a template that fails says so in its place, so that the alert still goes out.
  func expand(_ text: String, alert: String, _ sample: InstantResult.Sample) -> String {
    guard text.utf8.contains(UInt8(ascii: "{")) else { return text }
    let name = "__alert_\(alert)"
    do throws(TemplateFailure) {
      let template = try Template.parse(text, name: name)
      let labels = Self.map(sample.labels)
      let externalLabels = Self.map(environment.externalLabels)
      let data = TemplateValue.record([
        "Labels": labels, "ExternalLabels": externalLabels, "ExternalURL": .string(environment.externalURL),
        "Value": .float(sample.value),
      ])
      var run = TemplateRun(
        template, functions: TemplateFunctions(time: time, externalURL: environment.externalURL, query: query),
        variables: [
          (name: "$labels", value: labels), (name: "$externalLabels", value: externalLabels),
          (name: "$externalURL", value: .string(environment.externalURL)),
          (name: "$value", value: .float(sample.value)),
        ])
      return try run.expand(data)
    } catch {
      return "<error expanding template: error executing template \(name): \(error.message)>"
    }
  }

  private static func map(_ labels: LabelSet) -> TemplateValue {
    var entries: [String: TemplateValue] = [:]
    for label in labels.allLabels { entries[label.name] = .string(label.value) }
    return .map(entries)
  }
}
