internal import BongsuQuery
internal import BongsuSeries

/// Fills in one template.
struct TemplateRun {
  let template: Template
  let functions: TemplateFunctions
  private var variables: [(name: String, value: TemplateValue)]
  private var output = ""
  private var depth = 0

  init(_ template: Template, functions: TemplateFunctions, variables: [(name: String, value: TemplateValue)]) {
    self.template = template
    self.functions = functions
    self.variables = variables
  }

  /// What a list of nodes did to the loop around it.
  private enum Flow {
    case normal, leaveLoop, nextIteration
  }

  mutating func expand(_ data: TemplateValue) throws(TemplateFailure) -> String {
    variables.insert((name: "$", value: data), at: 0)
    _ = try walk(template.nodes, data)
    return output
  }

  private mutating func walk(_ nodes: [TemplateNode], _ dot: TemplateValue) throws(TemplateFailure) -> Flow {
    depth += 1
    defer { depth -= 1 }
    guard depth <= AlertLimits.templateDepthMax else {
      throw TemplateFailure(message: "exceeded maximum template depth (\(AlertLimits.templateDepthMax))")
    }
    for node in nodes {
      let flow = try walk(node, dot)
      if flow != .normal { return flow }
    }
    return .normal
  }

  private mutating func walk(_ node: TemplateNode, _ dot: TemplateValue) throws(TemplateFailure) -> Flow {
    let outerCount = variables.count
    switch node {
    case .text(let text): try write(text)
    case .action(let pipeline):
      let value = try evaluate(pipeline, dot)
      if pipeline.variables.isEmpty { try write(value.text) } else { try assign(pipeline, [value]) }
    case .conditional(let pipeline, let then, let otherwise), .scope(let pipeline, let then, let otherwise):
      let value = try evaluate(pipeline, dot)
      if !pipeline.variables.isEmpty { try assign(pipeline, [value]) }
      var inner = dot
      if case .scope = node { inner = value }
      let flow = value.isTrue ? try walk(then, inner) : try walk(otherwise, dot)
      variables.removeLast(variables.count - outerCount)
      return flow
    case .loop(let pipeline, let body, let otherwise):
      let value = try evaluate(pipeline, dot)
      try loop(over: value, pipeline, body, otherwise, dot)
      variables.removeLast(variables.count - outerCount)
    case .include(let name, let pipeline):
      guard let nodes = template.definitions[name] else {
        throw TemplateFailure(message: "template \"\(name)\" not defined")
      }
      let data = try pipeline.map { pipeline throws(TemplateFailure) in try evaluate(pipeline, dot) } ?? .none
      let outer = variables
      variables = [(name: "$", value: data)]
      _ = try walk(nodes, data)
      variables = outer
    case .leaveLoop: return .leaveLoop
    case .nextIteration: return .nextIteration
    }
    return .normal
  }

  private mutating func loop(
    over value: TemplateValue, _ pipeline: TemplatePipeline, _ body: [TemplateNode], _ otherwise: [TemplateNode],
    _ dot: TemplateValue
  ) throws(TemplateFailure) {
    let elements: [(TemplateValue, TemplateValue)]
    switch value {
    case .list(let list): elements = list.enumerated().map { (.integer($0.offset), $0.element) }
    case .map(let map):
      elements = map.sorted { ByteOrder.precedes($0.key, $1.key) }.map { (.string($0.key), $0.value) }
    case .none: elements = []
    default: throw TemplateFailure(message: "range can't iterate over \(value.text)")
    }
    if elements.isEmpty {
      _ = try walk(otherwise, dot)
      return
    }
    for (key, element) in elements {
      let outerCount = variables.count
      if pipeline.variables.count == 1 { try assign(pipeline, [element]) }
      if pipeline.variables.count == 2 { try assign(pipeline, [key, element]) }
      let flow = try walk(body, element)
      variables.removeLast(variables.count - outerCount)
      if flow == .leaveLoop { return }
    }
  }

  private mutating func assign(_ pipeline: TemplatePipeline, _ values: [TemplateValue]) throws(TemplateFailure) {
    for (name, value) in zip(pipeline.variables, values) {
      if pipeline.isDeclaration {
        variables.append((name: name, value: value))
      } else if let index = variables.lastIndex(where: { $0.name == name }) {
        variables[index].value = value
      } else {
        throw TemplateFailure(message: "undefined variable \"\(name)\"")
      }
    }
  }

  private mutating func write(_ text: String) throws(TemplateFailure) {
    output += text
    guard output.utf8.count <= AlertLimits.templateOutputBytesMax else {
      throw TemplateFailure(message: "template expands to more than \(AlertLimits.templateOutputBytesMax) bytes")
    }
  }

  // MARK: values

  private mutating func evaluate(_ pipeline: TemplatePipeline, _ dot: TemplateValue) throws(TemplateFailure)
    -> TemplateValue
  {
    var result: TemplateValue?
    for command in pipeline.commands { result = try evaluate(command, dot, piped: result) }
    return result ?? .none
  }

  private mutating func evaluate(_ command: [TemplateOperand], _ dot: TemplateValue, piped: TemplateValue?)
    throws(TemplateFailure) -> TemplateValue
  {
    guard case .function(let name) = command[0] else {
      if command.count > 1 || piped != nil {
        throw TemplateFailure(message: "can't give argument to non-function \(Self.describe(command[0]))")
      }
      return try evaluate(command[0], dot)
    }
    if name == "and" || name == "or" { return try shortCircuit(name == "and", command, dot, piped) }
    var arguments: [TemplateValue] = []
    for operand in command.dropFirst() { arguments.append(try evaluate(operand, dot)) }
    if let piped { arguments.append(piped) }
    do throws(TemplateFailure) { return try functions.call(name, arguments) } catch {
      throw TemplateFailure(message: "error calling \(name): \(error.message)")
    }
  }

  /// `and` and `or` evaluate only as many arguments as decide the result.
  private mutating func shortCircuit(
    _ isAnd: Bool, _ command: [TemplateOperand], _ dot: TemplateValue, _ piped: TemplateValue?
  ) throws(TemplateFailure) -> TemplateValue {
    var last: TemplateValue?
    for operand in command.dropFirst() {
      let value = try evaluate(operand, dot)
      if value.isTrue != isAnd { return value }
      last = value
    }
    guard let result = piped ?? last else {
      throw TemplateFailure(message: "wrong number of args for \(isAnd ? "and" : "or"): want at least 1 got 0")
    }
    return result
  }

  private mutating func evaluate(_ operand: TemplateOperand, _ dot: TemplateValue) throws(TemplateFailure)
    -> TemplateValue
  {
    switch operand {
    case .literal(let value): return value
    case .dot: return dot
    case .field(let names): return try Self.field(names, of: dot)
    case .variable(let name, let names):
      let value = variables.last { $0.name == name }?.value ?? .none
      return try Self.field(names, of: value)
    case .function(let name): return try evaluate([.function(name)], dot, piped: nil)
    case .parenthesized(let pipeline, let names): return try Self.field(names, of: evaluate(pipeline, dot))
    }
  }

  private static func field(_ names: [String], of start: TemplateValue) throws(TemplateFailure) -> TemplateValue {
    var value = start
    for name in names {
      switch value {
      case .map(let entries):
        // A label that is not there is empty, as everywhere.
        value = entries[name] ?? .string("")
      case .sample(let labels, let number):
        switch name {
        case "Labels": value = .map(labels.mapValues { .string($0) })
        case "Value": value = .float(number)
        default: throw TemplateFailure(message: "can't evaluate field \(name) in type *template.sample")
        }
      case .record(let fields):
        guard let field = fields[name] else {
          throw TemplateFailure(message: "can't evaluate field \(name) in type \(value.typeName)")
        }
        value = field
      case .none: throw TemplateFailure(message: "nil data; no entry for key \"\(name)\"")
      default: throw TemplateFailure(message: "can't evaluate field \(name) in type \(value.typeName)")
      }
    }
    return value
  }

  private static func describe(_ operand: TemplateOperand) -> String {
    switch operand {
    case .literal(let value): value.text
    case .dot: "."
    case .field(let names): "." + names.joined(separator: ".")
    case .variable(let name, let names): ([name] + names).joined(separator: ".")
    case .function(let name): name
    case .parenthesized: "(…)"
    }
  }
}
