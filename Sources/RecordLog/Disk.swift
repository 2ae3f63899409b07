/// One directory of files: the only way by which logs, spools and checkpoints reach the disk.
///
/// ``PosixDisk`` is the real one. Tests and simulations put a twin in its place that loses, tears and refuses on
/// demand, so that every promise about crashes is checked in one process. The rules both keep are those of POSIX with
/// a journaling file system:
///
/// - What ``write(_:to:at:)`` put is seen by later reads at once, and is on disk only after ``synchronize(_:)``.
/// - A new, renamed or removed name is on disk only after ``synchronizeDirectory()``. A rename is never seen half done.
/// - After a *failed* ``synchronize(_:)`` the system may have dropped the changed pages and still show them to reads,
///   and the next call may succeed: nothing written since the last success may be believed to be on disk.
///
/// Names are plain file names without a slash. Methods are called by one thread at a time.
public protocol Disk: AnyObject {
  /// Opens a file.
  func open(_ name: String, _ access: FileAccess) throws(DiskError) -> DiskFile

  /// Forgets an open file. Does not synchronize it.
  func close(_ file: DiskFile)

  /// Length of an open file in bytes.
  func byteCount(of file: DiskFile) throws(DiskError) -> Int64

  /// Reads from byte `offset` on into the elements `range` of `bytes`; returns how many bytes were read, fewer than
  /// asked only at the end of the file.
  func read(
    _ file: DiskFile, at offset: Int64, into bytes: inout [UInt8], _ range: Range<Int>
  ) throws(DiskError) -> Int

  /// Writes all of `bytes` from byte `offset` on. After an error any part of them may have been written.
  func write(_ bytes: Span<UInt8>, to file: DiskFile, at offset: Int64) throws(DiskError)

  /// Cuts or zero-extends a file.
  func truncate(_ file: DiskFile, to byteCount: Int64) throws(DiskError)

  /// Waits until the file's bytes and length are on disk (`fdatasync`).
  func synchronize(_ file: DiskFile) throws(DiskError)

  /// The names in the directory, in no order.
  func names() throws(DiskError) -> [String]

  /// Removes a name.
  func remove(_ name: String) throws(DiskError)

  /// Gives a file another name, replacing what had that name, atomically.
  func rename(_ name: String, to newName: String) throws(DiskError)

  /// Waits until all changes of names are on disk.
  func synchronizeDirectory() throws(DiskError)

  /// Bytes that this process may still write.
  func freeBytes() throws(DiskError) -> Int64
}

/// How a file is opened.
public enum FileAccess: Sendable {
  /// For reading; it must exist.
  case read
  /// For reading and writing; it must exist.
  case readWrite
  /// For reading and writing; it must not exist and is created, readable by its owner alone.
  case create
}

/// An open file of one ``Disk``.
public struct DiskFile: RawRepresentable, Hashable, Sendable {
  public let rawValue: Int32
  public init(rawValue: Int32) { self.rawValue = rawValue }
}

extension Disk {
  /// Replaces the file `name` by `contents` such that, whatever happens, either the old or the new contents are found.
  ///
  /// Writes a neighbour with the suffix `.new`, synchronizes it, renames it over `name` and synchronizes the directory.
  /// When it throws the old contents may still be there, and a later call repairs what this one left behind.
  public func replace(_ name: String, with contents: Span<UInt8>) throws(DiskError) {
    let temporary = name + ".new"
    do { try remove(temporary) } catch let error where error.isNotFound {}
    let file = try open(temporary, .create)
    do {
      try write(contents, to: file, at: 0)
      try synchronize(file)
    } catch {
      close(file)
      throw error
    }
    close(file)
    try rename(temporary, to: name)
    try synchronizeDirectory()
  }

  /// All bytes of a file of at most `byteCountMax` bytes; `nil` when it does not exist or is longer.
  public func contents(of name: String, byteCountMax: Int) throws(DiskError) -> [UInt8]? {
    let file: DiskFile
    do { file = try open(name, .read) } catch let error where error.isNotFound { return nil }
    defer { close(file) }
    let count = try byteCount(of: file)
    guard count <= Int64(byteCountMax) else { return nil }
    var bytes = [UInt8](repeating: 0, count: Int(count))
    let read = try read(file, at: 0, into: &bytes, bytes.indices)
    bytes.removeLast(bytes.count - read)
    return bytes
  }
}
