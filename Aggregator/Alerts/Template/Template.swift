internal import BongsuQuery

/// A parsed template in the language of Go's `text/template`, as far as rules use it.
///
/// Actions: printing, `if`, `range`, `with`, `define`, `template`, `block`, `break`, `continue`, comments and trimming;
/// variables, pipelines, parentheses, fields. Functions: Go's built-in ones and those of Prometheus.
public struct Template: Sendable {
  let nodes: [TemplateNode]
  let definitions: [String: [TemplateNode]]

  /// Parses a template. Refuses functions and variables that do not exist.
  static func parse(_ text: String, name: String) throws(TemplateFailure) -> Template {
    do throws(TemplateFailure) {
      var parser = TemplateParser(tokens: try TemplateLexer.tokens(of: text))
      return try parser.parse()
    } catch {
      throw TemplateFailure(message: "template: \(name): \(error.message)")
    }
  }

  /// Variables that every template of a rule has.
  static let predefinedVariables = ["$", "$labels", "$externalLabels", "$externalURL", "$value"]
}

/// Builds the tree of a template.
private struct TemplateParser {
  let tokens: [TemplateLexer.Token]
  private var next = 0
  private var variables = Template.predefinedVariables
  private var definitions: [String: [TemplateNode]] = [:]
  private var depth = 0
  private var loops = 0

  init(tokens: [TemplateLexer.Token]) { self.tokens = tokens }

  /// What ended a list of nodes.
  private enum Terminator: Equatable {
    case endOfTemplate
    case end
    case otherwise
  }

  mutating func parse() throws(TemplateFailure) -> Template {
    let (nodes, terminator) = try parseList()
    if terminator == .end { throw TemplateFailure(message: "unexpected {{end}}") }
    if terminator == .otherwise { throw TemplateFailure(message: "unexpected {{else}}") }
    return Template(nodes: nodes, definitions: definitions)
  }

  private mutating func parseList() throws(TemplateFailure) -> ([TemplateNode], Terminator) {
    depth += 1
    defer { depth -= 1 }
    guard depth <= AlertLimits.templateDepthMax else {
      throw TemplateFailure(message: "actions nest deeper than \(AlertLimits.templateDepthMax) levels")
    }
    var nodes: [TemplateNode] = []
    while next < tokens.count {
      if case .text(let text) = tokens[next] {
        nodes.append(.text(text))
        next += 1
        continue
      }
      next += 1
      skipSpaces()
      if case .word(let word) = token {
        switch word {
        case "end":
          next += 1
          try close()
          return (nodes, .end)
        case "else":
          next += 1
          return (nodes, .otherwise)
        case "if", "range", "with":
          next += 1
          nodes.append(try parseControl(word))
          continue
        case "define", "block":
          next += 1
          if let node = try parseDefinition(isBlock: word == "block") { nodes.append(node) }
          continue
        case "template":
          next += 1
          nodes.append(try parseInclude())
          continue
        case "break", "continue":
          next += 1
          try close()
          guard loops > 0 else { throw TemplateFailure(message: "{{\(word)}} outside {{range}}") }
          nodes.append(word == "break" ? .leaveLoop : .nextIteration)
          continue
        default: break
        }
      }
      let pipeline = try parsePipeline()
      try close()
      nodes.append(.action(pipeline))
    }
    return (nodes, .endOfTemplate)
  }

  private mutating func parseControl(_ word: String) throws(TemplateFailure) -> TemplateNode {
    let outer = variables
    let pipeline = try parsePipeline(allowsTwoVariables: word == "range")
    try close()
    if word == "range" { loops += 1 }
    var (body, terminator) = try parseList()
    if word == "range" { loops -= 1 }
    var otherwise: [TemplateNode] = []
    if terminator == .otherwise {
      skipSpaces()
      if case .word("if") = token, word == "if" {
        next += 1
        // `else if` is an `if` inside the `else` that shares its `end`.
        otherwise = [try parseControl("if")]
        terminator = .end
      } else {
        try close()
        (otherwise, terminator) = try parseList()
        if terminator == .otherwise { throw TemplateFailure(message: "expected end; found {{else}}") }
      }
    }
    guard terminator == .end else { throw TemplateFailure(message: "unexpected EOF") }
    variables = outer
    switch word {
    case "if": return .conditional(pipeline, then: body, otherwise: otherwise)
    case "range": return .loop(pipeline, body: body, otherwise: otherwise)
    default: return .scope(pipeline, body: body, otherwise: otherwise)
    }
  }

  private mutating func parseDefinition(isBlock: Bool) throws(TemplateFailure) -> TemplateNode? {
    let name = try parseName(isBlock ? "block clause" : "define clause")
    var pipeline: TemplatePipeline?
    if isBlock { pipeline = try parsePipeline() }
    try close()
    let outer = variables
    variables = ["$"]
    let (body, terminator) = try parseList()
    variables = outer
    guard terminator == .end else {
      throw TemplateFailure(message: "unexpected EOF in \(isBlock ? "block" : "define")")
    }
    definitions[name] = body
    return isBlock ? .include(name, pipeline) : nil
  }

  private mutating func parseInclude() throws(TemplateFailure) -> TemplateNode {
    let name = try parseName("template clause")
    skipSpaces()
    var pipeline: TemplatePipeline?
    if token != .close { pipeline = try parsePipeline() }
    try close()
    return .include(name, pipeline)
  }

  private mutating func parseName(_ context: String) throws(TemplateFailure) -> String {
    skipSpaces()
    guard case .string(let name) = token else { throw unexpected(context) }
    next += 1
    return name
  }

  // MARK: pipelines

  private mutating func parsePipeline(allowsTwoVariables: Bool = false) throws(TemplateFailure) -> TemplatePipeline {
    depth += 1
    defer { depth -= 1 }
    guard depth <= AlertLimits.templateDepthMax else {
      throw TemplateFailure(message: "pipelines nest deeper than \(AlertLimits.templateDepthMax) levels")
    }
    var pipeline = TemplatePipeline()
    try parseVariables(into: &pipeline, allowsTwoVariables)
    while true {
      let command = try parseCommand()
      guard !command.isEmpty else { throw TemplateFailure(message: "missing value for command") }
      if case .literal(.none) = command[0] { throw TemplateFailure(message: "nil is not a command") }
      if !pipeline.commands.isEmpty, case .literal = command[0] {
        throw TemplateFailure(message: "non executable command in pipeline stage \(pipeline.commands.count + 1)")
      }
      pipeline.commands.append(command)
      guard token == .pipe else { break }
      next += 1
    }
    if pipeline.isDeclaration { variables.append(contentsOf: pipeline.variables) }
    return pipeline
  }

  private mutating func parseVariables(into pipeline: inout TemplatePipeline, _ allowsTwo: Bool) throws(TemplateFailure)
  {
    let start = next
    skipSpaces()
    var names: [String] = []
    while case .variable(let name) = token {
      next += 1
      names.append(name)
      skipSpaces()
      guard token == .comma, allowsTwo, names.count < 2 else { break }
      next += 1
      skipSpaces()
    }
    guard !names.isEmpty, token == .declare || token == .assign else {
      next = start
      return
    }
    pipeline.isDeclaration = token == .declare
    pipeline.variables = names
    next += 1
    if !pipeline.isDeclaration {
      for name in names where !variables.contains(name) {
        throw TemplateFailure(message: "undefined variable \"\(name)\"")
      }
    }
  }

  private mutating func parseCommand() throws(TemplateFailure) -> [TemplateOperand] {
    var operands: [TemplateOperand] = []
    while true {
      skipSpaces()
      switch token {
      case .pipe, .close, .rightParenthesis, nil: return operands
      default: operands.append(try parseOperand())
      }
      switch token {
      case .space, .pipe, .close, .rightParenthesis, nil: continue
      default: throw unexpected("operand")
      }
    }
  }

  private mutating func parseOperand() throws(TemplateFailure) -> TemplateOperand {
    guard let first = token else { throw unexpected("command") }
    next += 1
    switch first {
    case .string(let text): return .literal(.string(text))
    case .character(let code): return .literal(.integer(code))
    case .number(let text): return .literal(try Self.number(text))
    case .dot: return .dot
    case .field(let name): return .field([name] + parseFields())
    case .variable(let name):
      guard variables.contains(name) else { throw TemplateFailure(message: "undefined variable \"\(name)\"") }
      return .variable(name, parseFields())
    case .leftParenthesis:
      let inner = try parsePipeline()
      skipSpaces()
      guard token == .rightParenthesis else { throw unexpected("parenthesized pipeline") }
      next += 1
      return .parenthesized(inner, parseFields())
    case .word(let word):
      switch word {
      case "true": return .literal(.bool(true))
      case "false": return .literal(.bool(false))
      case "nil": return .literal(.none)
      default:
        guard TemplateFunctions.names.contains(word) else {
          throw TemplateFailure(message: "function \"\(word)\" not defined")
        }
        return .function(word)
      }
    default:
      next -= 1
      throw unexpected("command")
    }
  }

  private mutating func parseFields() -> [String] {
    var fields: [String] = []
    while case .field(let name) = token {
      fields.append(name)
      next += 1
    }
    return fields
  }

  private static func number(_ text: String) throws(TemplateFailure) -> TemplateValue {
    let digits = text.filter { $0 != "_" }.lowercased()
    let isNegative = digits.hasPrefix("-")
    let magnitude = isNegative || digits.hasPrefix("+") ? String(digits.dropFirst()) : digits
    for (prefix, radix) in [("0x", 16), ("0b", 2), ("0o", 8)] where magnitude.hasPrefix(prefix) {
      if let value = Int(magnitude.dropFirst(2), radix: radix) { return .integer(isNegative ? -value : value) }
    }
    if magnitude.hasPrefix("0"), magnitude.utf8.count > 1, let octal = Int(magnitude, radix: 8) {
      return .integer(isNegative ? -octal : octal)
    }
    if let value = Int(digits) { return .integer(value) }
    if let value = FloatText.parse(digits) { return .float(value) }
    throw TemplateFailure(message: "bad number syntax: \"\(text)\"")
  }

  // MARK: tokens

  private var token: TemplateLexer.Token? { next < tokens.count ? tokens[next] : nil }

  private mutating func skipSpaces() { while token == .space { next += 1 } }

  private mutating func close() throws(TemplateFailure) {
    skipSpaces()
    guard token == .close else { throw unexpected("action") }
    next += 1
  }

  private func unexpected(_ context: String) -> TemplateFailure {
    TemplateFailure(message: "unexpected \(token.map { "\($0)" } ?? "end of template") in \(context)")
  }
}
