/// Comparison and hashing of text by its UTF-8 bytes.
///
/// Swift's `==` treats canonically equivalent strings as equal; Prometheus compares bytes, and two label values that
/// differ only in normalization are two series.
public enum ByteOrder {
  /// Whether two strings have the same bytes.
  @inlinable
  public static func areEqual(_ left: String, _ right: String) -> Bool {
    let one = left.utf8
    let other = right.utf8
    guard one.count == other.count else { return false }
    let a = one.span
    let b = other.span
    for index in 0..<a.count where a[index] != b[index] { return false }
    return true
  }

  /// Whether the first string sorts before the second.
  @inlinable
  public static func precedes(_ left: String, _ right: String) -> Bool {
    let a = left.utf8.span
    let b = right.utf8.span
    let shared = min(a.count, b.count)
    for index in 0..<shared where a[index] != b[index] { return a[index] < b[index] }
    return a.count < b.count
  }

  /// A 64-bit hash of the bytes, the same in every run; not for keys an attacker chooses without a second check.
  @inlinable
  public static func hash(_ text: String) -> UInt64 {
    let bytes = text.utf8.span
    var hash = 0xCBF2_9CE4_8422_2325 ^ UInt64(truncatingIfNeeded: bytes.count)
    for index in 0..<bytes.count { hash = (hash ^ UInt64(bytes[index])) &* 0x0000_0100_0000_01B3 }
    return hash
  }

  /// Combines two hashes so that order matters.
  @inlinable
  public static func mix(_ hash: UInt64, _ next: UInt64) -> UInt64 {
    let product = (hash ^ next).multipliedFullWidth(by: 0x9FB2_1C65_1E98_DF25)
    return product.high ^ product.low ^ (next &<< 32 | next &>> 32)
  }
}
