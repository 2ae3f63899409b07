/// How the aggregator sees a node.
public enum NodeState: String, Codable, Sendable, CaseIterable {
  /// It has an open session and delivers.
  case connected
  /// It delivered once and does not any more.
  case silent
  /// The fleet file expects it and it never came.
  case missing
  /// Its key is no longer accepted.
  case revoked
}

/// A node, as `/api/bongsu/v1/nodes` lists it.
public struct NodeReport: Codable, Hashable, Sendable {
  public var id: String
  public var state: NodeState
  /// Where the fleet file puts it; `nil` when it names it nowhere.
  public var factory: String?
  public var hall: String?
  public var rack: String?
  public var allocation: String?
  /// GPUs that it announced.
  public var gpus: Int
  /// The newest tick stored for it, milliseconds since 1970.
  public var lastTickUnixMilliseconds: Int64?
  /// Its clock minus ours, milliseconds; `nil` when not measured.
  public var skewMilliseconds: Int64?
  /// Release of its agent.
  public var agentVersion: String?
  /// Address that it joined from.
  public var address: String?
  /// Public key, as Z85 text; never a secret.
  public var publicKey: String?
  /// When it enrolled, and when its key was revoked, milliseconds since 1970.
  public var enrolledUnixMilliseconds: Int64?
  public var revokedUnixMilliseconds: Int64?
  /// What is wrong with it and what to do, for people; `nil` when nothing is.
  public var remark: String?

  private enum CodingKeys: String, CodingKey {
    case id, state, factory, hall, rack, allocation, gpus, address, remark
    case lastTickUnixMilliseconds = "last_tick_ms"
    case skewMilliseconds = "skew_ms"
    case agentVersion = "agent_version"
    case publicKey = "public_key"
    case enrolledUnixMilliseconds = "enrolled_ms"
    case revokedUnixMilliseconds = "revoked_ms"
  }

  /// Describes a node of which only name and state are known; the caller sets the rest.
  public init(id: String, state: NodeState, gpus: Int = 0) {
    self.id = id
    self.state = state
    self.gpus = gpus
  }
}

/// Which nodes `/api/bongsu/v1/nodes` lists.
public struct NodeFilter: Hashable, Sendable {
  /// Only this state.
  public var state: NodeState?
  /// Only nodes of this factory.
  public var factory: String?
  /// Only nodes outside the fleet file.
  public var isUnassignedOnly: Bool

  public init(state: NodeState? = nil, factory: String? = nil, isUnassignedOnly: Bool = false) {
    self.state = state
    self.factory = factory
    self.isUnassignedOnly = isUnassignedOnly
  }
}

/// The answer of `/api/bongsu/v1/nodes`, in order of names.
public struct NodeList: Codable, Hashable, Sendable {
  /// How many nodes the filter matched; more than `nodes` when the limit cut some off.
  public var matched: Int
  public var nodes: [NodeReport]

  /// Sorts by name and keeps the first `limit`.
  public init(_ nodes: [NodeReport], limit: Int) {
    matched = nodes.count
    self.nodes = Array(nodes.sorted { $0.id < $1.id }.prefix(max(0, limit)))
  }
}
