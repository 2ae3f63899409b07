internal import BongsuRecordLog
internal import Foundation
internal import GRDB

/// Copies a data directory while its aggregator runs: as of one instant, which is when the copy of the journals ends.
///
/// Every file says itself up to which record of the journals it is complete. So it does not matter that they are copied one
/// after the other, as long as the journals come last and nothing is trimmed from them meanwhile: what a copy lacks is in the
/// journal's copy, what it has already is left out at the next start, as after a kill.
///
///     format, keys ─▶ raw/progress ─▶ partitions ─▶ checkpoints ─▶ tiers, history, alerts, registry ─▶ journals
///
/// Each SQLite file is copied by `VACUUM INTO` a file of its own beside the data, which is gone afterwards: the disk has to
/// have room for the largest one.
public struct DataBackup {
  private let directory: String
  private let put: ([UInt8]) throws -> Void
  private var writer = BackupWriter()
  private let copies: String

  /// Bytes that stay free for what the aggregator itself has to write.
  private static let freeBytesMin: Int64 = 64 << 20

  private init(_ directory: String, _ put: @escaping ([UInt8]) throws -> Void) {
    self.directory = directory
    self.put = put
    copies = "\(directory)/backup.tmp"
  }

  /// Writes an archive (``BackupArchive``) of `directory` to `put`, piece by piece. Blocks for as long as that takes.
  ///
  /// To be called while no record is trimmed from the journals; one at a time.
  ///
  /// - Throws: ``StoreError`` when a file cannot be copied, what the disk refuses, what `put` throws. An archive without its
  ///   end is none.
  public static func write(_ directory: String, to put: @escaping ([UInt8]) throws -> Void) throws {
    var backup = DataBackup(directory, put)
    try? FileManager.default.removeItem(atPath: backup.copies)
    defer { try? FileManager.default.removeItem(atPath: backup.copies) }
    do {
      try FileManager.default.createDirectory(
        atPath: backup.copies, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    } catch {
      throw StoreError.file(path: backup.copies, code: Int32((error as NSError).code))
    }
    try backup.run()
  }

  private mutating func run() throws {
    try put(writer.begin())
    try whole(DataFormat.name)
    for key in names("keys") where key.hasSuffix(".key") { try whole("keys/\(key)") }
    try whole("raw/progress")
    for name in names("raw") where name.hasPrefix("raw-") && name.hasSuffix(".sqlite") {
      do {
        try database("raw/\(name)")
      } catch let error as StoreError where error.isDamage {
        try put(writer.note("raw/\(name) is left out, it is damaged: \(error)"))
      }
    }
    for name in names("checkpoint") where !name.hasSuffix(".new") { try whole("checkpoint/\(name)") }
    for name in ["tiers", "history", "alerts", "registry"] { try database("\(name).sqlite") }
    // Segments that are begun from here on hold nothing that was there when the copy began.
    for shard in names("journal") where shard.hasPrefix("shard-") {
      for segment in names("journal/\(shard)") where segment.hasSuffix(".log") {
        try file("\(directory)/journal/\(shard)/\(segment)", as: "journal/\(shard)/\(segment)")
      }
    }
    try put(writer.end())
  }

  private func names(_ folder: String) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: "\(directory)/\(folder)")) ?? []).sorted()
  }

  /// A small file that is replaced whole when it changes.
  private mutating func whole(_ name: String) throws {
    guard let data = FileManager.default.contents(atPath: "\(directory)/\(name)") else { return }
    try put(writer.file(name, bytes: data.count))
    try pieces(Array(data))
  }

  private mutating func pieces(_ bytes: [UInt8]) throws {
    for start in stride(from: 0, to: bytes.count, by: BackupArchive.pieceBytesMax) {
      try put(writer.piece(Array(bytes[start..<min(start + BackupArchive.pieceBytesMax, bytes.count)])))
    }
  }

  /// The bytes that a file has now; it may grow meanwhile.
  private mutating func file(_ path: String, as name: String) throws {
    // Gone since it was listed: retention has removed it.
    guard let file = FileHandle(forReadingAtPath: path) else { return }
    defer { try? file.close() }
    var left = Int(try file.seekToEnd())
    try file.seek(toOffset: 0)
    try put(writer.file(name, bytes: left))
    while left > 0 {
      guard let data = try file.read(upToCount: min(left, BackupArchive.pieceBytesMax)), !data.isEmpty else {
        throw StoreError.file(path: path, code: EIO)
      }
      left -= data.count
      try put(writer.piece(Array(data)))
    }
  }

  private mutating func database(_ name: String) throws {
    let path = "\(directory)/\(name)"
    guard FileManager.default.fileExists(atPath: path) else { return }
    try leaveRoom(for: path)
    try put(writer.pause())
    let copy = "\(copies)/copy.sqlite"
    try? FileManager.default.removeItem(atPath: copy)
    do {
      var configuration = Configuration()
      configuration.readonly = true
      configuration.busyMode = .timeout(10)
      let queue = try DatabaseQueue(path: path, configuration: configuration)
      defer { try? queue.close() }
      try queue.writeWithoutTransaction { db in try db.execute(sql: "VACUUM INTO ?", arguments: [copy]) }
    } catch let error as DatabaseError
      where error.resultCode == .SQLITE_CANTOPEN && !FileManager.default.fileExists(atPath: path)
    {
      return
    } catch {
      throw StoreError(error, path: path)
    }
    try file(copy, as: name)
    try? FileManager.default.removeItem(atPath: copy)
  }

  private func leaveRoom(for path: String) throws {
    let size = (try? FileManager.default.attributesOfItem(atPath: path))?[.size] as? NSNumber
    let free = (try? FileManager.default.attributesOfFileSystem(forPath: directory))?[.systemFreeSize] as? NSNumber
    guard let size, let free, free.int64Value < size.int64Value + Self.freeBytesMin else { return }
    throw StoreError.tooLarge(
      what: "the copy of '\(path)' that a backup needs room for on its disk", value: size.intValue,
      limit: max(0, free.intValue - Int(Self.freeBytesMin)))
  }
}
