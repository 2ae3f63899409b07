/// Fixed-width little-endian integers in byte arrays and spans, shared by all files of the store and the spool.
extension [UInt8] {
  /// Appends the bytes of `value`, lowest first.
  package mutating func append<Value: FixedWidthInteger>(littleEndian value: Value) {
    var rest = value
    for _ in 0..<(Value.bitWidth / 8) {
      append(UInt8(truncatingIfNeeded: rest))
      rest = Value.bitWidth > 8 ? rest >> 8 : 0
    }
  }

  /// Overwrites bytes from `offset` on by those of `value`, lowest first. The bytes must exist.
  package mutating func store<Value: FixedWidthInteger>(littleEndian value: Value, at offset: Int) {
    for index in 0..<(Value.bitWidth / 8) {
      self[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index))
    }
  }
}

extension RawSpan {
  /// The integer whose lowest byte stands at `offset`. All of its bytes must lie within the span.
  package func loadLittleEndian<Value: FixedWidthInteger & BitwiseCopyable>(_ type: Value.Type, at offset: Int) -> Value
  {
    precondition(offset >= 0 && offset <= byteCount - MemoryLayout<Value>.size, "load at \(offset) of \(byteCount)")
    // SAFETY: the range was checked above, and every bit pattern is an integer.
    return unsafe Value(littleEndian: unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: Value.self))
  }
}
