internal import Glibc

/// A file operation that the operating system refused.
public struct DiskError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What was asked of the disk.
  public enum Operation: String, Sendable, CaseIterable {
    case openDirectory = "open directory"
    case open
    case size = "read size of"
    case read
    case write
    case truncate
    case synchronize = "fdatasync"
    case list = "list directory"
    case remove
    case rename
    case synchronizeDirectory = "fsync directory"
    case freeSpace = "read free space of"
  }

  /// What was asked.
  public let operation: Operation
  /// The file's name within its directory; the directory's path where the whole directory is meant.
  public let name: String
  /// The system's `errno`.
  public let code: Int32

  /// Describes a refusal.
  public init(_ operation: Operation, _ name: String, code: Int32) {
    self.operation = operation
    self.name = name
    self.code = code
  }

  /// There is no room: try again when space returns. A quota counts like a full disk.
  public var isOutOfSpace: Bool { code == ENOSPC || code == EDQUOT }

  /// The file does not exist.
  public var isNotFound: Bool { code == ENOENT }

  /// The file exists although it had to be made.
  public var isAlreadyThere: Bool { code == EEXIST }

  /// The file system cannot be written to by this process at all.
  public var isReadOnly: Bool { code == EROFS || code == EACCES || code == EPERM }

  public var description: String {
    // SAFETY: strerror returns a zero-terminated string for every number.
    let reason = unsafe String(cString: strerror(code))
    return "cannot \(operation.rawValue) '\(name)': \(reason) (errno \(code))"
  }
}
