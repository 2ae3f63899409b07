internal import Foundation
internal import GRDB

/// A row out of a damaged SQLite file.
struct SalvagedRow {
  enum Value: Equatable {
    case null
    case integer(Int64)
    case real
    case text(String)
    case blob([UInt8])
  }

  /// The row's number; `nil` in tables without, and in indexes.
  let rowid: Int64?
  /// As they are stored: a column that is the row's number is null.
  let values: [Value]

  func integer(_ index: Int) -> Int64? {
    if case .integer(let value) = values[index] { return value }
    return nil
  }

  /// A number, or `nil` for null; the outer `nil`: it is neither.
  func optionalInteger(_ index: Int) -> Int64?? {
    switch values[index] {
    case .integer(let value): value
    case .null: .some(nil)
    default: nil
    }
  }

  func text(_ index: Int) -> String? {
    if case .text(let value) = values[index] { return value }
    return nil
  }

  /// A text, or `nil` for null; the outer `nil`: it is neither.
  func optionalText(_ index: Int) -> String?? {
    switch values[index] {
    case .text(let value): value
    case .null: .some(nil)
    default: nil
    }
  }

  func bytes(_ index: Int) -> [UInt8]? {
    if case .blob(let value) = values[index] { return value }
    return nil
  }
}

/// Reads the rows of a SQLite file page by page, without following its trees: what a damaged page or pointer hides from
/// SQLite is found all the same, and only what stands in the damaged page itself is lost
/// (https://sqlite.org/fileformat2.html#b_tree_pages).
///
/// Any bytes may be given. Rows come in no order and of all tables and indexes; whoever takes them has to know them by their
/// shape and to compare their checksums, since nothing else tells damage from data. Deleted rows do not come back: SQLite
/// runs with `secure_delete`, which overwrites them.
struct SalvagedRows {
  private let file: FileHandle
  private let log: WriteAheadLog?
  private let pageBytes: Int
  private let pageCount: Int

  /// Bytes of the largest row.
  private static let rowBytesMax = 64 << 20

  /// `nil` when the file cannot be read or holds no page.
  init?(path: String) {
    guard let file = FileHandle(forReadingAtPath: path), let size = try? file.seekToEnd() else { return nil }
    self.file = file
    log = WriteAheadLog(path: path + "-wal")
    let written = log.flatMap { $0.pages.isEmpty ? nil : $0.pageBytes }
    pageBytes = written ?? Self.pageBytes(of: file, size: Int(size))
    pageCount = log?.pageCount ?? Int(size) / pageBytes
    guard pageCount > 0 else { return nil }
  }

  /// The size that makes the most of the file's pages look like pages, as far as its first mebibyte goes.
  private static func pageBytes(of file: FileHandle, size: Int) -> Int {
    try? file.seek(toOffset: 0)
    let head = Array((try? file.read(upToCount: min(size, 1 << 20))) ?? Data())
    var best = (size: 4096, pages: -1)
    for shift in 9...16 {
      let candidate = 1 << shift
      var pages = 0
      for start in stride(from: 0, to: head.count - candidate + 1, by: candidate) {
        let page = Array(head[start..<start + candidate])
        if let tree = TreePage(page, isFirst: start == 0), tree.isPlausible { pages += 1 }
      }
      if pages > best.pages || pages == best.pages && candidate == 4096 { best = (candidate, pages) }
    }
    return best.size
  }

  /// The format that the file's first page states; `nil` when there is no such page.
  var version: Int? { page(1).map { $0.big(60, 4) } }

  /// Hands every row that can be read to `body`.
  func eachRow(_ body: (SalvagedRow) throws -> Void) rethrows {
    for number in 1...pageCount {
      guard let page = page(number), let tree = TreePage(page, isFirst: number == 1), tree.hasRows else { continue }
      for place in tree.cells {
        guard let cell = tree.cell(at: place), let payload = payload(of: cell, in: page),
          let values = Self.values(payload)
        else { continue }
        try body(SalvagedRow(rowid: cell.rowid, values: values))
      }
    }
  }

  private func page(_ number: Int) -> [UInt8]? {
    if let page = log?.page(number) { return page }
    guard number >= 1, (try? file.seek(toOffset: UInt64(number - 1) * UInt64(pageBytes))) != nil,
      let data = try? file.read(upToCount: pageBytes), data.count == pageBytes
    else { return nil }
    return Array(data)
  }

  private func payload(of cell: TreePage.Cell, in page: [UInt8]) -> [UInt8]? {
    guard cell.payloadBytes <= Self.rowBytesMax else { return nil }
    var payload = Array(page[cell.local])
    var next = cell.overflow
    while payload.count < cell.payloadBytes {
      guard next > 0, next <= pageCount, let page = self.page(next) else { return nil }
      payload += page[4..<min(pageBytes, 4 + cell.payloadBytes - payload.count)]
      next = page.big(0, 4)
    }
    return payload
  }

  /// The values of a record; `nil` when the bytes are none.
  private static func values(_ payload: [UInt8]) -> [SalvagedRow.Value]? {
    var cursor = 0
    guard let header = payload.sqliteVarint(&cursor), header >= 1, header <= Int64(payload.count) else { return nil }
    var body = Int(header)
    var values: [SalvagedRow.Value] = []
    while cursor < Int(header) {
      guard let type = payload.sqliteVarint(&cursor), type >= 0, cursor <= Int(header) else { return nil }
      let size: Int
      switch type {
      case 0, 8, 9: size = 0
      case 1...4: size = Int(type)
      case 5: size = 6
      case 6, 7: size = 8
      case 10, 11: return nil
      default: size = Int((type - 12) / 2)
      }
      guard size <= payload.count - body else { return nil }
      let bytes = payload[body..<body + size]
      switch type {
      case 0: values.append(.null)
      case 7: values.append(.real)
      case 8, 9: values.append(.integer(type - 8))
      case 1...6:
        var number: Int64 = (bytes.first ?? 0) & 0x80 == 0 ? 0 : -1
        for byte in bytes { number = number << 8 | Int64(byte) }
        values.append(.integer(number))
      default:
        values.append(type % 2 == 0 ? .blob(Array(bytes)) : .text(String(decoding: bytes, as: UTF8.self)))
      }
      body += size
    }
    return body == payload.count && cursor == Int(header) ? values : nil
  }
}

/// A page of a tree.
private struct TreePage {
  struct Cell {
    let rowid: Int64?
    let payloadBytes: Int
    let local: Range<Int>
    /// The first page of what does not fit; 0: it all fits.
    let overflow: Int
  }

  private enum Kind: UInt8 {
    case indexInterior = 2
    case tableInterior = 5
    case indexLeaf = 10
    case tableLeaf = 13
  }

  private let page: [UInt8]
  private let kind: Kind
  private let start: Int

  init?(_ page: [UInt8], isFirst: Bool) {
    start = isFirst ? 100 : 0
    guard let kind = Kind(rawValue: page[start]) else { return nil }
    self.kind = kind
    self.page = page
  }

  var hasRows: Bool { kind != .tableInterior }

  private var pointers: Int { start + (kind == .indexInterior || kind == .tableInterior ? 12 : 8) }

  /// Where cells begin, as far as that is in the page.
  var cells: [Int] {
    let count = page.big(start + 3, 2)
    let end = pointers + 2 * count
    return stride(from: pointers, to: min(end, page.count - 1), by: 2).map { page.big($0, 2) }
      .filter { $0 >= pointers && $0 < page.count }
  }

  var isPlausible: Bool {
    let count = page.big(start + 3, 2)
    return count > 0 && pointers + 2 * count <= page.count && cells.count == count
  }

  /// `nil` when there is none.
  func cell(at place: Int) -> Cell? {
    var cursor = place
    if kind == .indexInterior { cursor += 4 }
    guard let stated = page.sqliteVarint(&cursor), stated >= 1, stated <= 1 << 31 else { return nil }
    var rowid: Int64?
    if kind == .tableLeaf {
      guard let number = page.sqliteVarint(&cursor) else { return nil }
      rowid = number
    }
    let bytes = Int(stated)
    let usable = page.count
    let localMax = kind == .tableLeaf ? usable - 35 : (usable - 12) * 64 / 255 - 23
    let localMin = (usable - 12) * 32 / 255 - 23
    var local = bytes
    if bytes > localMax {
      let fitting = localMin + (bytes - localMin) % (usable - 4)
      local = fitting <= localMax ? fitting : localMin
    }
    let end = cursor + local
    guard end + (local < bytes ? 4 : 0) <= page.count else { return nil }
    return Cell(
      rowid: rowid, payloadBytes: bytes, local: cursor..<end, overflow: local < bytes ? page.big(end, 4) : 0)
  }
}

extension [UInt8] {
  /// The `count` bytes at `offset` as a number, highest byte first.
  fileprivate func big(_ offset: Int, _ count: Int) -> Int {
    self[offset..<offset + count].reduce(0) { $0 << 8 | Int($1) }
  }

  /// SQLite's variable-length number at `cursor`, which moves behind it; `nil` when there is none.
  fileprivate func sqliteVarint(_ cursor: inout Int) -> Int64? {
    var value: UInt64 = 0
    for index in 0..<9 {
      guard cursor < count else { return nil }
      let byte = self[cursor]
      cursor += 1
      if index == 8 { return Int64(bitPattern: value << 8 | UInt64(byte)) }
      value = value << 7 | UInt64(byte & 127)
      if byte < 128 { return Int64(bitPattern: value) }
    }
    return nil
  }
}

extension SalvagedRow.Value {
  init(_ value: DatabaseValue) {
    switch value.storage {
    case .null: self = .null
    case .int64(let number): self = .integer(number)
    case .double: self = .real
    case .string(let text): self = .text(text)
    case .blob(let data): self = .blob(Array(data))
    }
  }
}

extension SalvagedRow {
  /// A row as SQLite gives it, to be read by the same code as one out of a damaged file.
  init(_ row: Row) {
    var values: [Value] = []
    for index in 0..<row.count { values.append(Value(row[index] as DatabaseValue)) }
    self.init(rowid: nil, values: values)
  }
}
