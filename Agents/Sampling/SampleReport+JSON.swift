import BongsuDevices
import BongsuModel

extension SampleReport {
  /// The reading as one JSON object on one line, ending with a line feed.
  ///
  ///     {"tick":"2026-11-21T22:30:00.000Z","unix_ms":1795300200000,"interval_ms":1000,
  ///      "sources":[{"name":"nvml","state":"available","detail":"8 GPUs …"}],"remarks":[],
  ///      "devices":[{"scope":"gpu","index":0,"key":"GPU-…","model":"NVIDIA H100 80GB HBM3",
  ///                  "metrics":{"bongsu_gpu_power_watts":68.56,"bongsu_gpu_utilization_ratio":0,…}}]}
  ///
  /// Metrics carry their exposed names and base units, exactly; an absent reading is `null`.
  public func json() -> String {
    let sources = conditions.map { name, condition in
      let detail = JSONText.string(condition.description)
      return #"{"name":\#(JSONText.string(name)),"state":"\#(condition.word)","detail":\#(detail)}"#
    }
    var parts: [String] = []
    for scope in [DeviceScope.gpu, .module, .node] {
      for (place, device) in layout.devices(in: scope).enumerated() { parts.append(json(device, place)) }
    }
    return #"{"tick":"\#(Timestamp.text(stamp.tick))","unix_ms":\#(stamp.tick.unixMilliseconds),"#
      + #""interval_ms":\#(layout.interval.milliseconds),"sources":[\#(sources.joined(separator: ","))],"#
      + #""remarks":[\#(remarks.map(JSONText.string).joined(separator: ","))],"#
      + #""devices":[\#(parts.joined(separator: ","))]}"# + "\n"
  }

  private func json(_ device: Device, _ place: Int) -> String {
    var metrics: [String] = []
    for (number, column) in layout.columns.enumerated() where column.scope == device.scope {
      let value = value(column: number, device: place)
      metrics.append("\(JSONText.string(column.name)):\(JSONText.number(value, column.unit))")
    }
    return #"{"scope":"\#(device.scope)","index":\#(device.index),"key":\#(JSONText.string(device.key)),"#
      + #""model":\#(JSONText.string(device.model)),"metrics":{\#(metrics.joined(separator: ","))}}"#
  }
}

/// Values as JSON (RFC 8259).
enum JSONText {
  /// `text` in quotes, escaped.
  static func string(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\u{0}"..<"\u{20}", "\u{7F}", "\u{2028}", "\u{2029}":
        let hex = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }

  /// A reading in its base unit, exactly; `null` for an absent one.
  static func number(_ value: SampleValue, _ unit: WireUnit) -> String {
    guard let reading = value.reading else { return "null" }
    if unit.exposedDenominator > 1 {
      let divisor = Int64(unit.exposedDenominator)
      return DecimalText.text(reading, dividedBy: divisor, places: 6)
    }
    let (product, overflow) = reading.multipliedReportingOverflow(by: Int64(unit.exposedNumerator))
    // 2^53 times 10^6 leaves 63 bits; the floating-point number is what every reader makes of it anyway.
    return overflow ? "\(Double(reading) * unit.exposedNumerator)" : "\(product)"
  }
}
