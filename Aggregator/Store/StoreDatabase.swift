internal import BongsuRecordLog
internal import Foundation
internal import GRDB

/// One SQLite file with durable commits: write-ahead log, `synchronous = FULL`, checked.
///
/// GRDB sets `synchronous = NORMAL` when it turns the write-ahead log on, after `prepareDatabase`, so that a commit could
/// be lost by a power cut. It is set again on the writer, and read back: a build that loses it does not start.
///
/// Thread rule: from any thread; writes wait for each other, reads do not wait for writes. Blocks, so not for data-plane
/// threads.
final class StoreDatabase: Sendable {
  let path: String
  let pool: DatabasePool
  /// What the write-ahead log lost before the file was opened, in words; `nil`: nothing.
  let logDamage: String?
  private let foundDamage: @Sendable () -> Void

  /// Opens or makes the file and brings it to `version` by the steps of `migrations` (step n makes version n + 1).
  ///
  /// - Parameters:
  ///   - pageBytes: size of a page of a new file; `nil`: SQLite's own choice.
  ///   - shrinks: whether a new file can give pages back, see ``shrink(pages:)``.
  ///   - foundDamage: called when SQLite finds damage while it reads or writes; any thread, maybe often.
  init(
    path: String, version: Int, migrations: [@Sendable (Database) throws -> Void], pageBytes: Int? = nil,
    shrinks: Bool = false, foundDamage: @escaping @Sendable () -> Void = {}
  ) throws(StoreError) {
    precondition(migrations.count == version, "\(migrations.count) steps to version \(version)")
    self.path = path
    self.foundDamage = foundDamage
    logDamage = Self.logDamage(path)
    do {
      var configuration = Configuration()
      configuration.busyMode = .timeout(10)
      configuration.maximumReaderCount = 4
      // Both count before the first table is made, and change nothing after that.
      configuration.prepareDatabase { db in
        if let pageBytes { try db.execute(sql: "PRAGMA page_size = \(pageBytes)") }
        // Readers may not write, and SQLite takes it for a write.
        if shrinks, !db.configuration.readonly { try db.execute(sql: "PRAGMA auto_vacuum = INCREMENTAL") }
      }
      let pool = try DatabasePool(path: path, configuration: configuration)
      self.pool = pool
      try pool.writeWithoutTransaction { db in
        try db.execute(sql: "PRAGMA synchronous = FULL")
        // What is deleted is overwritten, so that no old row comes back out of a damaged page.
        try db.execute(sql: "PRAGMA secure_delete = ON")
        let synchronous = try Int.fetchOne(db, sql: "PRAGMA synchronous") ?? -1
        let mode = try String.fetchOne(db, sql: "PRAGMA journal_mode") ?? ""
        guard synchronous == 2, mode == "wal" else {
          throw StoreError.notDurable(path: path, synchronous: synchronous, journalMode: mode)
        }
      }
      try pool.write { db in
        let found = try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0
        guard found <= version else { throw StoreError.newerFormat(path: path, version: found, supported: version) }
        for step in found..<version { try migrations[step](db) }
        try db.execute(sql: "PRAGMA user_version = \(version)")
      }
    } catch {
      throw StoreError(error, path: path)
    }
  }

  /// Writes in one transaction.
  func write<Result>(_ body: (Database) throws -> Result) throws(StoreError) -> Result {
    do {
      let result = try pool.write(body)
      Failpoint.pass("\(name): a commit")
      return result
    } catch {
      throw told(StoreError(error, path: path))
    }
  }

  /// Reads one consistent state.
  func read<Result>(_ body: (Database) throws -> Result) throws(StoreError) -> Result {
    do { return try pool.read(body) } catch { throw told(StoreError(error, path: path)) }
  }

  private var name: String {
    String(path[(path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex)...])
  }

  private func told(_ error: StoreError) -> StoreError {
    if case .damaged = error { foundDamage() }
    return error
  }

  private static func logDamage(_ path: String) -> String? {
    guard let log = WriteAheadLog(path: path + "-wal"), log.lostCommits > 0 else { return nil }
    return "'\(path)-wal' is not what was written: \(log.lostCommits) commits or more at its end are lost"
  }

  /// SQLite's own check of the whole file; `nil` when it is sound. Reads every page, and looks every row up in its indices:
  /// the quick check passes over an index that cannot be read, and the first question that needs it fails.
  func problem() throws(StoreError) -> String? {
    let answer = try read { db in try String.fetchOne(db, sql: "PRAGMA integrity_check(1)") }
    return answer == "ok" ? nil : answer ?? "no answer"
  }

  /// Moves the write-ahead log into the file and empties it; `false` while a reader stands in the way.
  func checkpoint() throws(StoreError) -> Bool {
    do {
      _ = try pool.writeWithoutTransaction { db in try db.checkpoint(.truncate) }
      Failpoint.pass("\(name): the write-ahead log is emptied")
      return true
    } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY {
      return false
    } catch {
      throw StoreError(error, path: path)
    }
  }

  /// Gives up to so many unused pages back to the file system; the file is shorter after the next checkpoint. Does nothing
  /// for files that were made without it.
  func shrink(pages: Int) throws(StoreError) {
    do {
      try pool.writeWithoutTransaction { db in try db.execute(sql: "PRAGMA incremental_vacuum(\(pages))") }
    } catch {
      throw told(StoreError(error, path: path))
    }
  }

  /// Writes a copy of the file as of now, without unused pages, to a new file at `target`.
  func copy(to target: String) throws(StoreError) {
    do {
      try pool.writeWithoutTransaction { db in try db.execute(sql: "VACUUM INTO ?", arguments: [target]) }
    } catch {
      throw StoreError(error, path: path)
    }
  }

  /// Renames a file and its write-ahead log out of the way, keeping them for inspection; returns its new name.
  @discardableResult
  static func setAside(path: String, now unixMilliseconds: Int64) throws(StoreError) -> String {
    let aside = "\(path).damaged-\(unixMilliseconds)"
    for suffix in ["-wal", "-shm", ""] where FileManager.default.fileExists(atPath: path + suffix) {
      do {
        try FileManager.default.moveItem(
          atPath: path + suffix, toPath: aside + suffix)
      } catch {
        throw .file(path: path + suffix, code: (error as NSError).code == NSFileWriteOutOfSpaceError ? 28 : 5)
      }
    }
    return aside
  }
}

/// A checksum over the fields of a row, so that a damaged page never becomes a value.
struct RowChecksum {
  private var bytes: [UInt8] = []

  mutating func add(_ value: Int64) { bytes.append(littleEndian: value) }

  mutating func add(_ value: Int64?) {
    bytes.append(value == nil ? 0 : 1)
    if let value { add(value) }
  }

  mutating func add(_ text: String) {
    add(Int64(text.utf8.count))
    bytes += Array(text.utf8)
  }

  mutating func add(_ data: [UInt8]) {
    add(Int64(data.count))
    bytes += data
  }

  var value: Int64 {
    var checksum = CRC32C()
    checksum.update(bytes.span)
    return Int64(checksum.value)
  }
}
