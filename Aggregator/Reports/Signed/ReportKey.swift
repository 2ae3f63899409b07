internal import Crypto
internal import FoundationEssentials

/// The public half of the key by which an aggregator signs reports: Ed25519, 32 bytes.
public struct ReportKey: Hashable, Sendable, CustomStringConvertible {
  public static let algorithm = "Ed25519"
  let bytes: [UInt8]

  init(_ key: Curve25519.Signing.PublicKey) {
    bytes = Array(key.rawRepresentation)
  }

  /// Reads the key in base64, as ``description`` writes it, with white space around it; `nil` for anything else.
  public init?(_ text: String) {
    let trimmed = text.drop { $0.isWhitespace }
    let end = trimmed.lastIndex { !$0.isWhitespace }.map { trimmed.index(after: $0) } ?? trimmed.startIndex
    guard let data = Data(base64Encoded: String(trimmed[..<end])), data.count == 32,
      (try? Curve25519.Signing.PublicKey(rawRepresentation: data)) != nil
    else { return nil }
    bytes = Array(data)
  }

  /// The key in base64.
  public var description: String { Data(bytes).base64EncodedString() }

  /// What people compare, in the form that OpenSSH made familiar: `SHA256:` and the hash of the key in base64.
  public var fingerprint: String {
    let text = Data(SHA256.hash(data: bytes)).base64EncodedString()
    return "SHA256:" + text.prefix { $0 != "=" }
  }

  func isValid(_ signature: [UInt8], of data: [UInt8]) -> Bool {
    guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: bytes) else { return false }
    return key.isValidSignature(signature, for: data)
  }
}

/// The secret half. Never printed, never sent.
public struct ReportSigner: Sendable {
  private let secret: Curve25519.Signing.PrivateKey

  /// A new key from the system's random numbers.
  public init() { secret = Curve25519.Signing.PrivateKey() }

  /// Reads ``secretText``; `nil` for anything else.
  public init?(secretText: String) {
    let lines = secretText.split(separator: "\n")
    guard lines.count == 2, lines[0] == Self.header, let data = Data(base64Encoded: String(lines[1])),
      let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: data)
    else { return nil }
    secret = key
  }

  private static let header = "bongsu-report-key 1"

  /// The key as it is kept in a file that only its owner may read.
  public var secretText: String { "\(Self.header)\n\(secret.rawRepresentation.base64EncodedString())\n" }

  public var key: ReportKey { ReportKey(secret.publicKey) }

  func sign(_ data: [UInt8]) throws -> [UInt8] { Array(try secret.signature(for: data)) }
}

/// What `/api/bongsu/v1/report/key` answers.
public struct ReportKeyReport: Codable, Hashable, Sendable {
  public var algorithm: String
  /// In base64.
  public var key: String
  public var fingerprint: String

  public init(_ key: ReportKey) {
    algorithm = ReportKey.algorithm
    self.key = key.description
    fingerprint = key.fingerprint
  }
}
