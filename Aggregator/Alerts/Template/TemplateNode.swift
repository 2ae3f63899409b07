/// A part of a parsed template.
indirect enum TemplateNode: Sendable {
  case text(String)
  case action(TemplatePipeline)
  case conditional(TemplatePipeline, then: [TemplateNode], otherwise: [TemplateNode])
  case loop(TemplatePipeline, body: [TemplateNode], otherwise: [TemplateNode])
  case scope(TemplatePipeline, body: [TemplateNode], otherwise: [TemplateNode])
  case include(String, TemplatePipeline?)
  case leaveLoop
  case nextIteration
}

/// Commands, each of which gets the result of the one before as its last argument.
struct TemplatePipeline: Sendable {
  /// Variables that receive the result, with their dollar sign.
  var variables: [String] = []
  /// `:=` rather than `=`.
  var isDeclaration = false
  var commands: [[TemplateOperand]] = []
}

/// A word of a command.
indirect enum TemplateOperand: Sendable {
  case literal(TemplateValue)
  case dot
  case field([String])
  case variable(String, [String])
  case function(String)
  case parenthesized(TemplatePipeline, [String])
}
