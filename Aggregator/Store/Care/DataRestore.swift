internal import BongsuRecordLog
internal import Foundation
internal import Glibc

extension BackupArchive {
  /// Where a restore works until it is whole; while it is there, no aggregator starts on the directory.
  static let unfinished = "restoring.tmp"

  /// Makes a data directory of an archive. What is in the archive is compared with its checksums before anything gets its
  /// place, and an interrupted restore leaves nothing that an aggregator would start on.
  ///
  /// - Parameter directory: must not exist, or be empty. Files get its owner.
  @discardableResult
  public static func restore(_ path: String, to directory: String) throws(Refusal) -> Summary {
    var reader = try BackupReader(path)
    let files = FileManager.default
    let names: [String]
    do {
      try files.createDirectory(
        atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o750])
      names = try files.contentsOfDirectory(atPath: directory).filter { $0 != unfinished }
    } catch {
      throw .cannot(what: "use", path: directory, reason: error.localizedDescription)
    }
    if let example = names.sorted().first { throw .occupied(directory: directory, example: example) }
    let draft = "\(directory)/\(unfinished)"
    try? files.removeItem(atPath: draft)
    do throws(Refusal) {
      var writer = RestoreWriter(draft)
      let summary = try withWriter(&writer, &reader)
      try writer.finish()
      try place(draft, directory)
      return summary
    } catch {
      try? files.removeItem(atPath: draft)
      throw error
    }
  }

  private static func withWriter(
    _ writer: inout RestoreWriter, _ reader: inout BackupReader
  ) throws(Refusal) -> Summary {
    // One closure after the other is called, never both at once.
    let box = Box(writer)
    let summary = try reader.read { name throws(Refusal) in
      try box.writer.begin(name)
    } piece: { bytes throws(Refusal) in
      try box.writer.put(bytes)
    }
    writer = box.writer
    return summary
  }

  private final class Box {
    var writer: RestoreWriter
    init(_ writer: RestoreWriter) { self.writer = writer }
  }

  /// Made by root in a directory of somebody else's, files are that user's: a service has to read them.
  private static func giveToOwner(of directory: String, _ draft: String) throws {
    guard geteuid() == 0 else { return }
    let files = FileManager.default
    let owner = try files.attributesOfItem(atPath: directory)
    let wanted = owner.filter { $0.key == .ownerAccountID || $0.key == .groupOwnerAccountID }
    for name in [""] + (try files.subpathsOfDirectory(atPath: draft)) {
      try files.setAttributes(wanted, ofItemAtPath: "\(draft)/\(name)")
    }
  }

  /// Gives everything its place, the description of the directory last.
  private static func place(_ draft: String, _ directory: String) throws(Refusal) {
    let files = FileManager.default
    do {
      try giveToOwner(of: directory, draft)
      let names = try files.contentsOfDirectory(atPath: draft).sorted().filter { $0 != DataFormat.name }
      for name in names + [DataFormat.name] {
        try files.moveItem(atPath: "\(draft)/\(name)", toPath: "\(directory)/\(name)")
      }
      try PosixDisk(path: directory).synchronizeDirectory()
      try files.removeItem(atPath: draft)
    } catch {
      throw .cannot(what: "restore into", path: directory, reason: "\(error)")
    }
  }
}

/// Writes files below a directory, each on disk before the next.
private struct RestoreWriter {
  private let root: String
  private var open: FileHandle?
  private var path = ""

  init(_ root: String) { self.root = root }

  mutating func begin(_ name: String) throws(BackupArchive.Refusal) {
    try finish()
    path = "\(root)/\(name)"
    let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
    do {
      try FileManager.default.createDirectory(
        atPath: folder, withIntermediateDirectories: true,
        attributes: [.posixPermissions: name.hasPrefix("keys/") ? 0o700 : 0o750])
    } catch {
      throw .cannot(what: "make", path: folder, reason: error.localizedDescription)
    }
    guard FileManager.default.createFile(atPath: path, contents: nil, attributes: [.posixPermissions: 0o600]),
      let file = FileHandle(forWritingAtPath: path)
    else { throw .cannot(what: "make", path: path, reason: "look at the directory and its owner") }
    open = file
  }

  mutating func put(_ bytes: [UInt8]) throws(BackupArchive.Refusal) {
    do { try open?.write(contentsOf: Data(bytes)) } catch {
      throw .cannot(what: "write", path: path, reason: error.localizedDescription)
    }
  }

  /// Puts the open file on disk.
  mutating func finish() throws(BackupArchive.Refusal) {
    guard let file = open else { return }
    open = nil
    do {
      try file.synchronize()
      try file.close()
    } catch {
      throw .cannot(what: "write", path: path, reason: error.localizedDescription)
    }
  }
}
