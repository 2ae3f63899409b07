internal import Crypto
internal import FoundationEssentials

/// A report with its signature.
///
///     {"report":DATA,"signature":{"algorithm":"Ed25519","key":"…","sha256":"…","value":"…"}}⏎
///
/// DATA is JSON without white space, keys in order of their bytes, `<` written as `\u003c` so that it can stand in a page
/// as it is. Hash and signature are of exactly these bytes: nobody who checks needs to write JSON the same way. `sha256` is
/// in hexadecimal, `key` and `value` are in base64. The rest of the document has one spelling too, so that no digit of it
/// can be changed unnoticed.
public struct SignedReport: Hashable, Sendable {
  /// The signature beside the data.
  public struct Signature: Codable, Hashable, Sendable {
    public var algorithm: String
    public var key: String
    public var sha256: String
    public var value: String
  }

  public let report: UsageReport
  /// What was signed.
  public let data: [UInt8]
  public let signature: Signature

  /// Largest document that is read, ten times what a report with its longest names takes.
  public static let documentBytesMax = 1 << 20

  /// Signs `report`.
  public init(_ report: UsageReport, by signer: ReportSigner) throws {
    self.report = report
    data = try Self.canonical(report)
    signature = Signature(
      algorithm: ReportKey.algorithm, key: signer.key.description, sha256: Self.hexadecimal(SHA256.hash(data: data)),
      value: Data(try signer.sign(data)).base64EncodedString())
  }

  /// Reads a document, without judging its signature.
  public init(document: [UInt8]) throws(ReportFault) {
    guard document.count <= Self.documentBytesMax else {
      throw .notAReport("it has \(document.count) bytes, a report at most \(Self.documentBytesMax)")
    }
    guard document.starts(with: Self.opening), let middle = Self.lastPosition(of: Self.middle, in: document) else {
      throw .notAReport("it is not of the form {\"report\":…,\"signature\":{…}} in one line")
    }
    let data = Array(document[Self.opening.count..<middle])
    guard document.suffix(Self.closing.count).elementsEqual(Self.closing),
      document.count - Self.closing.count >= middle + Self.middle.count,
      let signature = try? JSONDecoder().decode(
        Signature.self, from: Data(document[(middle + Self.middle.count)..<(document.count - Self.closing.count)]))
    else { throw .notAReport("its signature block cannot be read") }
    struct Form: Decodable { var format: String }
    guard let form = try? JSONDecoder().decode(Form.self, from: Data(data)) else {
      throw .notAReport("its report cannot be read")
    }
    guard form.format == UsageReport.formatName else { throw .unknownFormat(form.format) }
    guard let report = try? JSONDecoder().decode(UsageReport.self, from: Data(data)) else {
      throw .notAReport("its report lacks a figure that \(UsageReport.formatName) has")
    }
    self.report = report
    self.data = data
    self.signature = signature
    guard self.document == document else { throw .notAReport("it is not spelled the way reports are written") }
  }

  /// The document, one line.
  public var document: [UInt8] {
    guard let block = try? Self.canonical(signature) else { return [] }
    return Self.opening + data + Self.middle + block + Self.closing
  }

  /// Whether the data is what the owner of `key` signed.
  public func check(signedBy key: ReportKey) throws(ReportFault) {
    let digest = Self.hexadecimal(SHA256.hash(data: data))
    guard digest == signature.sha256 else { throw .changed(found: digest, signed: signature.sha256) }
    guard signature.algorithm == ReportKey.algorithm else { throw .unknownFormat(signature.algorithm) }
    // Base64 has several spellings of some bytes; only one is written.
    guard let own = ReportKey(signature.key), own.description == signature.key else {
      throw .notAReport("its key is none")
    }
    guard own == key else { throw .otherKey(found: own.fingerprint, expected: key.fingerprint) }
    guard let value = Data(base64Encoded: signature.value), value.base64EncodedString() == signature.value,
      key.isValid(Array(value), of: data)
    else {
      throw .forged(key.fingerprint)
    }
  }

  // MARK: Bytes

  private static let opening = Array("{\"report\":".utf8)
  private static let middle = Array(",\"signature\":".utf8)
  private static let closing = Array("}\n".utf8)

  private static func canonical(_ value: some Encodable) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    // A less-than sign can only stand in a string.
    return try encoder.encode(value).flatMap { $0 == UInt8(ascii: "<") ? Array("\\u003c".utf8) : [$0] }
  }

  private static func lastPosition(of part: [UInt8], in bytes: [UInt8]) -> Int? {
    guard bytes.count >= part.count else { return nil }
    for start in (0...(bytes.count - part.count)).reversed()
    where bytes[start..<(start + part.count)].elementsEqual(part) {
      return start
    }
    return nil
  }

  private static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }
}

/// Why a document is not to be believed.
public enum ReportFault: Error, Hashable, Sendable, CustomStringConvertible {
  case notAReport(String)
  case unknownFormat(String)
  /// The data was changed after it was signed.
  case changed(found: String, signed: String)
  /// Signed, but by another key.
  case otherKey(found: String, expected: String)
  /// The signature is not that key's.
  case forged(String)
  /// What people read is not what was signed.
  case otherPrint(line: Int)

  public var description: String {
    switch self {
    case .notAReport(let why): "this is no signed report: \(why); give a file of `bongsu report` as it was written"
    case .unknownFormat(let found):
      "the report is of the form \"\(found.prefix(60))\", which this release does not know"
    case .changed(let found, let signed):
      "the figures were changed after signing: their SHA-256 is \(found), signed was \(signed.prefix(80))"
    case .otherKey(let found, let expected):
      "it is signed by the key \(found), expected \(expected); compare both with `bongsu report key` at the aggregator"
    case .forged(let key): "the signature is not one of the key \(key): figures or signature were changed"
    case .otherPrint(let line):
      "the signed figures are intact, but line \(line) is not what this release prints of them: somebody changed the "
        + "page, or another release wrote it; `bongsu report show FILE` prints what was signed"
    }
  }
}
