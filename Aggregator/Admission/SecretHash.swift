internal import CSodium

/// SHA-256 of a join token's secret: what the registry keeps of it. The secret is random and long, so that a hash without
/// salt cannot be turned back.
enum SecretHash {
  static func of(_ secret: [UInt8]) -> [UInt8] {
    var hash = [UInt8](repeating: 0, count: Int(crypto_hash_sha256_BYTES))
    // SAFETY: the call reads the secret's bytes and writes the 32 that the buffer has.
    _ = unsafe crypto_hash_sha256(&hash, secret, UInt64(secret.count))
    return hash
  }
}
