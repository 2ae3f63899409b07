/// Ways in which templates change text.
enum Escaping {
  static func html(_ text: String) -> String {
    var out = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "&#34;"
      case "'": out += "&#39;"
      case "&": out += "&amp;"
      case "<": out += "&lt;"
      case ">": out += "&gt;"
      case "\u{0}": out += "\u{FFFD}"
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }

  static func javaScript(_ text: String) -> String {
    var out = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": out += "\\\\"
      case "'": out += "\\'"
      case "\"": out += "\\\""
      case "<": out += "\\u003C"
      case ">": out += "\\u003E"
      case "&": out += "\\u0026"
      case "=": out += "\\u003D"
      default:
        if scalar.value < 0x20 {
          let hex = String(scalar.value, radix: 16, uppercase: true)
          out += "\\u" + String(repeating: "0", count: 4 - hex.utf8.count) + hex
        } else {
          out.unicodeScalars.append(scalar)
        }
      }
    }
    return out
  }

  /// Percent encoding for the query part of an address, with `+` for a space.
  static func urlQuery(_ text: String) -> String {
    var out = ""
    for byte in text.utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
        UInt8(ascii: "~"):
        out.unicodeScalars.append(Unicode.Scalar(byte))
      case 0x20: out += "+"
      default:
        let hex = String(byte, radix: 16, uppercase: true)
        out += "%" + (hex.utf8.count < 2 ? "0" : "") + hex
      }
    }
    return out
  }

  /// Upper-cases the first letter of each word.
  static func title(_ text: String) -> String {
    var out = ""
    var isInWord = false
    for scalar in text.unicodeScalars {
      let isWord =
        scalar == "_" || scalar.properties.isAlphabetic || scalar.properties.generalCategory == .decimalNumber
      // Only space separates beyond ASCII; ASCII punctuation but the underscore separates too.
      let separates = scalar.isASCII ? !isWord : scalar.properties.isWhitespace
      if !isInWord, !separates {
        out += scalar.properties.titlecaseMapping
      } else {
        out.unicodeScalars.append(scalar)
      }
      isInWord = !separates
    }
    return out
  }
}

/// Host names with ports.
enum HostPort {
  /// The host of `host:port`; the text itself when it is not of that form.
  static func withoutPort(_ text: String) -> String { split(text)?.host ?? text }

  /// The first part of a host name, with the port if there was one; addresses stay as they are.
  static func withoutDomain(_ text: String) -> String {
    let parts = split(text)
    let host = parts?.host ?? text
    if isAddress(host) { return text }
    let first = host.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)[0]
    guard let port = parts?.port else { return String(first) }
    return "\(first):\(port)"
  }

  private static func split(_ text: String) -> (host: String, port: String)? {
    guard let colon = text.lastIndex(of: ":") else { return nil }
    let port = String(text[text.index(after: colon)...])
    var host = String(text[..<colon])
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = String(host.dropFirst().dropLast())
    } else if host.contains(":") || host.contains("[") || host.contains("]") {
      return nil
    }
    return (host, port)
  }

  private static func isAddress(_ host: String) -> Bool {
    if host.contains(":") { return true }
    let parts = host.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts.allSatisfy { part in part.utf8.count <= 3 && UInt8(part) != nil }
  }
}
