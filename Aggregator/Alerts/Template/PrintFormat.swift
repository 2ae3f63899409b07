internal import BongsuQuery
internal import BongsuSeries
private import Foundation

/// Go's `printf`, for the values a template can hold.
enum PrintFormat {
  private struct Directive {
    var flags: Set<Character> = []
    var width: Int?
    var precision: Int?
    var verb: Character = "v"
  }

  static func format(_ format: String, _ arguments: [TemplateValue]) -> String {
    var out = ""
    var rest = Array(format)[...]
    var next = 0
    while let character = rest.popFirst() {
      guard character == "%" else {
        out.append(character)
        continue
      }
      guard let directive = parse(&rest, arguments, &next) else { return out + "%!(NOVERB)" }
      if directive.verb == "%" {
        out += "%"
        continue
      }
      guard next < arguments.count else {
        out += "%!\(directive.verb)(MISSING)"
        continue
      }
      out += pad(text(arguments[next], directive), directive)
      next += 1
    }
    if next < arguments.count {
      let extra = arguments[next...].map { "\($0.typeName)=\($0.text)" }.joined(separator: ", ")
      out += "%!(EXTRA \(extra))"
    }
    return out
  }

  private static func parse(_ rest: inout ArraySlice<Character>, _ arguments: [TemplateValue], _ next: inout Int)
    -> Directive?
  {
    var directive = Directive()
    while let flag = rest.first, "+-# 0".contains(flag) {
      directive.flags.insert(flag)
      rest.removeFirst()
    }
    directive.width = number(&rest, arguments, &next)
    if let width = directive.width, width < 0 {
      directive.flags.insert("-")
      directive.width = -width
    }
    if rest.first == "." {
      rest.removeFirst()
      directive.precision = number(&rest, arguments, &next) ?? 0
    }
    guard let verb = rest.popFirst() else { return nil }
    directive.verb = verb
    return directive
  }

  private static func number(_ rest: inout ArraySlice<Character>, _ arguments: [TemplateValue], _ next: inout Int)
    -> Int?
  {
    if rest.first == "*" {
      rest.removeFirst()
      defer { next += 1 }
      if next < arguments.count, case .integer(let value) = arguments[next] { return min(max(value, -1000), 1000) }
      return nil
    }
    var digits = ""
    while let digit = rest.first, digit.isASCII, digit.isNumber {
      digits.append(digit)
      rest.removeFirst()
    }
    // Wider output than this is a mistake or an attack.
    return digits.isEmpty ? nil : min(Int(digits) ?? 1000, 1000)
  }

  private static func text(_ value: TemplateValue, _ directive: Directive) -> String {
    switch (directive.verb, value) {
    case ("v", .float(let number)):
      return directive.precision == nil ? signed(FloatText.general(number), directive) : float(number, "g", directive)
    case ("v", .string(let text)), ("s", .string(let text)):
      guard let precision = directive.precision else { return text }
      return String(String.UnicodeScalarView(text.unicodeScalars.prefix(precision)))
    case ("v", .integer(let number)), ("d", .integer(let number)): return signed(String(number), directive)
    case ("v", _), ("t", .bool): return value.text
    case ("s", .list(let elements)):
      return "[" + elements.map { text($0, directive) }.joined(separator: " ") + "]"
    case ("q", .string(let text)): return QuotedText.quote(text)
    case ("q", .integer(let code)):
      return QuotedText.quote(Unicode.Scalar(UInt32(truncatingIfNeeded: code)) ?? "\u{FFFD}")
    case ("c", .integer(let code)): return String(Unicode.Scalar(UInt32(truncatingIfNeeded: code)) ?? "\u{FFFD}")
    case ("x", .integer(let number)): return String(number, radix: 16)
    case ("X", .integer(let number)): return String(number, radix: 16, uppercase: true)
    case ("o", .integer(let number)): return String(number, radix: 8)
    case ("b", .integer(let number)): return String(number, radix: 2)
    case ("U", .integer(let number)):
      let hex = String(number, radix: 16, uppercase: true)
      return "U+" + String(repeating: "0", count: max(0, 4 - hex.utf8.count)) + hex
    case ("x", .string(let text)), ("X", .string(let text)):
      return text.utf8.map { byte in
        let hex = String(byte, radix: 16, uppercase: directive.verb == "X")
        return hex.utf8.count < 2 ? "0" + hex : hex
      }.joined()
    case ("f", .float(let number)), ("F", .float(let number)): return float(number, "f", directive)
    case ("e", .float(let number)): return float(number, "e", directive)
    case ("E", .float(let number)): return float(number, "E", directive)
    case ("g", .float(let number)), ("G", .float(let number)):
      return directive.precision == nil
        ? signed(shortest(number, directive.verb), directive) : float(number, directive.verb, directive)
    default: return "%!\(directive.verb)(\(value.typeName)=\(value.text))"
    }
  }

  private static func shortest(_ number: Double, _ verb: Character) -> String {
    let text = FloatText.general(number)
    return verb == "G" ? text.replacing("e", with: "E") : text
  }

  private static func float(_ number: Double, _ verb: Character, _ directive: Directive) -> String {
    if number.isNaN { return "NaN" }
    if number.isInfinite { return number < 0 ? "-Inf" : "+Inf" }
    let precision = min(directive.precision ?? 6, 400)
    return signed(String(format: "%.\(precision)\(verb)", number), directive)
  }

  private static func signed(_ text: String, _ directive: Directive) -> String {
    if text.hasPrefix("-") || text.hasPrefix("+") { return text }
    if directive.flags.contains("+") { return "+" + text }
    return directive.flags.contains(" ") ? " " + text : text
  }

  private static func pad(_ text: String, _ directive: Directive) -> String {
    guard let width = directive.width else { return text }
    let missing = width - text.unicodeScalars.count
    if missing <= 0 { return text }
    if directive.flags.contains("-") { return text + String(repeating: " ", count: missing) }
    if directive.flags.contains("0"), directive.verb != "s", directive.verb != "q" {
      let sign = text.hasPrefix("-") || text.hasPrefix("+") ? String(text.prefix(1)) : ""
      return sign + String(repeating: "0", count: missing) + text.dropFirst(sign.count)
    }
    return String(repeating: " ", count: missing) + text
  }
}
