/// The scale of quantile sketches: integers to buckets of at most 1/64 width, so that a bucket's middle is off by less
/// than 1 % of any value in it.
///
/// Values below 128 have a bucket each. Above, every power of two is split into 64 equal buckets, as in a floating-point
/// number with six bits of mantissa: the bucket is found with one count of leading zeros and one shift, without a
/// logarithm and without a branch. Relative error: half a bucket, 1/128 of the value at most (0.79 %).
public enum QuantileScale {
  static let exactCount = 128
  private static let splitBits = 6

  /// Bucket of `value`, which is not negative. Buckets are ordered like values.
  @inlinable
  public static func bucket(of value: Int64) -> Int {
    // Values below 64 take the exponent of 64, so that their bucket is the value itself without a branch.
    let shift = 57 &- (value | 64).leadingZeroBitCount
    return shift &<< 6 &+ Int(truncatingIfNeeded: value &>> Int64(shift))
  }

  /// Smallest value of `bucket`.
  public static func lowerBound(of bucket: Int) -> Int64 {
    guard bucket >= exactCount else { return Int64(bucket) }
    let exponent = (bucket - exactCount) >> splitBits + 7
    let split = Int64((bucket - exactCount) & 63)
    return (64 + split) << Int64(exponent - splitBits)
  }

  /// The value that stands for `bucket`: its middle.
  public static func middle(of bucket: Int) -> Double {
    guard bucket >= exactCount else { return Double(bucket) }
    let lower = lowerBound(of: bucket)
    return Double(lower) + Double(lowerBound(of: bucket + 1) - 1 - lower) / 2
  }

  /// Buckets for values of at most `bits` bits.
  static func bucketCount(bits: Int) -> Int {
    bits <= 7 ? 1 << bits : exactCount + (bits - 7) << splitBits
  }
}
