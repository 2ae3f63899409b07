private import Glibc

/// Runs `command` by the shell and gives its exit status.
public func runShell(_ command: String) -> Int32 {
  // SAFETY: the string is passed as a zero-terminated copy.
  unsafe system(command) >> 8
}

/// What `command` prints, `nil` when it fails.
public func shellOutput(_ command: String) -> String? {
  // SAFETY: the strings are passed as zero-terminated copies; the stream is closed below.
  guard let stream = unsafe popen(command, "r") else { return nil }
  var bytes: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 1 << 14)
  while true {
    // SAFETY: at most as many bytes are written as the array has.
    let count = unsafe fread(&chunk, 1, chunk.count, stream)
    if count == 0 { break }
    bytes.append(contentsOf: chunk[..<count])
  }
  // SAFETY: closed once.
  return unsafe pclose(stream) == 0 ? String(decoding: bytes, as: UTF8.self) : nil
}
