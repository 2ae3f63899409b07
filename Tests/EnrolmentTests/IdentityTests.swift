import BongsuAdmission
import BongsuEnrolment
import BongsuIngest
import BongsuMetrics
import BongsuModel
import BongsuTransport
import BongsuWire
import Foundation
import Testing

@Suite("Identity")
struct IdentityTests {
  /// A node that has joined, and how it connects.
  private func joined(
    _ gate: Gatehouse, _ name: String, _ token: JoinString? = nil
  ) throws -> (keys: KeyPair, security: SocketSecurity) {
    let machine = try Machine()
    let refusal = try machine.refusal(try token ?? gate.token(), as: node(name))
    try #require(refusal == nil)
    return (machine.keys, .curveClient(machine.keys, server: gate.keys.publicKey))
  }

  @Test("an agent without a key, with a foreign key, or with a revoked key gets nowhere")
  func strangers() throws {
    let gate = try Gatehouse()
    let (_, revoked) = try joined(gate, "r1-n01")
    try gate.revoke(node("r1-n01"))
    let foreign = SocketSecurity.curveClient(try KeyPair.generate(), server: gate.keys.publicKey)
    for (name, security) in [("plain", .plain), ("foreign", foreign), ("revoked", revoked)] {
      let agent = try SecureAgent(node("r1-n01"), gate.ingest, security: security)
      #expect(try !agent.greet(within: 1), "\(name)")
      #expect(agent.refuse == nil, "\(name): not even a word")
      #expect(agent.events.contains(.connected), "\(name)")
      #expect(!agent.events.contains(.handshakeSucceeded), "\(name)")
    }
    #expect(try #require(gate.metric("bongsu_admission_refused_total{reason=\"unknown_key\"}")) >= 1)
    #expect(try #require(gate.metric("bongsu_admission_refused_total{reason=\"revoked_key\"}")) >= 1)
    #expect(gate.log.count { $0.contains("the revoked key of node r1-n01") } == 1)
    #expect(gate.engine.counters.framesTotal == 0)
  }

  @Test("a refused key comes in by itself once it is enrolled")
  func comesInLater() throws {
    let gate = try Gatehouse()
    let machine = try Machine()
    let agent = try SecureAgent(
      node("r1-n01"), gate.ingest, security: .curveClient(machine.keys, server: gate.keys.publicKey))
    #expect(try !agent.greet(within: 0.5))
    #expect(try machine.refusal(try gate.token(), as: node("r1-n01")) == nil)
    #expect(
      try eventually {
        try agent.read()
        return agent.welcome != nil
      })
  }

  @Test("a node cannot speak for another one, neither at first nor in mid-session")
  func otherNode() throws {
    let gate = try Gatehouse()
    let (_, security) = try joined(gate, "r1-n01")
    let (_, other) = try joined(gate, "r1-n02")
    let victim = try SecureAgent(node("r1-n02"), gate.ingest, security: other)
    #expect(try victim.greet())
    let liar = try SecureAgent(node("r1-n01"), gate.ingest, security: security)
    #expect(try !liar.greet(as: node("r1-n02")))
    #expect(liar.refuse?.reason == .nodeMismatch)
    #expect(try liar.greet())
    #expect(try !liar.greet(as: node("r1-n02")))
    #expect(liar.refuse?.reason == .nodeMismatch)
    #expect(try liar.deliver(), "its own session is as it was")
    #expect(try victim.deliver())
    #expect(gate.metric("bongsu_ingest_refused_total{reason=\"foreign_node\"}") == 2)
  }

  @Test("revoking a node tells its agent, cuts its connection, and takes nothing more from it")
  func revocation() throws {
    let gate = try Gatehouse()
    let (_, security) = try joined(gate, "r1-n01")
    let (_, other) = try joined(gate, "r1-n02")
    let agent = try SecureAgent(node("r1-n01"), gate.ingest, security: security)
    let bystander = try SecureAgent(node("r1-n02"), gate.ingest, security: other)
    #expect(try agent.greet())
    #expect(try agent.deliver())
    #expect(try bystander.greet())
    try gate.revoke(node("r1-n01"))
    try agent.sendRow()
    #expect(try agent.seesEnd())
    #expect(agent.refuse?.reason == .revoked)
    let rows = gate.engine.counters.samplesTotal
    for _ in 0..<20 { try agent.sendRow() }
    #expect(try !agent.greet(within: 1))
    #expect(gate.engine.counters.samplesTotal == rows)
    #expect(try bystander.deliver())
    #expect(gate.metric("bongsu_admission_revoked_nodes") == 1)
    #expect(gate.metric("bongsu_ingest_connected_nodes") == 1)
  }

  @Test("after a revocation the machine joins again with a new key, and the old key stays out")
  func joinsAgain() throws {
    let gate = try Gatehouse()
    let token = try gate.token(uses: 5)
    let (oldKeys, old) = try joined(gate, "r1-n01", token)
    // A connection that says nothing yet is in nobody's books.
    let lurker = try SecureAgent(node("r1-n01"), gate.ingest, security: old)
    #expect(
      try eventually {
        try lurker.read()
        return lurker.events.contains(.handshakeSucceeded)
      })
    try gate.revoke(node("r1-n01"))
    #expect(try Machine(keys: oldKeys).refusal(token, as: node("r1-n01")) == .keyRevoked)
    let (_, new) = try joined(gate, "r1-n01", token)
    #expect(try !lurker.greet(), "its key was the node's once, and is not any more")
    #expect(lurker.refuse?.reason == .revoked)
    #expect(try lurker.seesEnd())
    let agent = try SecureAgent(node("r1-n01"), gate.ingest, security: new, incarnation: 2)
    #expect(try agent.greet())
    #expect(try agent.deliver())
  }

  @Test("one key on two machines raises an alarm by name")
  func clonedKey() throws {
    let gate = try Gatehouse()
    let (_, security) = try joined(gate, "r1-n01")
    let machines = try (1...2).map {
      try SecureAgent(node("r1-n01"), gate.ingest, security: security, incarnation: UInt64($0))
    }
    #expect(
      try eventually {
        for machine in machines { _ = try machine.greet(within: 0.2) }
        return gate.log.contains { $0.contains("r1-n01: two machines use its key") }
      })
    #expect(try #require(gate.metric("bongsu_ingest_refused_total{reason=\"cloned_key\"}")) >= 1)
  }

  @Test("garbage on both ports disturbs nobody")
  func garbage() throws {
    let gate = try Gatehouse()
    let (_, security) = try joined(gate, "r1-n01")
    let agent = try SecureAgent(node("r1-n01"), gate.ingest, security: security)
    #expect(try agent.greet())
    var random = SystemRandomNumberGenerator()
    for port in [try gate.enrolment.port, try #require(Gatehouse.place(gate.ingest)).port] {
      for length in [1, 10, 64, 300, 5000] {
        try RawConnection(port: port).write((0..<length).map { _ in UInt8.random(in: 0...255, using: &random) })
        // A greeting of ZMTP 3 with the mechanism NULL, and then nonsense.
        var greeting: [UInt8] = [0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 0] + Array("NULL".utf8)
        greeting += [UInt8](repeating: 0, count: 64 - greeting.count)
        try RawConnection(port: port).write(
          greeting + (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) })
      }
    }
    #expect(try agent.deliver())
    #expect(try Machine().refusal(try gate.token(), as: node("r1-n02")) == nil)
  }

  @Test("whoever has the server's key can send nonsense to the enrolment port and is refused by name")
  func nonsense() throws {
    let gate = try Gatehouse()
    let place = try gate.enrolment
    var frames: [[UInt8]] = [[], [0x21], [0x41, 1, 2], [0x3F], [UInt8](repeating: 0x21, count: 1000)]
    frames.append(EnrolmentFrame.refused(JoinDenial(nil, detail: "a", nextStep: "b")).bytes)
    for frame in frames {
      let context = try Context()
      var options = SocketOptions()
      options.requiresConnection = false
      var socket = try Socket(
        .dealer, in: context, options: options,
        security: .curveClient(try KeyPair.generate(), server: gate.keys.publicKey))
      try socket.connect(place.tcpEndpoint)
      _ = try socket.trySend(copying: frame.span)
      var answer: [UInt8]?
      _ = try eventually {
        if let message = try socket.tryReceive() {
          answer = message.withBytes { span in
            (0..<span.byteCount).map { unsafe span.unsafeLoad(fromByteOffset: $0, as: UInt8.self) }
          }
        }
        return answer != nil
      }
      guard case .refused(let denial) = try EnrolmentFrame(decoding: try #require(answer, "\(frame)")) else {
        Issue.record("\(frame) was not refused")
        continue
      }
      #expect(denial.reason == .malformed || denial.reason == .otherVersion)
    }
    #expect(try Machine().refusal(try gate.token(), as: node("r1-n02")) == nil)
  }

  @Test("on the wire neither names of nodes and metrics nor the secret of a join string can be read")
  func capture() throws {
    let gate = try Gatehouse()
    let enrolment = try RecordingRelay(port: try gate.enrolment.port)
    let ingest = try RecordingRelay(port: try #require(Gatehouse.place(gate.ingest)).port)
    let token = try gate.token()
    let relayed = JoinString(
      serverKey: token.serverKey, secret: token.secret,
      endpoints: [try #require(HostPort(host: "127.0.0.1", port: enrolment.port))])
    let machine = try Machine()
    #expect(try machine.refusal(relayed, as: node("r1-n01")) == nil)
    let agent = try SecureAgent(
      node("r1-n01"), "tcp://127.0.0.1:\(ingest.port)",
      security: .curveClient(machine.keys, server: gate.keys.publicKey))
    #expect(try agent.greet())
    #expect(try agent.deliver())
    let seen = Data(enrolment.captured + ingest.captured)
    #expect(seen.count > 1000)
    #expect(seen.range(of: Data("CURVE".utf8)) != nil, "the relay has seen the handshake")
    for text in ["r1-n01", "bongsu_gpu_power", "bongsu", "NVIDIA", "GPU-0", "by-hand"] {
      #expect(seen.range(of: Data(text.utf8)) == nil, "\(text)")
    }
    #expect(seen.range(of: Data(token.secret)) == nil)
    #expect(seen.range(of: Data(machine.keys.publicKey.bytes)) == nil, "who it is cannot be seen either")
  }
}
