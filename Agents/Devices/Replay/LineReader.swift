import Glibc

/// Reads a text file line by line through a fixed buffer.
struct LineReader: ~Copyable {
  /// The current line without its end.
  private(set) var line: [UInt8] = []
  /// Number of the current line, from 1.
  private(set) var number = 0

  private let path: String
  private let file: Int32
  private var chunk = [UInt8](repeating: 0, count: 1 << 16)
  private var position = 0
  private var filled = 0

  /// Opens the file at `path`.
  init(path: String) throws(RecordingError) {
    file = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw .unreadable(path: path, errno: errno) }
    self.path = path
    line.reserveCapacity(256)
  }

  /// Closes the file.
  func close() {
    _ = Glibc.close(file)
  }

  /// Reads the next line; a line that ends in the middle of the file's last byte counts as one.
  ///
  /// - Returns: `false` at the end of the file.
  mutating func next() throws(RecordingError) -> Bool {
    line.removeAll(keepingCapacity: true)
    var hasBytes = false
    while true {
      if position == filled {
        guard try fill() else { break }
      }
      hasBytes = true
      let byte = chunk[position]
      position += 1
      if byte == 0x0A { break }
      guard line.count < DeviceLimits.recordedLineBytesMax else {
        throw .line(
          path: path, number: number + 1, problem: "line is longer than \(DeviceLimits.recordedLineBytesMax) bytes")
      }
      line.append(byte)
    }
    guard hasBytes else { return false }
    if line.last == 0x0D { line.removeLast() }
    number += 1
    return true
  }

  private mutating func fill() throws(RecordingError) -> Bool {
    let capacity = chunk.count
    // SAFETY: at most `capacity` bytes are written to the array.
    let count = unsafe read(file, &chunk, capacity)
    guard count >= 0 else { throw .unreadable(path: path, errno: errno) }
    position = 0
    filled = count
    return count > 0
  }
}
