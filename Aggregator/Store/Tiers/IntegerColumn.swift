/// Packs a column of integers whose neighbours are alike: the course of one word of a group over time.
///
///     ┌──────┬───────────────┬──────────────────────────────────────────────┐
///     │ form │ first value   │ blocks of up to 32 residuals:                │
///     │  u8  │ zigzag LEB128 │ smallest (zigzag LEB128), width u8, fields   │
///     └──────┴───────────────┴──────────────────────────────────────────────┘
///
/// Form 0: all values equal the first. Form 1: residuals are the values themselves. Form 2: they are differences from
/// the value before. Of 1 and 2 the shorter is taken. A field is a residual less the smallest of its block, `width` bits,
/// least significant first; a block's fields end with a whole byte. Arithmetic wraps, so any integers survive.
enum IntegerColumn {
  private static let blockLength = 32

  /// Appends the column.
  static func append(_ values: [Int64], to bytes: inout [UInt8]) {
    guard let first = values.first else { return }
    if values.allSatisfy({ $0 == first }) {
      bytes.append(0)
      put(first, &bytes)
      return
    }
    let rest = Array(values.dropFirst())
    var differences: [Int64] = []
    differences.reserveCapacity(rest.count)
    for index in rest.indices { differences.append(values[index + 1] &- values[index]) }
    let plain = packed(rest)
    let stepped = packed(differences)
    bytes.append(stepped.count < plain.count ? 2 : 1)
    put(first, &bytes)
    bytes += stepped.count < plain.count ? stepped : plain
  }

  /// Reads `count` values from `offset` on; `nil` when the bytes do not hold them. Never traps.
  static func take(_ bytes: Span<UInt8>, _ offset: inout Int, count: Int) -> [Int64]? {
    guard count > 0 else { return [] }
    guard offset < bytes.count else { return nil }
    let form = bytes[offset]
    offset += 1
    guard form <= 2, let first = number(bytes, &offset) else { return nil }
    if form == 0 { return [Int64](repeating: first, count: count) }
    var values = [first]
    values.reserveCapacity(count)
    while values.count < count {
      let length = min(blockLength, count - values.count)
      guard let smallest = number(bytes, &offset), offset < bytes.count else { return nil }
      let width = Int(bytes[offset])
      offset += 1
      let size = (length * width + 7) / 8
      guard width <= 64, size <= bytes.count - offset else { return nil }
      for index in 0..<length {
        let residual = smallest &+ Int64(bitPattern: field(bytes, offset, index * width, width))
        values.append(form == 2 ? values[values.count - 1] &+ residual : residual)
      }
      offset += size
    }
    return values
  }

  private static func packed(_ residuals: [Int64]) -> [UInt8] {
    var bytes: [UInt8] = []
    var start = 0
    while start < residuals.count {
      let block = residuals[start..<min(start + blockLength, residuals.count)]
      var smallest = Int64.max
      var largest = Int64.min
      for residual in block {
        smallest = min(smallest, residual)
        largest = max(largest, residual)
      }
      let range = UInt64(bitPattern: largest &- smallest)
      let width = 64 - range.leadingZeroBitCount
      put(smallest, &bytes)
      bytes.append(UInt8(width))
      var pending: UInt64 = 0
      var bits = 0
      for residual in block {
        var field = UInt64(bitPattern: residual &- smallest)
        var left = width
        while left > 0 {
          let taken = min(left, 64 - bits)
          pending |= field &<< UInt64(bits)
          bits += taken
          left -= taken
          field = taken < 64 ? field &>> UInt64(taken) : 0
          while bits >= 8 {
            bytes.append(UInt8(truncatingIfNeeded: pending))
            pending &>>= 8
            bits -= 8
          }
        }
      }
      if bits > 0 { bytes.append(UInt8(truncatingIfNeeded: pending)) }
      start += blockLength
    }
    return bytes
  }

  private static func field(_ bytes: Span<UInt8>, _ offset: Int, _ bit: Int, _ width: Int) -> UInt64 {
    var value: UInt64 = 0
    var have = 0
    var position = bit
    while have < width {
      let byte = UInt64(bytes[offset + (position >> 3)])
      let skip = position & 7
      let taken = min(8 - skip, width - have)
      value |= (byte &>> UInt64(skip) & (1 &<< UInt64(taken) &- 1)) &<< UInt64(have)
      have += taken
      position += taken
    }
    return value
  }

  static func put(_ value: Int64, _ bytes: inout [UInt8]) {
    var rest = UInt64(bitPattern: (value &<< 1) ^ (value &>> 63))
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest &>>= 7
    }
    bytes.append(UInt8(truncatingIfNeeded: rest))
  }

  static func number(_ bytes: Span<UInt8>, _ offset: inout Int) -> Int64? {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while offset < bytes.count, shift < 64 {
      let byte = bytes[offset]
      offset += 1
      value |= UInt64(byte & 0x7F) &<< shift
      if byte < 0x80 { return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1) }
      shift += 7
    }
    return nil
  }
}
