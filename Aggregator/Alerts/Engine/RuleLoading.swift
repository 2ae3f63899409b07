internal import Foundation

/// Which rule files are to be used, read all together: one bad file refuses the whole, so that the rules in use stay.
public enum RuleLoading {
  /// What was loaded.
  public struct Loaded: Sendable {
    public var files: [RuleFile] = []
    /// What is wrong with files that were left out; empty unless they may be.
    public var failures: [FileFailure] = []
    /// Not wrong, but worth telling; one line each.
    public var remarks: [String] = []

    public var ruleCount: Int { files.reduce(0) { $0 + $1.groups.reduce(0) { $0 + $1.rules.count } } }
  }

  /// Reads the shipped rules, if wanted, and all files that the patterns name. `skipsBroken`: leaves broken files out
  /// instead, for a start, when there are no old rules to stay with.
  public static func load(
    _ configuration: AlertingConfiguration, skipsBroken: Bool = false
  ) -> Result<Loaded, RuleFileFailures> {
    var loaded = Loaded()
    var failures: [FileFailure] = []
    if configuration.usesShippedRules {
      switch ShippedRules.load() {
      case .success(let file): loaded.files.append(file)
      case .failure(let wrong): failures += wrong.failures
      }
    }
    var seen: Set<String> = []
    for pattern in configuration.ruleFiles {
      let paths = RuleFileLoader.resolve(pattern, besides: "")
      if paths.isEmpty {
        if pattern.contains(where: { "*?[".contains($0) }) {
          loaded.remarks.append("no rule file matches \(pattern)")
        } else {
          failures.append(FileFailure(file: pattern, message: "cannot read the file: there is none of this name"))
        }
      }
      for path in paths where seen.insert(path).inserted {
        switch RuleFileLoader.load(path) {
        case .success(let file): loaded.files.append(file)
        case .failure(let wrong): failures += wrong.failures
        }
      }
    }
    if loaded.files.count > AlertLimits.ruleFilesMax || loaded.ruleCount > AlertLimits.rulesMax {
      failures.append(
        FileFailure(
          file: configuration.ruleFiles.joined(separator: " "),
          message:
            "\(loaded.files.count) files with \(loaded.ruleCount) rules, at most \(AlertLimits.ruleFilesMax) and "
            + "\(AlertLimits.rulesMax) are accepted"))
    }
    guard failures.isEmpty || skipsBroken else { return .failure(RuleFileFailures(failures: failures)) }
    loaded.failures = failures
    for file in loaded.files {
      for group in file.groups {
        if let interval = group.intervalMilliseconds, interval < AlertLimits.intervalMillisecondsMin {
          loaded.remarks.append(
            "\(file.path): group '\(group.name)' has an interval of \(interval) ms; it is evaluated every "
              + "\(AlertLimits.intervalMillisecondsMin) ms")
        }
        loaded.remarks += group.rules.flatMap(\.remarks).map { "\(file.path): \($0)" }
      }
    }
    return .success(loaded)
  }
}

/// The rules that come with Bongsu, built in, so that thresholds of a fleet file work without further files.
public enum ShippedRules {
  /// The text of ops/rules/power.yaml.
  public static var text: String { String(decoding: PackageResources.power_yaml, as: UTF8.self) }

  /// Where alerts say that they come from.
  public static let path = "(shipped) power.yaml"

  static func load() -> Result<RuleFile, RuleFileFailures> { RuleFile.parse(text, path: path) }
}
