import BongsuAdmission
import BongsuEnrolment
import BongsuIngest
import BongsuMetrics
import BongsuModel
import BongsuStore
import BongsuTestKit
import BongsuTransport
import Foundation
import Synchronization
import Testing

@Suite("Joining")
struct JoinTests {
  @Test("a machine with a join string is let in, learns where to deliver, and can open a session there")
  func joins() throws {
    let gate = try Gatehouse()
    let machine = try Machine()
    let acceptance = try machine.join(try gate.token(), as: node("r1-n01")).get()
    #expect(acceptance.node == node("r1-n01"))
    #expect(acceptance.endpoints.map(\.tcpEndpoint) == [gate.ingest])
    #expect(acceptance.serverKey == gate.keys.publicKey)
    let agent = try SecureAgent(
      node("r1-n01"), acceptance.endpoints[0].tcpEndpoint,
      security: .curveClient(machine.keys, server: acceptance.serverKey))
    #expect(try agent.greet())
    #expect(try agent.deliver())
    let audit = try gate.registrar.audit(limit: 10)
    #expect(audit.map(\.action) == ["node_joined", "token_created"])
    #expect(audit[0].actor == "127.0.0.1")
    #expect(gate.metric("bongsu_enrolment_joined_total") == 1)
    #expect(gate.metric("bongsu_admission_enrolled_nodes") == 1)
  }

  @Test("a wrong, revoked, expired or spent token and a node outside its pattern are each refused by name")
  func refusals() throws {
    let gate = try Gatehouse()
    let unknown = JoinString(
      serverKey: gate.keys.publicKey, secret: [UInt8](repeating: 7, count: 20), endpoints: [try gate.enrolment])
    #expect(try Machine().refusal(unknown, as: node("r1-n01")) == .unknownToken)
    let spent = try gate.token(uses: 2)
    #expect(try Machine().refusal(spent, as: node("r1-n01")) == nil)
    #expect(try Machine().refusal(spent, as: node("r1-n02")) == nil)
    #expect(try Machine().refusal(spent, as: node("r1-n03")) == .spentToken)
    let expired = try gate.token(seconds: 0)
    #expect(try Machine().refusal(expired, as: node("r1-n03")) == .expiredToken)
    let limited = try gate.token(uses: 5, patterns: ["r1-n[05-07]", "r1-n09"])
    #expect(try Machine().refusal(limited, as: node("r1-n08")) == .wrongNode)
    #expect(try Machine().refusal(limited, as: node("r1-n09")) == nil)
    let revoked = try gate.token(comment: "to be revoked")
    let id = try #require(gate.registrar.tokens().first { $0.comment == "to be revoked" }?.id)
    #expect(try gate.registrar.revokeToken(id, by: "test") != nil)
    #expect(try Machine().refusal(revoked, as: node("r1-n10")) == .revokedToken)
    for reason in ["unknown_token", "spent_token", "expired_token", "wrong_node", "revoked_token"] {
      #expect(gate.metric("bongsu_enrolment_refused_total{reason=\"\(reason)\"}") == 1, "\(reason)")
    }
  }

  @Test("a second machine that claims a node is refused and reported, and the first one keeps delivering")
  func secondMachine() throws {
    let gate = try Gatehouse()
    let token = try gate.token(uses: 5)
    let first = try Machine()
    #expect(try first.refusal(token, as: node("r1-n01")) == nil)
    let agent = try SecureAgent(
      node("r1-n01"), gate.ingest, security: .curveClient(first.keys, server: gate.keys.publicKey))
    #expect(try agent.greet())
    #expect(try Machine().refusal(token, as: node("r1-n01")) == .nodeTaken)
    #expect(gate.log.contains { $0.contains("r1-n01") && $0.contains("refused") && $0.contains("127.0.0.1") })
    #expect(gate.metric("bongsu_enrolment_refused_total{reason=\"node_taken\"}") == 1)
    #expect(try gate.registrar.audit(limit: 1)[0].action == "node_refused")
    #expect(try agent.deliver())
  }

  @Test("asking twice with the same key is answered twice and uses the token once")
  func asksTwice() throws {
    let gate = try Gatehouse()
    let token = try gate.token(uses: 2)
    let machine = try Machine()
    #expect(try machine.refusal(token, as: node("r1-n01")) == nil)
    #expect(try machine.refusal(token, as: node("r1-n01")) == nil)
    #expect(try gate.registrar.tokens()[0].usesLeft == 1)
    #expect(try machine.refusal(token, as: node("r1-n02")) == .keyTaken, "one key speaks for one node")
  }

  @Test("many machines that join at once are all answered, each once")
  func atOnce() throws {
    let gate = try Gatehouse()
    let count = 60
    let token = try gate.token(uses: count)
    let machine = try Machine()
    let failures = Mutex<[String]>([])
    DispatchQueue.concurrentPerform(iterations: 8) { thread in
      for number in stride(from: thread, to: count, by: 8) {
        do {
          let refusal = try Machine(sharing: machine.context).refusal(token, as: node("n\(number)"))
          if let refusal { failures.withLock { $0.append("\(refusal)") } }
        } catch {
          failures.withLock { $0.append("\(error)") }
        }
      }
    }
    #expect(failures.withLock { $0 } == [])
    #expect(gate.metric("bongsu_enrolment_joined_total") == Double(count))
    #expect(try gate.registrar.tokens()[0].usesLeft == 0)
  }

  @Test("after a restart the same keys are let in, and the server's key is the same")
  func restart() throws {
    let directory = try TemporaryDirectory()
    let machine = try Machine()
    let serverKey: PublicKey
    do {
      let gate = try Gatehouse(in: directory)
      serverKey = gate.keys.publicKey
      #expect(try machine.refusal(try gate.token(), as: node("r1-n01")) == nil)
    }
    let gate = try Gatehouse(in: directory)
    #expect(gate.keys.publicKey == serverKey)
    let agent = try SecureAgent(
      node("r1-n01"), gate.ingest, security: .curveClient(machine.keys, server: serverKey))
    #expect(try agent.greet())
    let mode = try FileManager.default.attributesOfItem(atPath: "\(directory.path)/keys/server.key")[.posixPermissions]
    #expect(mode as? Int == 0o600)
  }

  @Test("who answers without the key of the join string is not believed")
  func wrongServer() throws {
    let gate = try Gatehouse()
    let other = try KeyPair.generate()
    let secret = try gate.token().secret
    let string = JoinString(serverKey: other.publicKey, secret: secret, endpoints: [try gate.enrolment])
    let failure = #expect(throws: EnrolmentFailure.self) { try Machine().join(string, as: node("r1-n01")).get() }
    #expect(try failure == .handshakeBroken(gate.enrolment))
  }

  @Test("nobody there is said so, and the next endpoint is tried")
  func unreachable() throws {
    let gate = try Gatehouse()
    let token = try gate.token()
    let nobody = try #require(HostPort("127.0.0.1:9"))
    let machine = try Machine()
    let client = EnrolmentClient(context: machine.context, patience: .milliseconds(500))
    let dead = JoinString(serverKey: token.serverKey, secret: token.secret, endpoints: [nobody])
    #expect(throws: EnrolmentFailure.unreachable(nobody, seconds: 0)) {
      try client.join(dead, as: node("r1-n01"), keys: machine.keys, agentVersion: "test")
    }
    let both = JoinString(serverKey: token.serverKey, secret: token.secret, endpoints: [nobody] + token.endpoints)
    #expect(try machine.refusal(both, as: node("r1-n01")) == nil)
  }

  @Test("an address that keeps sending wrong secrets has to wait, and others do not")
  func attempts() throws {
    let gate = try Gatehouse()
    let unknown = JoinString(
      serverKey: gate.keys.publicKey, secret: [UInt8](repeating: 7, count: 20), endpoints: [try gate.enrolment])
    for _ in 0..<10 { #expect(try Machine().refusal(unknown, as: node("r1-n01")) == .unknownToken) }
    #expect(try Machine().refusal(unknown, as: node("r1-n01")) == .tooManyAttempts)
    #expect(try Machine().refusal(try gate.token(), as: node("r1-n01")) == .tooManyAttempts)
    #expect(gate.log.contains { $0.contains("too many refused join requests") })
    #expect(!(try gate.registrar.audit(limit: 100)).contains { $0.action == "node_refused" })
  }

  @Test("secrets are in no log, no audit entry, no listing and no description")
  func secrets() throws {
    let gate = try Gatehouse()
    let token = try gate.token(uses: 3)
    #expect(try Machine().refusal(token, as: node("r1-n01")) == nil)
    #expect(try Machine().refusal(token, as: node("r1-n01")) == .nodeTaken)
    var shown = gate.log + (try gate.registrar.audit(limit: 100)).map { "\($0)" }
    shown += try gate.registrar.tokens().map { "\($0)" }
    shown += ["\(token)", String(reflecting: token), String(describing: gate.keys), String(reflecting: gate.keys)]
    shown.append(gate.metrics.render(as: .openMetrics))
    let hex = token.secret.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    let list = token.secret.map(String.init).joined(separator: ", ")
    for forbidden in [hex, list, String(token.text.dropFirst(60)), gate.keys.secret.z85] {
      #expect(!shown.contains { $0.contains(forbidden) })
    }
    let stored = try Data(contentsOf: URL(fileURLWithPath: "\(gate.directory.path)/registry.sqlite-wal"))
    #expect(stored.range(of: Data(token.secret)) == nil, "the registry keeps hashes")
  }
}
