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
  func expand(_ text: ParsedTemplate, _ subject: Subject) -> String {
    let template: Template
    switch text.content {
    case .plain(let plain): return plain
    case .template(let parsed): template = parsed
    case .broken(let failure): return Self.failed(text.name, failure)
    }
    do throws(TemplateFailure) {
      var run = TemplateRun(
        template, functions: TemplateFunctions(time: time, externalURL: environment.externalURL, query: query),
        variables: subject.variables)
      return try run.expand(subject.data)
    } catch {
      return Self.failed(text.name, error)
    }
  }

  /// What the templates of one alert see; made once for all of them.
  func subject(_ sample: InstantResult.Sample) -> Subject {
    let labels = Self.map(sample.labels)
    let externalLabels = Self.map(environment.externalLabels)
    return Subject(
      data: .record([
        "Labels": labels, "ExternalLabels": externalLabels, "ExternalURL": .string(environment.externalURL),
        "Value": .float(sample.value),
      ]),
      variables: [
        (name: "$labels", value: labels), (name: "$externalLabels", value: externalLabels),
        (name: "$externalURL", value: .string(environment.externalURL)), (name: "$value", value: .float(sample.value)),
      ])
  }

  struct Subject {
    let data: TemplateValue
    let variables: [(name: String, value: TemplateValue)]
  }

  private static func failed(_ name: String, _ failure: TemplateFailure) -> String {
    "<error expanding template: error executing template \(name): \(failure.message)>"
  }

  private static func map(_ labels: LabelSet) -> TemplateValue {
    var entries: [String: TemplateValue] = [:]
    for label in labels.allLabels { entries[label.name] = .string(label.value) }
    return .map(entries)
  }
}

/// The text of a label or annotation, parsed once when its rule is loaded.
struct ParsedTemplate: Sendable {
  enum Content: Sendable {
    case plain(String)
    case template(Template)
    case broken(TemplateFailure)
  }

  /// What it is called in messages.
  let name: String
  let content: Content

  init(_ text: String, alert: String) {
    name = "__alert_\(alert)"
    guard text.utf8.contains(UInt8(ascii: "{")) else {
      content = .plain(text)
      return
    }
    do throws(TemplateFailure) { content = .template(try Template.parse(text, name: name)) } catch {
      content = .broken(error)
    }
  }
}
