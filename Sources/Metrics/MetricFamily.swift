/// A label on a series of Bongsu's own metrics.
public struct MetricLabel: Hashable, Sendable {
  public let name: String
  public let value: String

  public init(_ name: String, _ value: String) {
    self.name = name
    self.value = value
  }
}

/// All series of one name.
struct MetricFamily: Sendable {
  enum Kind: String, Sendable {
    case counter
    case gauge
    case histogram
    case info
  }

  /// Where a series has its number from.
  enum Source: Sendable {
    case counter(Counter)
    case counterRead(@Sendable () -> UInt64)
    case gauge(Gauge)
    case gaugeRead(@Sendable () -> Double)
    case histogram(Histogram)
    case constant
  }

  struct Series: Sendable {
    let labels: [MetricLabel]
    let source: Source
  }

  /// Full name, with unit and `_total` or `_info`.
  let name: String
  let help: String
  let kind: Kind
  let unit: MetricUnit
  var series: [Series] = []

  /// The name without the suffix that OpenMetrics keeps for samples: `_total` of a counter, `_info` of an information.
  var openMetricsName: String {
    switch kind {
    case .counter: String(name.dropLast("_total".utf8.count))
    case .info: String(name.dropLast("_info".utf8.count))
    case .gauge, .histogram: name
    }
  }

  /// What is wrong with the name, in words; `nil` when it follows `bongsu_<part>_<noun>_<unit>[_total]`.
  var nameObjection: String? {
    guard Self.isWellFormed(name) else { return "is not lower-case letters, digits and single underscores" }
    guard name.utf8.starts(with: "bongsu_".utf8) else { return "does not start with bongsu_" }
    switch kind {
    case .counter:
      guard name.hasSuffix("_total") else { return "is a counter and does not end with _total" }
    case .info:
      guard name.hasSuffix("_info") else { return "is an information and does not end with _info" }
    case .gauge, .histogram:
      for suffix in ["_total", "_info", "_count", "_sum", "_bucket"] where name.hasSuffix(suffix) {
        return "ends with \(suffix), which is kept for other kinds"
      }
    }
    guard unit.name.isEmpty || openMetricsName.hasSuffix("_" + unit.name) else {
      return "does not end with its unit, _\(unit.name)"
    }
    return nil
  }

  /// Lower-case letters, digits and underscores, starting with a letter, without double or trailing underscores.
  static func isWellFormed(_ name: String) -> Bool {
    var previous: UInt8 = 0x5F
    for byte in name.utf8 {
      switch byte {
      case 0x61...0x7A: break
      case 0x30...0x39 where previous != 0x5F || !name.isEmpty && byte != name.utf8.first: break
      case 0x5F where previous != 0x5F: break
      default: return false
      }
      previous = byte
    }
    return previous != 0x5F
  }
}
