package import BongsuModel
import Glibc

/// The text of a small file; `nil` when it cannot be read, with `errno` set.
package func readTextFile(_ path: String) -> String? {
  let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
  guard file >= 0 else { return nil }
  defer { _ = close(file) }
  var bytes: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 4096)
  while true {
    // SAFETY: the call writes at most as many bytes as the buffer has.
    let count = unsafe chunk.withUnsafeMutableBytes { unsafe read(file, $0.baseAddress, $0.count) }
    guard count >= 0 else { return nil }
    if count == 0 { return String(decoding: bytes, as: UTF8.self) }
    bytes.append(contentsOf: chunk[..<count])
    guard bytes.count <= 1 << 20 else {
      errno = EFBIG
      return nil
    }
  }
}

extension BootID {
  /// This boot of the machine: the first eight bytes of the kernel's random identifier. A random one where `/proc` does
  /// not show it; ticks of earlier runs are then not related to this one's.
  package static func current() -> BootID {
    let digits = readTextFile("/proc/sys/kernel/random/boot_id")?.filter(\.isHexDigit).prefix(16) ?? ""
    return BootID(rawValue: UInt64(digits, radix: 16) ?? UInt64.random(in: 1...(.max)))
  }
}
