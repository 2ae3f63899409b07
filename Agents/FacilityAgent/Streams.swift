import BongsuDelivery
import BongsuEnrolment
import BongsuModel
import BongsuRecordLog
import BongsuSpool
import BongsuTransport

/// Makes the sessions of all nodes and meters that a configuration speaks for.
enum Streams {
  /// Where the identity of `node` is kept.
  static func directory(of node: NodeID, _ configuration: FacilityConfiguration) -> String {
    "\(configuration.state)/\(node.name)"
  }

  /// - Throws: when no node can be spoken for. One that has not joined is named and left out.
  static func open(
    _ configuration: FacilityConfiguration, context: Context, board: ReadingBoard, log: AgentLog
  ) throws -> [NodeStream] {
    var streams: [NodeStream] = []
    var reason = ""
    for node in configuration.nodes {
      do {
        streams.append(try open(node, configuration, context: context, board: board, log: log))
      } catch {
        reason = "\(error)"
        log.error("uplink", "node \(node) is not spoken for: \(error)")
      }
    }
    guard !streams.isEmpty else { throw Invalid(description: "no node can be spoken for; the last: \(reason)") }
    return streams
  }

  private static func open(
    _ node: NodeID, _ configuration: FacilityConfiguration, context: Context, board: ReadingBoard, log: AgentLog
  ) throws -> NodeStream {
    let identity = try NodeIdentity.load(from: directory(of: node, configuration))
    let asked = configuration.aggregators
    let places = !asked.isEmpty ? asked : identity?.endpoints ?? [HostPort("127.0.0.1:7420")].compactMap { $0 }
    if identity == nil, let far = places.first(where: { !$0.isLoopback }) {
      throw Invalid(
        description: "it has no key in \(directory(of: node, configuration)) and \(far) is another machine; run "
          + "bongsu-facility-agent join STRING")
    }
    let security: SocketSecurity = identity.map { .curveClient($0.keys, server: $0.serverKey) } ?? .plain
    let named = log.named("node \(node)")
    let spool = spool(of: node, configuration, named)
    let state = (spool.state, spool.layouts, spool.lastTick)
    let speaking = configuration.endpoints.indices.filter { configuration.endpoints[$0].nodes.contains(node) }
    let host = AgentHost(context: context, endpoints: places, security: security, spool: spool, log: named)
    return NodeStream(
      node, endpoints: speaking, names: speaking.map { configuration.endpoints[$0].name },
      interval: configuration.interval, board: board, host: host, spool: state)
  }

  private static func spool(of node: NodeID, _ configuration: FacilityConfiguration, _ log: AgentLog) -> Spool {
    let limits = SpoolLimits(diskBytesMax: configuration.spoolBytesMax, memoryBytesMax: 256 << 10)
    let salt = UInt32.random(in: 1...(.max))
    guard let directory = configuration.spool else { return Spool(disk: nil, limits: limits, salt: salt) }
    do {
      try SecretFile.makeDirectory(directory)
      return Spool(disk: try PosixDisk(path: "\(directory)/\(node.name)"), limits: limits, salt: salt)
    } catch {
      // A lost spool never prevents the start.
      log.error("spool", "\(error); unsent samples are kept in memory alone")
      return Spool(disk: nil, limits: limits, salt: salt)
    }
  }
}
