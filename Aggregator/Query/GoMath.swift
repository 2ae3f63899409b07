internal import Glibc

/// Elementary functions with the special cases of Go's `math`.
enum GoMath {
  static func pow(_ base: Double, _ exponent: Double) -> Double { Glibc.pow(base, exponent) }
  static func atan2(_ y: Double, _ x: Double) -> Double { Glibc.atan2(y, x) }
  static func exp(_ x: Double) -> Double { Glibc.exp(x) }
  static func log(_ x: Double) -> Double { Glibc.log(x) }
  static func log2(_ x: Double) -> Double {
    guard x.isFinite, x > 0 else { return Glibc.log2(x) }
    // The mantissa in [0.5, 1) and its exponent, so that powers of two are exact.
    let exponent = x.exponent + 1
    let fraction = x.significand / 2
    if fraction == 0.5 { return Double(exponent - 1) }
    return Double(exponent) + log(fraction) * (1 / 0.693147180559945309417232121458176568)
  }
  static func log10(_ x: Double) -> Double {
    log2(x) * (0.693147180559945309417232121458176568 / 2.30258509299404568401799145468436421)
  }

  /// The larger; infinity wins over NaN, and NaN over everything else.
  static func max(_ x: Double, _ y: Double) -> Double {
    if x == .infinity || y == .infinity { return .infinity }
    if x.isNaN || y.isNaN { return .nan }
    if x == 0, x == y { return x.sign == .minus ? y : x }
    return x > y ? x : y
  }

  /// The smaller; negative infinity wins over NaN, and NaN over everything else.
  static func min(_ x: Double, _ y: Double) -> Double {
    if x == -.infinity || y == -.infinity { return -.infinity }
    if x.isNaN || y.isNaN { return .nan }
    if x == 0, x == y { return x.sign == .minus ? x : y }
    return x < y ? x : y
  }

  /// Conversion to a 64-bit integer as the processor does it: out of range and NaN give the smallest integer.
  static func truncated(_ x: Double) -> Int64 { Int64(exactly: x.rounded(.towardZero)) ?? Int64.min }
}
