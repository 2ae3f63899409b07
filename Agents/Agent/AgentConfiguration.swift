import BongsuDelivery
import BongsuDevices
import BongsuEnrolment
import BongsuModel
import BongsuProcess
import BongsuTransport
import Glibc

/// What an agent was told: by options, which win, by `BONGSU_AGENT_…` variables, and by a configuration file of
/// `key = value` lines with the names of the options. `ops/config/agent.conf` lists every key.
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
  /// Where the control socket is; `nil` without one.
  var controlPath: String?
  /// How far the agent stands back for other programs, as nice(1) counts.
  var niceness: Int32
  /// What was said, and by whom.
  let settings: Settings

  /// File that is read when it is there and none is named.
  static let defaultFile = "/etc/bongsu/agent.conf"

  static let options: [ArgumentScanner.Option] = [
    .init(
      name: "--config", value: "FILE",
      help:
        "read settings from FILE; options and BONGSU_AGENT_… variables win over it (default: \(defaultFile), if any)"),
    .init(name: "--check-config", value: nil, help: "say whether the settings can be used, and end"),
    .init(name: "--node", value: "ID", help: "name of this node in the fleet (default: the host name)"),
    .init(
      name: "--aggregator", value: "HOST:PORT", help: "where to send (default: where it joined, else 127.0.0.1:7420)",
      repeats: true),
    .init(
      name: "--state", value: "DIR",
      help: "where joining has put the node's key (default: \(NodeIdentity.defaultDirectory))"),
    .init(
      name: "--source", value: "SPEC",
      help: "nvml[:LIB], amd, intel, host, replay:FILE[,loop][,speed=N], simulated[:gpus=N,…] (default: nvml, host)",
      repeats: true),
    .init(name: "--interval", value: "TIME", help: "distance between samples, such as 1s or 100ms (default: 1s)"),
    .init(name: "--spool", value: "DIR", help: "keep unsent samples in DIR (default: in memory)"),
    .init(name: "--spool-bytes", value: "N", help: "bytes that the spool may take (default: 268435456)"),
    .init(
      name: "--control", value: "PATH",
      help: "socket of bongsu-agent ctl, or none (default: control in the run directory, else in the state directory)"),
    .init(name: "--nice", value: "N", help: "stand back for other programs, 0 to 19 as in nice(1) (default: 10)"),
    .init(name: "--log-level", value: "LEVEL", help: "debug, info, warning or error (default: info)"),
  ]

  /// Options that are no settings.
  private static let commands: Set<String> = ["--config", "--check-config"]
  private static let reloading: Set<String> = ["aggregator", "log-level"]
  static let origins = Settings.Origins(variablePrefix: "BONGSU_AGENT_", defaultFile: defaultFile)

  /// Names that settings had in earlier releases, by their present name. Who renames an option enters it here.
  private static let formerNames: [String: [String]] = [:]

  /// Every key of the file.
  static let keys: [SettingKey] = options.filter { !commands.contains($0.name) }.map { option in
    let name = String(option.name.dropFirst(2))
    return SettingKey(
      name, isFlag: option.value == nil, repeats: option.repeats, formerNames: formerNames[name] ?? [],
      reloads: reloading.contains(name))
  }

  /// Puts options, variables and file together; `warnings` are what is to be said of the options' names.
  init(
    _ arguments: ArgumentScanner, variables: [String: String] = Settings.environment(), warnings: [String] = []
  ) throws {
    var options: [String: [String]] = [:]
    for key in Self.keys { options[key.name] = arguments.values["--" + key.name] }
    let settings = try Settings(
      keys: Self.keys, options: options, file: arguments.value("--config"), origins: Self.origins, variables: variables,
      warnings: warnings)
    self.settings = settings
    let directory = settings.value("state") ?? NodeIdentity.defaultDirectory
    let identity = try NodeIdentity.load(from: directory)
    let named = settings.value("node")
    node = if named == nil, let identity { identity.node } else { try HostName.node(named) }
    if let identity, identity.node != node {
      throw Invalid(
        description: "\(settings.origin("node")): node is '\(node)', but the key in \(directory) is of node "
          + "\(identity.node); leave --node out, or join as \(node) with bongsu-agent join")
    }
    let asked = try settings.values("aggregator").map { try Self.endpoint($0, settings.origin("aggregator")) }
    endpoints = try !asked.isEmpty ? asked : identity?.endpoints ?? [Self.endpoint("127.0.0.1:7420", "aggregator")]
    security = identity.map { .curveClient($0.keys, server: $0.serverKey) } ?? .plain
    if identity == nil, let open = endpoints.first(where: { !$0.isLoopback }) {
      throw Invalid(
        description: "\(settings.origin("aggregator")): aggregator is '\(open)', on another machine, and this node has "
          + "no key in \(directory) to encrypt with; run bongsu-agent join STRING with a string of bongsu join-token create"
      )
    }
    func located<Value>(_ name: String, _ read: () throws -> Value) throws -> Value {
      do { return try read() } catch let error as Invalid {
        throw Invalid(description: "\(settings.origin(name)): \(error)")
      }
    }
    interval = try located("interval") { try Self.interval(settings.value("interval") ?? "1s") }
    spoolDirectory = settings.value("spool")
    spoolBytesMax = try located("spool-bytes") { try Self.bytes(settings.value("spool-bytes") ?? "268435456") }
    let level = settings.value("log-level") ?? "info"
    guard let parsed = AgentLog.Level(named: level) else {
      throw Invalid(
        description: "\(settings.origin("log-level")): log-level is '\(level)', expected debug, info, warning or error")
    }
    logLevel = parsed
    sources = try located("source") { try Self.sources(settings.values("source")) }
    controlPath = ControlPath.listening(settings.value("control"), state: directory, variables: variables)
    guard let niceness = Int32(settings.value("nice") ?? "10"), (0...19).contains(niceness) else {
      throw Invalid(
        description: "\(settings.origin("nice")): nice is '\(settings.value("nice") ?? "")', expected 0 to 19")
    }
    self.niceness = niceness
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
    guard let interval = TickInterval(text: text) else {
      throw Invalid(
        description: "interval is '\(text)', expected a divisor or a multiple of one second from "
          + "\(Limits.tickIntervalMillisecondsMin)ms to \(Limits.tickIntervalMillisecondsMax / 1000)s, such as 1s")
    }
    return interval
  }

  private static func endpoint(_ text: String, _ origin: String) throws -> HostPort {
    let address = text.hasPrefix("tcp://") ? String(text.dropFirst(6)) : text
    guard let endpoint = HostPort(address), !endpoint.host.isEmpty else {
      throw Invalid(description: "\(origin): aggregator is '\(text)', expected HOST:PORT such as 10.0.0.5:7420")
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

/// Where the control socket of an agent is.
enum ControlPath {
  static let runDirectory = "/run/bongsu-agent"

  /// Where to listen; `nil` for not at all.
  static func listening(_ asked: String?, state: String, variables: [String: String]) -> String? {
    if let asked { return asked == "none" ? nil : asked }
    // systemd names the directory that it made for the service; with several, the first.
    if let directory = variables["RUNTIME_DIRECTORY"]?.split(separator: ":").first { return "\(directory)/control" }
    return "\(state)/control"
  }

  /// Where to look for a running agent's, in this order.
  static func candidates(_ asked: String?, state: String?) -> [String] {
    if let asked { return [asked] }
    if let state { return ["\(state)/control"] }
    return ["\(runDirectory)/control", "\(NodeIdentity.defaultDirectory)/control"]
  }
}
