package import BongsuEnrolment
package import BongsuModel
internal import BongsuTransport

/// One machine's way into the fleet.
package struct Joining {
  let string: JoinString
  let directory: String
  let client: EnrolmentClient
  let agentVersion: String

  /// Prepares joining by `string`, with the identity in `directory`.
  package init(string: JoinString, directory: String, client: EnrolmentClient, agentVersion: String = Release.version) {
    self.string = string
    self.directory = directory
    self.client = client
    self.agentVersion = agentVersion
  }

  /// Enrols the node and stores its identity.
  ///
  /// - Parameter named: the node; `nil`: the one that this machine was before, else the host's name.
  package func join(as named: NodeID?) throws -> NodeIdentity {
    try SecretFile.makeDirectory(directory)
    // A damaged identity must not stand in the way of a new one.
    let former = (try? NodeIdentity.load(from: directory)).flatMap { $0 }
    let node = try named ?? former?.node ?? HostName.node(nil)
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
    try client.join(string, as: node, keys: keys, agentVersion: agentVersion)
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

extension ArgumentScanner {
  /// The join string that a command of one operand was given: the operand, or a line of standard input when that is `-`.
  package func joinString() throws -> JoinString {
    guard operands.count == 1, let operand = operands.first else {
      throw UsageError(
        description: "join takes one join string, got \(operands.count); make one with bongsu join-token create")
    }
    guard let text = operand == "-" ? readLine(strippingNewline: true) : operand else {
      throw Invalid(description: "there is no join string on standard input")
    }
    return try JoinString(parsing: text)
  }
}
