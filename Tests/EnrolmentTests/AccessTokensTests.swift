import BongsuAdmission
import BongsuModel
import BongsuStore
import BongsuTestKit
import Foundation
import Testing

@Suite("access tokens")
struct AccessTokensTests {
  private func at(_ seconds: Int64) -> Tick { Tick(unixMilliseconds: 1_800_000_000_000 + seconds * 1_000) }

  private func make(_ tokens: AccessTokens, _ name: String, life: Int64? = nil) throws -> (String, AccessToken) {
    try tokens.create(name: name, role: "viewer", matchers: [], lifeSeconds: life, by: "loopback", at: at(0))
  }

  @Test("a secret opens from its making to its end, its revocation, and over a restart; nothing near it does")
  func secrets() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/registry.sqlite"
    let tokens = try AccessTokens(registry: Registry(path: path))
    let (secret, token) = try make(tokens, "a", life: 60)
    #expect(secret.hasPrefix("bgs_") && secret.utf8.count == 68)
    #expect(tokens.find(secret: secret, at: at(59)) == token && tokens.find(secret: secret, at: at(60)) == nil)
    for wrong in [
      "", "bgs_", String(secret.dropLast()), secret + "0", secret.uppercased(), String(secret.dropFirst(4)),
    ] {
      #expect(tokens.find(secret: wrong, at: at(1)) == nil)
    }
    let again = try AccessTokens(registry: Registry(path: path))
    #expect(again.find(secret: secret, at: at(1)) == token)
    #expect(try again.revoke("a", by: "loopback", at: at(2))?.id == token.id)
    #expect(again.find(secret: secret, at: at(3)) == nil)
  }

  @Test("a name is taken while its token works, and free afterwards")
  func names() throws {
    let directory = try TemporaryDirectory()
    let tokens = try AccessTokens(registry: Registry(path: directory.path + "/registry.sqlite"))
    _ = try make(tokens, "a")
    #expect(throws: Registrar.Objection.self) { try make(tokens, "a") }
    _ = try tokens.revoke("a", by: "loopback", at: at(1))
    _ = try make(tokens, "a")
    #expect(try tokens.tokens().count == 2)
  }

  @Test("the secret is nowhere in the files, nor in the audit log")
  func hashed() throws {
    let directory = try TemporaryDirectory()
    let registry = try Registry(path: directory.path + "/registry.sqlite")
    let (secret, _) = try make(AccessTokens(registry: registry), "a")
    for file in try FileManager.default.contentsOfDirectory(atPath: directory.path) {
      let data = try Data(contentsOf: URL(fileURLWithPath: "\(directory.path)/\(file)"))
      #expect(data.range(of: Data(secret.dropFirst(4).utf8)) == nil, "\(file)")
    }
    #expect(try !registry.audit(limit: 9).description.contains(secret.dropFirst(4)))
  }

  @Test("a token that was revoked stays so, however many are made at the same time")
  func races() async throws {
    let directory = try TemporaryDirectory()
    let tokens = try AccessTokens(registry: Registry(path: directory.path + "/registry.sqlite"))
    var secrets: [String] = []
    for number in 0..<12 { secrets.append(try make(tokens, "old-\(number)").0) }
    try await withThrowingTaskGroup { group in
      for number in 0..<12 {
        group.addTask { _ = try tokens.revoke("old-\(number)", by: "loopback", at: at(1)) }
        group.addTask { _ = try make(tokens, "new-\(number)") }
      }
      try await group.waitForAll()
    }
    for secret in secrets { #expect(tokens.find(secret: secret, at: at(2)) == nil) }
  }
}
