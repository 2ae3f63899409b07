internal import BongsuSeries

/// Cuts an expression into tokens. Reads bytes; everything outside strings and comments is ASCII.
struct Lexer {
  private let bytes: [UInt8]
  private var position = 0
  private var start = 0
  private var tokens: [Token] = []
  private var isInBraces = false
  private var isInBrackets = false
  private var sawColon = false
  private var openParentheses = 0
  private let isSeriesDescription: Bool

  private init(_ source: String, isSeriesDescription: Bool) {
    bytes = Array(source.utf8)
    self.isSeriesDescription = isSeriesDescription
  }

  /// The tokens of an expression; the last is the end of input or a failure.
  static func tokens(of source: String) -> [Token] {
    var lexer = Lexer(source, isSeriesDescription: false)
    while lexer.lexOne() {}
    return lexer.tokens
  }

  /// The tokens of a series description: a metric, then a sequence of values.
  static func seriesDescriptionTokens(of source: String) -> [Token] {
    var lexer = Lexer(source, isSeriesDescription: true)
    while lexer.lexOne() {}
    return lexer.tokens
  }

  // MARK: states

  /// Lexes one token (or skips one run of spaces). False at the end or at a failure.
  private mutating func lexOne() -> Bool {
    start = position
    if isInBraces { return lexInBraces() }
    guard let next = peek else {
      if openParentheses > 0 { return fail("unclosed left parenthesis") }
      if isInBrackets { return fail("unclosed left bracket") }
      emit(.endOfInput)
      return false
    }
    if next == UInt8(ascii: "#") {
      while let byte = peek, byte != UInt8(ascii: "\n"), byte != UInt8(ascii: "\r") {
        _ = byte
        position += 1
      }
      return true
    }
    if Self.isSpace(next) { return skipSpaces() }
    if Self.isDigit(next) || (next == UInt8(ascii: ".") && peek(1).map(Self.isDigit) == true) {
      return lexNumberOrDuration()
    }
    if next == UInt8(ascii: "\"") || next == UInt8(ascii: "'") { return lexString(quote: next) }
    if next == UInt8(ascii: "`") { return lexRawString() }
    if Self.isAlpha(next) || next == UInt8(ascii: ":") { return lexWordOrColon(next) }
    position += 1
    return lexOperator(next)
  }

  private mutating func lexOperator(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: ","): return emit(.comma)
    case UInt8(ascii: "*"): return emit(.binary(.multiply))
    case UInt8(ascii: "/"): return emit(.binary(.divide))
    case UInt8(ascii: "%"): return emit(.binary(.modulo))
    case UInt8(ascii: "+"): return emit(.binary(.add))
    case UInt8(ascii: "-"): return emit(.binary(.subtract))
    case UInt8(ascii: "^"): return emit(.binary(.power))
    case UInt8(ascii: "@"): return emit(.at)
    case UInt8(ascii: "="):
      if accept("=") { return emit(.binary(.equal)) }
      if peek == UInt8(ascii: "~") { return fail("unexpected character after '=': '~'") }
      return emit(.equals)
    case UInt8(ascii: "!"):
      if accept("=") { return emit(.binary(.notEqual)) }
      return fail("unexpected character after '!': \(quotedScalar(at: position))")
    case UInt8(ascii: "<"): return emit(.binary(accept("=") ? .lessOrEqual : .less))
    case UInt8(ascii: ">"): return emit(.binary(accept("=") ? .greaterOrEqual : .greater))
    case UInt8(ascii: "("):
      openParentheses += 1
      return emit(.leftParenthesis)
    case UInt8(ascii: ")"):
      openParentheses -= 1
      if openParentheses < 0 { return fail("unexpected right parenthesis ')'") }
      return emit(.rightParenthesis)
    case UInt8(ascii: "{"):
      isInBraces = true
      return emit(.leftBrace)
    case UInt8(ascii: "["):
      if isInBrackets { return fail("unexpected left bracket '['") }
      sawColon = false
      isInBrackets = true
      emit(.leftBracket)
      while let next = peek, Self.isSpace(next) { position += 1 }
      start = position
      return lexRangeDuration()
    case UInt8(ascii: "]"):
      guard isInBrackets else { return fail("unexpected right bracket ']'") }
      isInBrackets = false
      return emit(.rightBracket)
    default: return fail("unexpected character: \(quotedScalar(at: start))")
    }
  }

  private mutating func lexWordOrColon(_ next: UInt8) -> Bool {
    if isInBrackets {
      position += 1
      if next != UInt8(ascii: ":") { return fail("unexpected character: \(quotedScalar(at: start)), expected \":\"") }
      if sawColon { return fail("unexpected colon ':'") }
      sawColon = true
      return emit(.colon)
    }
    while let byte = peek, Self.isWord(byte) || byte == UInt8(ascii: ":") {
      _ = byte
      position += 1
    }
    let word = String(decoding: bytes[start..<position], as: UTF8.self)
    if let kind = Self.keyword(word.lowercased()) { return emit(kind) }
    return emit(word.utf8.contains(UInt8(ascii: ":")) ? .metricIdentifier : .identifier)
  }

  private mutating func lexInBraces() -> Bool {
    guard let next = peek else { return fail("unexpected end of input inside braces") }
    if next == UInt8(ascii: "#") {
      while let byte = peek, byte != UInt8(ascii: "\n"), byte != UInt8(ascii: "\r") {
        _ = byte
        position += 1
      }
      return true
    }
    if Self.isSpace(next) { return skipSpaces() }
    if Self.isAlpha(next) {
      while let byte = peek, Self.isWord(byte) {
        _ = byte
        position += 1
      }
      return emit(.identifier)
    }
    if next == UInt8(ascii: "\"") || next == UInt8(ascii: "'") { return lexString(quote: next) }
    if next == UInt8(ascii: "`") { return lexRawString() }
    position += 1
    switch next {
    case UInt8(ascii: ","): return emit(.comma)
    case UInt8(ascii: "="): return emit(accept("~") ? .matches : .equals)
    case UInt8(ascii: "!"):
      if accept("~") { return emit(.doesNotMatch) }
      if accept("=") { return emit(.binary(.notEqual)) }
      return fail("unexpected character after '!' inside braces: \(quotedScalar(at: position))")
    case UInt8(ascii: "{"): return fail("unexpected left brace '{'")
    case UInt8(ascii: "}"):
      isInBraces = false
      emit(.rightBrace)
      return isSeriesDescription ? lexValues() : true
    default: return fail("unexpected character inside braces: \(quotedScalar(at: start))")
    }
  }

  /// Lexes the rest of a series description. Spaces separate values, so they are tokens.
  private mutating func lexValues() -> Bool {
    while true {
      start = position
      guard let next = peek else {
        emit(.endOfInput)
        return false
      }
      position += 1
      switch next {
      case UInt8(ascii: "+"): emit(.binary(.add))
      case UInt8(ascii: "-"): emit(.binary(.subtract))
      case UInt8(ascii: "x"): emit(.times)
      case UInt8(ascii: "_"): emit(.blank)
      case _ where Self.isSpace(next):
        while let byte = peek, Self.isSpace(byte) {
          _ = byte
          position += 1
        }
        emit(.space)
      case _ where Self.isDigit(next) || (next == UInt8(ascii: ".") && peek.map(Self.isDigit) == true):
        position = start
        guard scanNumber() else { return fail("bad number syntax: \(quotedText)") }
        emit(.number)
      case _ where Self.isAlpha(next):
        while let byte = peek, Self.isWord(byte) || byte == UInt8(ascii: ":") {
          _ = byte
          position += 1
        }
        let word = String(decoding: bytes[start..<position], as: UTF8.self).lowercased()
        emit(word == "inf" || word == "nan" ? .number : .identifier)
      default: return fail("unexpected character in series sequence: \(quotedScalar(at: start))")
      }
    }
  }

  /// For a description without braces: the values follow the metric name after a space.
  private mutating func skipSpaces() -> Bool {
    if isSeriesDescription, !isInBraces, tokens.last.map({ $0.kind != .leftBrace }) ?? false { return lexValues() }
    while let byte = peek, Self.isSpace(byte) {
      _ = byte
      position += 1
    }
    return true
  }

  // MARK: numbers and durations

  private mutating func lexNumberOrDuration() -> Bool {
    if scanNumber() { return emit(.number) }
    if scanRestOfDuration() { return emit(.duration) }
    return fail("bad number or duration syntax: \(quotedText)")
  }

  private mutating func lexRangeDuration() -> Bool {
    if scanNumber() { return fail("missing unit character in duration") }
    if scanRestOfDuration() { return emit(.duration) }
    return fail("bad duration syntax: \(quotedText)")
  }

  private mutating func scanNumber() -> Bool {
    var isHexadecimal = false
    // A series description has no hexadecimal numbers: `0x5` there is zero, six times.
    if !isSeriesDescription, accept("0"), accept("x") || accept("X") { isHexadecimal = true }
    skipDigits(isHexadecimal)
    if accept(".") { skipDigits(isHexadecimal) }
    if accept("e") || accept("E") {
      _ = accept("+") || accept("-")
      skipDigits(false)
    }
    guard let next = peek else { return true }
    return (isSeriesDescription && next == UInt8(ascii: "x")) || !Self.isWord(next)
  }

  private mutating func skipDigits(_ isHexadecimal: Bool) {
    while let byte = peek {
      let isLetter = (0x41...0x46).contains(byte) || (0x61...0x66).contains(byte)
      guard Self.isDigit(byte) || (isHexadecimal && isLetter) else { return }
      position += 1
    }
  }

  /// After digits: a unit, then pairs of digits and units. Their order is checked when the duration is read.
  private mutating func scanRestOfDuration() -> Bool {
    guard acceptUnit("smhdwy") else { return false }
    while let byte = peek, Self.isDigit(byte) {
      _ = byte
      skipDigits(false)
      guard acceptUnit("smhdw") else { return false }
    }
    return peek.map { !Self.isWord($0) } ?? true
  }

  private mutating func acceptUnit(_ units: String) -> Bool {
    guard let byte = peek, units.utf8.contains(byte) else { return false }
    position += 1
    _ = accept("s")
    return true
  }

  // MARK: strings

  private mutating func lexString(quote: UInt8) -> Bool {
    position += 1
    while let byte = peek {
      position += 1
      if byte == quote { return emit(.string) }
      if byte == UInt8(ascii: "\n") { break }
      if byte == UInt8(ascii: "\\"), let message = scanEscape(quote) { return fail(message) }
    }
    return fail("unterminated quoted string")
  }

  /// Checks one escape; returns what is wrong with it.
  private mutating func scanEscape(_ quote: UInt8) -> String? {
    guard let byte = peek else { return "escape sequence not terminated" }
    if byte == quote || "abfnrtv\\".utf8.contains(byte) {
      position += 1
      return nil
    }
    var digits = 3
    var base: UInt32 = 8
    var limit: UInt32 = 255
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "7"): break
    case UInt8(ascii: "x"): (digits, base) = (2, 16)
    case UInt8(ascii: "u"): (digits, base, limit) = (4, 16, 0x10_FFFF)
    case UInt8(ascii: "U"): (digits, base, limit) = (8, 16, 0x10_FFFF)
    default: return "unknown escape sequence \(codePoint(at: position))"
    }
    if base == 16 { position += 1 }
    var value: UInt32 = 0
    for _ in 0..<digits {
      guard let byte = peek else { return "escape sequence not terminated" }
      guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue, digit < base, byte < 0x80 else {
        return "illegal character \(codePoint(at: position)) in escape sequence"
      }
      value = value &* base &+ UInt32(digit)
      position += 1
    }
    let isSurrogate = (0xD800..<0xE000).contains(value)
    return value > limit || isSurrogate ? "escape sequence is an invalid Unicode code point" : nil
  }

  private mutating func lexRawString() -> Bool {
    position += 1
    while let byte = peek {
      position += 1
      if byte == UInt8(ascii: "`") { return emit(.string) }
    }
    return fail("unterminated raw string")
  }

  // MARK: helpers

  private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

  private func peek(_ distance: Int) -> UInt8? {
    position + distance < bytes.count ? bytes[position + distance] : nil
  }

  private mutating func accept(_ scalar: Unicode.Scalar) -> Bool {
    guard peek == UInt8(ascii: scalar) else { return false }
    position += 1
    return true
  }

  @discardableResult
  private mutating func emit(_ kind: Token.Kind) -> Bool {
    tokens.append(Token(kind: kind, text: String(decoding: bytes[start..<position], as: UTF8.self), position: start))
    return true
  }

  private mutating func fail(_ message: String) -> Bool {
    tokens.append(Token(kind: .failure, text: message, position: start))
    return false
  }

  private var quotedText: String { QuotedText.quote(String(decoding: bytes[start..<position], as: UTF8.self)) }

  private func scalar(at offset: Int) -> Unicode.Scalar? {
    guard offset < bytes.count else { return nil }
    return String(decoding: bytes[offset..<min(bytes.count, offset + 4)], as: UTF8.self).unicodeScalars.first
  }

  private func quotedScalar(at offset: Int) -> String { scalar(at: offset).map(QuotedText.quote) ?? "end of input" }

  private func codePoint(at offset: Int) -> String {
    guard let scalar = scalar(at: offset) else { return "end of input" }
    let hex = String(scalar.value, radix: 16, uppercase: true)
    return "U+" + String(repeating: "0", count: max(0, 4 - hex.utf8.count)) + hex + " '\(scalar)'"
  }

  static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }
  static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
  static func isAlpha(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: "_") || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
  }
  static func isWord(_ byte: UInt8) -> Bool { isAlpha(byte) || isDigit(byte) }

  private static func keyword(_ word: String) -> Token.Kind? {
    if let keyword = Token.Keyword(rawValue: word) { return .keyword(keyword) }
    if let aggregate = AggregateOperator(rawValue: word) { return .aggregate(aggregate) }
    switch word {
    case "and": return .binary(.and)
    case "or": return .binary(.or)
    case "unless": return .binary(.unless)
    case "atan2": return .binary(.atan2)
    case "inf", "nan": return .number
    default: return nil
    }
  }
}
