/// Any bytes as an LZ4 block, with their length before it.
///
/// Thread rule: none, values only.
public enum PackedBytes {
  /// More than this is not unpacked.
  public static let bytesMax = 1 << 24

  /// Appends the length of `source` (LEB128) and the block; `false`, and nothing is appended, where that saves less than a
  /// sixteenth.
  public static func append(_ source: Span<UInt8>, to bytes: inout [UInt8]) -> Bool {
    let count = source.count
    guard count >= BlockLimits.compressionBytesMin, count <= bytesMax else { return false }
    var target = [UInt8](repeating: 0, count: count - count / 16)
    var span = target.mutableSpan
    guard let written = LZ4.compress(source, into: &span, from: 0, to: count - count / 16) else { return false }
    var rest = count
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
    bytes += target[..<written]
    return true
  }

  /// The bytes that were packed from `offset` to the end of `packed`, behind `prefix`; `nil` when there are none. Any bytes
  /// may be given.
  public static func bytes(_ packed: Span<UInt8>, from offset: Int, behind prefix: [UInt8] = []) -> [UInt8]? {
    var place = offset
    var count = 0
    var shift = 0
    while true {
      guard place < packed.count, shift < 28 else { return nil }
      let byte = packed[place]
      place += 1
      count |= Int(byte & 0x7F) << shift
      guard byte >= 0x80 else { break }
      shift += 7
    }
    // LZ4 makes at most 255 bytes of one.
    guard count <= bytesMax, count / 255 <= packed.count - place else { return nil }
    var plain = [UInt8](repeating: 0, count: count)
    var span = plain.mutableSpan
    // SAFETY: the view ends with this call; every bit of a UInt8 is set.
    let block = unsafe packed.extracting(place..<packed.count).bytes
    guard LZ4.decompress(block, into: &span, count: count) == count else { return nil }
    return prefix + plain
  }
}
