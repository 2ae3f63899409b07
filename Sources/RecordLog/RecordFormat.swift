/// What a record's header says.
public struct LogRecord: Hashable, Sendable {
  /// Its number in the log.
  public let number: UInt64
  /// Its kind, the owner's business.
  public let kind: UInt8
  /// Bytes of its payload.
  public let payloadBytes: Int
}

/// The bytes of one record; drawn in FORMAT.md.
enum RecordFormat {
  static let headerBytes = 16
  static let payloadBytesMax = 1 << 24 - 1
  static let numberMax: UInt64 = 1 << 48 - 1

  /// Appends a whole record.
  static func append(_ payload: RawSpan, number: UInt64, kind: UInt8, salt: UInt32, to bytes: inout [UInt8]) {
    let start = bytes.count
    bytes.append(littleEndian: UInt32(0))
    bytes.append(littleEndian: UInt32(payload.byteCount) | UInt32(kind) << 24)
    bytes.append(littleEndian: UInt32(truncatingIfNeeded: number))
    bytes.append(littleEndian: UInt16(truncatingIfNeeded: number >> 32))
    var checksum = CRC32C(seed: salt)
    checksum.update(bytes.span.extracting((start + 4)..<(start + 14)))
    bytes.append(littleEndian: UInt16(truncatingIfNeeded: checksum.value))
    checksum.update(bytes.span.extracting((start + 14)..<(start + 16)))
    checksum.update(payload)
    bytes.store(littleEndian: checksum.value, at: start)
    // SAFETY: the buffer is valid for the closure, and appending copies it.
    unsafe payload.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
  }

  /// The header at `offset`, when its check holds. The payload is not looked at. 16 bytes must be there.
  static func header(in bytes: RawSpan, at offset: Int, salt: UInt32) -> LogRecord? {
    var checksum = CRC32C(seed: salt)
    checksum.update(bytes.extracting((offset + 4)..<(offset + 14)))
    guard bytes.loadLittleEndian(UInt16.self, at: offset + 14) == UInt16(truncatingIfNeeded: checksum.value) else {
      return nil
    }
    let word = bytes.loadLittleEndian(UInt32.self, at: offset + 4)
    return LogRecord(
      number: number(in: bytes, at: offset), kind: UInt8(word >> 24), payloadBytes: Int(word & 0xFF_FFFF))
  }

  /// The number field at `offset`, unchecked.
  static func number(in bytes: RawSpan, at offset: Int) -> UInt64 {
    UInt64(bytes.loadLittleEndian(UInt32.self, at: offset + 8))
      | UInt64(bytes.loadLittleEndian(UInt16.self, at: offset + 12)) << 32
  }

  /// Whether the checksum of the record at `offset` holds. All of its bytes must be there.
  static func isIntact(_ record: LogRecord, in bytes: RawSpan, at offset: Int, salt: UInt32) -> Bool {
    var checksum = CRC32C(seed: salt)
    checksum.update(bytes.extracting((offset + 4)..<(offset + headerBytes + record.payloadBytes)))
    return checksum.value == bytes.loadLittleEndian(UInt32.self, at: offset)
  }
}

/// The header and the name of a segment file; drawn in FORMAT.md.
enum SegmentFormat {
  static let copyBytes = 32
  static let headerBytes = 64
  static let version: UInt16 = 1
  private static let magic: [UInt8] = Array("BONGSLOG".utf8)

  /// Both copies of the header.
  static func header(firstNumber: UInt64, salt: UInt32) -> [UInt8] {
    var copy = magic
    copy.append(littleEndian: version)
    copy.append(littleEndian: UInt16(0))
    copy.append(littleEndian: salt)
    copy.append(littleEndian: firstNumber)
    copy.append(littleEndian: UInt32(0))
    var checksum = CRC32C()
    checksum.update(copy.span)
    copy.append(littleEndian: checksum.value)
    return copy + copy
  }

  /// What the start of a file says.
  enum Reading: Equatable {
    case good(salt: UInt32)
    case newer(version: UInt16)
    case damaged
  }

  /// Reads the header from the first ``headerBytes`` of a file; fewer bytes are a damaged header.
  static func read(_ bytes: RawSpan, firstNumber: UInt64) -> Reading {
    for start in [0, copyBytes] where bytes.byteCount >= start + copyBytes {
      let copy = bytes.extracting(start..<(start + copyBytes))
      var checksum = CRC32C()
      checksum.update(copy.extracting(first: copyBytes - 4))
      guard checksum.value == copy.loadLittleEndian(UInt32.self, at: copyBytes - 4) else { continue }
      guard magic.indices.allSatisfy({ copy.loadLittleEndian(UInt8.self, at: $0) == magic[$0] }) else { continue }
      let version = copy.loadLittleEndian(UInt16.self, at: 8)
      guard version == Self.version else { return .newer(version: version) }
      guard copy.loadLittleEndian(UInt64.self, at: 16) == firstNumber else { continue }
      return .good(salt: copy.loadLittleEndian(UInt32.self, at: 12))
    }
    return .damaged
  }

  /// The name of the segment of log `log` that starts at `firstNumber`.
  static func name(log: String, firstNumber: UInt64) -> String {
    let digits = String(firstNumber, radix: 16)
    return log + "-" + String(repeating: "0", count: 16 - digits.utf8.count) + digits + ".log"
  }

  /// The first number that the name of a segment of log `log` says; `nil` for other names.
  static func firstNumber(log: String, name: String) -> UInt64? {
    guard name.utf8.count == log.utf8.count + 21, name.hasPrefix(log + "-"), name.hasSuffix(".log") else { return nil }
    let digits = name.dropFirst(log.count + 1).dropLast(4)
    guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }) else { return nil }
    guard let number = UInt64(digits, radix: 16), number >= 1, number <= RecordFormat.numberMax else { return nil }
    return number
  }
}
