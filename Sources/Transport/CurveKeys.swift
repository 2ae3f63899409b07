internal import CZeroMQ

/// A CURVE public key: 32 bytes that name a machine. Shown as 40 characters of Z85.
public struct PublicKey: Sendable, Hashable, CustomStringConvertible {
  /// Four words, so that keys hash and compare without touching memory elsewhere.
  private let words: KeyWords

  /// - Throws: `.malformedKey` unless there are 32 bytes.
  public init(bytes: [UInt8]) throws(TransportError) {
    words = try KeyWords(bytes)
  }

  /// - Throws: `.malformedKey` unless the text is 40 characters of Z85 (rfc.zeromq.org/spec/32).
  public init(z85 text: String) throws(TransportError) {
    words = try KeyWords(z85Decoded(text))
  }

  public var bytes: [UInt8] { words.bytes }
  public var z85: String { z85Encoded(words.bytes) }
  public var description: String { z85 }
}

/// A CURVE secret key. Never printed: descriptions hide it, and it is not Hashable so that it ends in no table.
public struct SecretKey: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  private let words: KeyWords

  /// - Throws: `.malformedKey` unless there are 32 bytes.
  public init(bytes: [UInt8]) throws(TransportError) {
    words = try KeyWords(bytes)
  }

  /// - Throws: `.malformedKey` unless the text is 40 characters of Z85.
  public init(z85 text: String) throws(TransportError) {
    words = try KeyWords(z85Decoded(text))
  }

  /// The key itself, for the file it is kept in (mode 0600) and for nothing else.
  public var bytes: [UInt8] { words.bytes }
  public var z85: String { z85Encoded(words.bytes) }
  public var description: String { "secret key (hidden)" }
  public var debugDescription: String { description }
  public var customMirror: Mirror { Mirror(self, children: []) }
}

/// The two halves that a machine owns.
public struct KeyPair: Sendable {
  public let publicKey: PublicKey
  public let secret: SecretKey

  /// Whether this libzmq was built with CURVE.
  public static var isAvailable: Bool {
    unsafe zmq_has("curve") != 0
  }

  /// Makes a new pair from the system's random source.
  public static func generate() throws(TransportError) -> KeyPair {
    var publicText = [CChar](repeating: 0, count: 41)
    var secretText = [CChar](repeating: 0, count: 41)
    // SAFETY: both have the 41 bytes that zmq_curve_keypair(3) asks for.
    guard unsafe zmq_curve_keypair(&publicText, &secretText) == 0 else { throw .curveUnavailable }
    return KeyPair(publicKey: try PublicKey(z85: text(publicText)), secret: try SecretKey(z85: text(secretText)))
  }

  /// The pair of a stored secret; its public half is computed.
  public init(secret: SecretKey) throws(TransportError) {
    var publicText = [CChar](repeating: 0, count: 41)
    // SAFETY: the buffer has the 41 bytes that zmq_curve_public(3) asks for; the text is 40 characters and a NUL.
    guard unsafe zmq_curve_public(&publicText, secret.z85) == 0 else { throw .curveUnavailable }
    self.init(publicKey: try PublicKey(z85: text(publicText)), secret: secret)
  }

  private init(publicKey: PublicKey, secret: SecretKey) {
    self.publicKey = publicKey
    self.secret = secret
  }
}

/// 32 bytes as a plain value.
private struct KeyWords: Sendable, Hashable {
  let first: UInt64
  let second: UInt64
  let third: UInt64
  let fourth: UInt64

  init(_ bytes: [UInt8]) throws(TransportError) {
    guard bytes.count == 32 else { throw .malformedKey(expected: "32 bytes", gotBytes: bytes.count) }
    func word(_ start: Int) -> UInt64 {
      bytes[start..<start + 8].reduce(0) { $0 << 8 | UInt64($1) }
    }
    first = word(0)
    second = word(8)
    third = word(16)
    fourth = word(24)
  }

  var bytes: [UInt8] {
    [first, second, third, fourth].flatMap { word in
      stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: word >> UInt64($0)) }
    }
  }
}

private func z85Decoded(_ text: String) throws(TransportError) -> [UInt8] {
  let count = text.utf8.count
  var bytes = [UInt8](repeating: 0, count: 32)
  // SAFETY: 40 characters decode to exactly the 32 bytes there is room for; the count is checked first.
  guard count == 40, unsafe zmq_z85_decode(&bytes, text) != nil else {
    throw .malformedKey(expected: "40 characters of Z85", gotBytes: count)
  }
  return bytes
}

private func z85Encoded(_ bytes: [UInt8]) -> String {
  var encoded = [CChar](repeating: 0, count: 41)
  // SAFETY: 32 bytes encode to 40 characters and a NUL.
  _ = unsafe zmq_z85_encode(&encoded, bytes, bytes.count)
  return text(encoded)
}

private func text(_ characters: [CChar]) -> String {
  String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
