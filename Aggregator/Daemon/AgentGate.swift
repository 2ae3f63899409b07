import BongsuAdmission
import BongsuEnrolment
import BongsuIngest
import BongsuMetrics
import BongsuModel
import BongsuStore
import BongsuTransport
import Foundation
import Logging
import ServiceLifecycle

/// What stands between the network and the data plane when agents have to prove who they are: the server's key, the
/// registry of nodes, the enrolment port.
///
///     DIR/keys/server.key     the server's key pair, mode 0600, made at the first start
///     DIR/registry.sqlite     nodes, join tokens, access tokens, audit log
struct AgentGate {
  let keys: KeyPair
  let registrar: Registrar

  /// Loads what `directory` has and makes what it lacks.
  init(directory: String, registry: Registry, metrics: MetricRegistry, say: (String) -> Void) throws {
    keys = try ServerKey.load(from: "\(directory)/keys", say: say)
    registrar = try Registrar(registry: registry, serverKey: keys.publicKey, metrics: metrics)
  }

  /// Opens the registry of nodes and tokens.
  ///
  /// A damaged registry does not keep the aggregator down: its sound entries are taken over, and what is lost is said. Whose
  /// entry is lost cannot come in before it has joined again, or got a new token; agents keep their data meanwhile.
  static func openRegistry(directory: String, logger: Logger) throws -> Registry {
    try Registry.mended(path: "\(directory)/registry.sqlite") { line in
      logger.critical(
        "\(line); compare bongsu nodes list and bongsu token list with a backup: whoever is missing joins again or gets a new token"
      )
    }
  }

  /// Puts the gate before every CURVE socket of `context`, and its rule into the ingest core's configuration.
  func guardSockets(of context: Context, _ ingest: inout IngestConfiguration) throws {
    let table = registrar.table
    // libzmq lets every key in until somebody is asked: before the first server socket.
    try context.install(authority: table)
    ingest.keys = keys
    ingest.nodeOfUserID = { table.node(ofUserID: $0) }
  }
}

/// The enrolment port as a service.
struct EnrolmentService: Service {
  let gate: AgentGate
  let server: EnrolmentServer
  let engine: IngestEngine
  /// Where machines are told to go.
  let places: @Sendable (_ enrolmentPort: Int, _ ingestPorts: [Int]) -> Registrar.Places
  let logger: Logger

  func run() async throws {
    guard let enrolment = HostPort(tcp: server.endpoint) else {
      throw StartFailure("the enrolment port is at '\(server.endpoint)', which cannot be told to anyone")
    }
    await cancelWhenGracefulShutdown {
      // Nobody is let in before the ingest port is open, so that no agent comes too early.
      while engine.endpoints == nil, !Task.isCancelled { try? await Task.sleep(for: .milliseconds(50)) }
      guard let ingest = engine.endpoints else { return }
      let places = places(enrolment.port, ingest.compactMap { HostPort(tcp: $0)?.port })
      gate.registrar.advertise(places)
      server.start()
      logger.info(
        "taking joining machines",
        metadata: [
          "endpoint": "\(server.endpoint)",
          "advertised": "\(places.enrolment.map(\.description).joined(separator: " "))",
          "server-key": "\(gate.keys.publicKey)",
        ])
      while !Task.isCancelled {
        try? await Task.sleep(for: .seconds(1))
        for line in gate.registrar.takeNews() { logger.notice("\(line)") }
      }
      try? await IngestService.onThread("enrol-stop") { server.stop() }
    }
    for line in gate.registrar.takeNews() { logger.notice("\(line)") }
  }
}

extension HostPort {
  /// Reads libzmq's form, `tcp://HOST:PORT`.
  init?(tcp endpoint: String) {
    guard endpoint.hasPrefix("tcp://") else { return nil }
    self.init(String(endpoint.dropFirst(6)))
  }
}

/// Under which names other machines reach this one.
struct AdvertisedPlaces {
  let listen: [Address]
  let enrolListen: Address
  /// What the operator said; empty: to be found out.
  let hosts: [String]

  init(listen: [Address], enrolListen: Address, hosts: [String]) throws {
    self.listen = listen
    self.enrolListen = enrolListen
    self.hosts = hosts
    guard enrolmentHosts.allSatisfy({ HostPort(host: $0, port: 1) != nil }) else {
      throw StartFailure(
        "no machine can be told to reach this one as '\(enrolmentHosts.joined(separator: " "))'; give --advertise HOST")
    }
  }

  private var enrolmentHosts: [String] {
    if !hosts.isEmpty { return hosts }
    return [enrolListen.isWildcard ? ProcessInfo.processInfo.hostName : enrolListen.host]
  }

  /// - Parameter ingestPorts: the port of each receiver, in the order of `listen`.
  func places(enrolmentPort: Int, ingestPorts: [Int]) -> Registrar.Places {
    Registrar.Places(
      enrolment: enrolmentHosts.compactMap { HostPort(host: $0, port: enrolmentPort) },
      ingest: zip(listen, ingestPorts).map { listen, port in
        // Without a host a machine goes to the one by which it came to join.
        let own = listen.isWildcard || listen.host == enrolListen.host ? "" : listen.host
        return (hosts.isEmpty ? [own] : hosts).compactMap { HostPort(host: $0, port: port) }
      })
  }
}
