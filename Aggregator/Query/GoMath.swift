/// Elementary functions by the algorithms of Go's `math` on x86-64, so that results agree with Prometheus to the last
/// bit, where the C library rounds some of them differently. Unit tests of rules compare exactly.
///
/// Sources: the methods of FreeBSD's msun (logarithms) and Cephes (trigonometry), and Shibata's series for the
/// exponential function; the constants are those of these methods.
enum GoMath {
  private static let ln2 = 0.693147180559945309417232121458176568
  private static let ln2High = 6.93147180369123816490e-01
  private static let ln2Low = 1.90821492927058770002e-10
  /// Coefficients of the series for the logarithm, from the lowest power on.
  private static let logSeries = (
    6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01, 2.222219843214978396e-01,
    1.818357216161805012e-01, 1.531383769920937332e-01, 1.479819860511658591e-01
  )

  /// Mantissa in [0.5, 1) and exponent of a finite number other than zero.
  static func split(_ x: Double) -> (fraction: Double, exponent: Int) {
    let magnitude = x.significand / 2
    return (x.sign == .minus ? -magnitude : magnitude, Int(x.exponent) + 1)
  }

  // MARK: logarithms

  static func log(_ x: Double) -> Double {
    if x.isNaN || x == .infinity { return x }
    if x < 0 { return .nan }
    if x == 0 { return -.infinity }
    // Subnormal numbers are taken as if they were normal, as Go's assembly does.
    var fraction = Double(bitPattern: x.significandBitPattern | 0x3FE0_0000_0000_0000)
    var exponent = Int(x.exponentBitPattern) - 1022
    if fraction < 0.707106781186547524400844362104849039 {
      fraction *= 2
      exponent -= 1
    }
    let f = fraction - 1
    let k = Double(exponent)
    let s = f / (2 + f)
    let s2 = s * s
    let s4 = s2 * s2
    let odd = s2 * (logSeries.0 + s4 * (logSeries.2 + s4 * (logSeries.4 + s4 * logSeries.6)))
    let even = s4 * (logSeries.1 + s4 * (logSeries.3 + s4 * logSeries.5))
    let halfSquare = 0.5 * f * f
    return k * ln2High - ((halfSquare - (s * (halfSquare + (odd + even)) + k * ln2Low)) - f)
  }

  static func log2(_ x: Double) -> Double {
    guard x.isFinite, x > 0 else { return log(x) }
    let (fraction, exponent) = split(x)
    // Powers of two are exact.
    if fraction == 0.5 { return Double(exponent - 1) }
    return log(fraction) * 1.44269504088896340735992468100189214 + Double(exponent)
  }

  static func log10(_ x: Double) -> Double { log(x) * 0.434294481903251827651128918916605082 }

  /// The logarithm of 1 + x, exact for small x.
  static func log1p(_ x: Double) -> Double {
    if x < -1 || x.isNaN { return .nan }
    if x == -1 { return -.infinity }
    if x == .infinity { return x }
    let magnitude = x.magnitude
    var f = 0.0
    var mantissa: UInt64 = 0
    var k = 1
    var correction = 0.0
    if magnitude < 4.142135623730950488017e-01 {
      if magnitude < 0x1p-29 { return magnitude < 0x1p-54 ? x : x - x * x * 0.5 }
      if x > -2.928932188134524755992e-01 {
        k = 0
        f = x
        mantissa = 1
      }
    }
    if k != 0 {
      var u = magnitude < 0x1p53 ? 1 + x : x
      k = Int(u.bitPattern >> 52) - 1023
      if magnitude < 0x1p53 { correction = (k > 0 ? 1 - (u - x) : x - (u - 1)) / u }
      mantissa = u.bitPattern & (1 << 52 - 1)
      if mantissa < 0x0006_A09E_667F_3BCD {
        u = Double(bitPattern: mantissa | 0x3FF0_0000_0000_0000)
      } else {
        k += 1
        u = Double(bitPattern: mantissa | 0x3FE0_0000_0000_0000)
        mantissa = (1 << 52 - mantissa) >> 2
      }
      f = u - 1
    }
    let halfSquare = 0.5 * f * f
    let scale = Double(k)
    if mantissa == 0 {
      if f == 0 { return k == 0 ? 0 : scale * ln2High + (correction + scale * ln2Low) }
      let rest = halfSquare * (1 - 0.66666666666666666 * f)
      return k == 0 ? f - rest : scale * ln2High - ((rest - (scale * ln2Low + correction)) - f)
    }
    let s = f / (2 + f)
    let z = s * s
    var series = logSeries.4 + z * (logSeries.5 + z * logSeries.6)
    series = z * (logSeries.0 + z * (logSeries.1 + z * (logSeries.2 + z * (logSeries.3 + z * series))))
    if k == 0 { return f - (halfSquare - s * (halfSquare + series)) }
    return scale * ln2High - ((halfSquare - (s * (halfSquare + series) + (scale * ln2Low + correction))) - f)
  }

  // MARK: powers

  static func exp(_ x: Double) -> Double {
    if x.isNaN || x == .infinity { return x }
    if x == -.infinity { return 0 }
    if x > 7.09782712893384e+02 { return .infinity }
    if x < -7.5e+02 { return 0 }
    let k = (x * 1.4426950408889634073599246810018920).rounded(.toNearestOrEven)
    // Fused operations, which Go uses where the processor has them.
    var r = (-0.69314718055966295651160180568695068359375).multiplyAdd(k, x)
    r = (-0.28235290563031577122588448175013436025525412068e-12).multiplyAdd(k, r)
    r *= 0.0625
    var series = 2.4801587301587301587e-5
    for coefficient in [
      1.9841269841269841270e-4, 1.3888888888888888889e-3, 8.3333333333333333333e-3, 4.1666666666666666667e-2,
      1.6666666666666666667e-1, 0.5, 1,
    ] { series = series.multiplyAdd(r, coefficient) }
    // Undo the division by 16: four times e^(2a) - 1 = (e^a - 1)(e^a + 1).
    var result = r * series
    for _ in 0..<3 { result *= result + 2 }
    return scaled(result.multiplyAdd(result + 2, 1), by: Int(k))
  }

  static func pow(_ x: Double, _ y: Double) -> Double {
    if y == 0 || x == 1 { return 1 }
    if y == 1 { return x }
    if x.isNaN || y.isNaN { return .nan }
    if x == 0 {
      if y < 0 { return isOdd(y) && x.sign == .minus ? -.infinity : .infinity }
      return isOdd(y) ? x : 0
    }
    if y.isInfinite {
      if x == -1 { return 1 }
      return (x.magnitude < 1) == (y > 0) ? 0 : .infinity
    }
    if x.isInfinite {
      if x < 0 { return pow(1 / x, -y) }
      return y < 0 ? 0 : .infinity
    }
    if y == 0.5 { return x.squareRoot() }
    if y == -0.5 { return 1 / x.squareRoot() }
    var whole = y.magnitude.rounded(.down)
    var part = y.magnitude - whole
    if part != 0, x < 0 { return .nan }
    if whole >= 0x1p63 {
      if x == -1 { return 1 }
      return (x.magnitude < 1) == (y > 0) ? 0 : .infinity
    }
    return power(x, &whole, &part, isInverse: y < 0)
  }

  /// x^(whole + part) by repeated squaring of the mantissa, the exponent kept apart so that nothing overflows early.
  private static func power(_ x: Double, _ whole: inout Double, _ part: inout Double, isInverse: Bool) -> Double {
    var result = 1.0
    var resultExponent = 0
    if part != 0 {
      if part > 0.5 {
        part -= 1
        whole += 1
      }
      result = exp(part * log(x))
    }
    var (base, exponent) = split(x)
    var remaining = UInt64(whole)
    while remaining != 0 {
      if exponent < -4096 || exponent > 4096 {
        // Certain overflow or underflow.
        resultExponent += exponent
        break
      }
      if remaining & 1 == 1 {
        result *= base
        resultExponent += exponent
      }
      base *= base
      exponent <<= 1
      if base < 0.5 {
        base += base
        exponent -= 1
      }
      remaining >>= 1
    }
    return isInverse ? scaled(1 / result, by: -resultExponent) : scaled(result, by: resultExponent)
  }

  private static func isOdd(_ x: Double) -> Bool {
    if x.magnitude >= 0x1p53 { return false }
    return x.rounded(.towardZero) == x && Int64(x) & 1 == 1
  }

  /// x · 2^exponent with one rounding.
  private static func scaled(_ x: Double, by exponent: Int) -> Double {
    Double(sign: .plus, exponent: max(-3000, min(3000, exponent)), significand: x)
  }

  // MARK: comparison and conversion

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

  private static func max(_ x: Int, _ y: Int) -> Int { x > y ? x : y }
  private static func min(_ x: Int, _ y: Int) -> Int { x < y ? x : y }

  /// Conversion to a 64-bit integer as the processor does it: out of range and NaN give the smallest integer.
  static func truncated(_ x: Double) -> Int64 { Int64(exactly: x.rounded(.towardZero)) ?? Int64.min }
}

extension Double {
  /// self · factor + summand with one rounding.
  fileprivate func multiplyAdd(_ factor: Double, _ summand: Double) -> Double { summand.addingProduct(self, factor) }
}
