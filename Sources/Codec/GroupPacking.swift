/// Writes and reads groups of residuals as fields.
enum GroupPacking {
  /// Residuals in the largest group.
  static let sizeMax = 16

  /// Bits of an outlier's position in groups of `groupSize`.
  @inline(__always)
  static func positionBits(_ groupSize: Int) -> Int { 64 &- (groupSize &- 1).leadingZeroBitCount }

  /// Appends the group of `size` residuals at `start`, laid out as `packed` says.
  static func put(
    _ residuals: Span<UInt64>, from start: Int, size: Int, groupSize: Int, as packed: UInt8,
    _ writer: inout BitWriter, into bytes: inout MutableSpan<UInt8>
  ) {
    let width = WidthCode.width(packed & 31)
    switch packed &>> 5 {
    case Packing.dense.rawValue:
      if width == 0 { return }
      for index in start..<(start &+ size) { writer.put(residuals.at(index), width, into: &bytes) }
    case Packing.sparse.rawValue:
      var mask: UInt64 = 0
      for index in 0..<size where residuals.at(start &+ index) != 0 { mask |= 1 &<< UInt64(index) }
      writer.put(mask, size, into: &bytes)
      for index in start..<(start &+ size) where residuals.at(index) != 0 {
        writer.put(residuals.at(index), width, into: &bytes)
      }
    default:
      var outlier = 0
      for index in 1..<size where residuals.at(start &+ index) > residuals.at(start &+ outlier) { outlier = index }
      let upper = residuals.at(start &+ outlier) &>> UInt64(width)
      let upperCode = WidthCode.code(of: upper)
      writer.put(UInt64(outlier), positionBits(groupSize), into: &bytes)
      writer.put(UInt64(upperCode), 5, into: &bytes)
      let low: UInt64 = (1 &<< UInt64(width)) &- 1
      for index in start..<(start &+ size) { writer.put(residuals.at(index) & low, width, into: &bytes) }
      writer.put(upper, WidthCode.width(upperCode), into: &bytes)
    }
  }

  /// Reads a group of `size` residuals into `residuals` from `start` on.
  @inline(__always)
  static func take(
    _ residuals: inout MutableSpan<Int64>, from start: Int, size: Int, groupSize: Int, as packed: UInt8,
    _ reader: inout BitReader, _ bytes: Span<UInt8>
  ) throws(BlockError) {
    let width = WidthCode.width(packed & 31)
    switch packed &>> 5 {
    case Packing.dense.rawValue:
      try reader.require(size &* width)
      for index in start..<(start &+ size) {
        residuals.set(index, Int64(bitPattern: reader.take(width, from: bytes)))
      }
    case Packing.sparse.rawValue:
      try reader.require(size)
      var mask = reader.take(size, from: bytes)
      try reader.require(mask.nonzeroBitCount &* width)
      for index in start..<(start &+ size) {
        residuals.set(index, mask & 1 != 0 ? Int64(bitPattern: reader.take(width, from: bytes)) : 0)
        mask &>>= 1
      }
    case Packing.patched.rawValue:
      let positionBits = positionBits(groupSize)
      try reader.require(positionBits &+ 5 &+ size &* width)
      let outlier = Int(truncatingIfNeeded: reader.take(positionBits, from: bytes))
      let upperWidth = WidthCode.width(UInt8(truncatingIfNeeded: reader.take(5, from: bytes)))
      guard outlier < size else { throw .outOfRange(field: .outlierPosition, value: outlier, limit: size - 1) }
      for index in start..<(start &+ size) {
        residuals.set(index, Int64(bitPattern: reader.take(width, from: bytes)))
      }
      try reader.require(upperWidth)
      let upper = Int64(bitPattern: reader.take(upperWidth, from: bytes)) &<< Int64(width)
      residuals.set(start &+ outlier, residuals.at(start &+ outlier) | upper)
    default:
      throw .reservedBits(field: .columnHeader, value: Int(packed))
    }
  }
}
