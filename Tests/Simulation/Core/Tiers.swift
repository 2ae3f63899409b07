import BongsuModel
import BongsuRecordLog
import BongsuWire

/// A file of the aggregator that is built from journal records, with the number of the last one it has applied.
///
/// Data and number are one file, replaced as a whole; that is what makes applying idempotent.
protocol Tier {
  var name: String { get }
  var appliedRecord: UInt64 { get set }
  func encode() -> [UInt64]
  mutating func decode(_ words: [UInt64])
}

/// Raw history: which sample is stored at which tick of which node.
struct RawTier: Tier {
  struct Key: Hashable {
    let node: Int
    let tick: Int64
  }

  let name = "raw"
  var appliedRecord: UInt64 = 0
  var rows: [Key: Int] = [:]
  var gaps: [JournalGap] = []

  func encode() -> [UInt64] {
    var words: [UInt64] = [UInt64(rows.count)]
    for (key, id) in rows.sorted(by: { ($0.key.tick, $0.key.node) < ($1.key.tick, $1.key.node) }) {
      words += [UInt64(key.node), UInt64(bitPattern: key.tick), UInt64(id)]
    }
    words.append(UInt64(gaps.count))
    for gap in gaps {
      words += [
        UInt64(gap.node.rawValue), UInt64(gap.reason.rawValue), gap.sequences?.lowerBound ?? 0,
        gap.sequences?.upperBound ?? 0, UInt64(bitPattern: gap.ticks?.lowerBound.unixMilliseconds ?? -1),
        UInt64(bitPattern: gap.ticks?.upperBound.unixMilliseconds ?? -1),
      ]
    }
    return words
  }

  mutating func decode(_ words: [UInt64]) {
    rows = [:]
    gaps = []
    var at = 1
    for _ in 0..<words[0] {
      rows[Key(node: Int(words[at]), tick: Int64(bitPattern: words[at + 1]))] = Int(words[at + 2])
      at += 3
    }
    let count = words[at]
    at += 1
    for _ in 0..<count {
      let first = Int64(bitPattern: words[at + 4])
      let last = Int64(bitPattern: words[at + 5])
      gaps.append(
        JournalGap(
          node: NodeNumber(rawValue: UInt32(words[at])),
          sequences: words[at + 2] == 0 ? nil : words[at + 2]...words[at + 3],
          reason: GapReason(rawValue: UInt8(words[at + 1])) ?? .agentRestart,
          ticks: first < 0 ? nil : Tick(unixMilliseconds: first)...Tick(unixMilliseconds: last)))
      at += 6
    }
  }
}

/// Sums over ten seconds and two groups of nodes.
struct WindowTier: Tier, Equatable {
  struct Key: Hashable {
    let window: Int64
    let group: Int
    let column: Int
  }

  struct Cell: Equatable {
    var sum: Int64 = 0
    var count: Int64 = 0
    var min = Int64.max
    var max = Int64.min

    mutating func add(_ value: Int64) {
      sum += value
      count += 1
      min = Swift.min(min, value)
      max = Swift.max(max, value)
    }
  }

  let name = "windows"
  var appliedRecord: UInt64 = 0
  var cells: [Key: Cell] = [:]

  mutating func add(node: Int, tick: Int64, row: ArraySlice<Int64>) {
    for (column, value) in row.dropFirst().enumerated() where value != .min {
      cells[Key(window: tick.flooredDivision(by: 10_000), group: node % 2, column: column), default: Cell()].add(value)
    }
  }

  func encode() -> [UInt64] {
    let sorted = cells.sorted {
      ($0.key.window, $0.key.group, $0.key.column) < ($1.key.window, $1.key.group, $1.key.column)
    }
    return sorted.flatMap { key, cell -> [UInt64] in
      [
        UInt64(bitPattern: key.window), UInt64(key.group), UInt64(key.column), UInt64(bitPattern: cell.sum),
        UInt64(cell.count), UInt64(bitPattern: cell.min), UInt64(bitPattern: cell.max),
      ]
    }
  }

  mutating func decode(_ words: [UInt64]) {
    cells = [:]
    for at in stride(from: 0, to: words.count, by: 7) {
      cells[Key(window: Int64(bitPattern: words[at]), group: Int(words[at + 1]), column: Int(words[at + 2]))] = Cell(
        sum: Int64(bitPattern: words[at + 3]), count: Int64(words[at + 4]), min: Int64(bitPattern: words[at + 5]),
        max: Int64(bitPattern: words[at + 6]))
    }
  }
}

extension Disk {
  /// Replaces the tier's file by its state.
  func write(_ tier: some Tier) throws(DiskError) {
    try replace(tier.name, with: Self.bytes([tier.appliedRecord] + tier.encode()).span)
  }

  /// Reads the tier's file, when there is one.
  func read<T: Tier>(_ tier: inout T) throws(DiskError) {
    guard let bytes = try contents(of: tier.name, byteCountMax: 1 << 26) else { return }
    let words = Self.words(bytes)
    guard let applied = words.first else { return }
    tier.appliedRecord = applied
    tier.decode(Array(words.dropFirst()))
  }

  // Of words as they lie in memory, since shifting them one by one takes a debug build long.

  static func bytes(_ words: [UInt64]) -> [UInt8] {
    // SAFETY: words have no padding; copied during the call.
    unsafe words.withUnsafeBytes { unsafe Array($0) }
  }

  static func words(_ bytes: [UInt8]) -> [UInt64] {
    // SAFETY: any eight bytes are a word, and those that are loaded lie within the array.
    unsafe bytes.withUnsafeBytes { raw in
      (0..<(raw.count / 8)).map { unsafe raw.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self) }
    }
  }
}
