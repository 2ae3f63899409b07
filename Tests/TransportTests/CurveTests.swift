import BongsuTransport
import Glibc
import Testing

@Suite("CURVE and admission")
struct CurveTests {
  let context: Context
  let keys = KeyList()
  let serverKeys: KeyPair

  init() throws {
    context = try Context()
    try context.install(authority: keys)
    serverKeys = try KeyPair.generate()
  }

  private func makeRouter(domain: String = "ingest") throws -> Socket {
    var router = try Socket(
      .router, in: context, options: quickOptions(), security: .curveServer(serverKeys, domain: domain))
    try router.bind("tcp://127.0.0.1:*")
    return router
  }

  private func makeDealer(_ keys: KeyPair, to endpoint: String, server: PublicKey? = nil) throws -> Socket {
    var dealer = try Socket(
      .dealer, in: context, options: quickOptions(),
      security: .curveClient(keys, server: server ?? serverKeys.publicKey))
    try dealer.connect(endpoint)
    return dealer
  }

  @Test("an enrolled key comes in, and its user id is on every payload frame")
  func admitted() throws {
    var router = try makeRouter()
    let node = try KeyPair.generate()
    keys.set(node.publicKey, to: "node-0042")
    var dealer = try makeDealer(node, to: try router.lastEndpoint)
    for number in 0..<3 {
      #expect(try send("block \(number)", on: &dealer))
      let received = try #require(try nextMessage(&router))
      #expect(received.text == "block \(number)")
      #expect(received.userID == "node-0042")
      #expect(received.peerAddress == "127.0.0.1")
      #expect(try router.trySend(to: try #require(received.sender), copying: Array("ack".utf8).span) == .sent)
      #expect(try nextFrame(&dealer) == Array("ack".utf8))
    }
    #expect(keys.requests == [AdmissionRequest(domain: "ingest", address: "127.0.0.1", key: node.publicKey)])
  }

  @Test("the longest message fits although encryption makes it longer, and one byte more ends the connection")
  func longest() throws {
    let limit = 2000
    var options = quickOptions()
    options.messageBytesMax = limit
    var router = try Socket(
      .router, in: context, options: options, security: .curveServer(serverKeys, domain: "ingest"))
    try router.bind("tcp://127.0.0.1:*")
    let node = try KeyPair.generate()
    keys.set(node.publicKey, to: "node-0042")
    var dealer = try makeDealer(node, to: try router.lastEndpoint)
    var monitor = try ConnectionMonitor(of: dealer, in: context)
    #expect(try send([UInt8](repeating: 7, count: limit), on: &dealer))
    #expect(try nextMessage(&router)?.bytes.count == limit)
    #expect(try send([UInt8](repeating: 7, count: limit + 1), on: &dealer))
    let seen = try events(of: &monitor, until: { if case .disconnected = $0 { true } else { false } })
    #expect(seen.contains { if case .disconnected = $0 { true } else { false } })
  }

  @Test("two nodes are told apart by their keys")
  func identities() throws {
    var router = try makeRouter()
    let endpoint = try router.lastEndpoint
    let pairs = try (0..<2).map { _ in try KeyPair.generate() }
    for (number, pair) in pairs.enumerated() { keys.set(pair.publicKey, to: "node-\(number)") }
    var first = try makeDealer(pairs[0], to: endpoint)
    var second = try makeDealer(pairs[1], to: endpoint)
    #expect(try send("I am 0", on: &first))
    #expect(try send("I am 1", on: &second))
    for _ in 0..<2 {
      let received = try #require(try nextMessage(&router))
      #expect(received.text.last == received.userID?.last)
    }
  }

  @Test("a foreign key gets nowhere and keeps trying quietly, until it is enrolled")
  func foreignThenEnrolled() throws {
    var router = try makeRouter()
    let stranger = try KeyPair.generate()
    var dealer = try makeDealer(stranger, to: try router.lastEndpoint)
    #expect(try !send("let me in", on: &dealer, within: .milliseconds(400)))
    #expect(try nextMessage(&router, within: .milliseconds(50)) == nil)
    let deadline = ContinuousClock.now + patience
    while keys.requests.count < 3, ContinuousClock.now < deadline { usleep(10_000) }
    #expect(keys.requests.count >= 3, "turned away with 300, so that it tries again")
    keys.set(stranger.publicKey, to: "node-new")
    #expect(try send("thank you", on: &dealer))
    #expect(try nextMessage(&router)?.userID == "node-new")
  }

  @Test("a peer without keys, or with the wrong server key, gets nowhere")
  func strangers() throws {
    var router = try makeRouter()
    let endpoint = try router.lastEndpoint
    let node = try KeyPair.generate()
    keys.set(node.publicKey, to: "node")
    var plain = try Socket(.dealer, in: context, options: quickOptions())
    try plain.connect(endpoint)
    var misled = try makeDealer(node, to: endpoint, server: try KeyPair.generate().publicKey)
    #expect(try !send("plain", on: &plain, within: .milliseconds(300)))
    #expect(try !send("misled", on: &misled, within: .milliseconds(300)))
    #expect(try nextMessage(&router, within: .milliseconds(50)) == nil)
    #expect(keys.requests == [])
    var dealer = try makeDealer(node, to: endpoint)
    #expect(try send("fine", on: &dealer))
    #expect(try nextMessage(&router)?.text == "fine")
  }

  @Test("a revoked key loses its connection at once and does not come back; others do not notice")
  func revoked() throws {
    var router = try makeRouter()
    let endpoint = try router.lastEndpoint
    var monitor = try ConnectionMonitor(of: router, in: context)
    let (good, bad) = (try KeyPair.generate(), try KeyPair.generate())
    keys.set(good.publicKey, to: "good")
    keys.set(bad.publicKey, to: "bad")
    var goodDealer = try makeDealer(good, to: endpoint)
    var badDealer = try makeDealer(bad, to: endpoint)
    #expect(try send("good", on: &goodDealer))
    let goodConnection = try #require(try nextMessage(&router)?.connection)
    #expect(try send("bad", on: &badDealer))
    let received = try #require(try nextMessage(&router))
    let connection = try #require(received.connection)
    #expect(connection != goodConnection)

    keys.set(bad.publicKey, to: nil)
    let wasCut = connection.shutdown()
    #expect(wasCut)
    let seen = try events(of: &monitor) { $0 == .disconnected(descriptor: connection.descriptor) }
    #expect(seen.last == .disconnected(descriptor: connection.descriptor))
    let refused = try events(of: &monitor) { $0 == .handshakeRefused(status: 300) }
    #expect(refused.last == .handshakeRefused(status: 300), "it came back and was turned away")
    #expect(try !send("again", on: &badDealer, within: .milliseconds(300)))
    #expect(
      try router.trySend(to: try #require(received.sender), copying: Array("x".utf8).span) == .unroutable)
    let isCutAgain = connection.shutdown()
    #expect(!isCutAgain, "the connection has gone; nothing else may be touched")
    #expect(try send("still good", on: &goodDealer))
    #expect(try nextMessage(&router)?.text == "still good")
  }

  @Test("the authority sees which port a client came to")
  func domains() throws {
    let node = try KeyPair.generate()
    keys.set(node.publicKey, to: "node")
    var ingest = try makeRouter(domain: "ingest")
    var enrolment = try makeRouter(domain: "enrolment")
    var first = try makeDealer(node, to: try ingest.lastEndpoint)
    #expect(try send("a", on: &first))
    #expect(try nextMessage(&ingest) != nil)
    var second = try makeDealer(node, to: try enrolment.lastEndpoint)
    #expect(try send("b", on: &second))
    #expect(try nextMessage(&enrolment) != nil)
    #expect(keys.requests.map(\.domain) == ["ingest", "enrolment"])
  }

  @Test("a CURVE server without an authority cannot be made, and there is one authority per context")
  func authorityRequired() throws {
    let bare = try Context()
    #expect(throws: TransportError.authorityMissing) {
      _ = try Socket(.router, in: bare, security: .curveServer(serverKeys, domain: "ingest"))
    }
    #expect(throws: TransportError.authorityPresent) { try context.install(authority: keys) }
    #expect(throws: TransportError.self) {
      _ = try Socket(.router, in: context, security: .curveServer(serverKeys, domain: ""))
    }
  }

  @Test("nothing readable crosses the network")
  func ciphertext() throws {
    var router = try makeRouter()
    let node = try KeyPair.generate()
    keys.set(node.publicKey, to: "node-secret-name")
    let relay = try Relay(to: try router.lastEndpoint)
    var dealer = try makeDealer(node, to: relay.endpoint)
    let secret = "bongsu_gpu_power_watts of node-secret-name"
    #expect(try send(secret, on: &dealer))
    #expect(try nextMessage(&router)?.text == secret)
    let seen = relay.captured
    #expect(seen.count > 200)
    for word in ["bongsu_gpu_power_watts", "node-secret-name"] {
      #expect(!seen.contains(Array(word.utf8)))
    }
  }
}
