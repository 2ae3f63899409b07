/// The small alphabets of the format: how a group of residuals is laid out, in which unit, against which prediction.
/// FORMAT.md draws where they stand.

/// How one group of residuals is stored.
enum Packing: UInt8 {
  /// Every residual in the same number of bits.
  case dense = 0
  /// One bit per residual says whether it is zero; the others follow in the same number of bits.
  case sparse = 1
  /// Dense, but for one outlier whose upper bits follow with their own width.
  case patched = 2
}

/// A field width in five bits: exact up to 24 bits, then rounded up a little.
enum WidthCode {
  /// Bits of the fields of `code`, 0 to ``BlockLimits/fieldBitsMax``.
  @inline(__always)
  static func width(_ code: UInt8) -> Int {
    // Widths of codes 25 to 31, one per byte from the lowest: 26, 28, 30, 32, 38, 46, 56.
    code <= 24 ? Int(code) : Int(truncatingIfNeeded: 0x38_2E_26_20_1E_1C_1A >> (UInt64(code &- 25) &* 8)) & 0xFF
  }

  /// The narrowest code whose fields hold `bits` bits; `bits` is at most ``BlockLimits/fieldBitsMax``.
  @inline(__always)
  static func code(holding bits: Int) -> UInt8 {
    if bits <= 24 { return UInt8(truncatingIfNeeded: bits) }
    if bits <= 32 { return UInt8(truncatingIfNeeded: 24 &+ (bits &- 23) / 2) }
    return bits <= 38 ? 29 : bits <= 46 ? 30 : 31
  }

  /// The narrowest code whose fields hold `residual`.
  @inline(__always)
  static func code(of residual: UInt64) -> UInt8 { code(holding: 64 &- residual.leadingZeroBitCount) }
}

/// A common factor of a column's residuals: drivers report percent where the unit is thousandths, mebibytes where it is
/// kibibytes, whole watts where it is milliwatts.
struct Scale: Hashable {
  /// Number in the format, index into ``factors``.
  let code: UInt8
  /// The common factor.
  let factor: Int64
  /// Trailing zero bits of the factor, and the inverse of its odd part modulo 2^64.
  let shift: Int64
  let inverse: Int64

  /// Factors by their number in the format; never renumber.
  static let factors: [Int64] = [1, 10, 15, 1024, 100, 1000, 5, 25, 2, 4, 16, 64, 256, 2048, 4096, 65_536]
  static let all = factors.indices.map { Scale(code: UInt8($0)) }
  static let one = Scale(code: 0)
  /// All scales, largest factor first.
  static let descending = all.sorted { $0.factor > $1.factor }

  init(code: UInt8) {
    self.code = code
    factor = Self.factors[Int(code)]
    shift = Int64(factor.trailingZeroBitCount)
    let odd = factor >> shift
    // Newton's iteration doubles the correct low bits each time, from 3 bits on.
    var inverse = odd
    for _ in 0..<5 { inverse = inverse &* (2 &- odd &* inverse) }
    self.inverse = inverse
  }

  /// The quotient of `residual` when the factor divides it; otherwise a number that is too wide for a field, or
  /// `lowBits` shows what the shift lost.
  @inline(__always)
  func quotient(_ residual: Int64) -> Int64 { (residual &>> shift) &* inverse }

  /// The bits of `residual` that must be zero.
  @inline(__always)
  func lowBits(_ residual: Int64) -> Int64 { residual & ((1 &<< shift) &- 1) }

  /// Whether the factor divides `residual`, whose magnitude is at most 2^56.
  ///
  /// If it does not, the product with the inverse of the odd part exceeds (2^63 - 2^56) / factor in magnitude, since
  /// a smaller quotient times the factor would give the residual back without overflow.
  @inline(__always)
  func divides(_ residual: Int64) -> Bool {
    lowBits(residual) == 0 && quotient(residual).magnitude <= 1 << 56 / UInt64(factor)
  }
}

/// What a residual is the difference to.
enum Predictor: UInt8 {
  /// What suits the column's metric: energy from power and time, otherwise the previous row.
  case natural = 0
  /// The previous row.
  case previous = 1
  /// The previous row and its own difference to the one before.
  case trend = 2
  /// Nothing: the value itself.
  case none = 3
}

/// Signed integers as unsigned ones, small magnitudes first.
enum ZigZag {
  @inline(__always)
  static func encode(_ value: Int64) -> UInt64 {
    UInt64(bitPattern: (value &<< 1) ^ (value &>> 63))
  }

  @inline(__always)
  static func decode(_ code: UInt64) -> Int64 {
    Int64(bitPattern: code &>> 1) ^ (0 &- Int64(bitPattern: code & 1))
  }
}
