internal import BongsuCodec
internal import BongsuModel
internal import BongsuRecordLog

/// What a chunk's bytes belong to. It goes into the checksum, so that bytes found under another key do not pass.
struct ChunkIdentity {
  let node: NodeID
  let firstTick: Int64
  let lastTick: Int64
  /// Checksum of the layout's bytes.
  let layout: UInt32

  fileprivate func checksum(of head: ArraySlice<UInt8>) -> UInt32 {
    var bytes: [UInt8] = []
    bytes.append(littleEndian: firstTick)
    bytes.append(littleEndian: lastTick)
    bytes.append(littleEndian: layout)
    bytes += Array(node.name.utf8)
    bytes += head
    return ChunkBytes.checksum(bytes[...])
  }
}

/// The bytes of a chunk: a head that says how rows and columns lie, and one payload per column. FORMAT.md draws it.
enum ChunkBytes {
  static let version: UInt8 = 1

  fileprivate static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    var checksum = CRC32C()
    checksum.update(bytes.span)
    return checksum.value
  }

  /// Packs rows.
  ///
  /// - Parameters:
  ///   - rows: whole rows, oldest first.
  ///   - ticks: ascending milliseconds, one for each row.
  static func encode(
    _ identity: ChunkIdentity, shape: ChunkShape, ticks: [Int64], rows: [Int64], with encoder: inout ChunkEncoder
  ) throws(BlockError) -> [UInt8] {
    var head: [UInt8] = [version]
    put(ticks, interval: Int64(shape.layout.interval.milliseconds), into: &head)
    var payloads: [UInt8] = []
    for column in shape.layout.columns.indices where shape.layout.deviceCount(of: column) > 0 {
      let start = payloads.count
      let mode = try encoder.encode(
        column: column, of: shape, rows: rows.span, ticks: ticks.span, appendingTo: &payloads)
      head.append(mode.rawValue)
      head.appendVarint(UInt64(payloads.count - start))
      head.append(littleEndian: checksum(payloads[start...]))
    }
    head.append(littleEndian: identity.checksum(of: head[...]))
    return head + payloads
  }

  /// Ticks as runs: distance to the run before less one interval, and the rows that follow each other by one.
  private static func put(_ ticks: [Int64], interval: Int64, into head: inout [UInt8]) {
    var runs: [(gap: Int64, count: UInt64)] = []
    var last = (ticks.first ?? 0) &- interval
    for tick in ticks {
      let gap = tick &- last &- interval
      if gap == 0, !runs.isEmpty { runs[runs.count - 1].count += 1 } else { runs.append((gap, 1)) }
      last = tick
    }
    head.appendVarint(UInt64(runs.count))
    for run in runs {
      head.appendVarint(UInt64(bitPattern: run.gap &<< 1 ^ run.gap &>> 63))
      head.appendVarint(run.count)
    }
  }
}

/// A chunk's bytes, whose head was found to be what was written.
struct ChunkReader {
  private struct Column {
    let mode: ChunkMode
    let payload: Range<Int>
    let checksum: UInt32
  }

  let ticks: [Int64]
  private let bytes: [UInt8]
  private var columns: [Int: Column] = [:]

  /// `nil` when the head is damaged, or belongs to another chunk.
  init?(_ bytes: [UInt8], _ identity: ChunkIdentity, _ shape: ChunkShape) {
    self.bytes = bytes
    var cursor = 1
    guard bytes.first == ChunkBytes.version,
      let ticks = Self.ticks(bytes, &cursor, identity, Int64(shape.layout.interval.milliseconds), shape.rowsMax)
    else { return nil }
    self.ticks = ticks
    var sizes: [(column: Int, mode: ChunkMode, count: Int, checksum: UInt32)] = []
    for column in shape.layout.columns.indices where shape.layout.deviceCount(of: column) > 0 {
      guard cursor < bytes.count, let mode = ChunkMode(rawValue: bytes[cursor]) else { return nil }
      cursor += 1
      guard let count = bytes.varint(&cursor), count <= UInt64(bytes.count), let checksum = bytes.word(&cursor)
      else { return nil }
      sizes.append((column, mode, Int(count), checksum))
    }
    let end = cursor
    guard let stated = bytes.word(&cursor), stated == identity.checksum(of: bytes[..<end]) else { return nil }
    for size in sizes {
      guard size.count <= bytes.count - cursor else { return nil }
      columns[size.column] = Column(
        mode: size.mode, payload: cursor..<(cursor + size.count), checksum: size.checksum)
      cursor += size.count
    }
    guard cursor == bytes.count, ticks.first == identity.firstTick, ticks.last == identity.lastTick else { return nil }
  }

  private static func ticks(
    _ bytes: [UInt8], _ cursor: inout Int, _ identity: ChunkIdentity, _ interval: Int64, _ rowsMax: Int
  ) -> [Int64]? {
    guard let runs = bytes.varint(&cursor), runs > 0, runs <= UInt64(rowsMax) else { return nil }
    var ticks: [Int64] = []
    var last = identity.firstTick &- interval
    for _ in 0..<runs {
      guard let word = bytes.varint(&cursor), let count = bytes.varint(&cursor), count > 0,
        count <= UInt64(rowsMax - ticks.count)
      else { return nil }
      let gap = Int64(bitPattern: word >> 1) ^ -Int64(bitPattern: word & 1)
      var tick = last &+ interval &+ gap
      guard ticks.isEmpty || tick > last else { return nil }
      for _ in 0..<count {
        ticks.append(tick)
        last = tick
        tick &+= interval
      }
    }
    return ticks
  }

  /// The readings of a column, row after row its devices; `nil` when they are not what was written.
  func cells(
    of column: Int, _ shape: ChunkShape, with decoder: inout ChunkDecoder
  ) -> [Int64]? {
    guard let part = columns[column] else { return [] }
    guard ChunkBytes.checksum(bytes[part.payload]) == part.checksum else { return nil }
    var power: [Int64]?
    if part.mode == .remainder {
      guard let source = shape.power(of: column), columns[source]?.mode == .plain,
        let found = cells(of: source, shape, with: &decoder)
      else { return nil }
      power = found
    }
    var cells: [Int64] = []
    do throws(BlockError) {
      // SAFETY: bytes have no padding.
      let payload = unsafe bytes.span.extracting(part.payload).bytes
      if let power {
        try decoder.decode(
          payload, column: column, of: shape, mode: part.mode, ticks: ticks.span, power: power.span, into: &cells)
      } else {
        try decoder.decode(
          payload, column: column, of: shape, mode: part.mode, ticks: ticks.span, power: nil, into: &cells)
      }
    } catch {
      return nil
    }
    return cells
  }
}

extension [UInt8] {
  /// Appends an unsigned LEB128 number.
  mutating func appendVarint(_ value: UInt64) {
    var rest = value
    while rest > 127 {
      append(UInt8(truncatingIfNeeded: rest) | 128)
      rest >>= 7
    }
    append(UInt8(rest))
  }

  /// The LEB128 number at `cursor`, which moves behind it; `nil` when there is none.
  func varint(_ cursor: inout Int) -> UInt64? {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while cursor < count {
      let byte = UInt64(self[cursor])
      cursor += 1
      guard shift < 63 || byte <= 1 else { return nil }
      value |= (byte & 127) << shift
      if byte < 128 { return value }
      shift += 7
    }
    return nil
  }

  /// The 32 bits at `cursor`, lowest byte first, which moves behind them; `nil` when there are fewer.
  func word(_ cursor: inout Int) -> UInt32? {
    guard count - cursor >= 4 else { return nil }
    defer { cursor += 4 }
    return UInt32(self[cursor]) | UInt32(self[cursor + 1]) << 8 | UInt32(self[cursor + 2]) << 16
      | UInt32(self[cursor + 3]) << 24
  }
}
