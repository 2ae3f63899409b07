internal import BongsuReports

/// Writes exported series as text. Keeps the name and labels of the series it is in, nothing more.
///
/// A value is written with the fewest digits that read back as the same number, and as a whole number where it is one.
struct ExportText {
  let format: ExportFormat
  private var openFamily: String?

  init(format: ExportFormat) {
    self.format = format
  }

  /// The value of the `Content-Type` header.
  static func contentType(_ format: ExportFormat) -> String {
    switch format {
    case .openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
    case .csv: "text/csv; charset=utf-8; header=present"
    }
  }

  /// What stands before all series.
  mutating func head() -> String {
    switch format {
    case .openmetrics: ""
    case .csv: "time,metric,value," + Self.columns.joined(separator: ",") + ",other_labels\r\n"
    }
  }

  /// One run of samples.
  mutating func text(of series: ExportedSeries) -> String {
    switch format {
    case .openmetrics: openMetrics(series)
    case .csv: csv(series)
    }
  }

  /// What stands after all series. A reader of OpenMetrics tells a complete text from a broken one by it.
  mutating func tail() -> String {
    switch format {
    case .openmetrics: "# EOF\n"
    case .csv: ""
    }
  }

  private mutating func openMetrics(_ series: ExportedSeries) -> String {
    var out = ""
    // A counter's family is named without `_total`; a counter without that suffix cannot be written as one.
    let isCounter = series.kind == .counter && series.name.hasSuffix("_total")
    let family = isCounter ? String(series.name.dropLast("_total".count)) : series.name
    if openFamily != family {
      openFamily = family
      let kind = isCounter ? "counter" : series.kind == .gauge ? "gauge" : "unknown"
      out += "# TYPE \(family) \(kind)\n"
    }
    var start = series.name
    if !series.labels.isEmpty {
      start += "{"
      for (index, label) in series.labels.enumerated() {
        start += "\(index == 0 ? "" : ",")\(label.name)=\"\(Self.escaped(label.value))\""
      }
      start += "}"
    }
    for sample in series.samples {
      out += "\(start) \(Self.number(sample.value)) \(Self.seconds(sample.unixMilliseconds))\n"
    }
    return out
  }

  /// RFC 4180, with the labels of GPU series in columns of their own.
  private func csv(_ series: ExportedSeries) -> String {
    var values = [String](repeating: "", count: Self.columns.count)
    var others: [String] = []
    for label in series.labels {
      if let column = Self.columns.firstIndex(of: label.name) {
        values[column] = label.value
      } else {
        others.append("\(label.name)=\"\(Self.escaped(label.value))\"")
      }
    }
    let end = (values + [others.joined(separator: " ")]).map(Self.cell).joined(separator: ",")
    var out = ""
    for sample in series.samples {
      let time = TimeText.rfc3339(unixMilliseconds: sample.unixMilliseconds)
      out += "\(time),\(series.name),\(Self.number(sample.value)),\(end)\r\n"
    }
    return out
  }

  /// The labels that have a column, in the order in which a reader looks for a GPU.
  static let columns = ["nation", "factory", "hall", "rack", "node", "gpu", "uuid", "model", "allocation"]

  /// Seconds with milliseconds behind the point, exact.
  static func seconds(_ unixMilliseconds: Int64) -> String {
    let fraction = String(unixMilliseconds % 1000)
    return "\(unixMilliseconds / 1000).\(String(repeating: "0", count: 3 - fraction.utf8.count))\(fraction)"
  }

  static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    if let whole = Int64(exactly: value), abs(whole) < 1 << 53 { return String(whole) }
    return value.description
  }

  private static func escaped(_ text: String) -> String {
    var out = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\"": out += "\\\""
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }

  /// A cell, quoted where it must be.
  private static func cell(_ text: String) -> String {
    guard text.utf8.contains(where: { [0x22, 0x2C, 0x0A, 0x0D].contains($0) }) else { return text }
    return "\"" + text.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
  }
}
