import ArgumentParser
import BongsuAPI
import BongsuFleet
import BongsuIngest
import BongsuMetrics
import BongsuTransport
import Foundation
import Logging
import ServiceLifecycle
import UnixSignals

/// `bongsu-aggregator`: takes what agents send, makes it durable, rolls it up, answers questions.
@main
struct AggregatorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bongsu-aggregator",
    abstract: "Takes samples from agents, stores them durably, rolls them up per AI factory and national allocation.",
    discussion: """
      Example:
        bongsu-aggregator --fleet ops/fleets/korea.yaml --data /var/lib/bongsu
      """,
    version: Release.version)

  @Option(help: "The fleet file: factories, halls, racks, nodes, allocations.")
  var fleet: String

  @Option(help: "Directory of everything that is stored.")
  var data: String

  @Option(help: "Where agents connect, HOST:PORT.")
  var listen = "127.0.0.1:7420"

  @Option(help: "Where HTTP is served, HOST:PORT.")
  var http = "127.0.0.1:7480"

  @Option(help: "Threads that decode and roll up; fixed for the life of a data directory.")
  var shards = 1

  @Option(name: .customLong("connections-max"), help: "Agents that may be connected at once.")
  var connectionsMax = 20_000

  @Flag(
    name: .customLong("demo-in-service"),
    help: "Count halls that are only planned as in service, for demonstrations.")
  var demoInService = false

  @Flag(
    name: .customLong("allow-insecure-listen"),
    help: "Listen beyond loopback without encryption and authentication. Only on a network you trust.")
  var allowInsecureListen = false

  @Option(
    name: .customLong("log-level"), help: "trace, debug, info, notice, warning, error or critical.",
    transform: { text in
      guard let level = Logger.Level(rawValue: text) else {
        throw ValidationError("'\(text)' is none of trace, debug, info, notice, warning, error, critical")
      }
      return level
    })
  var logLevel: Logger.Level = .info

  static func main() async {
    // Usage errors end with 2, as everywhere in Bongsu; the parser's own choice is 64.
    do {
      var command = try parseAsRoot()
      if let command = command as? AggregatorCommand {
        try await command.run()
      } else {
        try command.run()
      }
    } catch {
      let code = exitCode(for: error)
      let text = fullMessage(for: error)
      if code == .success {
        print(text)
      } else {
        FileHandle.standardError.write(Data((text + "\n").utf8))
      }
      Foundation.exit(code == .validationFailure ? 2 : code.rawValue)
    }
  }

  func validate() throws {
    _ = try Address(listen, option: "--listen")
    _ = try Address(http, option: "--http")
    guard (1...IngestLimits.shardsMax).contains(shards) else {
      throw ValidationError("--shards is \(shards), must be 1 to \(IngestLimits.shardsMax)")
    }
    guard connectionsMax > 0 else {
      throw ValidationError("--connections-max is \(connectionsMax), must be at least 1")
    }
  }

  func run() async throws {
    LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
    var logger = Logger(label: "bongsu-aggregator")
    logger.logLevel = logLevel
    let tree = try FleetFile(path: fleet, options: FleetOptions(demoInService: demoInService)).usableTree()
    let listen = try Address(listen, option: "--listen")
    let http = try Address(http, option: "--http")
    guard allowInsecureListen || listen.isLoopback else {
      throw StartFailure(
        "--listen \(listen) is reached by other machines and agents are not authenticated; listen on 127.0.0.1, or "
          + "say --allow-insecure-listen if the network is trusted")
    }
    let connections = allowedConnections(logger)
    try DataDirectory.prepare(data, shards: shards)
    let registry = MetricRegistry()
    let failure = FailureSignal()
    var ingest = IngestConfiguration(
      listen: "tcp://\(listen)", journalDirectory: "\(data)/journal", connectionsMax: connections)
    ingest.shards = shards
    let context = try Context(ioThreads: 1)
    let engine = IngestEngine(ingest, tree: tree, context: context, registry: registry) { reason in
      failure.fail(reason)
    }
    let live = LiveAnswers(engine: engine, tree: tree, registry: registry)
    let api = try BongsuService(
      configuration: APIConfiguration(
        host: http.host, port: http.port, allowsInsecureListen: allowInsecureListen, version: Release.version),
      sources: APISources(live: live), metrics: registry, logger: logger)
    if demoInService { logger.notice("planned halls count as in service: --demo-in-service") }
    let services = ServiceGroup(
      configuration: ServiceGroupConfiguration(
        services: [
          .init(service: IngestService(engine: engine, logger: logger)), .init(service: api),
          .init(service: LiveClock(live: live, engine: engine, logger: logger)),
          .init(service: failure),
        ], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
    try await services.run()
    context.shutdown()
  }

  /// How many agents the descriptor limit lets in, with a warning when that is fewer than asked for.
  private func allowedConnections(_ logger: Logger) -> Int {
    let limit = DescriptorLimit.raise(toHold: connectionsMax + TransportLimits.descriptorReserve)
    guard !limit.isEnough else { return connectionsMax }
    let allowed = max(1, limit.soft - TransportLimits.descriptorReserve)
    logger.warning("\(limit); at most \(allowed) agents can connect")
    return allowed
  }
}

/// The release this program was built as.
enum Release {
  static let version = "0.1.0"
}

/// Something that keeps the aggregator from starting; exit status 1.
struct StartFailure: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}

/// Where to listen.
struct Address: CustomStringConvertible {
  let host: String
  let port: Int

  init(_ text: String, option: String) throws {
    guard let colon = text.lastIndex(of: ":"), colon != text.startIndex,
      let port = Int(text[text.index(after: colon)...]),
      (0...65_535).contains(port)
    else {
      throw ValidationError("\(option) is '\(text)', expected HOST:PORT such as 127.0.0.1:7420")
    }
    host = String(text[..<colon])
    self.port = port
  }

  var description: String { "\(host):\(port)" }

  var isLoopback: Bool { host == "localhost" || host == "[::1]" || host == "::1" || host.hasPrefix("127.") }
}
