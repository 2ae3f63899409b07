import BongsuDelivery
import BongsuEnrolment
import BongsuFleet
import BongsuModel
import BongsuProcess
import Foundation
import Yams

extension FacilityConfiguration {
  /// Reads the file at `path`.
  ///
  /// - Throws: `SettingsError` with every problem and its line.
  init(file path: String) throws {
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
      throw SettingsError(["cannot read the settings in \(path); name another file with --config"])
    }
    try self.init(yaml: text, path: path)
  }

  init(yaml text: String, path: String, formerKeys: [String: [String]] = FacilityConfiguration.formerKeys) throws {
    let document: Yams.Node?
    do {
      document = try Yams.compose(yaml: text)
    } catch {
      throw SettingsError(["\(path): this is no YAML: \(error)"])
    }
    let problems = Problems(path: path, formerKeys: formerKeys)
    var map = YAMLMapping(document, what: "the file", problems: problems)
    if let value = map.text("state") { state = value }
    if let value = map.text("spool") { spool = value }
    if let value = map.integer("spool_bytes", 1 << 20...1 << 40) { spoolBytesMax = value }
    for text in map.texts("aggregator") {
      let endpoint = HostPort(text.value)
      if let endpoint, !endpoint.host.isEmpty {
        aggregators.append(endpoint)
      } else {
        problems.add(text.line, "aggregator is '\(text.value)', expected HOST:PORT such as 10.0.0.5:7420")
      }
    }
    if let value = map.text("interval") {
      if let read = TickInterval(text: value) {
        interval = read
      } else {
        problems.add(map.line("interval"), "interval is '\(value)', expected such as 1s or 10s, at most 60s")
      }
    }
    if let value = map.duration("timeout") { timeout = value }
    if let value = map.text("log_level") {
      if let level = AgentLog.Level(named: value) {
        logLevel = level
      } else {
        problems.add(map.line("log_level"), "log_level is '\(value)', expected debug, info, warning or error")
      }
    }
    for node in map.list("sources") {
      if let endpoint = Self.endpoint(node, problems) { endpoints.append(endpoint) }
    }
    map.finish()
    if endpoints.isEmpty, problems.isEmpty {
      problems.add(map.line("sources"), "there is nothing to read: sources is empty")
    }
    check(problems)
    try problems.throwIfAny()
    warnings = problems.warnings
  }

  private func check(_ problems: Problems) {
    var names: Set<String> = []
    for endpoint in endpoints where !names.insert(endpoint.name).inserted {
      problems.add(endpoint.line, "\(endpoint.name) is there twice; put its readings under one source")
    }
    if nodes.count > Self.nodesMax {
      problems.add(1, "\(nodes.count) nodes are spoken for, at most \(Self.nodesMax); use several facility agents")
    }
  }

  private static func endpoint(_ node: Yams.Node, _ problems: Problems) -> Endpoint? {
    var map = YAMLMapping(node, what: "a source", problems: problems)
    let kinds = ["dcgm", "redfish", "prometheus"].filter { map.has($0) }
    guard kinds.count == 1, let url = map.text(kinds[0]) else {
      problems.add(map.line, "a source begins with one of dcgm: URL, redfish: URL, prometheus: URL")
      return nil
    }
    guard let address = URL(string: url), ["http", "https"].contains(address.scheme ?? ""), address.host != nil else {
      problems.add(map.line(kinds[0]), "\(kinds[0]) is '\(url)', expected an address such as http://HOST:PORT")
      return nil
    }
    var endpoint = Endpoint(
      kind: .prometheus([]), url: url.hasSuffix("/") ? String(url.dropLast()) : url, line: map.line)
    endpoint.timeout = map.duration("timeout")
    endpoint.username = map.text("username")
    endpoint.passwordFile = map.text("password_file")
    if let file = map.text("ca_file") { endpoint.trust = .file(file) }
    if map.boolean("insecure_tls") == true { endpoint.trust = .none }
    if (endpoint.username == nil) != (endpoint.passwordFile == nil) {
      problems.add(map.line, "username and password_file belong together")
    }
    let kind: Endpoint.Kind? =
      switch kinds[0] {
      case "dcgm": dcgm(&map, problems)
      case "redfish": redfish(&map, problems)
      default: prometheus(&map, problems)
      }
    map.finish()
    guard let kind else { return nil }
    endpoint.kind = kind
    return endpoint
  }

  private static func dcgm(_ map: inout YAMLMapping, _ problems: Problems) -> Endpoint.Kind? {
    if let pattern = map.text("nodes_by_hostname") {
      do throws(NamePattern.Invalid) {
        return .dcgm(.hostNames(try NamePattern(pattern)))
      } catch {
        problems.add(map.line("nodes_by_hostname"), "nodes_by_hostname is '\(pattern)': \(error); \(error.remedy)")
        return nil
      }
    }
    return nodeID(&map, problems, else: "or nodes_by_hostname: PATTERN").map { .dcgm(.node($0)) }
  }

  private static func redfish(_ map: inout YAMLMapping, _ problems: Problems) -> Endpoint.Kind? {
    let chassis = map.text("chassis")
    let wantsGPUs = map.boolean("gpus") ?? false
    let isBesideAgent = map.boolean("beside_agent") ?? false
    guard let node = nodeID(&map, problems, else: "") else { return nil }
    guard isBesideAgent else { return .redfish(node: node, chassis: chassis, wantsGPUs: wantsGPUs) }
    if wantsGPUs {
      problems.add(map.line("gpus"), "gpus and beside_agent do not go together: the node's agent reads its GPUs itself")
    }
    guard let controller = node.controller else {
      problems.add(
        map.line("node"),
        "node is '\(node)', too long for the name of its controller: beside_agent adds "
          + "\(NodeID.controllerSuffix) and a name has at most \(Limits.nodeIDBytesMax) characters")
      return nil
    }
    return .redfish(node: controller, chassis: chassis, wantsGPUs: false)
  }

  private static func prometheus(_ map: inout YAMLMapping, _ problems: Problems) -> Endpoint.Kind? {
    let series = map.list("series").compactMap { mapping($0, problems) }
    guard !series.isEmpty else {
      problems.add(map.line, "a prometheus source needs series: with at least one entry")
      return nil
    }
    return .prometheus(series)
  }

  private static func mapping(_ node: Yams.Node, _ problems: Problems) -> SeriesMapping? {
    var map = YAMLMapping(node, what: "an entry of series", problems: problems)
    let name = map.text("series")
    let query = map.text("query")
    let labels = map.dictionary("labels")
    let metricName = map.text("metric") ?? "bongsu_node_power_watts"
    let factor = map.number("factor") ?? 1
    let id = nodeID(&map, problems, else: "")
    map.finish()
    guard (name == nil) != (query == nil) else {
      problems.add(map.line, "an entry has either series: NAME of a page or query: PROMQL of a server")
      return nil
    }
    guard let metric = MetricCatalogue.metric(named: metricName), metric.scope == .node else {
      problems.add(
        map.line("metric"), "metric is '\(metricName)', expected one of a node such as bongsu_node_power_watts")
      return nil
    }
    guard let id else { return nil }
    return SeriesMapping(
      node: id, metric: metric.id,
      place: query.map { .query($0) } ?? .series(name: name ?? "", labels: labels), factor: factor)
  }

  private static func nodeID(_ map: inout YAMLMapping, _ problems: Problems, else other: String) -> NodeID? {
    guard let text = map.text("node") else {
      problems.add(map.line, "it has to say whose readings these are: node: NAME\(other.isEmpty ? "" : " \(other)")")
      return nil
    }
    guard let node = NodeID(text) else {
      problems.add(
        map.line("node"), "node is '\(text)', expected 1 to \(Limits.nodeIDBytesMax) letters, digits, '.', '_', '-'")
      return nil
    }
    return node
  }
}

/// What is wrong with a file, collected while it is read.
final class Problems {
  private let path: String
  private var lines: [String] = []
  /// Old names of keys, by the present ones.
  private let formerKeys: [String: [String]]
  /// What is understood and should be changed.
  private(set) var warnings: [String] = []

  init(path: String, formerKeys: [String: [String]]) {
    self.path = path
    self.formerKeys = formerKeys
  }

  /// The present name of a key; a warning says when it was written by an old one.
  func presentName(_ written: String, _ line: Int) -> String {
    guard let key = formerKeys.first(where: { $0.value.contains(written) })?.key else { return written }
    warnings.append("\(path):\(line): '\(written)' is called '\(key)' now; the old name is still understood")
    return key
  }

  var isEmpty: Bool { lines.isEmpty }

  func add(_ line: Int, _ text: String) { if lines.count < 50 { lines.append("\(path):\(line): \(text)") } }

  func throwIfAny() throws { if !lines.isEmpty { throw SettingsError(lines) } }
}

/// One mapping of the file, read key by key. Keys that nobody asked for are problems.
struct YAMLMapping {
  let line: Int
  private let what: String
  private let problems: Problems
  private var values: [String: Yams.Node] = [:]
  private var asked: Set<String> = []

  init(_ node: Yams.Node?, what: String, problems: Problems) {
    self.what = what
    self.problems = problems
    line = node?.mark?.line ?? 1
    guard let node, case .mapping(let mapping) = node else {
      if node != nil { problems.add(line, "\(what) is no mapping of keys to values") }
      return
    }
    for (key, value) in mapping {
      guard let written = key.string else { continue }
      let name = problems.presentName(written, key.mark?.line ?? line)
      if values.updateValue(value, forKey: name) != nil {
        problems.add(key.mark?.line ?? line, "'\(name)' is given twice")
      }
    }
  }

  func has(_ key: String) -> Bool { values[key] != nil }
  func line(_ key: String) -> Int { values[key]?.mark?.line ?? line }

  mutating func text(_ key: String) -> String? {
    guard let node = take(key) else { return nil }
    guard let text = node.scalar?.string, !text.isEmpty else {
      problems.add(line(key), "\(key) has no value")
      return nil
    }
    return text
  }

  /// One text or a list of them.
  mutating func texts(_ key: String) -> [(value: String, line: Int)] {
    guard let node = take(key) else { return [] }
    let nodes = node.sequence.map { Array($0) } ?? [node]
    return nodes.compactMap { item in item.scalar.map { ($0.string, item.mark?.line ?? line(key)) } }
  }

  mutating func integer(_ key: String, _ range: ClosedRange<Int>) -> Int? {
    guard let text = text(key) else { return nil }
    guard let value = Int(text.replacing("_", with: "")), range.contains(value) else {
      problems.add(
        line(key), "\(key) is '\(text)', expected a whole number from \(range.lowerBound) to \(range.upperBound)")
      return nil
    }
    return value
  }

  mutating func number(_ key: String) -> Double? {
    guard let text = text(key) else { return nil }
    guard let value = Double(text), value.isFinite, value != 0 else {
      problems.add(line(key), "\(key) is '\(text)', expected a number other than 0")
      return nil
    }
    return value
  }

  mutating func boolean(_ key: String) -> Bool? {
    guard let text = text(key) else { return nil }
    guard text == "true" || text == "false" else {
      problems.add(line(key), "\(key) is '\(text)', expected true or false")
      return nil
    }
    return text == "true"
  }

  /// `5s` or `500ms`, up to a minute.
  mutating func duration(_ key: String) -> Duration? {
    guard let text = text(key) else { return nil }
    var milliseconds: Int?
    if text.hasSuffix("ms") {
      milliseconds = Int(text.dropLast(2))
    } else if text.hasSuffix("s") {
      milliseconds = Int(text.dropLast()).map { $0 * 1000 }
    }
    guard let milliseconds, (1...60_000).contains(milliseconds) else {
      problems.add(line(key), "\(key) is '\(text)', expected such as 5s or 500ms, at most 60s")
      return nil
    }
    return .milliseconds(milliseconds)
  }

  mutating func dictionary(_ key: String) -> [String: String] {
    guard let node = take(key) else { return [:] }
    guard let mapping = node.mapping else {
      problems.add(line(key), "\(key) is no mapping of names to values")
      return [:]
    }
    var result: [String: String] = [:]
    for (name, value) in mapping {
      if let name = name.string, let value = value.scalar?.string { result[name] = value }
    }
    return result
  }

  mutating func list(_ key: String) -> [Yams.Node] {
    guard let node = take(key) else { return [] }
    guard let sequence = node.sequence else {
      problems.add(line(key), "\(key) is no list")
      return []
    }
    return Array(sequence)
  }

  /// Names the keys that nobody asked for.
  func finish() {
    for key in values.keys.sorted() where !asked.contains(key) {
      let known = asked.sorted().joined(separator: ", ")
      problems.add(line(key), "\(what) has an unknown key '\(key)', expected one of \(known)")
    }
  }

  private mutating func take(_ key: String) -> Yams.Node? {
    asked.insert(key)
    return values[key]
  }
}
