import BongsuAPI
import BongsuMetrics
import BongsuModel
import BongsuRollup

/// What is known of all metrics that the aggregator exposes.
enum SeriesMetadata {
  /// The catalogue's metrics and all rollups; never changes.
  private static let fixed: [MetricMetadata] =
    MetricCatalogue.all.map { metric in
      MetricMetadata(
        name: metric.name, kind: metric.kind == .counter ? .counter : .gauge, help: metric.help,
        unit: metric.unit.exposedUnit)
    }
    + RollupLevel.allCases.flatMap { level in
      RollupSeries.all.map { series in
        MetricMetadata(name: series.name(level), kind: .gauge, help: series.help, unit: unit(of: series.metric))
      }
    }
    + DemandSeries.allCases.map {
      MetricMetadata(name: $0.rawValue, kind: .gauge, help: $0.help, unit: "watts")
    }

  /// Everything, Bongsu's own metrics as they are registered by now.
  static func all(_ registry: MetricRegistry) -> [MetricMetadata] {
    fixed
      + registry.descriptions().map { description in
        let kind: MetricMetadata.Kind =
          switch description.kind {
          case .counter: .counter
          case .gauge: .gauge
          case .histogram: .histogram
          case .info: .info
          }
        return MetricMetadata(
          name: description.name, kind: kind, help: description.help, unit: description.unit)
      }
  }

  /// The unit that ends a metric's name; empty when it ends with none.
  private static func unit(of metric: String) -> String {
    ["watts", "joules", "ratio", "bytes", "celsius", "hertz", "seconds"].first { metric.hasSuffix("_" + $0) } ?? ""
  }
}
