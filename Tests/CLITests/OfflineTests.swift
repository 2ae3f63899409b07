import Foundation
import Testing

@Suite struct OfflineTests {
  private static func withFolder(_ body: (URL) async throws -> Void) async throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "bongsu-offline-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try await body(folder)
  }

  @Test("a fleet file that cannot be used is refused by line on standard error, JSON stays on standard output")
  func fleetCheck() async throws {
    try await Self.withFolder { folder in
      let file = folder.appending(path: "fleet.yaml").path
      try "nation: kr\nfactories: 7\n".write(toFile: file, atomically: false, encoding: .utf8)
      let text = try await run(["fleet", "check", file])
      #expect(
        text.status == 1 && text.output.isEmpty && text.errors.contains("\(file):2:") && text.errors.contains("refused")
      )
      let json = try await run(["fleet", "check", file, "--format", "json"])
      #expect(json.status == 1 && json.errors.isEmpty && json.output.contains("\"usable\":"))
      let missing = try await run(["fleet", "show", file + ".missing"])
      #expect(missing.status == 1 && missing.output.isEmpty && !missing.errors.isEmpty)
    }
  }

  @Test("rule files are checked and tested with promtool's exit statuses")
  func rules() async throws {
    try await Self.withFolder { folder in
      let rules = folder.appending(path: "rules.yaml").path
      let test = folder.appending(path: "test.yaml").path
      try """
      groups:
      - name: g
        rules:
        - record: level:x:sum
          expr: sum(x)
      """.write(toFile: rules, atomically: false, encoding: .utf8)
      func unitTest(expecting value: Int) throws {
        try """
        rule_files: [rules.yaml]
        tests:
        - interval: 1m
          input_series:
          - {series: 'x{a="1"}', values: '1 1 1'}
          - {series: 'x{a="2"}', values: '2 2 2'}
          promql_expr_test:
          - expr: level:x:sum
            eval_time: 1m
            exp_samples: [{labels: 'level:x:sum', value: \(value)}]
        """.write(toFile: test, atomically: false, encoding: .utf8)
      }
      let checked = try await run(["rules", "check", rules])
      #expect(checked.status == 0 && checked.output.contains("SUCCESS: 1 rules found"))
      try unitTest(expecting: 3)
      #expect(try await run(["rules", "test", test]).status == 0)
      try unitTest(expecting: 4)
      let failed = try await run(["rules", "test", test])
      #expect(failed.status == 1 && failed.errors.contains("FAILED"))
      try "groups: [{name: g, rules: [{record: x, expr: 'sum('}]}]".write(
        toFile: rules, atomically: false, encoding: .utf8)
      #expect(try await run(["rules", "check", rules]).status == 1)
    }
  }

  @Test("commands on rule files that the README prints run as printed")
  func readme() async throws {
    let root = #filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" }
    let text = try String(contentsOfFile: root + "/README.md", encoding: .utf8)
    let section = try #require(text.components(separatedBy: "\n## ").first { $0.hasPrefix("Be warned") })
    let commands = section.split(separator: "\n").filter { $0.hasPrefix("    bongsu rules ") }
    #expect(commands.count >= 2)
    for command in commands {
      let words = command.split(separator: " ").dropFirst().map { $0.contains("/") ? "\(root)/\($0)" : String($0) }
      let ended = try await run(words)
      #expect(ended.status == 0, "\(command): \(ended.errors)")
    }
  }
}
