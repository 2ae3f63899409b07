internal import CBongsuChecksum

/// CRC32C, the Castagnoli checksum of iSCSI (RFC 3720 appendix B.4), SCTP and ext4: polynomial 0x1EDC6F41, reflected,
/// initial value and final complement all ones. Detects every burst of up to 32 bits and all errors of up to five bits
/// in records of our sizes.
///
/// A value type: feed spans, then read ``value``. Takes the processor's own instruction where there is one (about
/// 8 bytes in 3 cycles), else eight tables (about a byte per cycle).
public struct CRC32C: Sendable {
  private var state: UInt32

  /// An empty checksum. A `seed` other than zero gives a family of checksums that do not match each other, which keeps
  /// a record that was copied into the payload of another log from passing as one of this log's own.
  public init(seed: UInt32 = 0) {
    state = ~seed
  }

  /// The checksum of all bytes fed so far.
  public var value: UInt32 { ~state }

  /// Feeds bytes. Linear in their number, allocates nothing.
  public mutating func update(_ bytes: RawSpan) {
    if Self.hasHardware {
      // SAFETY: the callee reads exactly `count` bytes of the buffer and keeps no pointer.
      state = unsafe bytes.withUnsafeBytes { buffer in
        guard let base = buffer.baseAddress else { return state }
        return unsafe bongsu_crc32c_hardware(state, base, buffer.count)
      }
    } else {
      updateByTables(bytes)
    }
  }

  /// Feeds bytes. Linear in their number, allocates nothing.
  public mutating func update(_ bytes: Span<UInt8>) {
    // SAFETY: bytes have no padding.
    unsafe update(bytes.bytes)
  }

  /// The same by tables alone; for processors without the instruction, and for tests.
  mutating func updateByTables(_ bytes: RawSpan) {
    let tables = Self.tables.span
    var register = state
    var offset = 0
    let wideEnd = bytes.byteCount & ~7
    while offset < wideEnd {
      // SAFETY: offset + 8 ≤ wideEnd ≤ byteCount.
      let word = unsafe UInt64(
        littleEndian: bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self))
      let mixed = word ^ UInt64(register)
      register = 0
      for lane in 0..<8 {
        register ^= tables[(7 &- lane) &* 256 &+ Int((mixed &>> UInt64(8 &* lane)) & 0xFF)]
      }
      offset &+= 8
    }
    while offset < bytes.byteCount {
      // SAFETY: offset < byteCount.
      let byte = unsafe bytes.unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self)
      register = tables[Int((register ^ UInt32(byte)) & 0xFF)] ^ (register &>> 8)
      offset &+= 1
    }
    state = register
  }

  private static let hasHardware = bongsu_crc32c_hardware_available() != 0

  /// Table k holds the effect of a byte that is followed by k zero bytes (slicing by eight).
  private static let tables: [UInt32] = {
    var tables = [UInt32](repeating: 0, count: 8 * 256)
    for byte in 0..<256 {
      var register = UInt32(byte)
      for _ in 0..<8 { register = (register >> 1) ^ ((register & 1) == 1 ? 0x82F6_3B78 : 0) }
      tables[byte] = register
    }
    for byte in 0..<256 {
      for slice in 1..<8 {
        let previous = tables[(slice - 1) * 256 + byte]
        tables[slice * 256 + byte] = (previous >> 8) ^ tables[Int(previous & 0xFF)]
      }
    }
    return tables
  }()
}
