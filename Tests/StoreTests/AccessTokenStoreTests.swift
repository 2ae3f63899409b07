import BongsuModel
import BongsuStore
import BongsuTestKit
import Foundation
import GRDB
import Testing

@Suite("access tokens in the registry")
struct AccessTokenStoreTests {
  private func at(_ seconds: Int64) -> Tick { Tick(unixMilliseconds: 1_800_000_000_000 + seconds * 1_000) }

  private func token(_ id: String, _ name: String, matchers: [String] = [], expires: Tick? = nil) -> AccessToken {
    AccessToken(id: id, name: name, role: "viewer", matchers: matchers, createdAt: at(0), expiresAt: expires)
  }

  private func hash(_ value: UInt8) -> [UInt8] { [UInt8](repeating: value, count: 32) }

  @Test("a token is kept with its matchers and end, over a restart, and ends when revoked, by name or identifier")
  func life() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/registry.sqlite"
    let kept = token("at-1", "grafana", matchers: ["allocation=\"a\"", "factory=~\"f|g\""], expires: at(60))
    do {
      let registry = try Registry(path: path)
      try registry.add(kept, secretHash: hash(1), by: "loopback")
      try registry.add(token("at-2", "other"), secretHash: hash(2), by: "loopback")
    }
    let registry = try Registry(path: path)
    #expect(try registry.accessTokens().map(\.token).contains(kept))
    #expect(try registry.accessTokens().map(\.secretHash).sorted { $0[0] < $1[0] } == [hash(1), hash(2)])
    #expect(kept.isActive(at: at(59)) && !kept.isActive(at: at(60)))
    #expect(try registry.revokeAccessToken("grafana", by: "admin", at: at(5))?.revokedAt == at(5))
    #expect(try registry.revokeAccessToken("at-1", by: "admin", at: at(9))?.revokedAt == at(5))
    #expect(try registry.revokeAccessToken("nobody", by: "admin", at: at(9)) == nil)
    let actions = try registry.audit(limit: 10).map { "\($0.action) \($0.subject) \($0.actor) \($0.detail)" }
    #expect(
      actions == [
        "access_token_revoked grafana admin at-1", "access_token_created other loopback at-2, viewer, everything",
        "access_token_created grafana loopback at-1, viewer, allocation=\"a\" factory=~\"f|g\"",
      ])
  }

  @Test("a registry of the first version is taken over with its nodes and tokens, and gets room for access tokens")
  func upgrade() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/registry.sqlite"
    do {
      let registry = try Registry(path: path)
      try registry.add(
        JoinToken(id: "jt", createdAt: at(0), expiresAt: at(100), uses: 1, nodePatterns: [], comment: nil),
        secretHash: hash(7), by: "loopback")
    }
    // What an earlier release left: the same tables but one.
    do {
      let queue = try DatabaseQueue(path: path)
      try queue.write {
        try $0.execute(
          sql: """
            DROP TABLE access_tokens; ALTER TABLE join_tokens DROP COLUMN checksum;
            ALTER TABLE audit DROP COLUMN checksum; PRAGMA user_version = 1
            """)
      }
    }
    let registry = try Registry(path: path)
    #expect(try registry.tokens().map(\.id) == ["jt"])
    #expect(try registry.accessTokens().isEmpty)
    try registry.add(token("at-1", "a"), secretHash: hash(1), by: "loopback")
    #expect(try registry.accessTokens().count == 1)
  }

  @Test(
    "a role, a matcher or an end that was changed behind our back closes the whole registry",
    arguments: [
      "UPDATE access_tokens SET role = 'admin'", "UPDATE access_tokens SET matchers = ''",
      "UPDATE access_tokens SET expires_ms = NULL", "UPDATE access_tokens SET name = 'x'",
      "UPDATE access_tokens SET secret_hash = zeroblob(32)",
    ])
  func damage(sql: String) throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/registry.sqlite"
    do {
      let registry = try Registry(path: path)
      try registry.add(
        token("at-1", "a", matchers: ["allocation=\"a\""], expires: at(9)), secretHash: hash(1), by: "loopback")
    }
    do { try DatabaseQueue(path: path).write { try $0.execute(sql: sql) } }
    #expect(throws: StoreError.self) { try Registry(path: path) }
  }
}
