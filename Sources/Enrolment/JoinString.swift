internal import BongsuRecordLog
public import BongsuTransport

// One word that a person carries from `bongsu join-token create` to `bongsu-agent join`:
//
//     bongsu1ae4tcmrt…                      "bongsu", format 1, base32 of:
//
//     ┌─────────────────┬────────────┬───────┬──────────────────────┬──────────┐
//     │ server key (32) │ secret (20)│ count │ count × (length, HOST:PORT) │ CRC32C (4, little-endian) │
//     └─────────────────┴────────────┴───────┴──────────────────────┴──────────┘
//
// Base32 (RFC 4648 §6, lower case, unpadded) has one case and no punctuation, so that it survives being wrapped,
// capitalised or read aloud. The checksum tells a slip from a token that is not known.

/// What a machine needs to join: whom to trust, where to ask, and the right to ask.
///
/// Holds a secret: its description hides it, and ``text`` is for the one who makes the token alone.
public struct JoinString: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  /// The aggregator's key: only its owner can answer.
  public let serverKey: PublicKey
  /// ``EnrolmentLimits/secretBytes`` bytes.
  public let secret: [UInt8]
  /// Where the aggregator takes joining machines, in the order to try: 1 to ``EnrolmentLimits/endpointsMax``.
  public let endpoints: [HostPort]

  private static let mark = "bongsu1"

  /// Puts the parts together.
  ///
  /// - Precondition: the secret and the endpoints have the sizes above.
  public init(serverKey: PublicKey, secret: [UInt8], endpoints: [HostPort]) {
    precondition(secret.count == EnrolmentLimits.secretBytes, "a secret of \(secret.count) bytes")
    precondition((1...EnrolmentLimits.endpointsMax).contains(endpoints.count), "\(endpoints.count) endpoints")
    self.serverKey = serverKey
    self.secret = secret
    self.endpoints = endpoints
  }

  /// The string itself, secret included.
  public var text: String {
    var bytes = serverKey.bytes + secret + [UInt8(endpoints.count)]
    for endpoint in endpoints {
      let name = Array(endpoint.description.utf8)
      bytes.append(UInt8(name.count))
      bytes += name
    }
    let checksum = Self.checksum(bytes[...])
    for shift in stride(from: 0, through: 24, by: 8) {
      bytes.append(UInt8(truncatingIfNeeded: checksum >> UInt32(shift)))
    }
    return Self.mark + Base32.encode(bytes)
  }

  /// Reads a string as it was pasted: case, blanks, line breaks and quotation marks around it do not matter.
  public init(parsing text: String) throws(Invalid) {
    guard text.unicodeScalars.count <= EnrolmentLimits.joinStringCharactersMax else {
      throw .tooLong(characters: text.unicodeScalars.count)
    }
    let letters = text.lowercased().utf8.filter { $0 > 0x20 && $0 != 0x22 && $0 != 0x27 }
    let mark = Array(Self.mark.utf8)
    guard letters.starts(with: mark.dropLast()) else { throw .notAJoinString }
    guard letters.count > mark.count, letters[mark.count - 1] == mark[mark.count - 1] else { throw .otherFormat }
    guard let bytes = Base32.decode(letters[mark.count...]), bytes.count > 4 else { throw .damaged }
    let content = bytes.dropLast(4)
    let stored = bytes.suffix(4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    guard Self.checksum(content) == stored else { throw .damaged }
    try self.init(content: Array(content))
  }

  private init(content: [UInt8]) throws(Invalid) {
    let fixed = 32 + EnrolmentLimits.secretBytes
    guard content.count > fixed, let key = try? PublicKey(bytes: Array(content[..<32])) else { throw .otherFormat }
    var endpoints: [HostPort] = []
    var offset = fixed + 1
    for _ in 0..<content[fixed] {
      guard offset < content.count, offset + 1 + Int(content[offset]) <= content.count else { throw .otherFormat }
      let name = content[(offset + 1)...].prefix(Int(content[offset]))
      guard let endpoint = HostPort(String(decoding: name, as: UTF8.self)), !endpoint.host.isEmpty else {
        throw .otherFormat
      }
      endpoints.append(endpoint)
      offset += 1 + name.count
    }
    guard offset == content.count, (1...EnrolmentLimits.endpointsMax).contains(endpoints.count) else {
      throw .otherFormat
    }
    self.init(serverKey: key, secret: Array(content[32..<fixed]), endpoints: endpoints)
  }

  private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    var checksum = CRC32C()
    checksum.update(bytes.span)
    return checksum.value
  }

  public var description: String { "join string for \(endpoints.map(\.description).joined(separator: ", "))" }
  public var debugDescription: String { description }
  public var customMirror: Mirror { Mirror(self, children: []) }

  /// Why a text is not a join string. Never carries the text.
  public enum Invalid: Error, Hashable, Sendable, CustomStringConvertible {
    case notAJoinString
    case tooLong(characters: Int)
    case damaged
    case otherFormat

    public var description: String {
      switch self {
      case .notAJoinString:
        "this is no join string: it has to begin with 'bongsu1'; make one with bongsu join-token create"
      case .tooLong(let characters):
        "the join string has \(characters) characters, at most \(EnrolmentLimits.joinStringCharactersMax) are possible; "
          + "paste one string alone"
      case .damaged: "the join string has a wrong, missing or extra character; copy the whole of it again"
      case .otherFormat: "the join string was made by another release; install the aggregator's release of the agent"
      }
    }
  }
}

/// RFC 4648 §6 in lower case without padding.
enum Base32 {
  private static let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)

  static func encode(_ bytes: [UInt8]) -> String {
    var text: [UInt8] = []
    var pending: UInt32 = 0
    var bits = 0
    for byte in bytes {
      pending = pending << 8 | UInt32(byte)
      bits += 8
      while bits >= 5 {
        bits -= 5
        text.append(alphabet[Int(pending >> UInt32(bits)) & 31])
      }
      pending &= (1 << UInt32(bits)) - 1
    }
    if bits > 0 { text.append(alphabet[Int(pending << UInt32(5 - bits)) & 31]) }
    return String(decoding: text, as: UTF8.self)
  }

  /// `nil` for a letter outside the alphabet, a length that cannot be, or left-over bits that are not zero.
  static func decode(_ text: ArraySlice<UInt8>) -> [UInt8]? {
    var bytes: [UInt8] = []
    var pending: UInt32 = 0
    var bits = 0
    for letter in text {
      let value: UInt8
      switch letter {
      case 0x61...0x7A: value = letter - 0x61
      case 0x32...0x37: value = letter - 0x32 + 26
      default: return nil
      }
      pending = pending << 5 | UInt32(value)
      bits += 5
      if bits >= 8 {
        bits -= 8
        bytes.append(UInt8(truncatingIfNeeded: pending >> UInt32(bits)))
        pending &= (1 << UInt32(bits)) - 1
      }
    }
    return bits < 5 && pending == 0 ? bytes : nil
  }
}
