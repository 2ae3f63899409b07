import BongsuAdmission
import BongsuEnrolment
import BongsuFleet
import BongsuIngest
import BongsuMetrics
import BongsuModel
import BongsuStore
import BongsuTestKit
import BongsuTransport
import Foundation
import Synchronization
import Testing

/// An aggregator's gate on loopback: registry, key table, enrolment port, and the ingest port behind it.
final class Gatehouse {
  let directory: TemporaryDirectory
  let keys: KeyPair
  let registrar: Registrar
  let metrics = MetricRegistry()
  let engine: IngestEngine
  let server: EnrolmentServer
  private let context: Context
  private let said = Mutex<[String]>([])

  static let tree: FleetTree = {
    let text = """
      version: 1
      nation: test
      time_zone: UTC
      factories:
        - id: east
          halls:
            - id: a
              in_service: 2020-01-01
              model: B200
              racks:
                - { id: r1, nodes: "r1-n[01-20]" }
      allocations:
        - path: owner
          granted_gpus: 160
          members:
            - { nodes: "r1-n[01-20]" }
      """
    let file = FleetFile(text: text, path: "test.yaml")
    guard let tree = file.tree else { preconditionFailure("\(file.findings)") }
    return tree
  }()

  init(in directory: TemporaryDirectory) throws {
    self.directory = directory
    context = try Context()
    keys = try ServerKey.load(from: "\(directory.path)/keys")
    let registry = try Registry(path: "\(directory.path)/registry.sqlite")
    registrar = try Registrar(registry: registry, serverKey: keys.publicKey, metrics: metrics)
    try context.install(authority: registrar.table)
    let journals = "\(directory.path)/journal"
    try FileManager.default.createDirectory(atPath: "\(journals)/shard-0", withIntermediateDirectories: true)
    var configuration = IngestConfiguration(
      listen: ["tcp://127.0.0.1:*"], journalDirectory: journals, connectionsMax: 100)
    configuration.keys = keys
    let table = registrar.table
    configuration.nodeOfUserID = { table.node(ofUserID: $0) }
    let engine = IngestEngine(configuration, tree: Self.tree, context: context, registry: metrics) { _ in }
    self.engine = engine
    _ = try engine.start()
    server = try EnrolmentServer(in: context, listen: "tcp://127.0.0.1:*", keys: keys, registrar: registrar) { node in
      engine.setRevoked(false, node)
    }
    registrar.advertise(Registrar.Places(enrolment: [try enrolment], ingest: [[try #require(Self.place(ingest))]]))
    server.start()
  }

  convenience init() throws { try self.init(in: TemporaryDirectory()) }

  deinit {
    server.stop()
    engine.stop()
    context.shutdown()
  }

  /// Where the ports are.
  var ingest: String { engine.endpoints?.first ?? "" }
  var enrolment: HostPort { get throws { try #require(Self.place(server.endpoint)) } }

  static func place(_ endpoint: String) -> HostPort? { HostPort(String(endpoint.dropFirst(6))) }

  /// A join string for one machine, or for more.
  func token(uses: Int = 1, seconds: Int64 = 600, patterns: [String] = [], comment: String? = nil) throws -> JoinString
  {
    try registrar.createToken(
      uses: uses, lifeSeconds: seconds, patterns: patterns, comment: comment, by: "test"
    ).string
  }

  func revoke(_ node: NodeID) throws {
    #expect(try registrar.revoke(node, by: "test") != nil)
    engine.setRevoked(true, node)
  }

  /// Everything that the aggregator would have put into its log so far.
  var log: [String] {
    said.withLock { lines in
      lines += registrar.takeNews() + engine.counters.takeNews()
      return lines
    }
  }

  /// The value of a metric, labels included in `name`.
  func metric(_ name: String) -> Double? {
    metrics.render(as: .openMetrics).split(separator: "\n").first { $0.hasPrefix(name + " ") }
      .flatMap { Double($0.dropFirst(name.count + 1)) }
  }
}

/// A machine that asks to join.
struct Machine {
  let context: Context
  let keys: KeyPair

  init(keys: KeyPair? = nil) throws {
    context = try Context()
    self.keys = try keys ?? KeyPair.generate()
  }

  init(sharing context: Context) throws {
    self.context = context
    keys = try KeyPair.generate()
  }

  /// Joins; the refusal when there is one.
  func join(_ string: JoinString, as node: NodeID) throws -> Result<JoinAcceptance, EnrolmentFailure> {
    let client = EnrolmentClient(context: context, patience: .seconds(10))
    do throws(EnrolmentFailure) {
      return .success(try client.join(string, as: node, keys: keys, agentVersion: "test"))
    } catch {
      return .failure(error)
    }
  }

  /// The reason of a refusal; `nil` when the machine was let in.
  func refusal(_ string: JoinString, as node: NodeID) throws -> DenialReason? {
    switch try join(string, as: node) {
    case .success: return nil
    case .failure(.denied(let denial)):
      #expect(!denial.detail.isEmpty && !denial.nextStep.isEmpty)
      guard let reason = denial.reason else { throw EnrolmentFailure.denied(denial) }
      return reason
    case .failure(let failure): throw failure
    }
  }
}

func node(_ name: String) -> NodeID {
  guard let id = NodeID(name) else { preconditionFailure("\(name) is no node id") }
  return id
}

/// Waits until `condition` holds; `false` when it does not within `seconds`.
func eventually(within seconds: Double = 15, _ condition: () throws -> Bool) rethrows -> Bool {
  let end = Date().addingTimeInterval(seconds)
  while Date() < end {
    if try condition() { return true }
    Thread.sleep(forTimeInterval: 0.02)
  }
  return try condition()
}
