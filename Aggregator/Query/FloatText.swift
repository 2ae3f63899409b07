internal import BongsuSeries

/// Numbers as Go's `strconv` writes and reads them, which is how Prometheus prints sample values.
public enum FloatText {
  /// Shortest decimal digits that read back as the same number, without an exponent: `'f', -1`.
  public static func plain(_ value: Double) -> String {
    if let special = special(value) { return special }
    // Between those limits the language writes the same digits, and ".0" behind whole numbers.
    if value.magnitude >= 1e-3, value.magnitude < 1e15 {
      let text = value.description
      return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }
    let (isNegative, digits, point) = shortestDigits(value)
    return (isNegative ? "-" : "") + positional(digits, point: point)
  }

  /// Shortest digits, with an exponent below 1e-4 and from 1e6 on: Go's `%v` of a float.
  public static func general(_ value: Double) -> String {
    if let special = special(value) { return special }
    let (isNegative, digits, point) = shortestDigits(value)
    let exponent = point - 1
    let sign = isNegative ? "-" : ""
    if exponent < -4 || exponent >= 6 { return sign + scientific(digits, exponent: exponent, mark: "e") }
    return sign + positional(digits, point: point)
  }

  /// Shortest digits in scientific notation, as the unit-test tool of Prometheus prints samples: `1.5E+00`.
  public static func scientific(_ value: Double) -> String {
    if let special = special(value) { return special }
    let (isNegative, digits, point) = shortestDigits(value)
    let isZero = value == 0
    return (isNegative ? "-" : "") + scientific(digits, exponent: isZero ? 0 : point - 1, mark: "E")
  }

  /// Reads a number as Go's `ParseFloat` does: `nil` for anything else, and for numbers too large to represent.
  public static func parse(_ text: String) -> Double? {
    let lowered = text.lowercased()
    let unsigned = lowered.hasPrefix("+") || lowered.hasPrefix("-") ? String(lowered.dropFirst()) : lowered
    switch unsigned {
    case "inf", "infinity": return lowered.hasPrefix("-") ? -Double.infinity : .infinity
    case "nan": return unsigned == lowered ? Double.nan : nil
    default: break
    }
    guard let first = unsigned.utf8.first, first == UInt8(ascii: ".") || (0x30...0x39).contains(first) else {
      return nil
    }
    if unsigned.hasPrefix("0x"), !unsigned.contains("p") { return nil }
    if unsigned == "." || unsigned.hasPrefix(".e") { return nil }
    guard let value = Double(lowered), value.isFinite else { return nil }
    return value
  }

  /// Sign, significant digits without trailing zeros, and the place of the decimal point: 0.digits × 10^point.
  public static func shortestDigits(_ value: Double) -> (isNegative: Bool, digits: [UInt8], point: Int) {
    if value == 0 { return (value.sign == .minus, [UInt8(ascii: "0")], 1) }
    var digits: [UInt8] = []
    var exponent = 0
    var pointAt: Int?
    var bytes = Array(value.magnitude.description.utf8)[...]
    if let mark = bytes.firstIndex(of: UInt8(ascii: "e")) {
      exponent = Int(String(decoding: bytes[(mark + 1)...], as: UTF8.self)) ?? 0
      bytes = bytes[..<mark]
    }
    for byte in bytes {
      if byte == UInt8(ascii: ".") { pointAt = digits.count } else { digits.append(byte) }
    }
    var point = (pointAt ?? digits.count) + exponent
    let leadingZeros = digits.prefix { $0 == UInt8(ascii: "0") }.count
    digits.removeFirst(leadingZeros)
    point -= leadingZeros
    while digits.last == UInt8(ascii: "0") { digits.removeLast() }
    return (value.sign == .minus, digits, point)
  }

  private static func special(_ value: Double) -> String? {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
    return nil
  }

  private static func positional(_ digits: [UInt8], point: Int) -> String {
    let zero = UInt8(ascii: "0")
    var out: [UInt8] = []
    if point <= 0 {
      out = [zero, UInt8(ascii: ".")] + Array(repeating: zero, count: -point) + digits
    } else if point >= digits.count {
      out = digits + Array(repeating: zero, count: point - digits.count)
    } else {
      out = digits[..<point] + [UInt8(ascii: ".")] + digits[point...]
    }
    return String(decoding: out, as: UTF8.self)
  }

  private static func scientific(_ digits: [UInt8], exponent: Int, mark: String) -> String {
    var out = String(decoding: digits.prefix(1), as: UTF8.self)
    if digits.count > 1 { out += "." + String(decoding: digits.dropFirst(), as: UTF8.self) }
    let magnitude = String(exponent.magnitude)
    return out + mark + (exponent < 0 ? "-" : "+") + (magnitude.utf8.count < 2 ? "0" : "") + magnitude
  }
}
