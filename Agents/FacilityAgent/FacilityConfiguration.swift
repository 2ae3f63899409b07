import BongsuDelivery
import BongsuEnrolment
import BongsuFleet
import BongsuModel

/// What a facility agent was told: its file, `ops/config/facility-agent.yaml` lists every key.
struct FacilityConfiguration: Sendable {
  /// Directory with one identity for each node spoken for, below the node's name.
  var state = "/var/lib/bongsu/facility"
  /// Where to deliver; empty: where each node has joined.
  var aggregators: [HostPort] = []
  /// Distance between samples.
  var interval = TickInterval(milliseconds: 10_000)!
  /// Directory of the spools, one below for each node; `nil` keeps unsent rows in memory.
  var spool: String?
  /// Bytes that the spool of one node may take.
  var spoolBytesMax = 64 << 20
  /// How long an endpoint's answer is waited for.
  var timeout = Duration.seconds(5)
  var logLevel = AgentLog.Level.info
  var endpoints: [Endpoint] = []
  /// What is understood and should be changed, one line each.
  var warnings: [String] = []

  /// Names that keys of the file had in earlier releases, by their present name. Who renames a key enters it here.
  static let formerKeys: [String: [String]] = [:]
  static let defaultFile = "/etc/bongsu/facility-agent.yaml"
  static let endpointsMax = 4096
  static let nodesMax = 4096

  /// One place to read.
  struct Endpoint: Hashable, Sendable {
    enum Kind: Hashable, Sendable {
      case dcgm(Attribution)
      case redfish(node: NodeID, chassis: String?, wantsGPUs: Bool)
      case prometheus([SeriesMapping])
    }

    /// Whose GPUs a dcgm-exporter's page shows.
    enum Attribution: Hashable, Sendable {
      /// All are of this node.
      case node(NodeID)
      /// Each line's host label names the node, among those of the pattern.
      case hostNames(NamePattern)
    }

    var kind: Kind
    var url: String
    /// Seconds before the tick's answer is given up; `nil`: that of the file.
    var timeout: Duration?
    var username: String?
    var passwordFile: String?
    var trust = EndpointClient.Trust.system
    /// Line in the file.
    var line = 0

    /// What it is called in messages.
    var name: String {
      switch kind {
      case .dcgm: "dcgm:\(url)"
      case .redfish: "redfish:\(url)"
      case .prometheus: "prometheus:\(url)"
      }
    }

    /// The nodes it may speak for.
    var nodes: [NodeID] {
      switch kind {
      case .dcgm(.node(let node)), .redfish(let node, _, _): [node]
      case .dcgm(.hostNames(let pattern)): pattern.names.compactMap { NodeID($0) }
      case .prometheus(let series): Set(series.map(\.node)).sorted()
      }
    }
  }

  /// All nodes and meters spoken for, sorted.
  var nodes: [NodeID] { Set(endpoints.flatMap(\.nodes)).sorted() }
}
