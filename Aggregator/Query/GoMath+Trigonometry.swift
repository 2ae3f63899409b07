extension GoMath {
  // MARK: sine, cosine, tangent

  static func sin(_ x: Double) -> Double {
    if x == 0 || x.isNaN { return x }
    if x.isInfinite { return .nan }
    var isNegative = x < 0
    var (octant, z) = reduced(x.magnitude)
    if octant > 3 {
      isNegative.toggle()
      octant -= 4
    }
    let value = octant == 1 || octant == 2 ? cosineSeries(z) : sineSeries(z)
    return isNegative ? -value : value
  }

  static func cos(_ x: Double) -> Double {
    if x.isNaN || x.isInfinite { return .nan }
    var isNegative = false
    var (octant, z) = reduced(x.magnitude)
    if octant > 3 {
      isNegative.toggle()
      octant -= 4
    }
    if octant > 1 { isNegative.toggle() }
    let value = octant == 1 || octant == 2 ? sineSeries(z) : cosineSeries(z)
    return isNegative ? -value : value
  }

  static func tan(_ x: Double) -> Double {
    if x == 0 || x.isNaN { return x }
    if x.isInfinite { return .nan }
    let (octant, z) = reduced(x.magnitude)
    let zz = z * z
    var value = z
    if zz > 1e-14 {
      let numerator = ((-1.30936939181383734205e4 * zz) + 1.15351664838587416140e6) * zz - 1.79565251976484877988e7
      var denominator = (zz + 1.36812963470692954678e4) * zz - 1.32089234440210967447e6
      denominator = (denominator * zz + 2.50083801823357915839e7) * zz - 5.38695755929454629881e7
      value = z + z * (zz * numerator / denominator)
    }
    if octant & 2 == 2 { value = -1 / value }
    return x < 0 ? -value : value
  }

  private static func sineSeries(_ z: Double) -> Double {
    let zz = z * z
    var series = ((1.58962301576546568060e-10 * zz) - 2.50507477628578072866e-8) * zz + 2.75573136213857245213e-6
    series =
      ((series * zz - 1.98412698295895385996e-4) * zz + 8.33333333332211858878e-3) * zz - 1.66666666666666307295e-1
    return z + z * zz * series
  }

  private static func cosineSeries(_ z: Double) -> Double {
    let zz = z * z
    var series = ((-1.13585365213876817300e-11 * zz) + 2.08757008419747316778e-9) * zz - 2.75573141792967388112e-7
    series =
      ((series * zz + 2.48015872888517045348e-5) * zz - 1.38888888888730564116e-3) * zz + 4.16666666666665929218e-2
    return 1 - 0.5 * zz + zz * zz * series
  }

  /// The eighth of the circle x lies in, made even, and the signed distance from it.
  private static func reduced(_ x: Double) -> (octant: Int, distance: Double) {
    if x >= 0x1p29 { return reducedExactly(x) }
    var octant = UInt64(x * 1.27323954473516268615107010698140931)
    var y = Double(octant)
    if octant & 1 == 1 {
      octant += 1
      y += 1
    }
    // π/4 in three parts, so that the products are exact.
    let z = ((x - y * 7.85398125648498535156e-1) - y * 3.77489470793079817668e-8) - y * 2.69515142907905952645e-15
    return (Int(octant & 7), z)
  }

  /// Bits of 4/π, most significant first, the first word before the binary point (Payne and Hanek's method).
  private static let fourOverPi: [UInt64] = [
    0x0000_0000_0000_0001, 0x45F3_06DC_9C88_2A53, 0xF84E_AFA3_EA69_BB81, 0xB6C5_2B32_7887_2083, 0xFCA2_C757_BD77_8AC3,
    0x6E48_DC74_849B_A5C0, 0x0C92_5DD4_13A3_2439, 0xFC3B_D639_6253_4E7D, 0xD104_6BEA_5D76_8909, 0xD338_E04D_68BE_FC82,
    0x7323_AC73_06A6_73E9, 0x3908_BF17_7BF2_5076, 0x3FF1_2FFF_BC0B_301F, 0xDE5E_2316_B414_DA3E, 0xDA6C_FD9E_4F96_136E,
    0x9E8C_7ECD_3CBF_D45A, 0xEA4F_758F_D7CB_E2F6, 0x7A0E_73EF_14A5_25D4, 0xD7F6_BF62_3F1A_BA10, 0xAC06_608D_F8F6_D757,
  ]

  private static func reducedExactly(_ x: Double) -> (octant: Int, distance: Double) {
    let mantissa = x.significandBitPattern | 1 << 52
    let exponent = Int(x.exponentBitPattern) - 1023 - 52
    let (word, shift) = ((exponent + 61) / 64, UInt64((exponent + 61) % 64))
    func digits(_ index: Int) -> UInt64 {
      // A shift by 64 gives zero here.
      fourOverPi[index] << shift | fourOverPi[index + 1] >> (64 - shift)
    }
    let third = digits(word + 2).multipliedFullWidth(by: mantissa).high
    let second = digits(word + 1).multipliedFullWidth(by: mantissa)
    let first = digits(word) &* mantissa
    let (low, carries) = second.low.addingReportingOverflow(third)
    var high = first &+ second.high &+ (carries ? 1 : 0)
    var octant = Int(high >> 61)
    high = high << 3 | low >> 61
    let zeros = UInt64(high.leadingZeroBitCount)
    let fractionExponent = 1023 - (zeros + 1)
    high = high << (zeros + 1) | low >> (64 - (zeros + 1))
    var z = Double(bitPattern: high >> 12 | fractionExponent << 52)
    if octant & 1 == 1 {
      octant = (octant + 1) & 7
      z -= 1
    }
    return (octant, z * (Double.pi / 4))
  }

  // MARK: inverse functions

  /// π/2 to the nearest, while `Double.pi` is rounded down.
  private static let halfPi = 1.57079632679489661923132169163975144
  private static let quarterPi = 0.785398163397448309615660845819875721

  static func atan(_ x: Double) -> Double {
    if x == 0 || x.isNaN { return x }
    return x > 0 ? positiveArcTangent(x) : -positiveArcTangent(-x)
  }

  private static func positiveArcTangent(_ x: Double) -> Double {
    let moreBits = 6.123233995736765886130e-17
    if x <= 0.66 { return arcTangentSeries(x) }
    if x > 2.41421356237309504880 { return halfPi - arcTangentSeries(1 / x) + moreBits }
    return quarterPi + arcTangentSeries((x - 1) / (x + 1)) + 0.5 * moreBits
  }

  private static func arcTangentSeries(_ x: Double) -> Double {
    let z = x * x
    var numerator = (-8.750608600031904122785e-01 * z - 1.615753718733365076637e+01) * z - 7.500855792314704667340e+01
    numerator = (numerator * z - 1.228866684490136173410e+02) * z - 6.485021904942025371773e+01
    var denominator = ((z + 2.485846490142306297962e+01) * z + 1.650270098316988542046e+02) * z
    denominator = ((denominator + 4.328810604912902668951e+02) * z + 4.853903996359136964868e+02) * z
    return x * (z * numerator / (denominator + 1.945506571482613964425e+02)) + x
  }

  static func asin(_ x: Double) -> Double {
    if x == 0 { return x }
    let magnitude = x.magnitude
    if !(magnitude <= 1) { return .nan }
    let other = (1 - magnitude * magnitude).squareRoot()
    let value = magnitude > 0.7 ? halfPi - positiveArcTangent(other / magnitude) : positiveArcTangent(magnitude / other)
    return x < 0 ? -value : value
  }

  static func acos(_ x: Double) -> Double { halfPi - asin(x) }

  static func atan2(_ y: Double, _ x: Double) -> Double {
    func signed(_ value: Double) -> Double { y.sign == .minus ? -value : value }
    if x.isNaN || y.isNaN { return .nan }
    if y == 0 { return signed(x.sign == .plus ? 0 : Double.pi) }
    if x == 0 { return signed(halfPi) }
    if x.isInfinite {
      if x > 0 { return signed(y.isInfinite ? quarterPi : 0) }
      return signed(y.isInfinite ? 3 * quarterPi : Double.pi)
    }
    if y.isInfinite { return signed(halfPi) }
    let quotient = atan(y / x)
    if x > 0 { return quotient }
    return quotient <= 0 ? quotient + Double.pi : quotient - Double.pi
  }

  // MARK: hyperbolic functions

  static func sinh(_ x: Double) -> Double {
    // Not the magnitude: a negative zero stays one.
    let magnitude = x < 0 ? -x : x
    var value: Double
    if magnitude > 21 {
      value = exp(magnitude) * 0.5
    } else if magnitude > 0.5 {
      let power = exp(magnitude)
      value = (power - 1 / power) * 0.5
    } else {
      let square = magnitude * magnitude
      value = (-0.2630563213397497062819489e+2 * square - 0.2894211355989563807284660366e+4) * square
      value = ((value - 0.8991272022039509355398013511e+5) * square - 0.6307673640497716991184787251e+6) * magnitude
      var denominator = (square - 0.173678953558233699533450911e+3) * square + 0.1521517378790019070696485176e+5
      denominator = denominator * square - 0.6307673640497716991212077277e+6
      value /= denominator
    }
    return x < 0 ? -value : value
  }

  static func cosh(_ x: Double) -> Double {
    let magnitude = x.magnitude
    let power = exp(magnitude)
    return magnitude > 21 ? power * 0.5 : (power + 1 / power) * 0.5
  }

  static func tanh(_ x: Double) -> Double {
    let magnitude = x.magnitude
    if magnitude > 0.5 * 8.8029691931113054295988e+01 { return x < 0 ? -1 : 1 }
    if magnitude >= 0.625 {
      let value = 1 - 2 / (exp(2 * magnitude) + 1)
      return x < 0 ? -value : value
    }
    if x == 0 { return x }
    let s = x * x
    let numerator = (-9.64399179425052238628e-1 * s - 9.92877231001918586564e1) * s - 1.61468768441708447952e3
    let denominator = ((s + 1.12811678491632931402e2) * s + 2.23548839060100448583e3) * s + 4.84406305325125486048e3
    return x + x * s * numerator / denominator
  }

  private static let ln2ForLargeArguments = 0.693147180559945309417232121458176568

  static func asinh(_ x: Double) -> Double {
    if x == 0 || !x.isFinite { return x }
    let magnitude = x.magnitude
    let value: Double
    if magnitude > 0x1p28 {
      value = log(magnitude) + ln2ForLargeArguments
    } else if magnitude > 2 {
      value = log(2 * magnitude + 1 / ((magnitude * magnitude + 1).squareRoot() + magnitude))
    } else if magnitude < 0x1p-28 {
      value = magnitude
    } else {
      value = log1p(magnitude + magnitude * magnitude / (1 + (1 + magnitude * magnitude).squareRoot()))
    }
    return x < 0 ? -value : value
  }

  static func acosh(_ x: Double) -> Double {
    if !(x >= 1) { return .nan }
    if x == 1 { return 0 }
    if x >= 0x1p28 { return log(x) + ln2ForLargeArguments }
    if x > 2 { return log(2 * x - 1 / (x + (x * x - 1).squareRoot())) }
    let t = x - 1
    return log1p(t + (2 * t + t * t).squareRoot())
  }

  static func atanh(_ x: Double) -> Double {
    // Not the magnitude: a negative zero stays one.
    let magnitude = x < 0 ? -x : x
    if !(magnitude <= 1) { return .nan }
    if magnitude == 1 { return x * .infinity }
    let value: Double
    if magnitude < 0x1p-28 {
      value = magnitude
    } else if magnitude < 0.5 {
      let double = magnitude + magnitude
      value = 0.5 * log1p(double + double * magnitude / (1 - magnitude))
    } else {
      value = 0.5 * log1p((magnitude + magnitude) / (1 - magnitude))
    }
    return x < 0 ? -value : value
  }
}
