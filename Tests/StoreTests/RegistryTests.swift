import BongsuModel
import BongsuStore
import BongsuTestKit
import Foundation
import Testing

@Suite("Registry")
struct RegistryTests {
  private func hash(_ value: UInt8) -> [UInt8] { [UInt8](repeating: value, count: 32) }
  private func at(_ seconds: Int64) -> Tick { Tick(unixMilliseconds: 1_800_000_000_000 + seconds * 1_000) }

  private func open(_ directory: TemporaryDirectory) throws -> Registry {
    try Registry(path: directory.path + "/registry.sqlite")
  }

  private func token(_ id: String, uses: Int = 1, patterns: [String] = []) -> JoinToken {
    JoinToken(id: id, createdAt: at(0), expiresAt: at(100), uses: uses, nodePatterns: patterns, comment: "for \(id)")
  }

  private func join(
    _ registry: Registry, _ node: String, key: UInt8, secret: UInt8, at seconds: Int64 = 10
  ) throws -> JoinRefusal? {
    try registry.join(
      NodeID(node)!, publicKey: hash(key), secretHash: hash(secret), from: "10.0.0.9", at: at(seconds),
      matches: { pattern, node in node.name.hasPrefix(pattern) })
  }

  @Test("a token lets in as many machines as it says, until it expires or is revoked")
  func tokens() throws {
    let registry = try open(TemporaryDirectory())
    try registry.add(token("t1", uses: 2), secretHash: hash(1), by: "loopback")
    #expect(try join(registry, "a", key: 1, secret: 9) == .unknownToken)
    #expect(try join(registry, "a", key: 1, secret: 1) == nil)
    #expect(try join(registry, "a", key: 1, secret: 1) == nil, "asking twice uses nothing")
    #expect(try registry.tokens().first?.usesLeft == 1)
    #expect(try join(registry, "b", key: 2, secret: 1) == nil)
    #expect(try join(registry, "c", key: 3, secret: 1) == .spentToken(id: "t1", uses: 2))
    try registry.add(token("t2", uses: 9), secretHash: hash(2), by: "loopback")
    #expect(try join(registry, "c", key: 3, secret: 2, at: 100) == .expiredToken(id: "t2", expiredAt: at(100)))
    #expect(try join(registry, "c", key: 3, secret: 2, at: 99) == nil)
    #expect(try registry.revokeToken("t2", by: "admin", at: at(50))?.revokedAt == at(50))
    #expect(try registry.revokeToken("t2", by: "admin", at: at(60))?.revokedAt == at(50))
    #expect(try registry.revokeToken("none", by: "admin", at: at(60)) == nil)
    #expect(try join(registry, "d", key: 4, secret: 2) == .revokedToken(id: "t2"))
    #expect(try registry.nodes().map(\.node.name) == ["a", "b", "c"])
  }

  @Test("a token for a pattern lets no other node in")
  func patterns() throws {
    let registry = try open(TemporaryDirectory())
    try registry.add(token("t1", uses: 5, patterns: ["r1-", "r2-"]), secretHash: hash(1), by: "loopback")
    #expect(try join(registry, "r3-n1", key: 1, secret: 1) == .wrongNode(id: "t1", patterns: ["r1-", "r2-"]))
    #expect(try join(registry, "r2-n1", key: 1, secret: 1) == nil)
    #expect(try registry.tokens().first?.nodePatterns == ["r1-", "r2-"])
    #expect(try registry.tokens().first?.comment == "for t1")
  }

  @Test("a second machine cannot take a node, nor one key two nodes; after a revocation a new key can")
  func identities() throws {
    let registry = try open(TemporaryDirectory())
    try registry.add(token("t1", uses: 9), secretHash: hash(1), by: "loopback")
    #expect(try join(registry, "a", key: 1, secret: 1) == nil)
    #expect(try join(registry, "a", key: 2, secret: 1) == .nodeTaken(since: at(10)))
    #expect(try join(registry, "b", key: 1, secret: 1) == .keyTaken(by: NodeID("a")!))
    #expect(try registry.revoke(NodeID("a")!, by: "admin", at: at(20))?.revokedAt == at(20))
    #expect(try registry.revoke(NodeID("a")!, by: "admin", at: at(30))?.revokedAt == at(20))
    #expect(try registry.revoke(NodeID("zz")!, by: "admin", at: at(30)) == nil)
    #expect(try join(registry, "a", key: 1, secret: 1, at: 40) == .keyRevoked)
    #expect(try join(registry, "b", key: 1, secret: 1, at: 40) == .keyTaken(by: NodeID("a")!))
    #expect(try join(registry, "a", key: 2, secret: 1, at: 41) == nil)
    #expect(try registry.node(NodeID("a")!)?.publicKey == hash(2))
    #expect(try registry.node(NodeID("a")!)?.revokedAt == nil)
  }

  @Test("every change and every refusal of a token leaves an entry in the audit log, newest first, and no secret")
  func audit() throws {
    let registry = try open(TemporaryDirectory())
    try registry.add(token("t1"), secretHash: hash(0x41), by: "loopback")
    _ = try join(registry, "a", key: 1, secret: 0x41)
    _ = try join(registry, "b", key: 2, secret: 0x41)
    _ = try join(registry, "c", key: 3, secret: 0x42)  // unknown: anyone could fill the log with such
    _ = try registry.revoke(NodeID("a")!, by: "admin", at: at(20))
    let entries = try registry.audit(limit: 10)
    #expect(entries.map(\.action) == ["node_revoked", "node_refused", "node_joined", "token_created"])
    #expect(entries[1].actor == "10.0.0.9")
    #expect(entries[1].detail.contains("has let in its 1 machines"))
    #expect(!entries.contains { $0.detail.contains("AAAA") || $0.subject.contains("AAAA") })
    try registry.note(AuditEntry(at: at(30), actor: "x", action: "cloned_key", subject: "a"))
    #expect(try registry.audit(limit: 1).map(\.action) == ["cloned_key"])
  }

  @Test("everything is there again after a restart")
  func reopens() throws {
    let directory = try TemporaryDirectory()
    do {
      let registry = try open(directory)
      try registry.add(token("t1", uses: 3), secretHash: hash(1), by: "loopback")
      _ = try join(registry, "a", key: 1, secret: 1)
    }
    let registry = try open(directory)
    #expect(try registry.nodes().map(\.node.name) == ["a"])
    #expect(try registry.tokens().map(\.usesLeft) == [2])
    #expect(try registry.audit(limit: 10).count == 2)
  }

  /// The file of a registry with fifty nodes, made once.
  private static let filled = Result {
    let directory = try TemporaryDirectory()
    let tests = RegistryTests()
    do {
      let registry = try tests.open(directory)
      try registry.add(tests.token("t1", uses: 60), secretHash: tests.hash(1), by: "loopback")
      for node in 1...50 { _ = try tests.join(registry, "n\(node)", key: UInt8(node), secret: 1) }
    }
    // The last connection to close moves the write-ahead log into the file.
    return try [UInt8](Data(contentsOf: URL(fileURLWithPath: directory.path + "/registry.sqlite")))
  }

  @Test("a flipped bit never gives a node another key, and costs the nodes of one page at most", arguments: 0..<150)
  func flippedBit(trial: UInt64) throws {
    var random = SeededRandom(seed: trial)
    let directory = try TemporaryDirectory()
    let path = directory.path + "/registry.sqlite"
    var bytes = try Self.filled.get()
    #expect(bytes.count > 8_192)
    bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= 1 << UInt8(trial % 8)
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    var said: [String] = []
    let nodes = try Registry.mended(path: path) { said.append($0) }.nodes()
    for node in nodes {
      let number = UInt8(node.node.name.dropFirst()) ?? 0
      #expect(node.publicKey == hash(number), "trial \(trial)")
      #expect(node.revokedAt == nil, "trial \(trial)")
    }
    // A page of 4 KiB holds some 35 of these rows.
    #expect(nodes.count == 50 || nodes.count >= 10 && !said.isEmpty, "trial \(trial): \(nodes.count), \(said)")
    #expect(try Registry(path: path).nodes() == nodes, "what was mended is sound")
  }
}
