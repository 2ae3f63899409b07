internal import BongsuMetrics
public import BongsuModel
public import BongsuStore
public import BongsuTransport
internal import Foundation
internal import Synchronization

/// Which key may speak for which node, in memory: what the registry says, ready for a handshake.
///
/// The user id of an admitted connection is the node's name and a mark of its key, `r001-n07#4f0c2a…`. So a connection
/// that came in by a key which was revoked since can be told from one that came in by the node's new key.
///
/// Thread rule: any thread; a question takes one lock for a dictionary look-up.
public final class KeyTable: KeyAuthority {
  /// The domains of the two server sockets.
  public static let ingestDomain = "ingest"
  public static let enrolmentDomain = "enrol"

  /// Why a handshake was turned away: the label of `bongsu_admission_refused_total`.
  enum Cause: String, Hashable, Sendable, CaseIterable {
    case unknownKey = "unknown_key"
    case revokedKey = "revoked_key"
    case otherDomain = "other_domain"
  }

  private struct State {
    var byNode: [NodeID: RegisteredNode] = [:]
    var byKey: [PublicKey: NodeID] = [:]
    var revoked = 0
  }

  private let state = Mutex(State())
  private let refused: ReasonCounters<Cause>
  private let nodes: Gauge
  private let revoked: Gauge
  let news: AdmissionNews

  init(_ registered: [RegisteredNode], metrics: MetricRegistry, news: AdmissionNews) {
    refused = metrics.counters(
      "bongsu_admission_refused_total", help: "Handshakes of keys that are not let in, by reason", label: "reason")
    nodes = metrics.gauge("bongsu_admission_enrolled_nodes", help: "Nodes whose key is let in")
    revoked = metrics.gauge("bongsu_admission_revoked_nodes", help: "Nodes whose key was revoked")
    self.news = news
    for node in registered { put(node) }
  }

  // MARK: Handshakes

  public func decide(_ request: AdmissionRequest) -> Admission {
    switch request.domain {
    case Self.ingestDomain: decideIngest(request)
    // Whoever has the server's key may ask to join; the join token decides.
    case Self.enrolmentDomain: .admit(userID: request.key.z85)
    default: refuse(.otherDomain, request, "nothing of this aggregator's")
    }
  }

  private func decideIngest(_ request: AdmissionRequest) -> Admission {
    let found = state.withLock { state in state.byKey[request.key].flatMap { state.byNode[$0] } }
    guard let found, found.publicKey == request.key.bytes else {
      return refuse(.unknownKey, request, "a key that is not enrolled, \(request.key)")
    }
    guard found.revokedAt == nil else {
      return refuse(.revokedKey, request, "the revoked key of node \(found.node)")
    }
    return .admit(userID: Self.userID(of: found))
  }

  private func refuse(_ cause: Cause, _ request: AdmissionRequest, _ what: String) -> Admission {
    refused[cause].add()
    news.say(
      "\(request.address) came with \(what); it is not let in, let the machine join with bongsu-agent join",
      topic: "\(cause.rawValue) \(request.address) \(request.key)", at: unixMilliseconds())
    return .refuse
  }

  // MARK: Identity

  /// The node that a connection admitted as `userID` may speak for; `nil` when its key is no longer the node's.
  public func node(ofUserID userID: String) -> NodeID? {
    guard let mark = userID.lastIndex(of: "#"), let id = NodeID(String(userID[..<mark])),
      let known = member(id), known.revokedAt == nil, Self.userID(of: known) == userID
    else { return nil }
    return id
  }

  private static func userID(of node: RegisteredNode) -> String {
    // Eight bytes of a random key: two keys of one node that agree there do not happen.
    let mark = node.publicKey.prefix(8).map { byte in
      (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }.joined()
    return "\(node.node)#\(mark)"
  }

  // MARK: Content

  /// A node that joined once, revoked or not; `nil` for one that never did.
  public func member(_ node: NodeID) -> RegisteredNode? { state.withLock { $0.byNode[node] } }

  /// All of them, in no order.
  public var members: [RegisteredNode] { state.withLock { Array($0.byNode.values) } }

  /// Takes a node as the registry has it now. Its former key stops being let in.
  func put(_ node: RegisteredNode) {
    guard let key = try? PublicKey(bytes: node.publicKey) else { return }
    state.withLock { state in
      if let former = state.byNode[node.node] {
        if let formerKey = try? PublicKey(bytes: former.publicKey) { state.byKey[formerKey] = nil }
        if former.revokedAt != nil { state.revoked -= 1 }
      }
      state.byNode[node.node] = node
      state.byKey[key] = node.node
      if node.revokedAt != nil { state.revoked += 1 }
      nodes.set(Int64(state.byNode.count - state.revoked))
      revoked.set(Int64(state.revoked))
    }
  }
}

/// The wall clock.
func unixMilliseconds() -> Int64 { Int64(Date().timeIntervalSince1970 * 1000) }
