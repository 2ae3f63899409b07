internal import BongsuCodec
internal import BongsuModel
internal import BongsuRecordLog
internal import BongsuWire
internal import Foundation
internal import GRDB

extension RawPartition {
  /// The layouts of a partition: columns and devices apart, since columns are the same on most nodes.
  struct Layouts: Sendable {
    struct Known: Sendable {
      let shape: ChunkShape
      let checksum: UInt32
    }

    struct Pair: Hashable, Sendable {
      let columns: Int64
      let devices: Int64
    }

    private var parts: [Int64: (layout: RowLayout, bytes: [UInt8])] = [:]
    private var ids: [[UInt8]: Int64] = [:]
    private var next: Int64 = 0
    private var pairs: [RowLayout: Pair] = [:]
    private var shapes: [Pair: Known] = [:]

    init() {}

    init(_ db: Database, _ path: String, _ damage: inout [String]) throws {
      let rows = try Row.fetchCursor(db, sql: "SELECT id, bytes, checksum FROM layouts")
      while let row = try rows.next() {
        if let id = row.integer(0) { next = max(next, id + 1) }
        guard let id = row.integer(0), let bytes = row.bytes(1),
          row.integer(2) == RawPartition.sum(id, bytes: bytes), let layout = Self.layout(bytes)
        else {
          damage.append("a layout of '\(path)' is damaged, rows that have it are lost")
          continue
        }
        parts[id] = (layout, bytes)
        ids[bytes] = id
      }
    }

    /// The layout behind a pair of ids; `nil` when one of them is not there.
    mutating func known(_ columns: Int64, _ devices: Int64) -> Known? {
      let pair = Pair(columns: columns, devices: devices)
      if let known = shapes[pair] { return known }
      guard let first = parts[columns], let second = parts[devices],
        let layout = try? RowLayout(
          interval: first.layout.interval, columns: first.layout.columns, devices: second.layout.devices)
      else { return nil }
      return remember(pair, layout, first.bytes, second.bytes)
    }

    private mutating func remember(
      _ pair: Pair, _ layout: RowLayout, _ columns: [UInt8], _ devices: [UInt8]
    ) -> Known {
      var checksum = CRC32C()
      checksum.update(columns.span)
      checksum.update(devices.span)
      let known = Known(shape: ChunkShape(layout), checksum: checksum.value)
      shapes[pair] = known
      pairs[layout] = pair
      return known
    }

    /// The ids of a layout, stored where they are new.
    mutating func put(_ layout: RowLayout, _ db: Database) throws -> Pair {
      if let pair = pairs[layout] { return pair }
      let (columns, devices) = Self.bytes(of: layout)
      let pair = Pair(columns: try put(columns, db), devices: try put(devices, db))
      _ = remember(pair, layout, columns, devices)
      return pair
    }

    private mutating func put(_ bytes: [UInt8], _ db: Database) throws -> Int64 {
      if let id = ids[bytes] { return id }
      let id = next
      try db.cachedStatement(sql: "INSERT INTO layouts (id, bytes, checksum) VALUES (?, ?, ?)")
        .execute(arguments: [id, Data(bytes), RawPartition.sum(id, bytes: bytes)])
      guard let layout = Self.layout(bytes) else { preconditionFailure("a layout is not read back as written") }
      next += 1
      ids[bytes] = id
      parts[id] = (layout, bytes)
      return id
    }

    /// Checksum of a layout's bytes, as chunks carry it.
    static func checksum(of layout: RowLayout) -> UInt32 {
      let (columns, devices) = bytes(of: layout)
      var checksum = CRC32C()
      checksum.update(columns.span)
      checksum.update(devices.span)
      return checksum.value
    }

    /// A layout of the columns without devices, and one of the devices with a column of no meaning.
    private static func bytes(of layout: RowLayout) -> (columns: [UInt8], devices: [UInt8]) {
      let marker = Metric(
        id: MetricID(rawValue: 0), name: "devices", unit: .count, kind: .gauge, scope: .node, help: "")
      do {
        return (
          encoded(try RowLayout(interval: layout.interval, columns: layout.columns, devices: [])),
          encoded(try RowLayout(interval: .second, columns: [marker], devices: layout.devices))
        )
      } catch {
        preconditionFailure("parts of a valid layout are valid: \(error)")
      }
    }

    private static func encoded(_ layout: RowLayout) -> [UInt8] {
      var bytes: [UInt8] = []
      LayoutAnnouncement(number: 0, layout: layout).encode(into: &bytes)
      return bytes
    }

    private static func layout(_ bytes: [UInt8]) -> RowLayout? {
      // SAFETY: bytes have no padding.
      try? LayoutAnnouncement(decoding: unsafe bytes.span.bytes).layout
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
