import ArgumentParser
import BongsuProcess
import Foundation

/// The aggregator's options as settings of its file and of `BONGSU_AGGREGATOR_…` variables.
///
/// Keys are the options' long names as the parser knows them, so that a new option is a key by itself. Before the command
/// line is parsed, what file and environment say is put in front of it as options; what the command line says itself wins.
enum AggregatorSettings {
  static let origins = Settings.Origins(
    variablePrefix: "BONGSU_AGGREGATOR_", defaultFile: "/etc/bongsu/aggregator.conf")

  /// Options that are no settings.
  private static let commands: Set<String> = ["config", "check-config", "help", "version"]
  /// What a running aggregator takes over when it is told to read its file again.
  static let reloading: Set<String> = ["log-level"]

  /// Names that settings had in earlier releases, by their present name. Who renames an option enters it here.
  private static let formerNames: [String: [String]] = [:]

  /// Every key, in the order of the help text.
  static let keys: [SettingKey] = described.filter { !commands.contains($0.name) }.map {
    SettingKey(
      $0.name, isFlag: $0.isFlag, repeats: $0.isRepeating, formerNames: formerNames[$0.name] ?? [],
      reloads: reloading.contains($0.name))
  }

  private struct Described {
    let name: String
    let isFlag: Bool
    let isRepeating: Bool
  }

  /// The options as the parser describes them.
  private static let described: [Described] = {
    let dump = try? JSONDecoder().decode(Dump.self, from: Data(AggregatorCommand._dumpHelp().utf8))
    return (dump?.command.arguments ?? []).compactMap { argument in
      guard argument.kind != "positional", let long = argument.names?.first(where: { $0.kind == "long" }) else {
        return nil
      }
      return Described(name: long.name, isFlag: argument.kind == "flag", isRepeating: argument.isRepeating)
    }
  }()

  private struct Dump: Decodable {
    struct Command: Decodable { let arguments: [Argument]? }
    struct Argument: Decodable {
      struct Name: Decodable {
        let kind: String
        let name: String
      }
      let kind: String
      let isRepeating: Bool
      let names: [Name]?
    }
    let command: Command
  }

  /// What file and environment say, given the command line.
  static func read(
    _ arguments: [String], variables: [String: String] = Settings.environment(), warnings: [String] = []
  ) throws(SettingsError) -> Settings {
    try Settings(
      keys: keys, options: [:], file: file(namedBy: arguments), origins: origins, variables: variables,
      warnings: warnings)
  }

  /// `arguments` with the settings in front of them that they do not set themselves.
  static func arguments(_ arguments: [String], completedBy settings: Settings) -> [String] {
    var front: [String] = []
    for key in keys where !isGiven(key.name, in: arguments) {
      if key.isFlag {
        if settings.isSet(key.name) { front.append("--\(key.name)") }
      } else {
        front += settings.values(key.name).map { "--\(key.name)=\($0)" }
      }
    }
    return front + arguments
  }

  private static func isGiven(_ name: String, in arguments: [String]) -> Bool {
    arguments.contains { $0 == "--\(name)" || $0.hasPrefix("--\(name)=") }
  }

  private static func file(namedBy arguments: [String]) -> String? {
    if let joined = arguments.last(where: { $0.hasPrefix("--config=") }) { return String(joined.dropFirst(9)) }
    guard let position = arguments.lastIndex(of: "--config"), position + 1 < arguments.count else { return nil }
    return arguments[position + 1]
  }
}
