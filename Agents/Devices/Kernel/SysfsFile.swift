import Glibc

/// A file of the kernel's device tree that holds one number, kept open so that a reading is one system call.
struct SysfsNumber: ~Copyable {
  private let file: Int32

  /// Opens the file at `path`.
  init(path: String) throws(SysfsError) {
    file = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw SysfsError(path: path, errno: errno) }
  }

  deinit { _ = close(file) }

  /// The number the file holds now; `nil` when it cannot be read or is no number.
  func read() -> Int64? {
    unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 32) { buffer in
      // SAFETY: at most the buffer's size is written, and only what was written is looked at.
      let count = unsafe pread(file, buffer.baseAddress, buffer.count, 0)
      guard count > 0 else { return nil }
      var value: Int64 = 0
      for index in 0..<count {
        let byte = unsafe buffer[index]
        if byte == 0x0A { return index > 0 ? value : nil }
        guard (0x30...0x39).contains(byte), value < Int64.max / 10 - 10 else { return nil }
        value = value * 10 + Int64(byte - 0x30)
      }
      return value
    }
  }
}

/// A number of the device tree that several places may hold.
final class SharedNumber {
  private let number: SysfsNumber

  init(path: String) throws(SysfsError) { number = try SysfsNumber(path: path) }

  func read() -> Int64? { number.read() }
}

/// A file of the device tree that cannot be opened.
struct SysfsError: Error, Hashable, Sendable, CustomStringConvertible {
  let path: String
  let errno: Int32

  var isMissing: Bool { errno == ENOENT || errno == ENOTDIR }
  var isPermission: Bool { errno == EACCES || errno == EPERM }

  var description: String { "cannot read \(path): \(unsafe String(cString: strerror(errno)))" }
}

/// The kernel's device tree, as far as sources look around in it.
enum Sysfs {
  /// Names in the folder at `path`, sorted; none when it is not there.
  static func names(in path: String) -> [String] {
    guard let folder = unsafe opendir(path) else { return [] }
    defer { unsafe closedir(folder) }
    var names: [String] = []
    while let entry = unsafe readdir(folder) {
      // SAFETY: the kernel ends each name with a zero within the entry, which is valid until the next call.
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names.sorted()
  }

  /// The first line of the file at `path`, `nil` when it cannot be read.
  static func line(_ path: String) -> String? { lines(path).first }

  /// The lines of a small file; none when it cannot be read.
  static func lines(_ path: String) -> [String] {
    let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return [] }
    defer { _ = close(file) }
    var bytes = [UInt8](repeating: 0, count: 1024)
    // SAFETY: at most as many bytes are written as the array has.
    let count = unsafe read(file, &bytes, bytes.count)
    guard count > 0 else { return [] }
    return bytes[..<count].split(separator: 0x0A, omittingEmptySubsequences: false)
      .map { String(decoding: $0, as: UTF8.self) }
  }
}
