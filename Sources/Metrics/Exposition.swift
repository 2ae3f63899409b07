/// The texts that metrics are exposed in.
public enum ExpositionFormat: Sendable, CaseIterable {
  /// OpenMetrics 1.0, ends with `# EOF`.
  case openMetrics
  /// Prometheus text format 0.0.4, what `promtool check metrics` reads.
  case prometheusText

  /// The value of the `Content-Type` header.
  public var contentType: String {
    switch self {
    case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
    case .prometheusText: "text/plain; version=0.0.4; charset=utf-8"
    }
  }

  /// The format that an `Accept` header prefers; the classic one when it says nothing that we know.
  ///
  /// Quality values count (RFC 9110, 12.5.1); of two types with equal quality OpenMetrics wins. A version of OpenMetrics
  /// other than 1.0.0 or 0.0.1 is not ours to promise and is passed over.
  public static func negotiated(accept: String?) -> ExpositionFormat {
    guard let accept else { return .prometheusText }
    var best = (quality: 0, format: ExpositionFormat.prometheusText)
    for range in accept.split(separator: ",") {
      let parts = range.split(separator: ";").map { trimmed($0).lowercased() }
      guard let type = parts.first else { continue }
      let parameters = parts.dropFirst()
      let quality = parameters.first { $0.hasPrefix("q=") }.map { thousandths($0.dropFirst(2)) } ?? 1000
      switch type {
      case "application/openmetrics-text":
        let version = parameters.first { $0.hasPrefix("version=") }?.dropFirst("version=".count)
        guard version == nil || version == "1.0.0" || version == "0.0.1" else { continue }
        if quality > 0 && quality >= best.quality { best = (quality, .openMetrics) }
      case "text/plain", "text/*", "*/*":
        if quality > best.quality { best = (quality, .prometheusText) }
      default: continue
      }
    }
    return best.format
  }

  /// A quality value such as `0.75` in thousandths; 0 when it is malformed.
  private static func thousandths(_ text: Substring) -> Int {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard let first = parts.first, let whole = Int(first), (0...1).contains(whole), parts.count <= 2 else { return 0 }
    guard parts.count == 2 else { return whole * 1000 }
    let digits = parts[1].prefix(3)
    guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return 0 }
    let scale = [1000, 100, 10, 1][digits.count]
    return min(1000, whole * 1000 + (Int(digits) ?? 0) * scale)
  }

  private static func trimmed(_ text: Substring) -> Substring {
    var text = text
    while let first = text.utf8.first, first == 0x20 || first == 0x09 { text = text.dropFirst() }
    while let last = text.utf8.last, last == 0x20 || last == 0x09 { text = text.dropLast() }
    return text
  }
}

/// Writes families as text. Sources: OpenMetrics 1.0 (openmetrics.io) and the Prometheus exposition formats page.
enum Exposition {
  static func text(of families: [MetricFamily], as format: ExpositionFormat) -> String {
    var out = ""
    out.reserveCapacity(families.count * 256)
    for family in families { append(family, as: format, to: &out) }
    if format == .openMetrics { out += "# EOF\n" }
    return out
  }

  /// A number as both formats spell it.
  static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    return value.description
  }

  private static func append(_ family: MetricFamily, as format: ExpositionFormat, to out: inout String) {
    let isOpenMetrics = format == .openMetrics
    let name = isOpenMetrics ? family.openMetricsName : family.name
    let kind = family.kind == .info && !isOpenMetrics ? "gauge" : family.kind.rawValue
    out += "# HELP \(name) \(escaped(family.help, quotes: isOpenMetrics))\n"
    out += "# TYPE \(name) \(kind)\n"
    if isOpenMetrics && !family.unit.name.isEmpty { out += "# UNIT \(name) \(family.unit.name)\n" }
    for series in family.series {
      switch series.source {
      case .counter(let counter): sample(family.name, series.labels, scaled(counter.value, family.unit), to: &out)
      case .counterRead(let read): sample(family.name, series.labels, scaled(read(), family.unit), to: &out)
      case .gauge(let gauge):
        let value = family.unit.divisor == 1 ? String(gauge.value) : number(Double(gauge.value) / family.unit.divisor)
        sample(family.name, series.labels, value, to: &out)
      case .gaugeRead(let read): sample(family.name, series.labels, number(read()), to: &out)
      case .histogram(let histogram): append(histogram, series.labels, family, to: &out)
      case .constant: sample(family.name, series.labels, "1", to: &out)
      }
    }
  }

  private static func append(
    _ histogram: Histogram, _ labels: [MetricLabel], _ family: MetricFamily, to out: inout String
  ) {
    // The counts are read once, so that buckets and count agree with each other even while others observe. The sum may
    // miss an observation that they have, which the next scrape mends.
    let sum = scaled(histogram.total, family.unit)
    let cumulative = histogram.cumulativeCounts
    for (index, count) in cumulative.enumerated() {
      let bound =
        index < histogram.bounds.count ? Double(histogram.bounds[index]) / family.unit.divisor : Double.infinity
      sample(family.name + "_bucket", labels + [MetricLabel("le", number(bound))], String(count), to: &out)
    }
    sample(family.name + "_sum", labels, sum, to: &out)
    sample(family.name + "_count", labels, String(cumulative.last ?? 0), to: &out)
  }

  /// Whole numbers stay whole: a counter of bytes is printed to the byte also beyond 2^53.
  private static func scaled(_ value: UInt64, _ unit: MetricUnit) -> String {
    unit.divisor == 1 ? String(value) : number(Double(value) / unit.divisor)
  }

  private static func sample(_ name: String, _ labels: [MetricLabel], _ value: String, to out: inout String) {
    out += name
    if !labels.isEmpty {
      out += "{"
      for (index, label) in labels.enumerated() {
        out += "\(index == 0 ? "" : ",")\(label.name)=\"\(escaped(label.value, quotes: true))\""
      }
      out += "}"
    }
    out += " \(value)\n"
  }

  /// Backslash, newline and, where the place is quoted or the format asks for it, the quote.
  private static func escaped(_ text: String, quotes: Bool) -> String {
    guard text.utf8.contains(where: { $0 == 0x5C || $0 == 0x0A || $0 == 0x22 }) else { return text }
    var out = ""
    for character in text.unicodeScalars {
      switch character {
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\"" where quotes: out += "\\\""
      default: out.unicodeScalars.append(character)
      }
    }
    return out
  }
}
