import BongsuDelivery
import Glibc

/// `bongsu-agent ctl`: talks to the agent that runs on this machine.
enum ControlCommand {
  static let options: [ArgumentScanner.Option] = [
    .init(
      name: "--control", value: "PATH",
      help:
        "the agent's control socket (default: \(ControlPath.runDirectory)/control, else control in the state directory)"
    ),
    .init(name: "--state", value: "DIR", help: "the agent's state directory, which has the socket"),
    .init(name: "--format", value: "FORMAT", help: "table or json (default: table)"),
  ]

  /// How long an answer is waited for, seconds.
  private static let patienceSeconds = 10

  /// Runs the command and prints the answer.
  static func run(_ arguments: [String]) throws {
    let scanned = try ArgumentScanner(arguments, options: options)
    guard scanned.operands.count == 1, let request = scanned.operands.first,
      ["status", "pause-gpu", "resume-gpu"].contains(request)
    else {
      throw ArgumentScanner.UsageError(
        description: "ctl takes one of status, pause-gpu, resume-gpu; got '\(scanned.operands.joined(separator: " "))'")
    }
    let format = scanned.value("--format") ?? "table"
    guard format == "table" || format == "json" else {
      throw ArgumentScanner.UsageError(description: "--format is '\(format)', expected table or json")
    }
    let candidates = ControlPath.candidates(scanned.value("--control"), state: scanned.value("--state"))
    guard let path = candidates.first(where: { unsafe access($0, F_OK) == 0 }) else {
      throw Invalid(
        description:
          "no running agent: there is no \(candidates.joined(separator: " nor ")); is the agent started, and "
          + "with which --state or --control?")
    }
    var lines = try ControlSocket.ask(request, at: path, seconds: patienceSeconds)
      .split(separator: "\n").map(String.init)[...]
    let isDone = lines.popFirst() == "ok"
    let pairs = lines.map { line in
      let parts = line.split(separator: "\t", maxSplits: 1, omittingEmptySubsequences: false)
      return (String(parts[0]), parts.count > 1 ? String(parts[1]) : "")
    }
    guard isDone else { throw Invalid(description: pairs.first?.1 ?? "the agent gave no reason") }
    print(format == "json" ? json(pairs) : table(pairs))
  }

  private static func table(_ pairs: [(String, String)]) -> String {
    if pairs.count == 1 { return pairs[0].1 }
    let width = pairs.map(\.0.count).max() ?? 0
    return pairs.map { $0.0 + String(repeating: " ", count: width - $0.0.count + 2) + $0.1 }.joined(separator: "\n")
  }

  private static func json(_ pairs: [(String, String)]) -> String {
    let fields = pairs.map { "  \(quoted($0.0)): \(Int64($0.1) != nil ? $0.1 : quoted($0.1))" }
    return "{\n" + fields.joined(separator: ",\n") + "\n}"
  }

  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
