/// One setting of a daemon: an option on the command line, an environment variable and a key of its file, by one name.
///
/// `spool-bytes` is `--spool-bytes`, `BONGSU_AGENT_SPOOL_BYTES` and `spool-bytes = …`.
public struct SettingKey: Hashable, Sendable {
  /// The name without dashes before it.
  public let name: String
  /// Whether it takes no value on the command line; elsewhere it is `true` or `false`.
  public let isFlag: Bool
  /// Whether it may come several times, each adding a value.
  public let repeats: Bool
  /// Names it had in earlier releases: understood, with a warning.
  public let formerNames: [String]
  /// Whether a running daemon takes a new value when it is told to read its file again.
  public let reloads: Bool

  /// A setting with one value, under this name alone, that takes a restart, unless said otherwise.
  public init(
    _ name: String, isFlag: Bool = false, repeats: Bool = false, formerNames: [String] = [], reloads: Bool = false
  ) {
    self.name = name
    self.isFlag = isFlag
    self.repeats = repeats
    self.formerNames = formerNames
    self.reloads = reloads
  }

  /// The environment variable of the setting: `prefix` and the name in capitals, `_` for `-`.
  public func variable(_ prefix: String) -> String { Self.variable(name, prefix) }

  /// The variables of the names it had before.
  func formerVariables(_ prefix: String) -> [String] { formerNames.map { Self.variable($0, prefix) } }

  /// `arguments` of a command line with the present names of options in place of old ones, and one line of warning for
  /// each old one. Behind `--` nothing is an option.
  public static func renaming(_ arguments: [String], keys: [SettingKey]) -> (arguments: [String], warnings: [String]) {
    var renamed: [String] = []
    var warnings: [String] = []
    for (index, argument) in arguments.enumerated() {
      if argument == "--" { return (renamed + arguments[index...], warnings) }
      let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard argument.hasPrefix("--"), let written = parts.first?.dropFirst(2),
        let key = keys.first(where: { $0.formerNames.contains(String(written)) })
      else {
        renamed.append(argument)
        continue
      }
      renamed.append("--\(key.name)" + (parts.count > 1 ? "=\(parts[1])" : ""))
      warnings.append("the option --\(written) is called --\(key.name) now; the old name is still understood")
    }
    return (renamed, warnings)
  }

  private static func variable(_ name: String, _ prefix: String) -> String {
    prefix + String(name.uppercased().map { $0 == "-" ? "_" : $0 })
  }
}

/// Settings that cannot be used, one line for each thing that is wrong.
public struct SettingsError: Error, Hashable, Sendable, CustomStringConvertible {
  public let problems: [String]

  public init(_ problems: [String]) { self.problems = problems }

  public var description: String { problems.joined(separator: "\n") }
}
