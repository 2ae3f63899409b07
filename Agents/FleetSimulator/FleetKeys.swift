import BongsuEnrolment
import BongsuModel
import BongsuTransport
import Foundation
import Synchronization

/// The keys of simulated nodes, in one file, so that a second run speaks for the same nodes.
///
///     bongsu-fleet-keys 1
///     server SERVERKEY
///     aggregator HOST:PORT
///     NODE SECRETKEY joined          or `asked`, before the aggregator has answered
///
/// Mode 0600. Keys are written before they are sent, so that a run that breaks off can be repeated.
struct FleetKeys {
  private static let mark = "bongsu-fleet-keys 1"

  struct Entry {
    var keys: KeyPair
    var isJoined: Bool
  }

  let path: String
  private(set) var serverKey: PublicKey?
  private(set) var aggregator: HostPort?
  private(set) var entries: [NodeID: Entry] = [:]

  /// Reads the file at `path`; a missing one has no keys.
  init(path: String) throws {
    self.path = path
    guard let text = try SecretFile.read(path) else { return }
    var lines = text.split(separator: "\n")[...]
    guard lines.popFirst().map(String.init) == Self.mark else {
      throw FailedRun("\(path) is no key file of bongsu-fleet; name another one with --keys")
    }
    for line in lines {
      let words = line.split(separator: " ").map(String.init)
      switch words.first {
      case "server" where words.count == 2: serverKey = try PublicKey(z85: words[1])
      case "aggregator" where words.count == 2: aggregator = HostPort(words[1])
      case .some where words.count == 3:
        guard let node = NodeID(words[0]) else { throw FailedRun("\(path) names '\(words[0])', which is no node") }
        let keys = try KeyPair(secret: try SecretKey(z85: words[1]))
        entries[node] = Entry(keys: keys, isJoined: words[2] == "joined")
      default: throw FailedRun("\(path) is damaged; remove it, revoke its nodes and join again")
      }
    }
  }

  /// How `node` connects.
  ///
  /// - Throws: ``FailedRun`` when it has not joined.
  func security(of node: NodeID) throws -> SocketSecurity {
    guard let serverKey, let entry = entries[node], entry.isJoined else {
      throw FailedRun("node \(node) has no key in \(path); let it join with --join STRING")
    }
    return .curveClient(entry.keys, server: serverKey)
  }

  /// Enrols those of `nodes` that have not joined yet, some at a time, and writes the file.
  mutating func join(_ nodes: [NodeID], by string: JoinString, say: (String) -> Void) throws {
    if let serverKey, serverKey != string.serverKey {
      throw FailedRun("\(path) has the keys for another aggregator; name another file with --keys")
    }
    serverKey = string.serverKey
    let asking = nodes.filter { !(entries[$0]?.isJoined ?? false) }
    guard !asking.isEmpty else { return }
    for node in asking where entries[node] == nil {
      entries[node] = Entry(keys: try KeyPair.generate(), isJoined: false)
    }
    try save()
    let started = Date()
    let outcome = try JoinBatch(string: string, nodes: asking.map { ($0, entries[$0]!.keys) }).run()
    for node in outcome.joined { entries[node]?.isJoined = true }
    aggregator = outcome.aggregator ?? aggregator
    try save()
    if let failure = outcome.failure {
      throw FailedRun("\(outcome.joined.count) of \(asking.count) nodes joined, then: \(failure)")
    }
    let seconds = Date().timeIntervalSince(started)
    say("\(asking.count) nodes joined in \((seconds * 10).rounded() / 10) s; their keys are in \(path)")
  }

  private func save() throws {
    var text = "\(Self.mark)\n"
    if let serverKey { text += "server \(serverKey.z85)\n" }
    if let aggregator { text += "aggregator \(aggregator)\n" }
    for (node, entry) in entries.sorted(by: { $0.key < $1.key }) {
      text += "\(node) \(entry.keys.secret.z85) \(entry.isJoined ? "joined" : "asked")\n"
    }
    try SecretFile.write(text, to: path)
  }
}

/// Joins many nodes over a few threads: each request has a connection of its own, and most of its time is waiting.
private struct JoinBatch {
  static let threads = 8

  struct Outcome {
    var joined: [NodeID] = []
    var aggregator: HostPort?
    /// The first failure; nothing is asked after it.
    var failure: EnrolmentFailure?
  }

  let string: JoinString
  let nodes: [(node: NodeID, keys: KeyPair)]

  func run() throws -> Outcome {
    let context = try Context(ioThreads: 1)
    let client = EnrolmentClient(context: context, patience: .seconds(30))
    let outcome = Mutex(Outcome())
    DispatchQueue.concurrentPerform(iterations: Self.threads) { thread in
      for index in stride(from: thread, to: nodes.count, by: Self.threads) {
        guard outcome.withLock({ $0.failure == nil }) else { return }
        do throws(EnrolmentFailure) {
          let acceptance = try client.join(
            string, as: nodes[index].node, keys: nodes[index].keys, agentVersion: "fleet-simulator")
          outcome.withLock {
            $0.joined.append(nodes[index].node)
            $0.aggregator = acceptance.endpoints.first
          }
        } catch {
          outcome.withLock { $0.failure = $0.failure ?? error }
        }
      }
    }
    context.shutdown()
    return outcome.withLock { $0 }
  }
}
