/// Splits a command line into options and operands, for programs that must stay small.
///
/// Accepts `--name value`, `--name=value`, flags without value, and `--` before operands. Every option must be declared,
/// so a typing error is a usage error and never an ignored wish. Only ``ArgumentScanner`` knows how options look; what
/// they mean is the caller's.
package struct ArgumentScanner {
  /// A declared option.
  package struct Option: Sendable {
    package let name: String
    /// Placeholder of its value in help; `nil` for a flag.
    package let value: String?
    package let help: String
    /// Whether it may be given more than once.
    package var repeats: Bool

    package init(name: String, value: String?, help: String, repeats: Bool = false) {
      self.name = name
      self.value = value
      self.help = help
      self.repeats = repeats
    }
  }

  /// Why a command line was not understood. Printed before the usage text; the exit status is 2.
  package struct UsageError: Error, CustomStringConvertible {
    package let description: String

    package init(description: String) { self.description = description }
  }

  /// Values by option name, in the order given; flags have one empty value.
  package private(set) var values: [String: [String]] = [:]
  /// What is not an option, in order.
  package private(set) var operands: [String] = []

  /// Scans `arguments`, which do not include the program's name.
  package init(_ arguments: [String], options: [Option]) throws(UsageError) {
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      if argument == "--" {
        operands += rest
        return
      }
      guard argument.hasPrefix("-"), argument != "-" else {
        operands.append(argument)
        continue
      }
      let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = String(parts[0])
      guard let option = options.first(where: { $0.name == name }) else {
        throw UsageError(description: "unknown option \(name)\(Self.suggestion(for: name, among: options))")
      }
      if values[name] != nil && !option.repeats {
        throw UsageError(description: "option \(name) is given twice")
      }
      values[name, default: []].append(try Self.value(of: option, inline: parts.dropFirst().first, rest: &rest))
    }
  }

  /// The last value given for `name`, `nil` when it was not given.
  package func value(_ name: String) -> String? { values[name]?.last }

  /// Whether `name` was given.
  package func has(_ name: String) -> Bool { values[name] != nil }

  private static func value(
    of option: Option, inline: Substring?, rest: inout ArraySlice<String>
  ) throws(UsageError) -> String {
    guard let placeholder = option.value else {
      if let inline { throw UsageError(description: "option \(option.name) takes no value, got '\(inline)'") }
      return ""
    }
    if let inline { return String(inline) }
    guard let next = rest.popFirst() else {
      throw UsageError(description: "option \(option.name) needs a value: \(option.name) \(placeholder)")
    }
    return next
  }

  private static func suggestion(for name: String, among options: [Option]) -> String {
    let near = options.first { $0.name.hasPrefix(name) || name.hasPrefix($0.name) }
    return near.map { "; did you mean \($0.name)?" } ?? ""
  }

  /// One line per option, aligned, for a usage text.
  package static func help(for options: [Option]) -> String {
    let rows = options.map { option in
      (option.name + (option.value.map { " " + $0 } ?? ""), option.help + (option.repeats ? " (repeats)" : ""))
    }
    let width = rows.map(\.0.count).max() ?? 0
    return rows.map { "  " + $0.0 + String(repeating: " ", count: width - $0.0.count) + "  " + $0.1 }
      .joined(separator: "\n")
  }
}
