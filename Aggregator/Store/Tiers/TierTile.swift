internal import BongsuCodec
internal import BongsuRollup

/// Some rows of one group of one tier: word columns over time.
///
///     ┌─────────┬───────┬──────┬─────────────────────────┬──────────────────────────────────────────┐
///     │ version │ rows  │ ends │ which columns, a bit for │ for each of those: length, then           │
///     │   u8    │LEB128 │column│ each word of a row       │ ``IntegerColumn``                         │
///     └─────────┴───────┴──────┴─────────────────────────┴──────────────────────────────────────────┘
///
/// A column that has nothing but what an empty row has is left out. Columns are read one by one, as they are asked for.
/// Version 2 has all behind the version as a ``BongsuCodec/PackedBytes``.
struct TierTile: Equatable {
  /// What a row has where nothing was added; its count is the width.
  let empty: [Int64]
  /// Ends of ticks or windows, ascending.
  private(set) var ends: [Int64]
  /// Row after row.
  private(set) var words: [Int64]

  init(empty: [Int64]) {
    self.empty = empty
    ends = []
    words = []
  }

  var width: Int { empty.count }

  func row(_ index: Int) -> ArraySlice<Int64> { words[(index * width)..<((index + 1) * width)] }

  /// Appends a row behind all others.
  mutating func append(_ row: some Collection<Int64>, at end: Int64) {
    precondition(row.count == width, "row of \(row.count) words in a tile of \(width)")
    precondition(ends.last.map { $0 < end } ?? true, "row of \(end) behind \(ends.last ?? 0)")
    ends.append(end)
    words.append(contentsOf: row)
  }

  /// Removes the rows whose ends lie in `minute` (after its start, up to its end) and puts `rows` in their place.
  mutating func replace(_ span: ClosedRange<Int64>, with rows: TierTile) {
    let first = ends.partitioningIndex { $0 >= span.lowerBound }
    let last = ends.partitioningIndex { $0 > span.upperBound }
    ends.replaceSubrange(first..<last, with: rows.ends)
    words.replaceSubrange(first * width..<last * width, with: rows.words)
  }

  // MARK: Bytes

  static let version: UInt8 = 1
  static let packedVersion: UInt8 = 2

  /// ``bytes``, packed where that is shorter: for rows that stay.
  var packedBytes: [UInt8] {
    let plain = bytes
    var packed: [UInt8] = [Self.packedVersion]
    return PackedBytes.append(plain.span.extracting(droppingFirst: 1), to: &packed) ? packed : plain
  }

  var bytes: [UInt8] {
    var bytes: [UInt8] = [Self.version]
    IntegerColumn.put(Int64(ends.count), &bytes)
    IntegerColumn.append(ends, to: &bytes)
    var bits = [UInt8](repeating: 0, count: (width + 7) / 8)
    var body: [UInt8] = []
    var column = [Int64](repeating: 0, count: ends.count)
    for word in 0..<width {
      var isEmpty = true
      for row in ends.indices {
        column[row] = words[row &* width &+ word]
        if column[row] != empty[word] { isEmpty = false }
      }
      guard !isEmpty else { continue }
      bits[word >> 3] |= 1 << UInt8(word & 7)
      var packed: [UInt8] = []
      IntegerColumn.append(column, to: &packed)
      IntegerColumn.put(Int64(packed.count), &body)
      body += packed
    }
    return bytes + bits + body
  }
}

/// A tile as it is stored: gives out single columns. Any bytes may be given; nothing traps.
struct PackedTile {
  let empty: [Int64]
  let ends: [Int64]
  private let bytes: [UInt8]
  /// Where the column of each word is; `nil` for one that is left out.
  private let places: [Range<Int>?]
  /// The rows themselves where nothing is stored of them yet.
  private let unpacked: TierTile?

  /// Rows that were put together to be read.
  init(_ tile: TierTile) {
    empty = tile.empty
    ends = tile.ends
    bytes = []
    places = []
    unpacked = tile
  }

  init?(_ bytes: [UInt8], empty: [Int64]) {
    self.empty = empty
    var bytes = bytes
    if bytes.first == TierTile.packedVersion {
      guard let plain = PackedBytes.bytes(bytes.span, from: 1, behind: [TierTile.version]) else { return nil }
      bytes = plain
    }
    self.bytes = bytes
    let span = bytes.span
    var offset = 1
    guard bytes.count > 2, bytes[0] == TierTile.version, let rows = IntegerColumn.number(span, &offset),
      (0...Int64(StoreLimits.tileRowsMax)).contains(rows),
      let ends = IntegerColumn.take(span, &offset, count: Int(rows))
    else { return nil }
    for index in ends.indices.dropFirst() where ends[index] <= ends[index - 1] { return nil }
    self.ends = ends
    let bits = offset
    offset += (empty.count + 7) / 8
    guard offset <= bytes.count else { return nil }
    var places = [Range<Int>?](repeating: nil, count: empty.count)
    for word in empty.indices where bytes[bits + word >> 3] & 1 << UInt8(word & 7) != 0 {
      guard let length = IntegerColumn.number(span, &offset), length >= 0, length <= Int64(bytes.count - offset) else {
        return nil
      }
      places[word] = offset..<offset + Int(length)
      offset += Int(length)
    }
    guard offset == bytes.count else { return nil }
    self.places = places
    unpacked = nil
  }

  /// The values of one word over all rows; `nil` when they are damaged.
  func column(_ word: Int) -> [Int64]? {
    if let unpacked {
      return unpacked.ends.indices.map { unpacked.words[$0 &* empty.count &+ word] }
    }
    guard let place = places[word] else { return [Int64](repeating: empty[word], count: ends.count) }
    var offset = place.lowerBound
    guard let values = IntegerColumn.take(bytes.span, &offset, count: ends.count), offset == place.upperBound else {
      return nil
    }
    return values
  }

  /// All of it; `nil` when a column is damaged.
  var tile: TierTile? {
    if let unpacked { return unpacked }
    var tile = TierTile(empty: empty)
    var words = [Int64](repeating: 0, count: ends.count * empty.count)
    for word in empty.indices {
      guard let column = column(word) else { return nil }
      for row in ends.indices { words[row &* empty.count &+ word] = column[row] }
    }
    for (row, end) in ends.enumerated() {
      tile.append(words[row * empty.count..<(row + 1) * empty.count], at: end)
    }
    return tile
  }
}
