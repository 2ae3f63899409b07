internal import BongsuQuery
internal import BongsuSeries

/// The functions templates may call: Go's own and those of Prometheus.
struct TemplateFunctions {
  let time: Int64
  let externalURL: String
  let query: (String) throws -> [InstantResult.Sample]

  static let names: Set<String> = [
    "and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "len", "index", "slice", "print", "printf", "println",
    "html",
    "js", "urlquery", "query", "first", "label", "value", "strvalue", "args", "reReplaceAll", "safeHtml", "match",
    "title",
    "toUpper", "toLower", "graphLink", "tableLink", "sortByLabel", "stripPort", "stripDomain", "humanize",
    "humanize1024",
    "humanizeDuration", "humanizePercentage", "humanizeTimestamp", "toTime", "pathPrefix", "externalURL",
    "parseDuration",
  ]

  func call(_ name: String, _ arguments: [TemplateValue]) throws(TemplateFailure) -> TemplateValue {
    switch name {
    case "not", "eq", "ne", "lt", "le", "gt", "ge": return try .bool(compare(name, arguments))
    case "len", "index", "slice": return try access(name, arguments)
    case "print", "println", "printf", "html", "js", "urlquery", "safeHtml": return try print(name, arguments)
    case "query", "first", "label", "value", "strvalue", "sortByLabel": return try results(name, arguments)
    case "args":
      var map: [String: TemplateValue] = [:]
      for (index, argument) in arguments.enumerated() { map["arg\(index)"] = argument }
      return .map(map)
    case "externalURL":
      try expect(0, arguments)
      return .string(externalURL)
    case "pathPrefix":
      try expect(0, arguments)
      return .string(Self.path(of: externalURL))
    case "reReplaceAll", "match", "title", "toUpper", "toLower", "graphLink", "tableLink", "stripPort", "stripDomain":
      return try text(name, arguments)
    default: return try number(name, arguments)
    }
  }

  // MARK: comparison

  private func compare(_ name: String, _ arguments: [TemplateValue]) throws(TemplateFailure) -> Bool {
    if name == "not" {
      try expect(1, arguments)
      return !arguments[0].isTrue
    }
    guard arguments.count >= 2 else { throw wrongCount("at least 2", arguments) }
    if name == "eq" {
      for other in arguments.dropFirst() where try areEqual(arguments[0], other) { return true }
      return false
    }
    try expect(2, arguments)
    if name == "ne" { return try !areEqual(arguments[0], arguments[1]) }
    let isLess = try precedes(arguments[0], arguments[1])
    if name == "lt" { return isLess }
    if name == "ge" { return !isLess }
    let isEqual = try areEqual(arguments[0], arguments[1])
    return name == "le" ? isLess || isEqual : !(isLess || isEqual)
  }

  private static let incompatible = TemplateFailure(message: "incompatible types for comparison")

  private func areEqual(_ left: TemplateValue, _ right: TemplateValue) throws(TemplateFailure) -> Bool {
    switch (left, right) {
    case (.string(let a), .string(let b)): return ByteOrder.areEqual(a, b)
    case (.integer(let a), .integer(let b)): return a == b
    case (.float(let a), .float(let b)): return a == b
    case (.bool(let a), .bool(let b)): return a == b
    case (.none, .none): return true
    case (.none, _), (_, .none): return false
    default: throw Self.incompatible
    }
  }

  private func precedes(_ left: TemplateValue, _ right: TemplateValue) throws(TemplateFailure) -> Bool {
    switch (left, right) {
    case (.string(let a), .string(let b)): return ByteOrder.precedes(a, b)
    case (.integer(let a), .integer(let b)): return a < b
    case (.float(let a), .float(let b)): return a < b
    case (.bool, _), (.map, _), (.list, _), (.record, _), (.none, _), (.sample, _):
      throw TemplateFailure(message: "invalid type for comparison")
    default: throw Self.incompatible
    }
  }

  // MARK: collections

  private func access(_ name: String, _ arguments: [TemplateValue]) throws(TemplateFailure) -> TemplateValue {
    guard let subject = arguments.first else { throw wrongCount("at least 1", arguments) }
    switch name {
    case "len":
      try expect(1, arguments)
      switch subject {
      case .string(let text): return .integer(text.utf8.count)
      case .list(let elements): return .integer(elements.count)
      case .map(let entries): return .integer(entries.count)
      default: throw TemplateFailure(message: "len of type \(subject.typeName)")
      }
    case "index":
      var value = subject
      for key in arguments.dropFirst() { value = try element(key, of: value) }
      return value
    default:
      guard case .string(let text) = subject else {
        throw TemplateFailure(message: "can't slice item of type \(subject.typeName)")
      }
      let bytes = Array(text.utf8)
      var bounds = [0, bytes.count]
      for (index, argument) in arguments.dropFirst().enumerated() where index < 2 {
        guard case .integer(let bound) = argument, bound >= 0, bound <= bytes.count else {
          throw TemplateFailure(message: "index out of range: \(argument.text)")
        }
        bounds[index] = bound
      }
      guard bounds[0] <= bounds[1] else {
        throw TemplateFailure(message: "invalid slice index: \(bounds[0]) > \(bounds[1])")
      }
      return .string(String(decoding: bytes[bounds[0]..<bounds[1]], as: UTF8.self))
    }
  }

  private func element(_ key: TemplateValue, of value: TemplateValue) throws(TemplateFailure) -> TemplateValue {
    switch (value, key) {
    case (.map(let entries), .string(let name)): return entries[name] ?? .string("")
    case (.list(let elements), .integer(let index)):
      guard elements.indices.contains(index) else { throw TemplateFailure(message: "index out of range: \(index)") }
      return elements[index]
    case (.string(let text), .integer(let index)):
      let bytes = Array(text.utf8)
      guard bytes.indices.contains(index) else { throw TemplateFailure(message: "index out of range: \(index)") }
      return .integer(Int(bytes[index]))
    default: throw TemplateFailure(message: "can't index item of type \(value.typeName)")
    }
  }

  private func results(_ name: String, _ arguments: [TemplateValue]) throws(TemplateFailure) -> TemplateValue {
    switch (name, arguments.first, arguments.count) {
    case ("query", .string(let expression)?, 1):
      do {
        return .list(
          try query(expression).map { sample in
            var labels: [String: String] = [:]
            for label in sample.labels.allLabels { labels[label.name] = label.value }
            return .sample(labels: labels, value: sample.value)
          })
      } catch {
        throw TemplateFailure(message: "\(error)")
      }
    case ("first", .list(let elements)?, 1):
      guard let first = elements.first else {
        throw TemplateFailure(message: "first() called on vector with no elements")
      }
      return first
    case ("value", .sample(_, let value)?, 1): return .float(value)
    case ("strvalue", .sample(let labels, _)?, 1): return .string(labels["__value__"] ?? "")
    case ("label", .string(let label)?, 2):
      if case .sample(let labels, _) = arguments[1] { return .string(labels[label] ?? "") }
    case ("sortByLabel", .string(let label)?, 2):
      if case .list(let elements) = arguments[1] {
        return .list(elements.sorted { ByteOrder.precedes(Self.label(label, of: $0), Self.label(label, of: $1)) })
      }
    default: break
    }
    throw TemplateFailure(
      message: "wrong type or number of arguments: \(arguments.map(\.typeName).joined(separator: ", "))")
  }

  private static func label(_ name: String, of value: TemplateValue) -> String {
    if case .sample(let labels, _) = value { return labels[name] ?? "" }
    return ""
  }

  // MARK: text

  private func print(_ name: String, _ arguments: [TemplateValue]) throws(TemplateFailure) -> TemplateValue {
    switch name {
    case "printf":
      guard case .string(let format)? = arguments.first else { throw wrongCount("at least 1", arguments) }
      return .string(PrintFormat.format(format, Array(arguments.dropFirst())))
    case "println": return .string(arguments.map(\.text).joined(separator: " ") + "\n")
    case "html": return .string(Escaping.html(Self.joined(arguments)))
    case "js": return .string(Escaping.javaScript(Self.joined(arguments)))
    case "urlquery": return .string(Escaping.urlQuery(Self.joined(arguments)))
    default: return .string(Self.joined(arguments))
    }
  }

  /// Go's `Sprint`: a space between two operands unless one is text.
  private static func joined(_ arguments: [TemplateValue]) -> String {
    var out = ""
    var previousIsText = true
    for (index, argument) in arguments.enumerated() {
      var isText = false
      if case .string = argument { isText = true }
      if index > 0, !isText, !previousIsText { out += " " }
      out += argument.text
      previousIsText = isText
    }
    return out
  }

  private func text(_ name: String, _ arguments: [TemplateValue]) throws(TemplateFailure) -> TemplateValue {
    let texts = arguments.compactMap { argument -> String? in
      if case .string(let text) = argument { return text }
      return nil
    }
    let expected = name == "reReplaceAll" ? 3 : name == "match" ? 2 : 1
    guard texts.count == arguments.count else {
      throw TemplateFailure(
        message: "wrong type for value; expected string; got \(arguments.map(\.typeName).joined(separator: ", "))")
    }
    try expect(expected, arguments)
    switch name {
    case "reReplaceAll": return .string(try pattern(texts[0]).replacingAll(in: texts[2], with: texts[1]))
    case "match": return .bool(try pattern(texts[0]).matches(texts[1]))
    case "title": return .string(Escaping.title(texts[0]))
    case "toUpper": return .string(texts[0].uppercased())
    case "toLower": return .string(texts[0].lowercased())
    case "graphLink": return .string("/graph?g0.expr=\(Escaping.urlQuery(texts[0]))&g0.tab=0")
    case "tableLink": return .string("/graph?g0.expr=\(Escaping.urlQuery(texts[0]))&g0.tab=1")
    case "stripPort": return .string(HostPort.withoutPort(texts[0]))
    default: return .string(HostPort.withoutDomain(texts[0]))
    }
  }

  private func pattern(_ source: String) throws(TemplateFailure) -> Pattern {
    do throws(PatternError) { return try Pattern(source, anchoring: .anywhere) } catch {
      throw TemplateFailure(message: error.description)
    }
  }

  private static func path(of url: String) -> String {
    let parts = url.split(separator: "://", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2 else { return url }
    return parts[1].firstIndex(of: "/").map { String(parts[1][$0...]) } ?? ""
  }

  // MARK: numbers

  private func number(_ name: String, _ arguments: [TemplateValue]) throws(TemplateFailure) -> TemplateValue {
    try expect(1, arguments)
    if name == "parseDuration" {
      guard case .string(let text) = arguments[0] else {
        throw TemplateFailure(message: "wrong type for value; expected string")
      }
      do throws(DurationText.Failure) { return .float(Double(try DurationText.parse(text)) / 1000) } catch {
        throw TemplateFailure(message: error.description)
      }
    }
    let value = try Self.float(arguments[0])
    switch name {
    case "humanize": return .string(Humanize.metric(value))
    case "humanize1024": return .string(Humanize.binary(value))
    case "humanizeDuration": return .string(Humanize.duration(value))
    case "humanizePercentage": return .string(Humanize.percentage(value))
    default:
      guard let text = Humanize.timestamp(value) else {
        throw TemplateFailure(
          message:
            "\(FloatText.general(value)) cannot be represented as a nanoseconds timestamp since it overflows int64")
      }
      return .string(text)
    }
  }

  private static func float(_ value: TemplateValue) throws(TemplateFailure) -> Double {
    switch value {
    case .float(let number): return number
    case .integer(let number): return Double(number)
    case .string(let text):
      if let number = FloatText.parse(text) { return number }
      throw TemplateFailure(message: "strconv.ParseFloat: parsing \(QuotedText.quote(text)): invalid syntax")
    default: throw TemplateFailure(message: "can't convert \(value.typeName) to float")
    }
  }

  private func expect(_ count: Int, _ arguments: [TemplateValue]) throws(TemplateFailure) {
    if arguments.count != count { throw wrongCount(String(count), arguments) }
  }

  private func wrongCount(_ wanted: String, _ arguments: [TemplateValue]) -> TemplateFailure {
    TemplateFailure(message: "wrong number of args: want \(wanted) got \(arguments.count)")
  }
}
