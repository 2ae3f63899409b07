/// Why a block cannot be written or read. Each case carries the numbers that decided it.
public enum BlockError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The payload ends inside a field.
  case truncated(neededBits: Int, availableBits: Int)
  /// Bytes follow the last field.
  case trailing(bytes: Int)
  /// Another format version than this build reads.
  case unsupportedVersion(Int, supported: Int)
  /// Bits that this version leaves zero are set.
  case reservedBits(field: Field, value: Int)
  /// A variable-length integer has more than 64 bits.
  case integerTooLong(field: Field)
  /// A field's number is outside its range.
  case outOfRange(field: Field, value: Int, limit: Int)
  /// The payload builds on a base row and none was given.
  case baseMissing
  /// A span handed over by the caller has the wrong length.
  case wrongLength(field: Field, count: Int, expected: Int)
  /// The caller's output is too small.
  case outputTooSmall(needed: Int, available: Int)
  /// The compressed body would decode to more than a block of its rows can have.
  case bodyTooLarge(bytes: Int, limit: Int)
  /// LZ4 refused the compressed body, or it decodes to another size than it says.
  case compressionDamaged(compressedBytes: Int, bodyBytes: Int)
  /// A reading is larger than any quantity can be.
  case valueTooLarge(column: Int, value: Int64)

  /// What a number in an error stands for.
  public enum Field: String, Hashable, Sendable {
    case header
    case annotations
    case activeColumns = "active columns"
    case rows
    case values
    case base
    case tickGap = "tick gap"
    case ticks
    case tickDistance = "tick distance"
    case flagRun = "flag run"
    case flags
    case presence
    case bodyBytes = "body bytes"
    case columnHeader = "column header"
    case offset
    case outlierPosition = "outlier position"
  }

  public var description: String {
    switch self {
    case .truncated(let needed, let available):
      "block payload is truncated: next field needs \(needed) bits, \(available) are left; was the frame cut?"
    case .trailing(let bytes):
      "block payload has \(bytes) bytes after its last field, expected none; does its row layout match?"
    case .unsupportedVersion(let version, let supported):
      "block payload has format version \(version), this build reads \(supported); upgrade the older side"
    case .reservedBits(let field, let value):
      "block payload sets reserved bits in its \(field.rawValue) (value \(value)); is the sender newer?"
    case .integerTooLong(let field):
      "block payload has a \(field.rawValue) integer of more than 64 bits; the payload is damaged"
    case .outOfRange(let field, let value, let limit):
      "block \(field.rawValue) is \(value), limit \(limit)"
    case .baseMissing:
      "block payload builds on a base row that is not there; ask for a standalone block"
    case .wrongLength(let field, let count, let expected):
      "block \(field.rawValue) has \(count) entries, expected \(expected)"
    case .outputTooSmall(let needed, let available):
      "output holds \(available), the block needs \(needed)"
    case .bodyTooLarge(let bytes, let limit):
      "compressed block says it decodes to \(bytes) bytes, limit \(limit) for its rows"
    case .compressionDamaged(let compressed, let body):
      "lz4 cannot decode \(compressed) bytes into a body of \(body) bytes; the payload is damaged"
    case .valueTooLarge(let column, let value):
      "reading \(value) in column \(column) exceeds the magnitude limit of 2^53"
    }
  }
}
