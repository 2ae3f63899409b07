/// A position in received bytes that reads one field after the other and never past the end.
///
/// The bytes are passed to each call, so that the cursor is a plain integer that any decoder can hold.
struct ByteCursor {
  /// Index of the next byte to read.
  private(set) var offset: Int

  init(at offset: Int = 0) { self.offset = offset }

  private func need(_ count: Int, _ field: FrameField, _ bytes: RawSpan) throws(FrameError) {
    let available = bytes.byteCount - offset
    guard available >= count else { throw .truncated(field: field, neededBytes: count, availableBytes: available) }
  }

  mutating func u8(_ field: FrameField, _ bytes: RawSpan) throws(FrameError) -> UInt8 {
    try need(1, field, bytes)
    defer { offset += 1 }
    return bytes.byte(at: offset)
  }

  mutating func u64(_ field: FrameField, _ bytes: RawSpan) throws(FrameError) -> UInt64 {
    try need(8, field, bytes)
    defer { offset += 8 }
    return bytes.word(at: offset)
  }

  mutating func i64(_ field: FrameField, _ bytes: RawSpan) throws(FrameError) -> Int64 {
    Int64(bitPattern: try u64(field, bytes))
  }

  /// An unsigned LEB128 number.
  mutating func varint(_ field: FrameField, _ bytes: RawSpan) throws(FrameError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      let byte = try u8(field, bytes)
      let bits = UInt64(byte & 0x7F)
      // The tenth byte holds the 64th bit and nothing else.
      guard shift < 63 || (shift == 63 && bits <= 1) else { throw .varintTooLong(field: field) }
      value |= bits &<< shift
      if byte < 0x80 { return value }
      shift += 7
    }
  }

  /// An unsigned LEB128 number of at most `limit`.
  mutating func varint(_ field: FrameField, max limit: UInt64, _ bytes: RawSpan) throws(FrameError) -> UInt64 {
    let value = try varint(field, bytes)
    guard value <= limit else {
      throw .outOfRange(field: field, value: Int64(clamping: value), limit: Int64(clamping: limit))
    }
    return value
  }

  /// A count of at most `limit`.
  mutating func count(_ field: FrameField, max limit: Int, _ bytes: RawSpan) throws(FrameError) -> Int {
    Int(try varint(field, max: UInt64(limit), bytes))
  }

  /// A signed number as zigzag LEB128.
  mutating func signed(_ field: FrameField, _ bytes: RawSpan) throws(FrameError) -> Int64 {
    let word = try varint(field, bytes)
    return Int64(bitPattern: word >> 1) ^ -Int64(bitPattern: word & 1)
  }

  /// A text: one length byte, then that many bytes of UTF-8, at most `limit`.
  mutating func text(_ field: FrameField, max limit: Int, _ bytes: RawSpan) throws(FrameError) -> String {
    let length = Int(try u8(field, bytes))
    guard length <= limit else { throw .outOfRange(field: field, value: Int64(length), limit: Int64(limit)) }
    try need(length, field, bytes)
    let piece = bytes.extracting(offset..<(offset + length))
    offset += length
    // SAFETY: read during the call alone.
    let text = unsafe piece.withUnsafeBytes { unsafe String(validating: $0, as: UTF8.self) }
    guard let text else { throw .malformedText(field: field) }
    return text
  }

  /// Passes over the next text where it is `text`; else stays in front of it.
  mutating func skip(_ text: String, _ bytes: RawSpan) -> Bool {
    let length = text.utf8.count
    guard bytes.byteCount - offset > length, Int(bytes.byte(at: offset)) == length else { return false }
    var place = offset + 1
    for byte in text.utf8 {
      guard bytes.byte(at: place) == byte else { return false }
      place += 1
    }
    offset = place
    return true
  }

  /// Checks that nothing follows the last field.
  func end(_ bytes: RawSpan) throws(FrameError) {
    guard offset == bytes.byteCount else { throw .trailingBytes(bytes.byteCount - offset) }
  }
}

extension RawSpan {
  /// The byte at `offset`; traps outside of the span.
  @inline(__always)
  func byte(at offset: Int) -> UInt8 {
    // SAFETY: any byte is a UInt8; the call itself checks the bounds.
    unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self)
  }

  /// The little-endian word at `offset`; traps outside of the span.
  @inline(__always)
  func word(at offset: Int) -> UInt64 {
    // SAFETY: any eight bytes are a UInt64; the call itself checks the bounds and needs no alignment.
    UInt64(littleEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }
}

extension [UInt8] {
  mutating func appendU64(_ value: UInt64) {
    for shift in stride(from: UInt64(0), to: 64, by: 8) { append(UInt8(truncatingIfNeeded: value &>> shift)) }
  }

  mutating func appendI64(_ value: Int64) { appendU64(UInt64(bitPattern: value)) }

  mutating func appendVarint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest &>>= 7
    }
    append(UInt8(truncatingIfNeeded: rest))
  }

  mutating func appendSigned(_ value: Int64) {
    appendVarint(UInt64(bitPattern: (value &<< 1) ^ (value &>> 63)))
  }

  /// Appends a length byte and the text's UTF-8, cut at a character border when it is longer than `limit`.
  mutating func appendText(_ text: String, max limit: Int) {
    let lengthAt = count
    append(0)
    if text.utf8.count <= limit {
      append(contentsOf: text.utf8)
      self[lengthAt] = UInt8(count - lengthAt - 1)
      return
    }
    for character in text {
      guard count - lengthAt - 1 + character.utf8.count <= limit else { break }
      append(contentsOf: character.utf8)
    }
    self[lengthAt] = UInt8(count - lengthAt - 1)
  }
}
