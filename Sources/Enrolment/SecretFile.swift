internal import Glibc

/// Small files with secrets: written whole or not at all, readable by their owner alone.
public enum SecretFile {
  /// Bytes of the largest such file.
  static let bytesMax = 16 << 20

  /// Why a file could not be used. Never carries its content.
  public enum Failure: Error, Hashable, Sendable, CustomStringConvertible {
    case cannot(operation: String, path: String, errno: Int32)
    /// Others may read it.
    case exposed(path: String, mode: UInt32)
    case tooLarge(path: String, limit: Int)

    public var description: String {
      switch self {
      case .cannot(let operation, let path, let code):
        // SAFETY: strerror returns a valid C string for every code.
        unsafe "cannot \(operation) \(path): \(String(cString: strerror(code))); check the directory and its owner"
      case .exposed(let path, let mode):
        "\(path) holds a secret key and has mode 0\(String(mode & 0o7777, radix: 8)), so others may have read it; "
          + "run chmod 600 on it, and replace the key if this machine has other users"
      case .tooLarge(let path, let limit): "\(path) has more than \(limit) bytes and is no key file"
      }
    }
  }

  /// The text of the file at `path`; `nil` when there is none.
  ///
  /// - Throws: ``Failure/exposed(path:mode:)`` when anyone but its owner may read or write it.
  public static func read(_ path: String) throws(Failure) -> String? {
    let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else {
      if errno == ENOENT || errno == ENOTDIR { return nil }
      throw .cannot(operation: "read", path: path, errno: errno)
    }
    defer { _ = close(file) }
    var status = stat()
    // SAFETY: the call fills the local.
    guard unsafe fstat(file, &status) == 0 else { throw .cannot(operation: "read", path: path, errno: errno) }
    let mode = status.st_mode
    guard mode & 0o077 == 0 else { throw .exposed(path: path, mode: mode) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
      // SAFETY: the call writes at most as many bytes as the buffer has.
      let count = unsafe chunk.withUnsafeMutableBytes { unsafe Glibc.read(file, $0.baseAddress, $0.count) }
      guard count >= 0 else { throw .cannot(operation: "read", path: path, errno: errno) }
      if count == 0 { return String(decoding: bytes, as: UTF8.self) }
      bytes += chunk[..<count]
      guard bytes.count <= bytesMax else { throw .tooLarge(path: path, limit: bytesMax) }
    }
  }

  /// Puts `text` into the file at `path`, replacing what was there. Durable when the call returns: after a crash the file
  /// has the old content or the new. One writer at a time.
  ///
  /// Written by root into a directory of somebody else's, the file is that user's: a service has to read what an
  /// administrator has made for it.
  public static func write(_ text: String, to path: String) throws(Failure) {
    let draft = path + ".new"
    _ = unsafe unlink(draft)
    // The mode holds from the first moment, whatever the umask; O_EXCL: no link of somebody else's is followed.
    let file = unsafe open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard file >= 0 else { throw .cannot(operation: "make", path: draft, errno: errno) }
    let bytes = Array(text.utf8)
    var written = 0
    while written < bytes.count {
      // SAFETY: the rest of the array, during the call.
      let count = unsafe bytes.withUnsafeBytes {
        unsafe Glibc.write(file, $0.baseAddress! + written, $0.count - written)
      }
      guard count > 0 else { throw abandon(file, draft, "write") }
      written += count
    }
    guard giveToOwner(ofDirectory: directory(of: path), file) else { throw abandon(file, draft, "hand over") }
    guard fsync(file) == 0 else { throw abandon(file, draft, "write") }
    _ = close(file)
    guard unsafe rename(draft, path) == 0 else { throw .cannot(operation: "make", path: path, errno: errno) }
    try syncDirectory(of: path)
  }

  /// Removes the file at `path`; one that is not there is no error.
  public static func remove(_ path: String) throws(Failure) {
    guard unsafe unlink(path) == 0 || errno == ENOENT else {
      throw .cannot(operation: "remove", path: path, errno: errno)
    }
  }

  /// Makes a directory that only its owner may enter; one that is there already keeps its mode. Parents are made too.
  /// Made by root below somebody else's, it is that user's, as files are.
  public static func makeDirectory(_ path: String) throws(Failure) {
    if try make(path) { return }
    guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
      throw .cannot(operation: "make", path: path, errno: ENOENT)
    }
    try makeDirectory(String(path[..<slash]))
    guard try make(path) else { throw .cannot(operation: "make", path: path, errno: ENOENT) }
  }

  /// - Returns: `false` when the parent is not there.
  private static func make(_ path: String) throws(Failure) -> Bool {
    guard unsafe mkdir(path, 0o700) == 0 else {
      if errno == EEXIST { return true }
      if errno == ENOENT { return false }
      throw .cannot(operation: "make", path: path, errno: errno)
    }
    let made = unsafe open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW)
    guard made >= 0 else { throw .cannot(operation: "make", path: path, errno: errno) }
    defer { _ = close(made) }
    guard giveToOwner(ofDirectory: directory(of: path), made) else {
      throw .cannot(operation: "hand over", path: path, errno: errno)
    }
    return true
  }

  private static func directory(of path: String) -> String {
    path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
  }

  private static func giveToOwner(ofDirectory directory: String, _ file: Int32) -> Bool {
    guard geteuid() == 0 else { return true }
    var status = stat()
    // SAFETY: the call fills the local.
    guard unsafe stat(directory, &status) == 0 else { return false }
    return status.st_uid == 0 || fchown(file, status.st_uid, status.st_gid) == 0
  }

  private static func abandon(_ file: Int32, _ draft: String, _ operation: String) -> Failure {
    let failure = Failure.cannot(operation: operation, path: draft, errno: errno)
    _ = close(file)
    _ = unsafe unlink(draft)
    return failure
  }

  private static func syncDirectory(of path: String) throws(Failure) {
    let directory = directory(of: path)
    let file = unsafe open(directory, O_RDONLY | O_CLOEXEC | O_DIRECTORY)
    guard file >= 0 else { throw .cannot(operation: "sync", path: directory, errno: errno) }
    defer { _ = close(file) }
    guard fsync(file) == 0 else { throw .cannot(operation: "sync", path: directory, errno: errno) }
  }
}
