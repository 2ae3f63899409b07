internal import BongsuCodec
internal import BongsuModel
internal import BongsuRecordLog
internal import BongsuWire
internal import Foundation
internal import GRDB

extension RawPartition {
  /// A layout as partitions keep it: columns and devices apart, since columns are the same on most nodes.
  struct StoredLayout: Sendable {
    let columns: [UInt8]
    let devices: [UInt8]

    init(_ layout: RowLayout) {
      // Columns without devices, and devices with a column of no meaning.
      let marker = Metric(
        id: MetricID(rawValue: 0), name: "devices", unit: .count, kind: .gauge, scope: .node, help: "")
      do {
        columns = Self.encoded(try RowLayout(interval: layout.interval, columns: layout.columns, devices: []))
        devices = Self.encoded(try RowLayout(interval: .second, columns: [marker], devices: layout.devices))
      } catch {
        preconditionFailure("parts of a valid layout are valid: \(error)")
      }
    }

    fileprivate init(columns: [UInt8], devices: [UInt8]) {
      self.columns = columns
      self.devices = devices
    }

    /// Checksum of the bytes, as chunks carry it.
    var checksum: UInt32 {
      var checksum = CRC32C()
      checksum.update(columns.span)
      checksum.update(devices.span)
      return checksum.value
    }

    private static func encoded(_ layout: RowLayout) -> [UInt8] {
      var bytes: [UInt8] = []
      LayoutAnnouncement(number: 0, layout: layout).encode(into: &bytes)
      return bytes
    }

    /// What one of the two parts says; `nil` when it is damaged.
    fileprivate static func decoded(_ bytes: [UInt8]) -> RowLayout? {
      // SAFETY: bytes have no padding.
      try? LayoutAnnouncement(decoding: unsafe bytes.span.bytes).layout
    }
  }

  /// The layouts of a partition. Every node has devices of its own, so of each no more is kept than its bytes until somebody
  /// reads its chunks.
  struct Layouts: Sendable {
    struct Known: Sendable {
      let shape: ChunkShape
      let checksum: UInt32
    }

    struct Pair: Hashable, Sendable {
      let columns: Int64
      let devices: Int64
    }

    private var parts: [Int64: [UInt8]] = [:]
    private var ids: [[UInt8]: Int64] = [:]
    private var next: Int64 = 0
    /// What was read, and the last of it, which the next one is mostly like.
    private var known: [Pair: Known] = [:]
    private var columns: [Int64: RowLayout] = [:]
    private var latest: ChunkShape?

    init() {}

    init(_ db: Database, _ path: String, _ damage: inout [String]) throws {
      let rows = try Row.fetchCursor(db, sql: "SELECT id, bytes, checksum FROM layouts")
      while let row = try rows.next() {
        if let id = row.integer(0) { next = max(next, id + 1) }
        guard let id = row.integer(0), let bytes = row.bytes(1),
          row.integer(2) == RawPartition.sum(id, bytes: bytes), StoredLayout.decoded(bytes) != nil
        else {
          damage.append("a layout of '\(path)' is damaged, rows that have it are lost")
          continue
        }
        parts[id] = bytes
        ids[bytes] = id
      }
    }

    /// The layout behind a pair of ids; `nil` when one of them is not there.
    mutating func known(_ columns: Int64, _ devices: Int64) -> Known? {
      let pair = Pair(columns: columns, devices: devices)
      if let found = known[pair] { return found }
      guard let first = parts[columns], let second = parts[devices],
        let common = self.columns[columns] ?? StoredLayout.decoded(first), let own = StoredLayout.decoded(second),
        let layout = try? RowLayout(interval: common.interval, columns: common.columns, devices: own.devices)
      else { return nil }
      self.columns[columns] = common
      let shape = ChunkShape(layout, like: latest)
      latest = shape
      let made = Known(shape: shape, checksum: StoredLayout(columns: first, devices: second).checksum)
      known[pair] = made
      return made
    }

    /// The ids of a layout, stored where they are new.
    mutating func put(_ layout: StoredLayout, _ db: Database) throws -> Pair {
      Pair(columns: try put(layout.columns, db), devices: try put(layout.devices, db))
    }

    private mutating func put(_ bytes: [UInt8], _ db: Database) throws -> Int64 {
      if let id = ids[bytes] { return id }
      let id = next
      try db.cachedStatement(sql: "INSERT INTO layouts (id, bytes, checksum) VALUES (?, ?, ?)")
        .execute(arguments: [id, Data(bytes), RawPartition.sum(id, bytes: bytes)])
      precondition(StoredLayout.decoded(bytes) != nil, "a layout is not read back as written")
      next += 1
      ids[bytes] = id
      parts[id] = bytes
      return id
    }
  }
}

/// Values of a row that may have any type after damage: `nil` where it is not the one expected.
extension Row {
  func integer(_ index: Int) -> Int64? {
    let value: DatabaseValue = self[index]
    if case .int64(let number) = value.storage { return number }
    return nil
  }

  func text(_ index: Int) -> String? {
    let value: DatabaseValue = self[index]
    if case .string(let text) = value.storage { return text }
    return nil
  }

  func bytes(_ index: Int) -> [UInt8]? {
    let value: DatabaseValue = self[index]
    if case .blob(let data) = value.storage { return Array(data) }
    return nil
  }
}
