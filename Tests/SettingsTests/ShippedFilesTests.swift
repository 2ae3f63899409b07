import ArgumentParser
import BongsuDelivery
import BongsuProcess
import Foundation
import Testing

@testable import bongsu_agent
@testable import bongsu_aggregator

/// The commented files in ops/config, and the programs that read them.
@Suite("shipped settings files")
struct ShippedFilesTests {
  private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "ops/config")

  private static let files: [(name: String, keys: [SettingKey])] = [
    ("agent.conf", AgentConfiguration.keys), ("aggregator.conf", AggregatorSettings.keys),
  ]

  private static func text(_ name: String) throws -> String {
    try String(contentsOf: folder.appending(path: name), encoding: .utf8)
  }

  @Test("every option of a daemon is a key of its shipped file, commented, and nothing else is", arguments: files)
  func complete(name: String, keys: [SettingKey]) throws {
    #expect(keys.count >= 9)
    let lines = try Self.text(name).split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    let settings = lines.indices.filter { lines[$0].wholeMatch(of: /#[a-z][a-z-]* = .+/) != nil }
    let named = settings.compactMap { lines[$0].dropFirst().split(separator: " ").first.map(String.init) }
    for key in keys {
      #expect(named.contains(key.name), "ops/config/\(name) has no line '#\(key.name) = …'; add it with a comment")
    }
    #expect(Set(named) == Set(keys.map(\.name)))
    for (position, name) in zip(settings, named) {
      let above = lines[..<position].last { !$0.hasPrefix("#\(name) = ") } ?? ""
      #expect(above.hasPrefix("# "), "\(name) has no comment above it")
    }
  }

  @Test("what takes effect at a reload is marked so, and only that", arguments: files)
  func marks(name: String, keys: [SettingKey]) throws {
    for paragraph in try Self.text(name).components(separatedBy: "\n\n").dropFirst() {
      guard let setting = paragraph.split(separator: "\n").last?.dropFirst().split(separator: " ").first else {
        continue
      }
      let key = keys.first { $0.name == setting }
      #expect(paragraph.contains("[reload]") == (key?.reloads ?? false), "\(setting)")
    }
  }

  @Test("with every line in force the file parses", arguments: files)
  func parses(name: String, keys: [SettingKey]) throws {
    let text = try Self.text(name).replacing(/(?m)^#(?=[a-z][a-z-]* = )/, with: "")
    let parsed = try SettingsFile(parsing: text, path: name, keys: keys)
    #expect(Set(parsed.entries.keys) == Set(keys.map(\.name)))
    #expect(parsed.warnings.isEmpty)
  }

  @Test("the aggregator's command line wins over its file, option by option")
  func completed() throws {
    let settings = try Settings(
      keys: AggregatorSettings.keys, options: [:], file: nil, origins: AggregatorSettings.origins,
      variables: [
        "BONGSU_AGGREGATOR_FLEET": "f.yaml", "BONGSU_AGGREGATOR_DATA": "/d", "BONGSU_AGGREGATOR_SECURE": "true",
        "BONGSU_AGGREGATOR_ADVERTISE": "a;b", "BONGSU_AGGREGATOR_DEMO_IN_SERVICE": "false",
      ])
    let arguments = AggregatorSettings.arguments(["--data=/other", "--http", "127.0.0.1:1"], completedBy: settings)
    let command = try AggregatorCommand.parse(arguments)
    #expect(command.fleet == "f.yaml" && command.data == "/other" && command.http == "127.0.0.1:1")
    #expect(command.secure && !command.demoInService && command.advertise == ["a", "b"])
  }
}
