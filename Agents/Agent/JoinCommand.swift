import BongsuEnrolment
import BongsuModel
import BongsuTransport
import Glibc

/// `bongsu-agent join`: makes this node's key pair, has it enrolled, and keeps it for `run`.
enum JoinCommand {
  static let options: [ArgumentScanner.Option] = [
    .init(name: "--node", value: "ID", help: "name of this node in the fleet (default: the host name)"),
    .init(
      name: "--state", value: "DIR", help: "where the node's key is kept (default: \(NodeIdentity.defaultDirectory))"),
    .init(name: "--timeout", value: "SECONDS", help: "how long each address of the aggregator is tried (default: 10)"),
  ]

  /// Runs the command and prints one line.
  static func run(_ arguments: [String]) throws {
    let scanned = try ArgumentScanner(arguments, options: options)
    guard scanned.operands.count == 1, let operand = scanned.operands.first else {
      throw ArgumentScanner.UsageError(
        description: "join takes one join string, got \(scanned.operands.count); make one with bongsu join-token create"
      )
    }
    let seconds = try timeout(scanned.value("--timeout") ?? "10")
    guard let text = operand == "-" ? readLine(strippingNewline: true) : operand else {
      throw AgentConfiguration.Invalid(description: "there is no join string on standard input")
    }
    let string = try JoinString(parsing: text)
    let directory = scanned.value("--state") ?? NodeIdentity.defaultDirectory
    let context = try Context()
    let joining = Joining(
      string: string, directory: directory,
      client: EnrolmentClient(context: context, patience: .seconds(seconds)))
    let identity = try joining.join(as: try scanned.value("--node").map { try AgentConfiguration.node($0) })
    print(
      "joined as node \(identity.node); key in \(directory)/identity; run delivers to "
        + "\(identity.endpoints.map(\.description).joined(separator: ", ")), encrypted")
  }

  private static func timeout(_ text: String) throws -> Int {
    guard let seconds = Int(text), (1...3600).contains(seconds) else {
      throw ArgumentScanner.UsageError(description: "--timeout is '\(text)', expected seconds from 1 to 3600")
    }
    return seconds
  }
}

/// One machine's way into the fleet.
struct Joining {
  let string: JoinString
  let directory: String
  let client: EnrolmentClient

  /// Enrols the node and stores its identity.
  ///
  /// - Parameter named: the node; `nil`: the one that this machine was before, else the host's name.
  func join(as named: NodeID?) throws -> NodeIdentity {
    try SecretFile.makeDirectory(directory)
    // A damaged identity must not stand in the way of a new one.
    let former = (try? NodeIdentity.load(from: directory)).flatMap { $0 }
    let node = try named ?? former?.node ?? AgentConfiguration.node(nil)
    // Joining again as who we are is no second machine: the same key is tried first.
    let isKnown = former.map { $0.node == node && $0.serverKey == string.serverKey } ?? false
    let known = isKnown ? former?.keys : try NodeIdentity.pendingKeys(of: node, in: directory)
    if let known {
      do {
        return try finish(known, try ask(as: node, known))
      } catch let failure as EnrolmentFailure where Self.wantsNewKey(failure) {}
    }
    let keys = try KeyPair.generate()
    try NodeIdentity.storePending(keys, of: node, in: directory)
    do {
      return try finish(keys, try ask(as: node, keys))
    } catch let failure as EnrolmentFailure {
      if case .denied = failure { try NodeIdentity.removePending(in: directory) }
      throw failure
    }
  }

  private func ask(as node: NodeID, _ keys: KeyPair) throws -> JoinAcceptance {
    try client.join(string, as: node, keys: keys, agentVersion: AgentRelease.version)
  }

  /// Whether the aggregator knows the key and has no use for it any more.
  private static func wantsNewKey(_ failure: EnrolmentFailure) -> Bool {
    guard case .denied(let denial) = failure else { return false }
    return denial.reason == .keyRevoked || denial.reason == .keyTaken
  }

  private func finish(_ keys: KeyPair, _ acceptance: JoinAcceptance) throws -> NodeIdentity {
    let identity = NodeIdentity(
      node: acceptance.node, keys: keys, serverKey: acceptance.serverKey, endpoints: acceptance.endpoints)
    try identity.store(in: directory)
    try NodeIdentity.removePending(in: directory)
    return identity
  }
}
