/// Writes integers and names of a machine's state: zigzag LEB128, texts as a length and UTF-8.
public struct IntegerWriter: Sendable {
  public private(set) var bytes: [UInt8] = []

  public init() {}

  mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

  public mutating func add(_ value: Int64) {
    var rest = UInt64(bitPattern: (value &<< 1) ^ (value &>> 63))
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest &>>= 7
    }
    bytes.append(UInt8(truncatingIfNeeded: rest))
  }

  public mutating func add(_ value: Int) { add(Int64(value)) }

  public mutating func add(bits value: UInt64) { add(Int64(bitPattern: value)) }

  public mutating func add(_ text: String) {
    add(text.utf8.count)
    bytes.append(contentsOf: text.utf8)
  }
}

/// Why packed integers cannot be read.
public struct PackedIntegersUnreadable: Error, Hashable {
  /// The byte at which reading ended.
  public let offset: Int

  public init(offset: Int) { self.offset = offset }
}

/// Reads what ``IntegerWriter`` wrote. Any bytes may be given; nothing traps.
public struct IntegerReader: Sendable {
  private let bytes: [UInt8]
  public private(set) var offset = 0

  public init(_ bytes: [UInt8]) { self.bytes = bytes }

  public var isAtEnd: Bool { offset == bytes.count }

  public mutating func next() throws(PackedIntegersUnreadable) -> Int64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while offset < bytes.count, shift < 64 {
      let byte = bytes[offset]
      offset += 1
      value |= UInt64(byte & 0x7F) &<< shift
      if byte < 0x80 { return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1) }
      shift += 7
    }
    throw PackedIntegersUnreadable(offset: offset)
  }

  public mutating func nextBits() throws(PackedIntegersUnreadable) -> UInt64 { UInt64(bitPattern: try next()) }

  /// A count from 0 to `limit`.
  public mutating func count(max limit: Int) throws(PackedIntegersUnreadable) -> Int {
    let value = try next()
    guard value >= 0, value <= Int64(limit) else { throw PackedIntegersUnreadable(offset: offset) }
    return Int(value)
  }

  public mutating func text() throws(PackedIntegersUnreadable) -> String {
    let length = try count(max: bytes.count - offset)
    // The length itself took bytes.
    guard length <= bytes.count - offset,
      let text = String(validating: bytes[offset..<(offset + length)], as: UTF8.self)
    else {
      throw PackedIntegersUnreadable(offset: offset)
    }
    offset += length
    return text
  }

  public mutating func piece(_ length: Int) throws(PackedIntegersUnreadable) -> [UInt8] {
    guard length >= 0, length <= bytes.count - offset else { throw PackedIntegersUnreadable(offset: offset) }
    defer { offset += length }
    return Array(bytes[offset..<(offset + length)])
  }
}
