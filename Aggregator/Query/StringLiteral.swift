/// Reads quoted strings.
enum StringLiteral {
  /// The text of a string token, quotes included; the lexer has checked the escapes.
  static func value(of token: String) -> String {
    let bytes = Array(token.utf8)
    guard bytes.count >= 2 else { return "" }
    let inner = bytes[1..<(bytes.count - 1)]
    if bytes[0] == UInt8(ascii: "`") || !inner.contains(UInt8(ascii: "\\")) {
      return String(decoding: inner, as: UTF8.self)
    }
    var out: [UInt8] = []
    var index = inner.startIndex
    while index < inner.endIndex {
      let byte = inner[index]
      index += 1
      guard byte == UInt8(ascii: "\\"), index < inner.endIndex else {
        out.append(byte)
        continue
      }
      let escape = inner[index]
      index += 1
      switch escape {
      case UInt8(ascii: "a"): out.append(0x07)
      case UInt8(ascii: "b"): out.append(0x08)
      case UInt8(ascii: "f"): out.append(0x0C)
      case UInt8(ascii: "n"): out.append(0x0A)
      case UInt8(ascii: "r"): out.append(0x0D)
      case UInt8(ascii: "t"): out.append(0x09)
      case UInt8(ascii: "v"): out.append(0x0B)
      case UInt8(ascii: "x"): out.append(UInt8(truncatingIfNeeded: number(inner, &index, digits: 2, radix: 16)))
      case UInt8(ascii: "u"): appendScalar(number(inner, &index, digits: 4, radix: 16), to: &out)
      case UInt8(ascii: "U"): appendScalar(number(inner, &index, digits: 8, radix: 16), to: &out)
      case UInt8(ascii: "0")...UInt8(ascii: "7"):
        index -= 1
        out.append(UInt8(truncatingIfNeeded: number(inner, &index, digits: 3, radix: 8)))
      default: out.append(escape)
      }
    }
    return String(decoding: out, as: UTF8.self)
  }

  private static func number(_ bytes: ArraySlice<UInt8>, _ index: inout Int, digits: Int, radix: Int) -> UInt32 {
    let end = min(index + digits, bytes.endIndex)
    defer { index = end }
    return UInt32(String(decoding: bytes[index..<end], as: UTF8.self), radix: radix) ?? 0xFFFD
  }

  private static func appendScalar(_ value: UInt32, to out: inout [UInt8]) {
    out.append(contentsOf: String(Unicode.Scalar(value) ?? "\u{FFFD}").utf8)
  }
}
