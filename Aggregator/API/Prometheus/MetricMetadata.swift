/// What is known of a metric, for `/api/v1/metadata`.
public struct MetricMetadata: Hashable, Sendable {
  /// How a metric behaves, in Prometheus' words.
  public enum Kind: String, Sendable {
    case gauge
    case counter
    case histogram
    case info
    case unknown
  }

  public var name: String
  public var kind: Kind
  public var help: String
  /// Base unit such as `watts`; empty for plain numbers.
  public var unit: String

  public init(name: String, kind: Kind, help: String, unit: String) {
    self.name = name
    self.kind = kind
    self.help = help
    self.unit = unit
  }
}
