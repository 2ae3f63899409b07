/// Cuts a template into text and the tokens of its actions.
struct TemplateLexer {
  enum Token: Sendable, Equatable {
    case text(String)
    case open
    case close
    case word(String)
    /// `.name` directly after something, or at the start of a word.
    case field(String)
    case dot
    case variable(String)
    case string(String)
    case character(Int)
    case number(String)
    case declare
    case assign
    case pipe
    case comma
    case leftParenthesis
    case rightParenthesis
    case space
  }

  private let source: [Unicode.Scalar]
  private var position = 0
  private var tokens: [Token] = []

  static func tokens(of text: String) throws(TemplateFailure) -> [Token] {
    var lexer = TemplateLexer(source: Array(text.unicodeScalars))
    try lexer.lexAll()
    return lexer.tokens
  }

  private init(source: [Unicode.Scalar]) { self.source = source }

  private mutating func lexAll() throws(TemplateFailure) {
    var text = ""
    var trimsStart = false
    func finished(_ text: String, _ trimsStart: Bool, _ trimsEnd: Bool) -> String {
      var scalars = text.unicodeScalars[...]
      if trimsStart { scalars = scalars.drop(while: Self.isSpace) }
      if trimsEnd { while let last = scalars.last, Self.isSpace(last) { scalars.removeLast() } }
      return String(scalars)
    }
    while position < source.count {
      guard source[position] == "{", peek(1) == "{" else {
        text.unicodeScalars.append(source[position])
        position += 1
        continue
      }
      position += 2
      let trimsEnd = peek(0) == "-" && peek(1).map(Self.isSpace) == true
      if trimsEnd { position += 1 }
      let part = finished(text, trimsStart, trimsEnd)
      if !part.isEmpty { tokens.append(.text(part)) }
      text = ""
      trimsStart = try lexAction()
    }
    let part = finished(text, trimsStart, false)
    if !part.isEmpty { tokens.append(.text(part)) }
  }

  /// Lexes up to and with `}}`; true when the text behind is to be trimmed.
  private mutating func lexAction() throws(TemplateFailure) -> Bool {
    if isComment { return try skipComment() }
    tokens.append(.open)
    var parentheses = 0
    while let next = peek(0) {
      if next == "}", peek(1) == "}" {
        guard parentheses == 0 else { throw TemplateFailure(message: "unclosed left paren") }
        position += 2
        tokens.append(.close)
        return false
      }
      if Self.isSpace(next) {
        while let space = peek(0), Self.isSpace(space) {
          _ = space
          position += 1
        }
        if peek(0) == "-", peek(1) == "}", peek(2) == "}" {
          position += 3
          tokens.append(.close)
          return true
        }
        tokens.append(.space)
        continue
      }
      if next == "(" { parentheses += 1 }
      if next == ")" {
        parentheses -= 1
        if parentheses < 0 { throw TemplateFailure(message: "unexpected right paren ')'") }
      }
      tokens.append(try lexToken(next))
    }
    throw TemplateFailure(message: "unclosed action")
  }

  private var isComment: Bool {
    var start = position
    while start < source.count, Self.isSpace(source[start]) { start += 1 }
    return start + 1 < source.count && source[start] == "/" && source[start + 1] == "*"
  }

  private mutating func skipComment() throws(TemplateFailure) -> Bool {
    while position + 1 < source.count, !(source[position] == "*" && source[position + 1] == "/") { position += 1 }
    guard position + 1 < source.count else { throw TemplateFailure(message: "unclosed comment") }
    position += 2
    var trims = false
    if let space = peek(0), Self.isSpace(space) {
      while let space = peek(0), Self.isSpace(space) {
        _ = space
        position += 1
      }
      if peek(0) == "-" {
        trims = true
        position += 1
      }
    }
    guard peek(0) == "}", peek(1) == "}" else {
      throw TemplateFailure(message: "comment ends before closing delimiter")
    }
    position += 2
    return trims
  }

  private mutating func lexToken(_ next: Unicode.Scalar) throws(TemplateFailure) -> Token {
    switch next {
    case "(": return take(.leftParenthesis)
    case ")": return take(.rightParenthesis)
    case "|": return take(.pipe)
    case ",": return take(.comma)
    case "=": return take(.assign)
    case ":":
      guard peek(1) == "=" else { throw TemplateFailure(message: "expected :=") }
      position += 2
      return .declare
    case "\"": return .string(try quoted("\""))
    case "'":
      let text = try quoted("'")
      guard text.unicodeScalars.count == 1, let scalar = text.unicodeScalars.first else {
        throw TemplateFailure(message: "malformed character constant: '\(text)'")
      }
      return .character(Int(scalar.value))
    case "`": return .string(try raw())
    case "$":
      position += 1
      return .variable("$" + name())
    case ".":
      if let digit = peek(1), Self.isDigit(digit) { return try number() }
      position += 1
      let field = name()
      return field.isEmpty ? .dot : .field(field)
    default: break
    }
    if Self.isDigit(next) || next == "+" || next == "-" { return try number() }
    if Self.isWord(next) { return .word(name()) }
    throw TemplateFailure(message: "unexpected \"\(next)\" in action")
  }

  private mutating func take(_ token: Token) -> Token {
    position += 1
    return token
  }

  private mutating func name() -> String {
    var name = String.UnicodeScalarView()
    while let next = peek(0), Self.isWord(next) {
      name.append(next)
      position += 1
    }
    return String(name)
  }

  private mutating func number() throws(TemplateFailure) -> Token {
    var text = String.UnicodeScalarView()
    while let next = peek(0) {
      let isSign =
        (next == "+" || next == "-") && (text.isEmpty || text.last == "e" || text.last == "E" || text.last == "p")
      guard isSign || next == "." || Self.isWord(next) else { break }
      text.append(next)
      position += 1
    }
    return .number(String(text))
  }

  private mutating func quoted(_ quote: Unicode.Scalar) throws(TemplateFailure) -> String {
    position += 1
    var text = String.UnicodeScalarView()
    while let next = peek(0), next != quote {
      guard next != "\n" else { break }
      position += 1
      guard next == "\\" else {
        text.append(next)
        continue
      }
      text.append(try escape(quote))
    }
    guard peek(0) == quote else { throw TemplateFailure(message: "unterminated quoted string") }
    position += 1
    return String(text)
  }

  private mutating func escape(_ quote: Unicode.Scalar) throws(TemplateFailure) -> Unicode.Scalar {
    guard let next = peek(0) else { throw TemplateFailure(message: "unterminated quoted string") }
    position += 1
    switch next {
    case "a": return "\u{07}"
    case "b": return "\u{08}"
    case "f": return "\u{0C}"
    case "n": return "\n"
    case "r": return "\r"
    case "t": return "\t"
    case "v": return "\u{0B}"
    case "\\", quote: return next
    case "x": return try codePoint(digits: 2)
    case "u": return try codePoint(digits: 4)
    case "U": return try codePoint(digits: 8)
    default: throw TemplateFailure(message: "invalid syntax in quoted string: unknown escape \\\(next)")
    }
  }

  private mutating func codePoint(digits: Int) throws(TemplateFailure) -> Unicode.Scalar {
    var text = ""
    for _ in 0..<digits {
      guard let digit = peek(0) else { break }
      text.unicodeScalars.append(digit)
      position += 1
    }
    guard text.utf8.count == digits, let value = UInt32(text, radix: 16), let scalar = Unicode.Scalar(value) else {
      throw TemplateFailure(message: "invalid syntax in quoted string: \\\(text)")
    }
    return scalar
  }

  private mutating func raw() throws(TemplateFailure) -> String {
    position += 1
    var text = String.UnicodeScalarView()
    while let next = peek(0), next != "`" {
      if next != "\r" { text.append(next) }
      position += 1
    }
    guard peek(0) == "`" else { throw TemplateFailure(message: "unterminated raw quoted string") }
    position += 1
    return String(text)
  }

  private func peek(_ distance: Int) -> Unicode.Scalar? {
    position + distance < source.count ? source[position + distance] : nil
  }

  private static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
    scalar == " " || scalar == "\t" || scalar == "\n" || scalar == "\r"
  }
  private static func isDigit(_ scalar: Unicode.Scalar) -> Bool { scalar >= "0" && scalar <= "9" }
  private static func isWord(_ scalar: Unicode.Scalar) -> Bool {
    scalar == "_" || isDigit(scalar) || scalar.properties.isAlphabetic
      || scalar.properties.generalCategory == .decimalNumber
  }
}
