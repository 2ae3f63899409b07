internal import Glibc

/// A program of ours on a node's or a facility's machine, from its command line to its exit status.
///
/// The first argument names the command, unless it is an option; `run` is meant then. Status 0 when the command returned,
/// 1 when it failed, 2 when the command line was not understood, with the usage text.
package struct AgentProgram {
  package let name: String
  package let usage: String
  /// What each command does with the arguments behind its name.
  package let commands: [String: (_ arguments: [String]) throws -> Void]

  package init(name: String, usage: String, commands: [String: (_ arguments: [String]) throws -> Void]) {
    precondition(commands["run"] != nil, "\(name) has no command run")
    self.name = name
    self.usage = usage
    self.commands = commands
  }

  /// Does what `arguments` say, which do not include the program's name; answers the exit status.
  package func status(of arguments: [String]) -> Int32 {
    var arguments = arguments
    let command = arguments.first.flatMap { $0.hasPrefix("-") ? nil : $0 } ?? "run"
    if arguments.first == command { arguments.removeFirst() }
    if arguments.contains("--help") || arguments.contains("-h") || command == "help" {
      print(usage)
      return 0
    }
    if arguments.contains("--version") {
      print("\(name) \(Release.version)")
      return 0
    }
    do {
      guard let body = commands[command] else {
        throw ArgumentScanner.UsageError(description: "unknown command \(command)")
      }
      try body(arguments)
      return 0
    } catch let error as ArgumentScanner.UsageError {
      complain("\(error)\n\n\(usage)")
      return 2
    } catch {
      complain("\(error)")
      return 1
    }
  }

  /// A line of the program's own on standard error.
  package func complain(_ text: String) {
    let bytes = Array("\(name): \(text)\n".utf8)
    // SAFETY: the buffer is valid for its own count during the call.
    _ = unsafe bytes.withUnsafeBytes { unsafe write(2, $0.baseAddress, $0.count) }
  }
}

extension ArgumentScanner {
  /// For commands that take options alone.
  package func refuseOperands() throws(UsageError) {
    if let operand = operands.first { throw UsageError(description: "unexpected argument '\(operand)'") }
  }
}
