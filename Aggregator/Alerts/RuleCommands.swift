internal import BongsuQuery
internal import BongsuSeries
private import Foundation
internal import Glibc

/// How a command ended.
public enum CommandOutcome: Int32, Sendable {
  case succeeded = 0
  case failed = 1
}

/// `bongsu rules check FILE…`: reads rule files and says what is wrong with them, by place.
public struct RuleCheckCommand: Sendable {
  public let paths: [String]

  public init(paths: [String]) { self.paths = paths }

  /// Checks the files; `print` receives whole lines for standard output, `printError` for standard error.
  public func run(print: (String) -> Void, printError: (String) -> Void) -> CommandOutcome {
    var outcome = CommandOutcome.succeeded
    for path in paths {
      print("Checking \(path)")
      switch RuleFileLoader.load(path) {
      case .success(let file):
        print("  SUCCESS: \(file.groups.reduce(0) { $0 + $1.rules.count }) rules found")
        for line in Self.duplicates(in: file) { print(line) }
      case .failure(let failures):
        outcome = .failed
        printError("  FAILED:")
        for failure in failures.failures { printError("    \(failure)") }
      }
      print("")
    }
    return outcome
  }

  /// Rules that write the same series twice: allowed, but hardly meant.
  private static func duplicates(in file: RuleFile) -> [String] {
    var seen: Set<String> = []
    var repeated: [String] = []
    for rule in file.groups.flatMap(\.rules) {
      let labels = LabelSet(rule.labels).named(rule.name)
      if !seen.insert("\(rule.kind) \(labels)").inserted { repeated.append("    \(labels)") }
    }
    if repeated.isEmpty { return [] }
    return ["  \(repeated.count) duplicate rule(s) found:"] + repeated
      + ["  Rules with the same name and labels may record inconsistent values."]
  }
}

/// `bongsu rules test FILE…`: runs unit tests in promtool's format.
public struct RuleTestCommand: Sendable {
  public let paths: [String]

  public init(paths: [String]) { self.paths = paths }

  /// Runs the files; `print` receives whole lines for standard output, `printError` for standard error.
  public func run(print: (String) -> Void, printError: (String) -> Void) -> CommandOutcome {
    var outcome = CommandOutcome.succeeded
    for path in paths {
      print("Unit Testing:  \(path)")
      let failures = Self.test(path, print: print)
      if failures.isEmpty {
        print("  SUCCESS")
      } else {
        outcome = .failed
        printError("  FAILED:")
        for failure in failures { printError(failure) }
      }
      print("")
    }
    return outcome
  }

  private static func test(_ path: String, print: (String) -> Void) -> [String] {
    let file: UnitTestFile
    do throws(FileFailure) {
      file = try UnitTestFile.parse(RuleFileLoader.read(path), path: path)
    } catch {
      return ["    \(error)"]
    }
    var order: [String: Int] = [:]
    for (index, name) in file.groupOrder.enumerated() {
      if order.updateValue(index, forKey: name) != nil {
        return ["    \(path): group name repeated in evaluation order: \(name)"]
      }
    }
    var groups: [(path: String, group: RuleGroup)] = []
    for pattern in file.rulePaths {
      let resolved = RuleFileLoader.resolve(pattern, besides: path)
      if resolved.isEmpty { print("  WARNING: no file match pattern \(pattern)") }
      for rulePath in resolved {
        switch RuleFileLoader.load(rulePath) {
        case .success(let rules): groups += rules.groups.map { (rulePath, $0) }
        case .failure(let failures): return failures.failures.map { "    \($0)" }
        }
      }
    }
    let rules = groups.enumerated().sorted { one, other in
      // Named groups come in the order given, the others behind them by name.
      let left = order[one.element.group.name] ?? Int.max
      let right = order[other.element.group.name] ?? Int.max
      if left != right { return left < right }
      return one.offset < other.offset
    }.map(\.element.group)
    return file.groups.flatMap { group in
      var runner = UnitTestRunner(
        group: group, evaluationInterval: file.evaluationIntervalMilliseconds, rules: rules)
      return runner.run()
    }
  }
}

/// Finds and reads rule files.
public enum RuleFileLoader {
  /// Reads and checks one rule file.
  public static func load(_ path: String) -> Result<RuleFile, RuleFileFailures> {
    do throws(FileFailure) { return RuleFile.parse(try read(path), path: path) } catch {
      return .failure(RuleFileFailures(failures: [error]))
    }
  }

  /// The text of a file, which must be UTF-8 and of sane size.
  static func read(_ path: String) throws(FileFailure) -> String {
    let data: Data
    do { data = try Data(contentsOf: URL(fileURLWithPath: path)) } catch {
      throw FileFailure(file: path, message: "cannot read the file: \(error.localizedDescription)")
    }
    guard data.count <= AlertLimits.fileBytesMax else {
      throw FileFailure(
        file: path, message: "file has \(data.count) bytes, at most \(AlertLimits.fileBytesMax) are accepted")
    }
    guard let text = String(validating: data, as: UTF8.self) else {
      throw FileFailure(file: path, message: "file is not valid UTF-8")
    }
    return text
  }

  /// The files a pattern names, relative to the folder of the file that names it; sorted.
  static func resolve(_ pattern: String, besides path: String) -> [String] {
    guard !pattern.isEmpty else { return [] }
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    let full = pattern.hasPrefix("/") ? pattern : folder + pattern
    var found = unsafe glob_t()
    // SAFETY: `found` is initialised to zero, filled by `glob` and freed below; the paths are copied before that.
    defer { unsafe globfree(&found) }
    guard unsafe Glibc.glob(full, 0, nil, &found) == 0 else { return [] }
    var paths: [String] = []
    for index in 0..<Int(unsafe found.gl_pathc) {
      if let entry = unsafe found.gl_pathv[index] { paths.append(unsafe String(cString: entry)) }
    }
    return paths.sorted()
  }
}
