internal import BongsuQuery
private import Foundation

/// Numbers for people, as Prometheus's template functions write them.
enum Humanize {
  /// Four significant digits, without trailing zeros.
  static func fourDigits(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
    return String(format: "%.4g", value)
  }

  private static let small = ["m", "u", "n", "p", "f", "a", "z", "y"]

  /// With a metric prefix: `1.235k`, `12m`.
  static func metric(_ value: Double) -> String {
    if value == 0 || !value.isFinite { return fourDigits(value) }
    if value.magnitude < 1 { return scaledUp(value) }
    return scaledDown(value, by: 1000, ["k", "M", "G", "T", "P", "E", "Z", "Y"])
  }

  /// With a binary prefix: `1.5ki`.
  static func binary(_ value: Double) -> String {
    if value.magnitude <= 1 || !value.isFinite { return fourDigits(value) }
    return scaledDown(value, by: 1024, ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"])
  }

  /// Seconds as days, hours, minutes and seconds.
  static func duration(_ value: Double) -> String {
    if !value.isFinite { return fourDigits(value) }
    if value == 0 { return fourDigits(value) + "s" }
    if value.magnitude < 1 { return scaledUp(value) + "s" }
    let sign = value < 0 ? "-" : ""
    let whole = GoNumber.truncated(value.magnitude)
    let (seconds, minutes, hours, days) = (whole % 60, whole / 60 % 60, whole / 3600 % 24, whole / 86_400)
    if days != 0 { return "\(sign)\(days)d \(hours)h \(minutes)m \(seconds)s" }
    if hours != 0 { return "\(sign)\(hours)h \(minutes)m \(seconds)s" }
    if minutes != 0 { return "\(sign)\(minutes)m \(seconds)s" }
    return sign + fourDigits(value.magnitude) + "s"
  }

  /// A ratio as a percentage.
  static func percentage(_ value: Double) -> String { fourDigits(value * 100) + "%" }

  /// Seconds since 1970 as a date and time in UTC; `nil` when no 64-bit number of nanoseconds can hold it.
  static func timestamp(_ value: Double) -> String? {
    if !value.isFinite { return fourDigits(value) }
    let nanoseconds = value * 1e9
    guard nanoseconds < 0x1p63, nanoseconds >= -0x1p63 else { return nil }
    let milliseconds = Int64(nanoseconds) / 1_000_000
    return utc(milliseconds: milliseconds)
  }

  /// A time as Go prints it: `2015-03-25 13:46:14.55 +0000 UTC`.
  static func utc(milliseconds: Int64) -> String {
    let seconds = milliseconds >= 0 ? milliseconds / 1000 : (milliseconds - 999) / 1000
    let fields = CalendarFields(unixSeconds: seconds)
    var fraction = ""
    let rest = milliseconds - seconds * 1000
    if rest != 0 {
      fraction = "." + padded(Int(rest), 3)
      while fraction.hasSuffix("0") { fraction.removeLast() }
    }
    let date = "\(padded(fields.year, 4))-\(padded(fields.month, 2))-\(padded(fields.day, 2))"
    let time = "\(padded(fields.hour, 2)):\(padded(fields.minute, 2)):\(padded(fields.second, 2))"
    return "\(date) \(time)\(fraction) +0000 UTC"
  }

  private static func padded(_ value: Int, _ digits: Int) -> String {
    let text = String(value)
    return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
  }

  private static func scaledDown(_ value: Double, by base: Double, _ prefixes: [String]) -> String {
    var value = value
    var prefix = ""
    for next in prefixes where value.magnitude >= base {
      prefix = next
      value /= base
    }
    return fourDigits(value) + prefix
  }

  private static func scaledUp(_ value: Double) -> String {
    var value = value
    var prefix = ""
    for next in small where value.magnitude < 1 {
      prefix = next
      value *= 1000
    }
    return fourDigits(value) + prefix
  }
}

/// Conversions of numbers as Go does them.
enum GoNumber {
  /// Conversion to a 64-bit integer; out of range gives the smallest integer.
  static func truncated(_ value: Double) -> Int64 { Int64(exactly: value.rounded(.towardZero)) ?? Int64.min }
}
