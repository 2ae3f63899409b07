internal import BongsuQuery

/// A value inside a template.
indirect enum TemplateValue: Sendable {
  case none
  case bool(Bool)
  case integer(Int)
  case float(Double)
  case string(String)
  case map([String: TemplateValue])
  case list([TemplateValue])
  /// A value with fixed fields: the data of a template.
  case record([String: TemplateValue])
  /// An element of a query's result: labels (the metric name among them) and value.
  case sample(labels: [String: String], value: Double)

  /// Whether `if` and `and` take the value for true: not zero and not empty.
  var isTrue: Bool {
    switch self {
    case .none: false
    case .bool(let value): value
    case .integer(let value): value != 0
    case .float(let value): value != 0
    case .string(let text): !text.isEmpty
    case .map(let entries): !entries.isEmpty
    case .list(let elements): !elements.isEmpty
    case .sample, .record: true
    }
  }

  /// How an action prints the value.
  var text: String {
    switch self {
    case .none: return "<no value>"
    case .bool(let value): return value ? "true" : "false"
    case .integer(let value): return String(value)
    case .float(let value): return FloatText.general(value)
    case .string(let text): return text
    case .map(let entries):
      return "map[" + entries.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value.text)" }.joined(separator: " ")
        + "]"
    case .record(let fields):
      return "{" + fields.sorted { $0.key < $1.key }.map(\.value.text).joined(separator: " ") + "}"
    case .list(let elements): return "[" + elements.map(\.text).joined(separator: " ") + "]"
    case .sample(let labels, let value):
      let entries = labels.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value)" }.joined(separator: " ")
      return "{map[\(entries)] \(FloatText.general(value))}"
    }
  }

  /// The type's name in messages, as Go says it.
  var typeName: String {
    switch self {
    case .none: "nil"
    case .bool: "bool"
    case .integer: "int"
    case .float: "float64"
    case .string: "string"
    case .map: "map[string]string"
    case .record:
      "struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; Value float64 }"
    case .list: "template.queryResult"
    case .sample: "*template.sample"
    }
  }
}

/// Why a template cannot be read or filled in.
public struct TemplateFailure: Error, Sendable, Hashable, CustomStringConvertible {
  public let message: String
  public var description: String { message }
}
