/// Text in double quotes, with the escapes of Go's `%q`, which Prometheus uses wherever it prints a label value.
public enum QuotedText {
  /// Quotes a string.
  public static func quote(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars { append(scalar, quote: "\"", to: &out) }
    return out + "\""
  }

  /// Quotes one character as Go's `%q` does a rune: `'x'`.
  public static func quote(_ scalar: Unicode.Scalar) -> String {
    var out = "'"
    append(scalar, quote: "'", to: &out)
    return out + "'"
  }

  private static func append(_ scalar: Unicode.Scalar, quote: Unicode.Scalar, to out: inout String) {
    switch scalar {
    case quote: out += "\\" + String(quote)
    case "\\": out += "\\\\"
    case "\u{07}": out += "\\a"
    case "\u{08}": out += "\\b"
    case "\u{0C}": out += "\\f"
    case "\n": out += "\\n"
    case "\r": out += "\\r"
    case "\t": out += "\\t"
    case "\u{0B}": out += "\\v"
    default:
      if isPrintable(scalar) {
        out.unicodeScalars.append(scalar)
      } else if scalar.value < 0x80 {
        out += "\\x" + hex(scalar.value, digits: 2)
      } else if scalar.value < 0x1_0000 {
        out += "\\u" + hex(scalar.value, digits: 4)
      } else {
        out += "\\U" + hex(scalar.value, digits: 8)
      }
    }
  }

  private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.value < 0x80 { return scalar.value >= 0x20 && scalar.value < 0x7F }
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator, .spaceSeparator:
      return false
    default: return true
    }
  }

  private static func hex(_ value: UInt32, digits: Int) -> String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: max(0, digits - text.count)) + text
  }
}
