import Foundation
import Yams

/// A scenario file that cannot be used: everything that is wrong with it, one finding a line.
struct ScenarioUnusable: Error, CustomStringConvertible {
  var findings: [String]

  var description: String { findings.joined(separator: "\n") }
}

/// Reads scenario files.
///
///     version: 1
///     name: a factory gains a fifth
///     about: what to look for
///     jobs:
///       - factory: sk-ulsan
///         training: 70 %
///         inference: 20 %
///         idle: 10 %
///         job_nodes: 256
///     failures: { gpus: 0.2 %, nodes_per_minute: 0.05 %, down_for: 90s }
///     events:
///       - at 30s: factory sk power +20 % over 5 s
///
/// Every complaint names line, value and what was expected.
struct ScenarioFile {
  private let path: String
  private var findings: [String] = []

  static let bytesMax = 1 << 20
  static let eventsMax = 1000

  /// Reads the file at `path`.
  static func load(_ path: String) throws -> Scenario {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw ScenarioUnusable(findings: [
        "\(path): error: cannot read the scenario file; name one that this user may read"
      ])
    }
    guard data.count <= bytesMax, let text = String(data: data, encoding: .utf8) else {
      throw ScenarioUnusable(
        findings: ["\(path): error: has \(data.count) bytes; a scenario is UTF-8 text of at most \(bytesMax) bytes"])
    }
    return try parse(text, path: path)
  }

  /// Reads `text`; `path` is for messages.
  static func parse(_ text: String, path: String) throws(ScenarioUnusable) -> Scenario {
    var file = ScenarioFile(path: path)
    let scenario = file.scenario(text)
    guard file.findings.isEmpty else { throw ScenarioUnusable(findings: file.findings) }
    return scenario
  }

  private init(path: String) { self.path = path }

  private mutating func complain(_ line: Int, _ problem: String, _ remedy: String) {
    findings.append("\(path)\(line > 0 ? ":\(line)" : ""): error: \(problem); \(remedy)")
  }

  private mutating func scenario(_ text: String) -> Scenario {
    var scenario = Scenario()
    let root: Yams.Node?
    do {
      root = try Yams.compose(yaml: text)
    } catch {
      complain(0, "is not YAML: \(error)", "mend the syntax")
      return scenario
    }
    guard let root, let top = mapping(root, "the scenario") else {
      if root == nil { complain(0, "is empty", "begin with 'version: 1'") }
      return scenario
    }
    var hasVersion = false
    for (key, value) in top {
      switch key.text {
      case "version":
        hasVersion = true
        if value.text != "1" { complain(value.line, "version is '\(value.text)'", "write 'version: 1'") }
      case "name": scenario.name = value.text
      case "about": scenario.about = value.text
      case "jobs": scenario.mixes = list(value, "jobs").compactMap { mix($0) }
      case "failures": scenario.failures = failures(value)
      case "events": scenario.events = events(value)
      default:
        complain(
          key.line, "'\(key.text)' is unknown", "expected version, name, about, jobs, failures or events")
      }
    }
    if !hasVersion { complain(root.line, "has no version", "begin with 'version: 1'") }
    return scenario
  }

  // MARK: Parts

  private mutating func mix(_ node: Yams.Node) -> Scenario.FactoryMix? {
    guard let entries = mapping(node, "an entry of jobs") else { return nil }
    var mix = Scenario.FactoryMix()
    mix.line = node.line
    var shares: [String: Int] = [:]
    for (key, value) in entries {
      switch key.text {
      case "factory": mix.factory = value.text
      case "training", "inference", "idle": shares[key.text] = share(value, key.text).map { $0 / 100 }
      case "job_nodes":
        guard let count = Int(value.text), (1...100_000).contains(count) else {
          complain(value.line, "job_nodes is '\(value.text)'", "write a number of nodes from 1 to 100000")
          continue
        }
        mix.jobNodes = count
      default:
        complain(
          key.line, "'\(key.text)' is unknown here", "expected factory, training, inference, idle or job_nodes")
      }
    }
    guard !shares.isEmpty else { return mix }
    mix.trainingPermille = shares["training"] ?? 0
    mix.inferencePermille = shares["inference"] ?? 0
    mix.idlePermille = shares["idle"] ?? 0
    let sum = mix.trainingPermille + mix.inferencePermille + mix.idlePermille
    guard sum == 1000 else {
      complain(
        node.line, "training, inference and idle add up to \(Double(sum) / 10) %", "make them 100 % together")
      return nil
    }
    return mix
  }

  private mutating func failures(_ node: Yams.Node) -> Scenario.Failures {
    var failures = Scenario.Failures()
    guard let entries = mapping(node, "failures") else { return failures }
    for (key, value) in entries {
      switch key.text {
      case "gpus": failures.gpusPerHundredThousand = share(value, "gpus") ?? 0
      case "nodes_per_minute":
        failures.nodesPerHundredThousandAndMinute = share(value, "nodes_per_minute") ?? 0
      case "down_for":
        failures.downMilliseconds = time(value.text, value.line, "down_for") ?? failures.downMilliseconds
      default: complain(key.line, "'\(key.text)' is unknown here", "expected gpus, nodes_per_minute or down_for")
      }
    }
    return failures
  }

  private mutating func events(_ node: Yams.Node) -> [ScenarioEvent] {
    let entries = list(node, "events")
    guard entries.count <= Self.eventsMax else {
      complain(node.line, "has \(entries.count) events, limit \(Self.eventsMax)", "split the scenario")
      return []
    }
    var events: [ScenarioEvent] = []
    for entry in entries {
      guard case .mapping(let pairs) = entry, pairs.count == 1, let pair = pairs.first else {
        complain(entry.line, "this event is no single 'at TIME: …'", "write '- at 30s: all vanish'")
        continue
      }
      guard pair.key.text.hasPrefix("at ") else {
        complain(pair.key.line, "'\(pair.key.text)' is no instant", "write 'at' and a time, such as 'at 30s'")
        continue
      }
      guard let at = time(String(pair.key.text.dropFirst(3)), pair.key.line, "the instant") else { continue }
      do throws(EventSentence.Unreadable) {
        var event = try EventSentence.parse(pair.value.text)
        event.atMilliseconds = at
        event.line = pair.key.line
        events.append(event)
      } catch {
        complain(pair.value.line, "'\(pair.value.text)': \(error)", "see bongsu-fleet --help")
      }
    }
    return events.sorted { $0.atMilliseconds < $1.atMilliseconds }
  }

  // MARK: Values

  private mutating func mapping(_ node: Yams.Node, _ what: String) -> [(key: Yams.Node, value: Yams.Node)]? {
    guard case .mapping(let mapping) = node else {
      complain(node.line, "\(what) is no mapping", "write 'key: value' lines")
      return nil
    }
    return mapping.map { ($0.key, $0.value) }
  }

  private mutating func list(_ node: Yams.Node, _ what: String) -> [Yams.Node] {
    guard case .sequence(let sequence) = node else {
      complain(node.line, "\(what) is no list", "write one '- ' line for each entry")
      return []
    }
    return Array(sequence)
  }

  /// A share in thousandths of a percent.
  private mutating func share(_ node: Yams.Node, _ what: String) -> Int? {
    let text = node.text.replacingOccurrences(of: " ", with: "")
    guard text.hasSuffix("%"), let value = Double(text.dropLast()), (0...100).contains(value) else {
      complain(node.line, "\(what) is '\(node.text)'", "write a share from '0 %' to '100 %'")
      return nil
    }
    return Int((value * 1000).rounded())
  }

  private mutating func time(_ text: String, _ line: Int, _ what: String) -> Int64? {
    do throws(EventSentence.Unreadable) {
      return try EventSentence.milliseconds(text)
    } catch {
      complain(line, "\(what) is '\(text)'", "write a time such as '30s', '500ms' or '2 min'")
      return nil
    }
  }
}

extension Yams.Node {
  /// Its line, from 1; 0 when unknown.
  fileprivate var line: Int { mark?.line ?? 0 }

  /// Its text; empty for what is no scalar, which no value accepts.
  fileprivate var text: String { scalar?.string ?? "" }
}
