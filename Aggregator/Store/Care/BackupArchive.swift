internal import BongsuRecordLog
internal import Foundation

/// A data directory as one file, or as a stream of bytes.
///
///     ┌──────────┬─────────┬──────────────────────────────────────────────┐
///     │ BONGBKUP │ version │ entries, each:  kind u8, fields, CRC32C u32  │
///     │ 8 bytes  │  u16 1  │                                              │
///     └──────────┴─────────┴──────────────────────────────────────────────┘
///     1 file   name length u16, name, bytes u64; as many bytes follow in pieces
///     2 piece  length u32, bytes
///     3 note   length u16, text for people: what could not be copied
///     4 pause  nothing: says that the sender still works
///     0 end    files u32
///
/// Every checksum covers all of the archive before it, so nothing can be changed, left out or put elsewhere unseen, and an
/// archive without its end is none. Integers are little-endian.
public enum BackupArchive {
  static let magic: [UInt8] = Array("BONGBKUP".utf8)
  static let version: UInt16 = 1
  static let pieceBytesMax = 1 << 20

  enum Kind: UInt8 {
    case end = 0
    case file = 1
    case piece = 2
    case note = 3
    case pause = 4
  }

  /// Why an archive cannot be used.
  public enum Refusal: Error, Hashable, Sendable, CustomStringConvertible {
    case notThere(String)
    case notAnArchive(String)
    case newer(path: String, version: Int)
    /// Something in it is not what was written; where the trouble was noticed.
    case altered(path: String, offset: Int)
    case cutOff(path: String, bytes: Int)
    /// The directory that it is to be restored into has something in it.
    case occupied(directory: String, example: String)
    case cannot(what: String, path: String, reason: String)

    public var description: String {
      switch self {
      case .notThere(let path): "\(path) cannot be read; give a file that bongsu backup has written"
      case .notAnArchive(let path): "\(path) is no backup of Bongsu; give a file that bongsu backup has written"
      case .newer(let path, let version):
        "\(path) is a backup of format \(version), this release reads up to \(BackupArchive.version); use the release that "
          + "wrote it"
      case .altered(let path, let offset):
        "\(path) is not what was written: its checksum before byte \(offset) does not hold; use another backup"
      case .cutOff(let path, let bytes):
        "\(path) is cut off after \(bytes) bytes: its end is missing; copy it again or use another backup"
      case .occupied(let directory, let example):
        "\(directory) is not empty, it has '\(example)'; restore into an empty directory, and keep what is in this one"
      case .cannot(let what, let path, let reason): "cannot \(what) \(path): \(reason)"
      }
    }
  }

  /// What an archive holds.
  public struct Summary: Hashable, Sendable {
    public var files = 0
    public var bytes: Int64 = 0
    /// What could not be copied, one line each.
    public var notes: [String] = []
  }

  /// Reads an archive whole and compares all checksums.
  public static func verify(_ path: String) throws(Refusal) -> Summary {
    var reader = try BackupReader(path)
    return try reader.read { _ in
    } piece: { _ throws(Refusal) in
    }
  }
}

/// Makes the bytes of an archive.
struct BackupWriter {
  private var checksum = CRC32C()
  private var files: UInt32 = 0

  mutating func begin() -> [UInt8] {
    var bytes = BackupArchive.magic
    bytes.append(littleEndian: BackupArchive.version)
    return sealed(bytes)
  }

  mutating func file(_ name: String, bytes count: Int) -> [UInt8] {
    files += 1
    var bytes: [UInt8] = [BackupArchive.Kind.file.rawValue]
    bytes.append(littleEndian: UInt16(name.utf8.count))
    bytes += Array(name.utf8)
    bytes.append(littleEndian: UInt64(count))
    return sealed(bytes)
  }

  mutating func piece(_ piece: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = [BackupArchive.Kind.piece.rawValue]
    bytes.append(littleEndian: UInt32(piece.count))
    return sealed(bytes + piece)
  }

  mutating func note(_ text: String) -> [UInt8] {
    let text = Array(text.utf8.prefix(4096))
    var bytes: [UInt8] = [BackupArchive.Kind.note.rawValue]
    bytes.append(littleEndian: UInt16(text.count))
    return sealed(bytes + text)
  }

  mutating func pause() -> [UInt8] { sealed([BackupArchive.Kind.pause.rawValue]) }

  mutating func end() -> [UInt8] {
    var bytes: [UInt8] = [BackupArchive.Kind.end.rawValue]
    bytes.append(littleEndian: files)
    return sealed(bytes)
  }

  private mutating func sealed(_ bytes: [UInt8]) -> [UInt8] {
    var bytes = bytes
    checksum.update(bytes.span)
    bytes.append(littleEndian: checksum.value)
    checksum.update(bytes.span.extracting((bytes.count - 4)...))
    return bytes
  }
}

/// Reads an archive from its start to its end.
struct BackupReader {
  private let path: String
  private let file: FileHandle
  private var buffer: [UInt8] = []
  private var cursor = 0
  private var offset = 0
  private var checksum = CRC32C()

  init(_ path: String) throws(BackupArchive.Refusal) {
    self.path = path
    guard let file = FileHandle(forReadingAtPath: path) else { throw .notThere(path) }
    self.file = file
    let magic: [UInt8]
    do throws(BackupArchive.Refusal) { magic = try take(8) } catch { throw .notAnArchive(path) }
    guard magic == BackupArchive.magic else { throw .notAnArchive(path) }
    let version = try number(2)
    try check()
    guard version == Int(BackupArchive.version) else { throw .newer(path: path, version: version) }
  }

  /// Reads all of it; `begin` is called for each file with its name, `piece` for what is in it.
  mutating func read(
    begin: (String) throws(BackupArchive.Refusal) -> Void,
    piece: ([UInt8]) throws(BackupArchive.Refusal) -> Void
  ) throws(BackupArchive.Refusal) -> BackupArchive.Summary {
    var summary = BackupArchive.Summary()
    var missing = 0
    while true {
      let start = offset
      guard let kind = BackupArchive.Kind(rawValue: try take(1)[0]) else { throw .altered(path: path, offset: start) }
      switch kind {
      case .file:
        let name = String(decoding: try take(try number(2)), as: UTF8.self)
        let count = try number(8)
        try check()
        guard missing == 0, Self.isAllowed(name) else { throw .altered(path: path, offset: start) }
        missing = count
        summary.files += 1
        summary.bytes += Int64(clamping: count)
        try begin(name)
      case .piece:
        let count = try number(4)
        guard count > 0, count <= BackupArchive.pieceBytesMax, count <= missing else {
          throw .altered(path: path, offset: start)
        }
        let bytes = try take(count)
        try check()
        missing -= count
        try piece(bytes)
      case .note:
        let text = String(decoding: try take(try number(2)), as: UTF8.self)
        try check()
        summary.notes.append(text)
      case .pause: try check()
      case .end:
        let files = try number(4)
        try check()
        guard missing == 0, files == summary.files else { throw .altered(path: path, offset: start) }
        guard try isAtEnd() else { throw .altered(path: path, offset: offset) }
        return summary
      }
    }
  }

  /// Names of files of a data directory: nothing that leads out of it.
  static func isAllowed(_ name: String) -> Bool {
    let parts = name.split(separator: "/", omittingEmptySubsequences: false)
    return name.utf8.count <= 255 && (1...3).contains(parts.count)
      && parts.allSatisfy { part in
        !part.isEmpty && !part.hasPrefix(".")
          && part.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
              || [0x2D, 0x2E, 0x5F].contains(byte)
          }
      }
  }

  private mutating func check() throws(BackupArchive.Refusal) {
    let stated = checksum.value
    guard try number(4) == Int(stated) else { throw .altered(path: path, offset: offset) }
  }

  private mutating func number(_ count: Int) throws(BackupArchive.Refusal) -> Int {
    let bytes = try take(count)
    var value: UInt64 = 0
    for (index, byte) in bytes.enumerated() { value |= UInt64(byte) << UInt64(8 * index) }
    guard value <= UInt64(Int.max) else { throw .altered(path: path, offset: offset) }
    return Int(value)
  }

  private mutating func take(_ count: Int) throws(BackupArchive.Refusal) -> [UInt8] {
    try fill(count)
    guard buffer.count - cursor >= count else { throw .cutOff(path: path, bytes: offset + buffer.count - cursor) }
    let bytes = Array(buffer[cursor..<cursor + count])
    cursor += count
    offset += count
    checksum.update(bytes.span)
    return bytes
  }

  private mutating func isAtEnd() throws(BackupArchive.Refusal) -> Bool {
    try fill(1)
    return buffer.count == cursor
  }

  private mutating func fill(_ count: Int) throws(BackupArchive.Refusal) {
    guard buffer.count - cursor < count else { return }
    buffer.removeFirst(cursor)
    cursor = 0
    do {
      while buffer.count < count, let more = try file.read(upToCount: 1 << 20), !more.isEmpty { buffer += more }
    } catch {
      throw .cannot(what: "read", path: path, reason: error.localizedDescription)
    }
  }
}
