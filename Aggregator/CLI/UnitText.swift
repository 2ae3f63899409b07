internal import Foundation

/// Quantities as people read them. Pure; the exact figures are in the JSON and CSV forms.
enum UnitText {
  /// What stands for a figure that is not known: never a zero.
  static let unknown = "-"

  private static let prefixes = ["", "k", "M", "G", "T", "P"]

  /// Power with four significant digits: `612.4 W`, `14.40 kW`, `3.000 GW`.
  static func power(milliwatts: Int64) -> String { scaled(Double(milliwatts) / 1000, "W") }

  /// Energy in watt-hours with four significant digits.
  static func energy(millijoules: Int64?) -> String {
    guard let millijoules else { return unknown }
    return scaled(Double(millijoules) / 3_600_000, "Wh")
  }

  /// Bytes in decimal multiples: `4.295 GB`.
  static func bytes(_ bytes: Double) -> String { scaled(bytes, "B") }

  /// A share in percent with one decimal, rounded to nearest.
  static func percent(_ ratio: Double?) -> String {
    guard let ratio, ratio.isFinite else { return unknown }
    return String(format: "%.1f %%", ratio * 100)
  }

  /// A share in percent that never looks more complete than it is: rounded down, so 100 % means all.
  static func coverage(_ ratio: Double?) -> String {
    guard let ratio, ratio.isFinite else { return unknown }
    return String(format: "%.1f %%", (ratio * 1000 + 1e-9).rounded(.down) / 10)
  }

  /// A whole number with commas between thousands.
  static func count(_ value: Int64) -> String {
    let digits = String(value.magnitude)
    var out = ""
    for (index, digit) in digits.enumerated() {
      if index > 0 && (digits.count - index).isMultiple(of: 3) { out.append(",") }
      out.append(digit)
    }
    return (value < 0 ? "-" : "") + out
  }

  /// The two largest parts of a time: `1 d 2 h`, `3 min 20 s`, `0 s`.
  static func duration(seconds: Int64) -> String {
    let parts: [(unit: String, seconds: Int64)] = [("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)]
    guard let first = parts.firstIndex(where: { abs(seconds) >= $0.seconds }) else { return "0 s" }
    let whole = "\(seconds / parts[first].seconds) \(parts[first].unit)"
    guard first + 1 < parts.count else { return whole }
    let rest = abs(seconds % parts[first].seconds) / parts[first + 1].seconds
    return rest == 0 ? whole : "\(whole) \(rest) \(parts[first + 1].unit)"
  }

  /// Milliseconds as people say them: `180 ms`, `3.2 s`, `4 min 10 s`.
  static func lag(milliseconds: Int64?) -> String {
    guard let milliseconds else { return unknown }
    if abs(milliseconds) < 1000 { return "\(milliseconds) ms" }
    if abs(milliseconds) < 60_000 { return String(format: "%.1f s", Double(milliseconds) / 1000) }
    return duration(seconds: milliseconds / 1000)
  }

  /// `value` with the prefix that leaves one to three digits before the point, four significant digits in all. Rounding
  /// comes before the choice, so 999.96 W is 1.000 kW and never 1000.0 W.
  static func scaled(_ value: Double, _ unit: String) -> String {
    guard value.isFinite else { return unknown }
    guard value != 0 else { return "0 \(unit)" }
    var value = value
    var prefix = 0
    while abs(value) >= 999.95, prefix + 1 < prefixes.count {
      value /= 1000
      prefix += 1
    }
    let decimals = abs(value) < 9.9995 ? 3 : abs(value) < 99.995 ? 2 : 1
    return String(format: "%.\(decimals)f", value) + " " + prefixes[prefix] + unit
  }
}

/// Times as people type them.
enum DurationText {
  /// Seconds of `90s`, `15m`, `24h` or `7d`; a bare number means seconds. `nil` when it is none of these.
  static func seconds(_ text: String) -> Int64? {
    let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
    let factor = text.last.flatMap { units[$0] }
    let digits = factor == nil ? text[...] : text.dropLast()
    guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int64(digits) else {
      return nil
    }
    let (seconds, overflow) = number.multipliedReportingOverflow(by: factor ?? 1)
    return overflow || seconds > CommandLimits.durationSecondsMax ? nil : seconds
  }
}
