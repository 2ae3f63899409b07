import BongsuEnrolment
import BongsuIngest
import BongsuModel
import BongsuStore
import BongsuTestKit
import BongsuTransport
import Foundation
import Testing

@testable import BongsuAdmission
@testable import BongsuDelivery
@testable import bongsu_agent

@Suite("What joining leaves on a machine")
struct MachineStateTests {
  private func joining(_ string: JoinString, _ directory: String) throws -> Joining {
    Joining(string: string, directory: directory, client: EnrolmentClient(context: try Context()))
  }

  @Test("bongsu-agent join stores an identity that only its owner can read, and run uses it")
  func stores() throws {
    let gate = try Gatehouse()
    let home = try TemporaryDirectory()
    let state = "\(home.path)/agent/state"
    let identity = try joining(try gate.token(), state).join(as: node("r1-n01"))
    let attributes = try FileManager.default.attributesOfItem(atPath: "\(state)/identity")
    #expect(attributes[.posixPermissions] as? Int == 0o600)
    #expect(try FileManager.default.contentsOfDirectory(atPath: state) == ["identity"])
    let loaded = try #require(try NodeIdentity.load(from: state))
    #expect(loaded.node == node("r1-n01"))
    #expect(loaded.keys.publicKey == identity.keys.publicKey)
    #expect(loaded.endpoints.map(\.tcpEndpoint) == [gate.ingest])
    let agent = try SecureAgent(
      loaded.node, loaded.endpoints[0].tcpEndpoint, security: .curveClient(loaded.keys, server: loaded.serverKey))
    #expect(try agent.greet())
    let options = try ArgumentScanner(["--state", state], options: AgentConfiguration.options)
    let configuration = try AgentConfiguration(options)
    #expect(configuration.node == node("r1-n01"))
    guard case .curveClient = configuration.security else {
      Issue.record("run would send in the clear")
      return
    }
  }

  @Test(
    "an administrator's bongsu-agent join leaves the key to the user whose directory it is",
    .enabled(if: geteuid() == 0, "only root can give files away"))
  func handsOver() throws {
    let home = try TemporaryDirectory()
    let given = unsafe chown(home.path, 4_242, 4_243)
    #expect(given == 0)
    try SecretFile.write("secret", to: "\(home.path)/identity")
    let attributes = try FileManager.default.attributesOfItem(atPath: "\(home.path)/identity")
    #expect(attributes[.ownerAccountID] as? Int == 4_242 && attributes[.groupOwnerAccountID] as? Int == 4_243)
    #expect(attributes[.posixPermissions] as? Int == 0o600)
    try SecretFile.makeDirectory("\(home.path)/further/below")
    for made in ["further", "further/below"] {
      let directory = try FileManager.default.attributesOfItem(atPath: "\(home.path)/\(made)")
      #expect(directory[.ownerAccountID] as? Int == 4_242 && directory[.posixPermissions] as? Int == 0o700)
    }
  }

  @Test("joining again keeps the key while it is good, and makes a new one after a revocation")
  func again() throws {
    let gate = try Gatehouse()
    let home = try TemporaryDirectory()
    let token = try gate.token(uses: 3)
    let first = try joining(token, home.path).join(as: node("r1-n01"))
    let second = try joining(token, home.path).join(as: nil)
    #expect(second.keys.publicKey == first.keys.publicKey)
    #expect(try gate.registrar.tokens()[0].usesLeft == 2)
    try gate.revoke(node("r1-n01"))
    let third = try joining(token, home.path).join(as: nil)
    #expect(third.node == node("r1-n01"))
    #expect(third.keys.publicKey != first.keys.publicKey)
    #expect(try NodeIdentity.load(from: home.path)?.keys.publicKey == third.keys.publicKey)
  }

  @Test("a refused join leaves the identity as it was, and no key behind")
  func refused() throws {
    let gate = try Gatehouse()
    let home = try TemporaryDirectory()
    let token = try gate.token(uses: 5)
    #expect(try Machine().refusal(token, as: node("r1-n02")) == nil)
    let mine = try joining(token, home.path).join(as: node("r1-n01"))
    #expect(throws: EnrolmentFailure.self) { try joining(token, home.path).join(as: node("r1-n02")) }
    #expect(try NodeIdentity.load(from: home.path)?.keys.publicKey == mine.keys.publicKey)
    #expect(try FileManager.default.contentsOfDirectory(atPath: home.path) == ["identity"])
  }

  @Test("a machine that got no answer asks again with the same key")
  func lostAnswer() throws {
    let gate = try Gatehouse()
    let home = try TemporaryDirectory()
    let token = try gate.token()
    let nobody = JoinString(
      serverKey: token.serverKey, secret: token.secret, endpoints: [try #require(HostPort("127.0.0.1:9"))])
    let impatient = EnrolmentClient(context: try Context(), patience: .milliseconds(300))
    #expect(throws: EnrolmentFailure.self) {
      try Joining(string: nobody, directory: home.path, client: impatient).join(as: node("r1-n01"))
    }
    let pending = try #require(try NodeIdentity.pendingKeys(of: node("r1-n01"), in: home.path))
    // The request had arrived all the same.
    #expect(try Machine(keys: pending).refusal(token, as: node("r1-n01")) == nil)
    #expect(try joining(token, home.path).join(as: node("r1-n01")).keys.publicKey == pending.publicKey)
    #expect(try FileManager.default.contentsOfDirectory(atPath: home.path) == ["identity"])
  }

  @Test("without an identity run sends to this machine alone; with another node's it does not start")
  func withoutIdentity() throws {
    let home = try TemporaryDirectory()
    func configure(_ arguments: [String]) throws -> AgentConfiguration {
      try AgentConfiguration(
        try ArgumentScanner(["--state", home.path] + arguments, options: AgentConfiguration.options))
    }
    let open = try configure(["--node", "r1-n01"])
    #expect(open.endpoints.allSatisfy { $0.isLoopback })
    let refusal = #expect(throws: Invalid.self) {
      _ = try configure(["--node", "r1-n01", "--aggregator", "10.0.0.5:7420"])
    }
    #expect(refusal?.description.contains("bongsu-agent join") == true)
    let keys = try KeyPair.generate()
    try NodeIdentity(
      node: node("r1-n02"), keys: keys, serverKey: keys.publicKey, endpoints: [try #require(HostPort("10.0.0.5:7420"))]
    ).store(in: home.path)
    #expect(throws: Invalid.self) { try configure(["--node", "r1-n01"]) }
    #expect(try configure([]).node == node("r1-n02"))
  }

  @Test("a key file that others may read, or that is damaged, is refused and never taken for none")
  func unusable() throws {
    let home = try TemporaryDirectory()
    let keys = try KeyPair.generate()
    let identity = NodeIdentity(
      node: node("r1-n02"), keys: keys, serverKey: keys.publicKey, endpoints: [try #require(HostPort("10.0.0.5:7420"))])
    try identity.store(in: home.path)
    let path = "\(home.path)/identity"
    try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
    #expect(throws: SecretFile.Failure.exposed(path: path, mode: 0o100644)) { try NodeIdentity.load(from: home.path) }
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
    let text = try String(contentsOfFile: path, encoding: .utf8)
    for length in stride(from: 0, to: text.utf8.count - 20, by: 7) {
      try String(text.prefix(length)).write(toFile: path, atomically: false, encoding: .utf8)
      #expect(throws: NodeIdentity.Unreadable.self) { try NodeIdentity.load(from: home.path) }
    }
    #expect(try NodeIdentity.load(from: "\(home.path)/none") == nil)
  }

  @Test("many keys survive being written and read: every letter of Z85 is met")
  func letters() throws {
    let home = try TemporaryDirectory()
    for _ in 0..<50 {
      let keys = try KeyPair.generate()
      let server = try KeyPair.generate().publicKey
      let place = try #require(HostPort("10.0.0.5:7420"))
      try NodeIdentity(node: node("n"), keys: keys, serverKey: server, endpoints: [place]).store(in: home.path)
      let loaded = try #require(try NodeIdentity.load(from: home.path))
      #expect(loaded.keys.publicKey == keys.publicKey)
      #expect(loaded.serverKey == server)
    }
  }

  @Test("attempts are counted per address within a bounded memory")
  func limiter() {
    var limiter = AttemptLimiter()
    let refusals = (0..<9).map { _ in limiter.noteRefusal("a", at: 1000) }
    #expect(!refusals.contains(true))
    #expect(limiter.wait("a", at: 1000) == nil)
    let isLast = limiter.noteRefusal("a", at: 1000)
    #expect(isLast)
    #expect(limiter.wait("a", at: 1001) == 59_999)
    #expect(limiter.wait("b", at: 1001) == nil)
    #expect(limiter.wait("a", at: 61_000) == nil, "the window is over")
    _ = limiter.noteRefusal("a", at: 61_000)
    #expect(limiter.wait("a", at: 61_001) == nil, "and a new one begins")
    for number in 0..<10_000 { _ = limiter.noteRefusal("10.0.\(number / 256).\(number % 256)", at: 70_000) }
    #expect(limiter.count <= AdmissionLimits.addressesMax)
    #expect(limiter.wait("10.9.9.9", at: 70_001) != nil, "those beyond what is remembered share one window")
    #expect(limiter.wait("10.9.9.9", at: 131_000) == nil)
  }

  @Test("SHA-256 as FIPS 180-4 has it")
  func hash() {
    let hex = SecretHash.of(Array("abc".utf8)).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    #expect(hex == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
  }
}
