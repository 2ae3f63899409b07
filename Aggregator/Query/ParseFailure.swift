/// Why an expression was refused, and where.
public struct ParseFailure: Error, Sendable, Hashable, CustomStringConvertible {
  /// What was found and what was expected.
  public let message: String
  /// Byte offset of the place in the expression.
  public let offset: Int
  /// Line of the place, from 1.
  public let line: Int
  /// Byte in the line, from 1.
  public let column: Int

  init(_ message: String, at offset: Int, in source: String) {
    self.message = message.cut(toBytes: QueryLimits.messageBytesMax)
    self.offset = offset
    var line = 1
    var lastBreak = -1
    for (index, byte) in source.utf8.prefix(max(0, offset)).enumerated() where byte == UInt8(ascii: "\n") {
      lastBreak = index
      line += 1
    }
    self.line = line
    column = offset - lastBreak
  }

  /// The failure in Prometheus's form: `1:5: parse error: …`.
  public var description: String { "\(line):\(column): parse error: \(message)" }
}

extension String {
  /// The text, or as much of it as fits whole characters into `bytesMax` bytes, marked.
  package func cut(toBytes bytesMax: Int) -> String {
    guard utf8.count > bytesMax else { return self }
    var end = utf8.index(utf8.startIndex, offsetBy: bytesMax)
    while end > startIndex, end.samePosition(in: unicodeScalars) == nil { end = utf8.index(before: end) }
    return String(self[..<end]) + "…"
  }
}
