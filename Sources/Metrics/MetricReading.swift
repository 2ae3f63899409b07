/// One of Bongsu's own series with its number now, for readers that want no text.
public struct MetricReading: Sendable {
  /// Name as exposed; the parts of a histogram end with `_bucket`, `_sum` and `_count`.
  public let name: String
  /// Labels in order of registration; those of buckets end with `le`.
  public let labels: [MetricLabel]
  /// In the exposed unit; `nan` where it is not known now.
  public let value: Double
}

/// What is known of one of Bongsu's own metrics.
public struct MetricDescription: Hashable, Sendable {
  /// How it behaves, in Prometheus' words.
  public enum Kind: String, Sendable {
    case counter
    case gauge
    case histogram
    case info
  }

  public let name: String
  public let help: String
  public let kind: Kind
  /// The exposed unit, such as `seconds`; empty for plain numbers.
  public let unit: String
}

extension MetricRegistry {
  /// All numbers now, in order of registration. Callbacks are called as on a scrape.
  public func readings() -> [MetricReading] {
    var readings: [MetricReading] = []
    for family in families {
      for series in family.series { Self.append(series, of: family, to: &readings) }
    }
    return readings
  }

  /// All metrics, in order of registration.
  public func descriptions() -> [MetricDescription] {
    families.map { family in
      let kind: MetricDescription.Kind =
        switch family.kind {
        case .counter: .counter
        case .gauge: .gauge
        case .histogram: .histogram
        case .info: .info
        }
      return MetricDescription(name: family.name, help: family.help, kind: kind, unit: family.unit.name)
    }
  }

  private static func append(
    _ series: MetricFamily.Series, of family: MetricFamily, to readings: inout [MetricReading]
  ) {
    func add(_ suffix: String, _ labels: [MetricLabel], _ value: Double) {
      readings.append(MetricReading(name: family.name + suffix, labels: labels, value: value))
    }
    switch series.source {
    case .counter(let counter): add("", series.labels, Double(counter.value) / family.unit.divisor)
    case .counterRead(let read): add("", series.labels, Double(read()) / family.unit.divisor)
    case .gauge(let gauge): add("", series.labels, Double(gauge.value) / family.unit.divisor)
    case .gaugeRead(let read): add("", series.labels, read())
    case .constant: add("", series.labels, 1)
    case .histogram(let histogram):
      let sum = Double(histogram.total) / family.unit.divisor
      let counts = histogram.cumulativeCounts
      for (index, count) in counts.enumerated() {
        let bound =
          index < histogram.bounds.count ? Double(histogram.bounds[index]) / family.unit.divisor : Double.infinity
        add("_bucket", series.labels + [MetricLabel("le", Exposition.number(bound))], Double(count))
      }
      add("_sum", series.labels, sum)
      add("_count", series.labels, Double(counts.last ?? 0))
    }
  }
}
