import BongsuAlerts
import BongsuSeries
import Foundation
import Testing

/// The scripts beside the tests, and promtool as the second judge.
enum Scripts {
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  static let promtool = "/usr/bin/promtool"
  static var hasPromtool: Bool { FileManager.default.isExecutableFile(atPath: promtool) }

  static func files(in folder: String, ending suffix: String = ".yaml") -> [String] {
    let path = root.appendingPathComponent(folder).path
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    return names.filter { $0.hasSuffix(suffix) }.sorted().map { "\(folder)/\($0)" }
  }

  static let passing = files(in: "QueryScripts") + files(in: "AlertScripts", ending: "_test.yaml")
  static let failing = files(in: "AlertScripts/failing")
  static let broken = files(in: "AlertScripts/broken")

  /// Runs promtool; its exit status and what it printed.
  static func promtool(_ arguments: [String]) throws -> (status: Int32, output: String) {
    let process = Process()
    let pipe = Pipe()
    process.executableURL = URL(fileURLWithPath: promtool)
    process.arguments = arguments
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return (process.terminationStatus, output)
  }
}

/// Collects what a command prints.
final class Transcript {
  private(set) var output: [String] = []
  private(set) var errors: [String] = []

  func test(_ path: String) -> CommandOutcome {
    RuleTestCommand(paths: [path]).run {
      output.append($0)
    } printError: {
      errors.append($0)
    }
  }

  func check(_ path: String) -> CommandOutcome {
    RuleCheckCommand(paths: [path]).run {
      output.append($0)
    } printError: {
      errors.append($0)
    }
  }
}

@Suite("Scripts")
struct ScriptTests {
  @Test("there are scripts to run")
  func scriptsExist() {
    #expect(Scripts.passing.count >= 18)
    #expect(Scripts.failing.count >= 9)
    #expect(Scripts.broken.count >= 20)
  }

  @Test("every script passes", arguments: Scripts.passing)
  func passes(script: String) {
    let transcript = Transcript()
    let outcome = transcript.test(Scripts.root.appendingPathComponent(script).path)
    #expect(outcome == .succeeded, "\(transcript.errors.joined(separator: "\n").prefix(4000))")
  }

  @Test("every script that must fail fails and says where", arguments: Scripts.failing)
  func fails(script: String) {
    let transcript = Transcript()
    #expect(transcript.test(Scripts.root.appendingPathComponent(script).path) == .failed)
    #expect(transcript.errors.count > 1)
  }

  @Test("every broken rule file is refused with file and line", arguments: Scripts.broken)
  func refuses(script: String) {
    let transcript = Transcript()
    #expect(transcript.check(Scripts.root.appendingPathComponent(script).path) == .failed)
    #expect(transcript.errors.contains { $0.contains(script) })
  }

  @Test(
    "promtool agrees about every script",
    .enabled(if: Scripts.hasPromtool, "needs promtool in /usr/bin"),
    arguments: Scripts.passing.map { ("test", $0, Int32(0)) } + Scripts.failing.map { ("test", $0, Int32(1)) }
      + Scripts.broken.map { ("check", $0, Int32(1)) })
  func promtoolAgrees(verb: String, script: String, status: Int32) throws {
    let path = Scripts.root.appendingPathComponent(script).path
    let answer = try Scripts.promtool([verb, "rules", path])
    #expect(answer.status == status, "\(answer.output.prefix(4000))")
  }

  @Test("every shipped alert says what it is, what to do and how bad it is, and is in a script")
  func shippedRules() throws {
    let file = try RuleFile.parse(ShippedRules.text, path: ShippedRules.path).get()
    let alerts = file.groups.flatMap(\.rules).filter { $0.kind == .alerting($0.name) }
    #expect(alerts.count >= 28)
    let scripts = try Scripts.passing.filter { $0.contains("/shipped_") }
      .map { try String(contentsOf: Scripts.root.appendingPathComponent($0), encoding: .utf8) }.joined()
    for alert in alerts {
      let annotations = Dictionary(alert.annotations.map { ($0.name, $0.value) }) { $1 }
      for name in ["summary", "description", "runbook"] {
        #expect(annotations[name]?.isEmpty == false, "\(alert.name) has no \(name)")
      }
      let severity = alert.labels.first { $0.name == "severity" }?.value
      #expect(["info", "warning", "critical"].contains(severity), "\(alert.name) has severity \(severity ?? "none")")
      #expect(scripts.contains("alertname=\"\(alert.name)\""), "\(alert.name) is in no script")
    }
  }

  @Test("a failed expectation shows expression, time, what was expected and what came")
  func readableDifference() {
    let transcript = Transcript()
    _ = transcript.test(Scripts.root.appendingPathComponent("AlertScripts/failing/expression_test.yaml").path)
    #expect(transcript.output.first?.hasPrefix("Unit Testing:") == true)
    let expected = """
          expr: "m", time: 2m,
              exp: {__name__="m"} 4E+00
              got: {__name__="m"} 3E+00
      """
    #expect(transcript.errors == ["  FAILED:", expected])
  }

  @Test("a file that is missing, a folder, or no text is refused by name")
  func refusesUnreadableFiles() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("bongsu-rules-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let binary = folder.appendingPathComponent("binary.yaml")
    try Data([0xFF, 0xFE, 0x00]).write(to: binary)
    for path in ["/nonexistent/rules.yaml", folder.path, binary.path] {
      let transcript = Transcript()
      #expect(transcript.check(path) == .failed)
      #expect(transcript.errors.contains { $0.contains(path) })
      #expect(transcript.test(path) == .failed)
    }
  }
}
