import BongsuProcess
import BongsuTestKit
import Foundation
import Testing

@Suite("settings of daemons")
struct SettingsFileTests {
  private static let keys = [
    SettingKey("node"), SettingKey("source", repeats: true), SettingKey("secure", isFlag: true),
    SettingKey("spool-bytes", formerNames: ["spool-size", "spool-max"], reloads: true),
  ]
  private static let origins = Settings.Origins(variablePrefix: "BONGSU_TEST_", defaultFile: "/nonexistent/a.conf")

  private func file(_ text: String) throws -> SettingsFile {
    try SettingsFile(parsing: text, path: "a.conf", keys: Self.keys)
  }

  private func problems(_ text: String) -> [String] {
    do {
      _ = try file(text)
      return []
    } catch let error as SettingsError {
      return error.problems
    } catch {
      return ["\(error)"]
    }
  }

  @Test("values, comments, blanks, quotation marks and repeated keys")
  func values() throws {
    let parsed = try file(
      """
      # first
      node = r1   # why

        source=nvml
      source  =  replay:run#2.csv,loop
      source = " a # b "
      secure = true
      """)
    #expect(parsed.entries["node"]?.map(\.value) == ["r1"])
    #expect(parsed.entries["source"]?.map(\.value) == ["nvml", "replay:run#2.csv,loop", " a # b "])
    #expect(parsed.entries["source"]?.map(\.line) == [4, 5, 6])
    #expect(parsed.entries["secure"]?.map(\.value) == ["true"])
    #expect(parsed.warnings.isEmpty)
  }

  @Test("an empty file says nothing", arguments: ["", "\n\n", "# only this", "   \n\t\n"])
  func empty(text: String) throws { #expect(try file(text).entries.isEmpty) }

  @Test(
    "each thing that is wrong is named with its line",
    arguments: [
      ("node r1", "a.conf:1: expected 'key = value', got 'node r1'"),
      ("\nnoode = r1", "a.conf:2: unknown key 'noode', expected one of node, source, secure, spool-bytes"),
      ("node =", "a.conf:1: 'node' has no value; comment the line out to take the default"),
      ("node = # r1", "a.conf:1: 'node' has no value; comment the line out to take the default"),
      ("node = a\nnode = b", "a.conf:2: 'node' is given twice, first in line 1"),
      ("secure = yes", "a.conf:1: 'secure' is 'yes', expected true or false"),
      ("spool-size = 1\nspool-bytes = 2", "a.conf:2: 'spool-bytes' is given twice, first in line 1"),
      ("= 3", "a.conf:1: unknown key '', expected one of node, source, secure, spool-bytes"),
    ])
  func wrong(text: String, problem: String) { #expect(problems(text) == [problem]) }

  @Test("all problems are named at once, twenty at most and the count of the rest")
  func many() {
    #expect(problems("a\nb\nnode = x\nc = 1").count == 3)
    let found = problems((0..<50).map { "bad\($0)" }.joined(separator: "\n"))
    #expect(found.count == 21 && found.last == "a.conf: 30 more problems")
  }

  @Test("an old name of a key is understood with a warning", arguments: ["spool-size", "spool-max"])
  func formerName(name: String) throws {
    let parsed = try file("\n\(name) = 7")
    #expect(parsed.entries["spool-bytes"]?.map(\.value) == ["7"])
    #expect(
      parsed.warnings == ["a.conf:2: '\(name)' is called 'spool-bytes' now; the old name is still understood"])
  }

  @Test(
    "an old name of an option is understood with a warning, with its value beside or behind it",
    arguments: [
      (["--spool-size", "7"], ["--spool-bytes", "7"], ["spool-size"]),
      (["--node", "a", "--spool-max=a=b"], ["--node", "a", "--spool-bytes=a=b"], ["spool-max"]),
      (["--spool-size=", "--spool-max"], ["--spool-bytes=", "--spool-bytes"], ["spool-size", "spool-max"]),
      (["--spool-bytes", "spool-size", "-spool-size"], ["--spool-bytes", "spool-size", "-spool-size"], []),
      (["--secure", "--", "--spool-size"], ["--secure", "--", "--spool-size"], []),
      (["--spool-sizes", "--", ""], ["--spool-sizes", "--", ""], []),
      (["", "=", "--="], ["", "=", "--="], []),
    ])
  func formerOption(arguments: [String], expected: [String], old: [String]) throws {
    let renamed = SettingKey.renaming(arguments, keys: Self.keys)
    #expect(renamed.arguments == expected)
    let warnings = old.map { "the option --\($0) is called --spool-bytes now; the old name is still understood" }
    #expect(renamed.warnings == warnings)
    let settings = try Settings(
      keys: Self.keys, options: [:], file: nil, origins: Self.origins, variables: [:], warnings: renamed.warnings)
    #expect(settings.warnings == warnings)
  }

  @Test("a variable of an old name is understood with a warning, unless the new one is there")
  func formerVariable() throws {
    func settings(_ variables: [String: String]) throws -> Settings {
      try Settings(keys: Self.keys, options: [:], file: nil, origins: Self.origins, variables: variables)
    }
    let old = try settings(["BONGSU_TEST_SPOOL_MAX": "7"])
    #expect(old.value("spool-bytes") == "7" && old.origin("spool-bytes") == "BONGSU_TEST_SPOOL_MAX")
    #expect(
      old.warnings == [
        "the environment variable BONGSU_TEST_SPOOL_MAX is called BONGSU_TEST_SPOOL_BYTES now; the old name is still "
          + "understood"
      ])
    let both = try settings(["BONGSU_TEST_SPOOL_MAX": "7", "BONGSU_TEST_SPOOL_BYTES": "8"])
    #expect(both.value("spool-bytes") == "8" && both.warnings.isEmpty)
  }

  @Test("the command line wins over variables, variables over the file; each value knows where it comes from")
  func layers() throws {
    let folder = try TemporaryDirectory()
    let path = "\(folder.path)/a.conf"
    try "node = from-file\nspool-bytes = 1\nsource = one\nsource = two\n".write(
      toFile: path, atomically: true, encoding: .utf8)
    func settings(_ options: [String: [String]], _ variables: [String: String]) throws -> Settings {
      try Settings(keys: Self.keys, options: options, file: path, origins: Self.origins, variables: variables)
    }
    let plain = try settings([:], [:])
    #expect(plain.value("node") == "from-file" && plain.origin("node") == "\(path):1")
    #expect(plain.values("source") == ["one", "two"])
    #expect(plain.value("secure") == nil && !plain.isSet("secure") && plain.origin("secure") == "secure")
    let variables = [
      "BONGSU_TEST_NODE": "from-variable", "BONGSU_TEST_SOURCE": "a b;c", "BONGSU_TEST_SECURE": "true",
      "BONGSU_TEST_SPOOL_BITES": "4", "PATH": "/bin",
    ]
    let both = try settings([:], variables)
    #expect(both.value("node") == "from-variable" && both.origin("node") == "BONGSU_TEST_NODE")
    #expect(both.values("source") == ["a", "b", "c"] && both.isSet("secure"))
    #expect(both.value("spool-bytes") == "1")
    #expect(both.warnings == ["the environment variable BONGSU_TEST_SPOOL_BITES means nothing here and is ignored"])
    let all = try settings(["node": ["from-option"]], variables)
    #expect(all.value("node") == "from-option" && all.origin("node") == "--node")
    #expect(all.changes(since: both, keys: Self.keys).map(\.name) == ["node"])
    #expect(all.changes(since: all, keys: Self.keys).isEmpty)
  }

  @Test("a variable that is no truth value is refused; an empty one says nothing")
  func variables() throws {
    let error = #expect(throws: SettingsError.self) {
      try Settings(
        keys: Self.keys, options: [:], file: nil, origins: Self.origins, variables: ["BONGSU_TEST_SECURE": "1"])
    }
    #expect(error?.problems == ["BONGSU_TEST_SECURE is '1', expected true or false"])
    let empty = try Settings(
      keys: Self.keys, options: [:], file: nil, origins: Self.origins, variables: ["BONGSU_TEST_NODE": ""])
    #expect(empty.value("node") == nil)
  }

  @Test("a file that was named must be there; the usual one need not")
  func missing() throws {
    let none = try Settings(keys: Self.keys, options: [:], file: nil, origins: Self.origins, variables: [:])
    #expect(none.file == nil)
    for (named, variables) in [("/nonexistent/b.conf", [:]), (nil, ["BONGSU_TEST_CONFIG": "/nonexistent/b.conf"])] {
      let error = #expect(throws: SettingsError.self) {
        try Settings(keys: Self.keys, options: [:], file: named, origins: Self.origins, variables: variables)
      }
      #expect(error?.problems == ["cannot read the settings in /nonexistent/b.conf: No such file or directory"])
    }
  }
}
