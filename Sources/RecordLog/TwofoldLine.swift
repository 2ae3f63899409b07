/// A short line of text that a file keeps twice, each time with a checksum: a damaged byte costs nothing, and never makes
/// another text of it.
///
///     LINE crc32c 1a2b3c4d ⏎ ⏎ LINE crc32c 1a2b3c4d ⏎
///
/// The empty line between them: without it a byte in place of the line's end would take both copies.
public enum TwofoldLine {
  private static let mark = " crc32c "

  /// The file's text. The line has no line's end in it.
  public static func text(_ line: String) -> String {
    let copy = "\(line)\(mark)\(checksum(line))\n"
    return "\(copy)\n\(copy)"
  }

  /// Reads a file's text; `nil` when no copy is what was written, or the two differ.
  ///
  /// - Returns: the line, and whether all of the text is as it was written.
  public static func read(_ text: String) -> (line: String, isWhole: Bool)? {
    let sound = text.split(separator: "\n").compactMap { copy -> String? in
      let bytes = Array(copy.utf8)
      let end = bytes.count - mark.utf8.count - 8
      guard end > 0 else { return nil }
      let line = String(decoding: bytes[..<end], as: UTF8.self)
      return String(decoding: bytes[end...], as: UTF8.self) == mark + checksum(line) ? line : nil
    }
    guard let line = sound.first, sound.allSatisfy({ $0 == line }) else { return nil }
    return (line, text == self.text(line))
  }

  /// Eight hexadecimal digits.
  private static func checksum(_ line: String) -> String {
    var checksum = CRC32C()
    let bytes = Array(line.utf8)
    checksum.update(bytes.span)
    let digits = String(checksum.value, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }
}
