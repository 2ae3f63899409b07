internal import Glibc

/// A real directory.
///
/// Safe to share between threads: it holds nothing but a directory's descriptor, and the kernel serialises the rest.
/// Every call is one system call, repeated where a signal or a short transfer interrupts it.
public final class PosixDisk: Disk, Sendable {
  /// The directory's path as it was given.
  public let path: String
  private let directory: Int32

  /// Opens the directory at `path`, creating it (one level, mode 0700) when it is missing.
  public init(path: String) throws(DiskError) {
    self.path = path
    // SAFETY: the path is a zero-terminated string for the length of each call.
    if unsafe mkdir(path, 0o700) != 0, errno != EEXIST {
      throw DiskError(.openDirectory, path, code: errno)
    }
    directory = unsafe Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard directory >= 0 else { throw DiskError(.openDirectory, path, code: errno) }
  }

  deinit { Glibc.close(directory) }

  public func open(_ name: String, _ access: FileAccess) throws(DiskError) -> DiskFile {
    let flags: Int32 =
      switch access {
      case .read: O_RDONLY
      case .readWrite: O_RDWR
      case .create: O_RDWR | O_CREAT | O_EXCL
      }
    // SAFETY: the name is a zero-terminated string for the length of the call.
    let descriptor = Self.repeatingInterrupted { unsafe openat(directory, name, flags | O_CLOEXEC, 0o600) }
    guard descriptor >= 0 else { throw DiskError(.open, name, code: errno) }
    return DiskFile(rawValue: descriptor)
  }

  public func close(_ file: DiskFile) { _ = Glibc.close(file.rawValue) }

  public func byteCount(of file: DiskFile) throws(DiskError) -> Int64 {
    var status = stat()
    // SAFETY: `status` outlives the call.
    guard unsafe fstat(file.rawValue, &status) == 0 else { throw failure(.size, file) }
    return Int64(status.st_size)
  }

  public func read(
    _ file: DiskFile, at offset: Int64, into bytes: inout [UInt8], _ range: Range<Int>
  ) throws(DiskError) -> Int {
    precondition(bytes.indices.contains(range) || range.isEmpty, "read into \(range) of \(bytes.count)")
    var done = 0
    while done < range.count {
      // SAFETY: the kernel writes at most the part of `range` that is not filled yet, and `range` lies in the array.
      let count = unsafe bytes.withUnsafeMutableBytes { buffer in
        unsafe pread(
          file.rawValue, buffer.baseAddress.unsafelyUnwrapped + range.lowerBound + done, range.count - done,
          off_t(offset) + done)
      }
      if count == 0 { break }
      if count < 0 {
        if errno == EINTR { continue }
        throw failure(.read, file)
      }
      done += count
    }
    return done
  }

  public func write(_ bytes: Span<UInt8>, to file: DiskFile, at offset: Int64) throws(DiskError) {
    var done = 0
    while done < bytes.count {
      // SAFETY: the kernel reads at most `count - done` bytes behind `done` bytes of the buffer.
      let count = unsafe bytes.withUnsafeBytes { buffer in
        unsafe pwrite(
          file.rawValue, buffer.baseAddress.unsafelyUnwrapped + done, buffer.count - done, off_t(offset) + done)
      }
      if count < 0 {
        if errno == EINTR { continue }
        throw failure(.write, file)
      }
      done += count
    }
  }

  public func truncate(_ file: DiskFile, to byteCount: Int64) throws(DiskError) {
    guard Self.repeatingInterrupted({ ftruncate(file.rawValue, off_t(byteCount)) }) == 0 else {
      throw failure(.truncate, file)
    }
  }

  public func synchronize(_ file: DiskFile) throws(DiskError) {
    // Not repeated after EIO: the pages may be gone, and the second call would lie.
    guard Self.repeatingInterrupted({ fdatasync(file.rawValue) }) == 0 else { throw failure(.synchronize, file) }
  }

  public func names() throws(DiskError) -> [String] {
    // A descriptor of its own, since reading a directory moves its position.
    // SAFETY: "." is a constant; the stream owns the new descriptor and is closed below.
    let descriptor = unsafe openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0)
    guard descriptor >= 0, let stream = unsafe fdopendir(descriptor) else { throw DiskError(.list, path, code: errno) }
    defer { unsafe closedir(stream) }
    var names: [String] = []
    while true {
      errno = 0
      guard let entry = unsafe readdir(stream) else {
        if errno != 0 { throw DiskError(.list, path, code: errno) }
        return names
      }
      // SAFETY: readdir's entry is valid until the next call and its name is zero-terminated within the field.
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { field in
        unsafe String(decoding: field.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != "." && name != ".." { names.append(name) }
    }
  }

  public func remove(_ name: String) throws(DiskError) {
    // SAFETY: the name is a zero-terminated string for the length of the call.
    guard unsafe unlinkat(directory, name, 0) == 0 else { throw DiskError(.remove, name, code: errno) }
  }

  public func rename(_ name: String, to newName: String) throws(DiskError) {
    // SAFETY: both names are zero-terminated strings for the length of the call.
    guard unsafe renameat(directory, name, directory, newName) == 0 else {
      throw DiskError(.rename, name, code: errno)
    }
  }

  public func synchronizeDirectory() throws(DiskError) {
    guard Self.repeatingInterrupted({ fsync(directory) }) == 0 else {
      throw DiskError(.synchronizeDirectory, path, code: errno)
    }
  }

  public func freeBytes() throws(DiskError) -> Int64 {
    var status = statvfs()
    // SAFETY: `status` outlives the call.
    guard unsafe fstatvfs(directory, &status) == 0 else { throw DiskError(.freeSpace, path, code: errno) }
    return Int64(
      clamping: UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize)).partialValue)
  }

  /// The name is not kept for open files; the kernel knows it.
  private func failure(_ operation: DiskError.Operation, _ file: DiskFile) -> DiskError {
    let code = errno
    var path = [UInt8](repeating: 0, count: 4096)
    // SAFETY: the kernel writes at most `count` bytes.
    let length = unsafe path.withUnsafeMutableBytes { buffer in
      unsafe readlink("/proc/self/fd/\(file.rawValue)", buffer.baseAddress.unsafelyUnwrapped, buffer.count)
    }
    let name = length > 0 ? String(decoding: path.prefix(length), as: UTF8.self) : "descriptor \(file.rawValue)"
    return DiskError(operation, name, code: code)
  }

  private static func repeatingInterrupted(_ call: () -> Int32) -> Int32 {
    while true {
      let result = call()
      if result >= 0 || errno != EINTR { return result }
    }
  }
}
