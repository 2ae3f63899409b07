internal import CLZ4

/// The one file of this module that skips bounds checks. Each function states what its caller has made sure of;
/// debug builds check it again.

// MARK: bits

/// Reads fields of up to 56 bits at any bit offset, least significant bit first.
///
/// The bytes end with ``BlockLimits/slackBytes`` that belong to no field, so that a load of eight bytes at any bit
/// position up to `end` stays inside.
struct BitReader {
  /// Next bit.
  var position: Int
  /// First bit that belongs to no field.
  let end: Int

  /// Bits not yet read.
  var remaining: Int { end &- position }

  /// Claims `bits` bits, so that ``take(_:from:)`` may read them.
  @inline(__always)
  func require(_ bits: Int) throws(BlockError) {
    guard bits <= end &- position else { throw .truncated(neededBits: bits, availableBits: end &- position) }
  }

  /// Passes over `bits` bits, which the caller has claimed.
  mutating func skip(_ bits: Int) { position &+= bits }

  /// The next field of `width` bits, at most 56. The caller has claimed it with ``require(_:)``.
  @inline(__always)
  mutating func take(_ width: Int, from bytes: Span<UInt8>) -> UInt64 {
    assert(width <= BlockLimits.fieldBitsMax && position + width <= end)
    assert((end + 7) / 8 + 8 <= bytes.count)
    // SAFETY: the field was claimed, so `position` < `end` or the width is zero, and the slack behind `end` covers
    // the eight bytes of the load.
    let word = unsafe bytes.bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: position &>> 3, as: UInt64.self)
    let field = (word &>> UInt64(truncatingIfNeeded: position & 7)) & ((1 &<< UInt64(truncatingIfNeeded: width)) &- 1)
    position &+= width
    return field
  }
}

/// Writes fields of up to 56 bits, least significant bit first.
struct BitWriter {
  /// Bits written.
  private(set) var position: Int = 0
  private var pending: UInt64 = 0

  init() {}

  /// Appends the low `width` bits of `field`, whose other bits are zero.
  ///
  /// The caller has sized `bytes` for the longest block, ``BlockLimits/slackBytes`` included.
  @inline(__always)
  mutating func put(_ field: UInt64, _ width: Int, into bytes: inout MutableSpan<UInt8>) {
    assert(width <= BlockLimits.fieldBitsMax && field >> UInt64(width) == 0)
    assert(position / 8 + 8 <= bytes.count)
    pending |= field &<< UInt64(truncatingIfNeeded: position & 7)
    // SAFETY: a block is never longer than `BlockShape.payloadBytesMax`, and the buffer has that and the slack.
    var raw = unsafe bytes.mutableBytes
    unsafe raw.storeBytes(of: pending, toUncheckedByteOffset: position &>> 3, as: UInt64.self)
    let used = (position & 7) &+ width
    pending = pending &>> UInt64(truncatingIfNeeded: used & ~7)
    position &+= width
  }

  /// Moves on to the next whole byte.
  mutating func align() {
    position = (position &+ 7) & ~7
    pending = 0
  }
}

// MARK: spans

extension Span where Element == Int64 {
  /// The element at `index`, which the caller has checked.
  @inline(__always)
  func at(_ index: Int) -> Int64 {
    assert(index >= 0 && index < count)
    // SAFETY: callers check a row's or column's range once and stay inside it.
    return unsafe self[unchecked: index]
  }
}

extension Span where Element == UInt64 {
  /// The element at `index`, which the caller has checked.
  @inline(__always)
  func at(_ index: Int) -> UInt64 {
    assert(index >= 0 && index < count)
    // SAFETY: as above.
    return unsafe self[unchecked: index]
  }
}

extension MutableSpan where Element == Int64 {
  /// The element at `index`, which the caller has checked.
  @inline(__always)
  func at(_ index: Int) -> Int64 {
    assert(index >= 0 && index < count)
    // SAFETY: as above.
    return unsafe self[unchecked: index]
  }

  /// Stores `value` at `index`, which the caller has checked.
  @inline(__always)
  mutating func set(_ index: Int, _ value: Int64) {
    assert(index >= 0 && index < count)
    // SAFETY: as above.
    unsafe self[unchecked: index] = value
  }
}

extension MutableSpan where Element == UInt64 {
  /// The element at `index`, which the caller has checked.
  @inline(__always)
  func at(_ index: Int) -> UInt64 {
    assert(index >= 0 && index < count)
    // SAFETY: as above.
    return unsafe self[unchecked: index]
  }

  /// Stores `value` at `index`, which the caller has checked.
  @inline(__always)
  mutating func set(_ index: Int, _ value: UInt64) {
    assert(index >= 0 && index < count)
    // SAFETY: as above.
    unsafe self[unchecked: index] = value
  }
}

// MARK: bytes

/// Copies all of `source` to the start of `target`, which is at least as long.
@inline(__always)
func copyBytes(_ source: RawSpan, to target: inout MutableSpan<UInt8>) {
  precondition(source.byteCount <= target.count)
  // SAFETY: the lengths were just compared, and an exclusive span overlaps no other.
  unsafe source.withUnsafeBytes { from in
    unsafe target.withUnsafeMutableBufferPointer { to in
      guard let start = to.baseAddress, let first = from.baseAddress else { return }
      unsafe UnsafeMutableRawPointer(start).copyMemory(from: first, byteCount: from.count)
    }
  }
}

/// Copies all of `source` to the start of `target`, which is at least as long.
@inline(__always)
func copyBytes(_ source: Span<UInt8>, to target: inout MutableRawSpan) {
  precondition(source.count <= target.byteCount)
  // SAFETY: as above.
  unsafe source.withUnsafeBufferPointer { from in
    unsafe target.withUnsafeMutableBytes { to in
      guard let start = to.baseAddress, let first = from.baseAddress else { return }
      unsafe start.copyMemory(from: first, byteCount: from.count)
    }
  }
}

extension RawSpan {
  /// The byte at `index`, checked.
  @inline(__always)
  func byte(_ index: Int) -> UInt8 {
    // SAFETY: any byte is a UInt8; the call checks the offset.
    unsafe unsafeLoad(fromByteOffset: index, as: UInt8.self)
  }
}

/// LZ4's block format, without its own allocation.
enum LZ4 {
  /// Compresses `source` into `target` from `start` up to `end`; `nil` when the result does not fit.
  static func compress(
    _ source: Span<UInt8>, into target: inout MutableSpan<UInt8>, from start: Int, to end: Int
  ) -> Int? {
    precondition(start >= 0 && start < end && end <= target.count)
    // SAFETY: both buffers outlive the call; LZ4 reads `source.count` bytes and writes at most `end - start`.
    let written = unsafe source.withUnsafeBufferPointer { from in
      unsafe target.withUnsafeMutableBufferPointer { to in
        unsafe LZ4_compress_default(
          UnsafeRawPointer(from.baseAddress)?.assumingMemoryBound(to: CChar.self),
          UnsafeMutableRawPointer(to.baseAddress)?.advanced(by: start).assumingMemoryBound(to: CChar.self),
          Int32(from.count), Int32(end - start))
      }
    }
    return written > 0 ? Int(written) : nil
  }

  /// Decodes `source` into the first `count` bytes of `target`; the number of bytes, `nil` when the data is damaged
  /// or longer than that.
  static func decompress(_ source: RawSpan, into target: inout MutableSpan<UInt8>, count: Int) -> Int? {
    precondition(count >= 0 && count <= target.count)
    // A block is far below the two gigabytes that LZ4 takes; a longer source is not one.
    guard let sourceBytes = Int32(exactly: source.byteCount) else { return nil }
    // SAFETY: both buffers outlive the call; `LZ4_decompress_safe` stays within the given lengths on any input.
    let written = unsafe source.withUnsafeBytes { from in
      unsafe target.withUnsafeMutableBufferPointer { to in
        unsafe LZ4_decompress_safe(
          from.baseAddress?.assumingMemoryBound(to: CChar.self),
          UnsafeMutableRawPointer(to.baseAddress)?.assumingMemoryBound(to: CChar.self), sourceBytes, Int32(count))
      }
    }
    return written >= 0 ? Int(written) : nil
  }
}

extension Array {
  /// Hands over the array and leaves an empty one behind, without copying or counting references.
  @inline(__always)
  mutating func moveOut() -> [Element] {
    var moved: [Element] = []
    swap(&moved, &self)
    return moved
  }
}
