/// Instants as text, the way the Prometheus API takes them: RFC 3339, or seconds since 1970 with an optional fraction.
public enum TimeText {
  /// The years an instant may lie in, as milliseconds since 1970: 1970 to 2200.
  private static let range: ClosedRange<Int64> = 0...7_258_118_400_000

  /// Milliseconds since 1970, rounded down; `nil` when `text` is neither form or lies outside 1970 to 2200.
  public static func unixMilliseconds(_ text: String) -> Int64? {
    guard text.utf8.count <= 40, let milliseconds = decimal(text) ?? rfc3339(text), range.contains(milliseconds) else {
      return nil
    }
    return milliseconds
  }

  /// `2026-11-21T09:30:00.250Z`; whole seconds leave the fraction out.
  public static func rfc3339(unixMilliseconds: Int64) -> String {
    let days = floored(unixMilliseconds, 86_400_000)
    let ofDay = unixMilliseconds - days * 86_400_000
    let (year, month, day) = civil(days: days)
    let seconds = ofDay / 1000
    let date = "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))"
    let clock = "\(padded(seconds / 3600, 2)):\(padded(seconds / 60 % 60, 2)):\(padded(seconds % 60, 2))"
    return "\(date)T\(clock)\(ofDay % 1000 == 0 ? "" : "." + padded(ofDay % 1000, 3))Z"
  }

  /// Digits with at most one point between or after them.
  private static func decimal(_ text: String) -> Int64? {
    let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    guard let whole = digits(parts[0][...]), parts[0].utf8.count <= 12 else { return nil }
    guard parts.count == 2 else { return whole * 1000 }
    guard parts[1].isEmpty || digits(parts[1]) != nil else { return nil }
    let fraction = (parts[1] + "000").prefix(3)
    return whole * 1000 + (digits(fraction) ?? 0)
  }

  /// `YYYY-MM-DDThh:mm:ss[.fraction](Z|±hh:mm)` (RFC 3339, 5.6).
  private static func rfc3339(_ text: String) -> Int64? {
    let bytes = Array(text.utf8)
    guard bytes.count >= 20, bytes[4] == 0x2D, bytes[7] == 0x2D, bytes[10] == 0x54 || bytes[10] == 0x74,
      bytes[13] == 0x3A, bytes[16] == 0x3A
    else { return nil }
    func number(_ range: Range<Int>) -> Int64? { digits(Substring(decoding: bytes[range], as: UTF8.self)) }
    guard let year = number(0..<4), let month = number(5..<7), let day = number(8..<10), let hour = number(11..<13),
      let minute = number(14..<16), let second = number(17..<19), (1...12).contains(month),
      (1...daysInMonth(year, month)).contains(day), hour < 24, minute < 60, second < 60
    else { return nil }
    var index = 19
    var milliseconds: Int64 = 0
    if bytes[index] == 0x2E {
      let start = index + 1
      index = start
      while index < bytes.count, (0x30...0x39).contains(bytes[index]) { index += 1 }
      guard index > start else { return nil }
      let fraction = (Substring(decoding: bytes[start..<index], as: UTF8.self) + "000").prefix(3)
      milliseconds = digits(fraction) ?? 0
    }
    guard let offsetMinutes = zone(bytes[index...]) else { return nil }
    let minutes = (days(year, month, day) * 24 + hour) * 60 + minute - offsetMinutes
    return (minutes * 60 + second) * 1000 + milliseconds
  }

  private static func zone(_ bytes: ArraySlice<UInt8>) -> Int64? {
    guard let first = bytes.first else { return nil }
    if first == 0x5A || first == 0x7A { return bytes.count == 1 ? 0 : nil }
    guard first == 0x2B || first == 0x2D, bytes.count == 6, bytes[bytes.startIndex + 3] == 0x3A else { return nil }
    let start = bytes.startIndex
    guard let hours = digits(Substring(decoding: bytes[(start + 1)..<(start + 3)], as: UTF8.self)),
      let minutes = digits(Substring(decoding: bytes[(start + 4)..<(start + 6)], as: UTF8.self)), hours < 24,
      minutes < 60
    else { return nil }
    return (first == 0x2B ? 1 : -1) * (hours * 60 + minutes)
  }

  private static func digits(_ text: Substring) -> Int64? {
    guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    return Int64(text)
  }

  private static func daysInMonth(_ year: Int64, _ month: Int64) -> Int64 {
    let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    return month == 2 ? (isLeap ? 29 : 28) : [4, 6, 9, 11].contains(month) ? 30 : 31
  }

  /// Days from 1970-01-01 to a date of the proleptic Gregorian calendar. March counts as the first month, so that the
  /// leap day ends its year; an era is the 400 years after which the calendar repeats.
  private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
    let shifted = month <= 2 ? year - 1 : year
    let era = floored(shifted, 400)
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    let yearOfEra = shifted - era * 400
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  /// The inverse of `days`.
  private static func civil(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let shifted = days + 719_468
    let era = floored(shifted, 146_097)
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    return (year, month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
  }

  private static func floored(_ value: Int64, _ divisor: Int64) -> Int64 {
    let quotient = value / divisor
    return value % divisor < 0 ? quotient - 1 : quotient
  }

  private static func padded(_ value: Int64, _ width: Int) -> String {
    let text = String(value)
    return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
  }
}
