package import BongsuEnrolment
package import BongsuModel
package import BongsuTransport

/// Who this node is and whom it trusts: what joining leaves in the agent's state directory.
///
///     DIR/identity           mode 0600; `key = value` a line, keys in Z85
///     DIR/identity.joining   the same without aggregator, while an answer is awaited
///
/// The second file makes asking again safe: who lost the answer asks with the same key and is let in without a second use
/// of the token.
package struct NodeIdentity {
  package static let defaultDirectory = "/var/lib/bongsu/agent"

  package var node: NodeID
  package var keys: KeyPair
  package var serverKey: PublicKey
  /// Where to deliver, in the order to try.
  package var endpoints: [HostPort]

  package init(node: NodeID, keys: KeyPair, serverKey: PublicKey, endpoints: [HostPort]) {
    self.node = node
    self.keys = keys
    self.serverKey = serverKey
    self.endpoints = endpoints
  }

  /// Reads the identity in `directory`; `nil` when the node has not joined.
  ///
  /// - Throws: when there is one that cannot be used: it is never taken for none, since that would mean sending in the clear.
  package static func load(from directory: String) throws -> NodeIdentity? {
    let path = "\(directory)/identity"
    guard let text = try SecretFile.read(path) else { return nil }
    let fields = fields(of: text)
    guard fields["format"]?.first == "1", let node = fields["node"]?.first.flatMap({ NodeID($0) }),
      let keys = keyPair(fields["secret-key"]?.first),
      let server = fields["server-key"]?.first.flatMap({ try? PublicKey(z85: $0) })
    else { throw Unreadable(path: path) }
    let endpoints = (fields["aggregator"] ?? []).compactMap { HostPort($0) }
    guard !endpoints.isEmpty, endpoints.count == fields["aggregator"]?.count else { throw Unreadable(path: path) }
    return NodeIdentity(node: node, keys: keys, serverKey: server, endpoints: endpoints)
  }

  /// Puts the identity into `directory`, in place of an earlier one.
  package func store(in directory: String) throws {
    var text = "# bongsu-agent: this node's key. It never leaves this machine; a copy on another one raises an alarm.\n"
    text += "format = 1\nnode = \(node)\nsecret-key = \(keys.secret.z85)\nserver-key = \(serverKey.z85)\n"
    for endpoint in endpoints { text += "aggregator = \(endpoint)\n" }
    try SecretFile.write(text, to: "\(directory)/identity")
  }

  // MARK: While joining

  /// The key that `node` has asked with and has not been answered for; `nil` when there is none.
  package static func pendingKeys(of node: NodeID, in directory: String) throws -> KeyPair? {
    guard let text = try SecretFile.read("\(directory)/identity.joining") else { return nil }
    let fields = fields(of: text)
    return fields["node"]?.first == node.name ? keyPair(fields["secret-key"]?.first) : nil
  }

  package static func storePending(_ keys: KeyPair, of node: NodeID, in directory: String) throws {
    try SecretFile.write("node = \(node)\nsecret-key = \(keys.secret.z85)\n", to: "\(directory)/identity.joining")
  }

  package static func removePending(in directory: String) throws {
    try SecretFile.remove("\(directory)/identity.joining")
  }

  // MARK: Text

  private static func keyPair(_ z85: String?) -> KeyPair? {
    guard let z85, let secret = try? SecretKey(z85: z85) else { return nil }
    return try? KeyPair(secret: secret)
  }

  /// Values by key. Z85 has `#` and `=` among its letters, so comments stand on lines of their own and only the first
  /// ` = ` of a line divides it.
  private static func fields(of text: String) -> [String: [String]] {
    var fields: [String: [String]] = [:]
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      let parts = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
      if parts.count == 3, parts[1] == "=" { fields[String(parts[0]), default: []].append(String(parts[2])) }
    }
    return fields
  }

  /// A key file that is there and cannot be understood.
  package struct Unreadable: Error, CustomStringConvertible {
    let path: String

    package var description: String {
      "\(path) is damaged or of another release; run bongsu nodes revoke for this node, remove the file and join again"
    }
  }
}
