import BongsuDelivery
import BongsuDevices
import BongsuEnrolment
import BongsuModel
import BongsuTransport
import Glibc

/// What an agent was told: by options, which win, and by a configuration file.
///
/// The file has one `key = value` a line, with the names of the options without their dashes; `#` starts a comment, and
/// `source` may come several times:
///
///     node       = r001-n07
///     aggregator = 10.0.0.5:7420
///     source     = nvml
///     source     = host
struct AgentConfiguration {
  var node: NodeID
  /// Where to deliver, in the order to try.
  var endpoints: [HostPort]
  /// Encrypted once the node has joined, else in the clear and to this machine alone.
  var security: SocketSecurity
  var sources: [SourceSpecification]
  var interval: TickInterval
  /// Directory of the spool; `nil` keeps unsent rows in memory alone.
  var spoolDirectory: String?
  var spoolBytesMax: Int
  var logLevel: AgentLog.Level

  static let options: [ArgumentScanner.Option] = [
    .init(name: "--config", value: "FILE", help: "read settings from FILE; options win over it"),
    .init(name: "--node", value: "ID", help: "name of this node in the fleet (default: the host name)"),
    .init(
      name: "--aggregator", value: "HOST:PORT", help: "where to send (default: where it joined, else 127.0.0.1:7420)"),
    .init(
      name: "--state", value: "DIR",
      help: "where joining has put the node's key (default: \(NodeIdentity.defaultDirectory))"),
    .init(
      name: "--source", value: "SPEC", help: "nvml[:LIB], host, replay:FILE[,loop][,speed=N], simulated[:gpus=N,…]",
      repeats: true),
    .init(name: "--interval", value: "TIME", help: "distance between samples, such as 1s or 100ms (default: 1s)"),
    .init(name: "--spool", value: "DIR", help: "keep unsent samples in DIR (default: in memory)"),
    .init(name: "--spool-bytes", value: "N", help: "bytes that the spool may take (default: 268435456)"),
    .init(name: "--log-level", value: "LEVEL", help: "debug, info, warning or error (default: info)"),
  ]

  /// Puts options and file together.
  init(_ arguments: ArgumentScanner) throws {
    var settings = Settings(arguments)
    if let file = arguments.value("--config") { try settings.read(file) }
    let directory = settings.value("state") ?? NodeIdentity.defaultDirectory
    let identity = try NodeIdentity.load(from: directory)
    let named = settings.value("node")
    node = if named == nil, let identity { identity.node } else { try HostName.node(named) }
    if let identity, identity.node != node {
      throw Invalid(
        description: "node is '\(node)', but the key in \(directory) is of node \(identity.node); leave --node out, or "
          + "join as \(node) with bongsu-agent join")
    }
    let asked = try settings.value("aggregator").map { [try Self.endpoint($0)] }
    endpoints = try asked ?? identity?.endpoints ?? [Self.endpoint("127.0.0.1:7420")]
    security = identity.map { .curveClient($0.keys, server: $0.serverKey) } ?? .plain
    if identity == nil, let open = endpoints.first(where: { !$0.isLoopback }) {
      throw Invalid(
        description: "aggregator is '\(open)', on another machine, and this node has no key in \(directory) to encrypt "
          + "with; run bongsu-agent join STRING with a string of bongsu join-token create")
    }
    interval = try Self.interval(settings.value("interval") ?? "1s")
    spoolDirectory = settings.value("spool")
    spoolBytesMax = try Self.bytes(settings.value("spool-bytes") ?? "268435456")
    let level = settings.value("log-level") ?? "info"
    guard let parsed = AgentLog.Level(named: level) else {
      throw Invalid(description: "log-level is '\(level)', expected debug, info, warning or error")
    }
    logLevel = parsed
    sources = try Self.sources(settings.values("source"))
  }

  /// Reads source specifications; the node's real GPUs and sensors when there are none.
  static func sources(_ texts: [String]) throws -> [SourceSpecification] {
    if texts.isEmpty { return SourceSpecification.defaults }
    return try texts.map { text in
      do {
        return try SourceSpecification(parsing: text)
      } catch {
        throw Invalid(description: "source '\(text)': \(error)")
      }
    }
  }

  /// Reads a distance between ticks.
  static func interval(_ text: String) throws -> TickInterval {
    let milliseconds: Int? =
      if text.hasSuffix("ms") {
        Int(text.dropLast(2))
      } else if text.hasSuffix("s") {
        Int(text.dropLast()).flatMap { $0 < 1_000_000 ? $0 * 1000 : nil }
      } else {
        nil
      }
    guard let milliseconds, let interval = TickInterval(milliseconds: milliseconds) else {
      throw Invalid(
        description: "interval is '\(text)', expected a divisor or a multiple of one second from "
          + "\(Limits.tickIntervalMillisecondsMin)ms to \(Limits.tickIntervalMillisecondsMax / 1000)s, such as 1s")
    }
    return interval
  }

  private static func endpoint(_ text: String) throws -> HostPort {
    let address = text.hasPrefix("tcp://") ? String(text.dropFirst(6)) : text
    guard let endpoint = HostPort(address), !endpoint.host.isEmpty else {
      throw Invalid(description: "aggregator is '\(text)', expected HOST:PORT such as 10.0.0.5:7420")
    }
    return endpoint
  }

  private static func bytes(_ text: String) throws -> Int {
    guard let bytes = Int(text), bytes >= 1 << 20 else {
      throw Invalid(description: "spool-bytes is '\(text)', expected a whole number from \(1 << 20) up")
    }
    return bytes
  }
}

/// Settings by name, from options and then from a file.
private struct Settings {
  private var given: [String: [String]] = [:]

  init(_ arguments: ArgumentScanner) {
    for option in AgentConfiguration.options where option.name != "--config" {
      if let values = arguments.values[option.name] { given[String(option.name.dropFirst(2))] = values }
    }
  }

  func value(_ name: String) -> String? { given[name]?.last }
  func values(_ name: String) -> [String] { given[name] ?? [] }

  /// Adds what `path` says where no option has spoken.
  mutating func read(_ path: String) throws {
    guard let text = readTextFile(path) else {
      let reason = unsafe String(cString: strerror(errno))
      throw Invalid(description: "cannot read the configuration \(path): \(reason)")
    }
    let known = AgentConfiguration.options.filter { $0.name != "--config" }
    var found: [String: [String]] = [:]
    for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let content = trimmed(line.prefix { $0 != "#" })
      if content.isEmpty { continue }
      let place = "\(path):\(number + 1)"
      guard let equals = content.firstIndex(of: "=") else {
        throw Invalid(description: "\(place): expected 'key = value', got '\(content)'")
      }
      let key = trimmed(content[..<equals])
      let value = trimmed(content[content.index(after: equals)...])
      guard let option = known.first(where: { $0.name == "--" + key }) else {
        let keys = known.map { String($0.name.dropFirst(2)) }.joined(separator: ", ")
        throw Invalid(description: "\(place): unknown key '\(key)', expected one of \(keys)")
      }
      guard !value.isEmpty else { throw Invalid(description: "\(place): '\(key)' has no value") }
      guard option.repeats || found[key] == nil else {
        throw Invalid(description: "\(place): '\(key)' is given twice")
      }
      found[key, default: []].append(value)
    }
    given.merge(found) { fromOptions, _ in fromOptions }
  }

  private func trimmed(_ text: Substring) -> String {
    var slice = text
    while let first = slice.first, first.isWhitespace { slice.removeFirst() }
    while let last = slice.last, last.isWhitespace { slice.removeLast() }
    return String(slice)
  }

  private func trimmed(_ text: String) -> String { trimmed(text[...]) }
}
