import BongsuTransport
import Glibc
import Testing

@Suite("Hostile and broken peers")
struct HostilePeerTests {
  @Test("an oversized message costs its sender the connection and nobody else")
  func oversized() throws {
    let context = try Context()
    var options = quickOptions()
    options.messageBytesMax = 1_000
    var router = try Socket(.router, in: context, options: options)
    try router.bind("tcp://127.0.0.1:*")
    let endpoint = try router.lastEndpoint
    var monitor = try ConnectionMonitor(of: router, in: context)
    var decent = try Socket(.dealer, in: context, options: quickOptions())
    try decent.connect(endpoint)
    var greedy = try Socket(.dealer, in: context, options: quickOptions())
    try greedy.connect(endpoint)
    #expect(try send("small", on: &greedy))
    let connection = try #require(try nextMessage(&router)?.connection)
    #expect(try send([UInt8](repeating: 1, count: 1_001), on: &greedy))
    let seen = try events(of: &monitor) { $0 == .disconnected(descriptor: connection.descriptor) }
    #expect(seen.last == .disconnected(descriptor: connection.descriptor))
    #expect(try nextMessage(&router, within: .milliseconds(50)) == nil)
    let exact = [UInt8](repeating: 2, count: 1_000)
    #expect(try send(exact, on: &decent))
    #expect(try nextMessage(&router)?.bytes == exact)
    #expect(try send("small again", on: &greedy), "it may reconnect and behave")
    #expect(try nextMessage(&router)?.text == "small again")
  }

  @Test("garbage on the port is shut out and disturbs nobody")
  func garbage() throws {
    let context = try Context()
    var router = try Socket(.router, in: context, options: quickOptions())
    try router.bind("tcp://127.0.0.1:*")
    let endpoint = try router.lastEndpoint
    var dealer = try Socket(.dealer, in: context, options: quickOptions())
    try dealer.connect(endpoint)
    #expect(try send("before", on: &dealer))
    #expect(try nextMessage(&router)?.text == "before")
    let openings: [[UInt8]] = [
      Array("GET / HTTP/1.1\r\nHost: bongsu\r\n\r\n".utf8),
      [UInt8](repeating: 0xFF, count: 4_096),
      [0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 1] + Array("NULL".utf8) + [UInt8](repeating: 0xAA, count: 200),
    ]
    for opening in openings {
      let peer = try RawPeer(to: endpoint)
      peer.write(opening)
      let isShutOut = peer.seesEnd(within: 10)
      #expect(isShutOut)
    }
    #expect(try nextMessage(&router, within: .milliseconds(50)) == nil)
    #expect(try send("after", on: &dealer))
    #expect(try nextMessage(&router)?.text == "after")
  }

  @Test("a peer that connects and says nothing loses its connection after the handshake time")
  func silent() throws {
    let context = try Context()
    var options = quickOptions()
    options.handshakeTimeout = .milliseconds(200)
    var router = try Socket(.router, in: context, options: options)
    try router.bind("tcp://127.0.0.1:*")
    let peer = try RawPeer(to: try router.lastEndpoint)
    let isShutOut = peer.seesEnd(within: 10)
    #expect(isShutOut)
  }

  @Test("a monitor that nobody reads stops nobody, though its events are beyond libzmq's queue")
  func undrainedMonitor() throws {
    let context = try Context()
    var router = try Socket(.router, in: context, options: quickOptions())
    try router.bind("tcp://127.0.0.1:*")
    let endpoint = try router.lastEndpoint
    var monitor = try ConnectionMonitor(of: router, in: context)
    // Each is worth at least two events; libzmq's default marks would stop the I/O thread at 2,000.
    let peers = 1_200
    for _ in 0..<peers {
      let peer = try RawPeer(to: endpoint)
      peer.write(Array("GET / HTTP/1.1\r\n\r\n".utf8))
    }
    var dealer = try Socket(.dealer, in: context, options: quickOptions())
    try dealer.connect(endpoint)
    #expect(try send("alive", on: &dealer))
    #expect(try nextMessage(&router)?.text == "alive")
    var accepted = 0
    var ended = 0
    let seen = try events(of: &monitor) { kind in
      if case .accepted = kind { accepted += 1 }
      if case .disconnected = kind { ended += 1 }
      return ended == peers && accepted == peers + 1
    }
    #expect(accepted == peers + 1 && ended == peers)
    #expect(seen.count >= 2 * peers)
  }

  @Test("a paused listener lets nobody in and keeps its connections; resumed, it lets in those who waited")
  func pausedListener() throws {
    let context = try Context()
    var router = try Socket(.router, in: context, options: quickOptions())
    var monitor = try ConnectionMonitor(of: router, in: context)
    try router.bind("tcp://127.0.0.1:*")
    let endpoint = try router.lastEndpoint
    let listening = try #require(try monitor.nextEvent()).kind
    guard case .listening(let descriptor) = listening else {
      Issue.record("expected the listening event, got \(listening)")
      return
    }
    let listener = try #require(Listener(descriptor: descriptor))
    var budget = ConnectionBudget(limit: 1)
    var first = try Socket(.dealer, in: context, options: quickOptions())
    try first.connect(endpoint)
    #expect(try send("first", on: &first))
    #expect(try nextMessage(&router)?.text == "first")
    var steps: [ConnectionBudget.Step] = []
    while let event = try monitor.nextEvent() {
      if let step = budget.note(event) { steps.append(step) }
    }
    #expect(steps == [.pause])
    let isPaused = listener.pause()
    #expect(isPaused)
    var second = try Socket(.dealer, in: context, options: quickOptions())
    try second.connect(endpoint)
    #expect(try !send("second", on: &second, within: .milliseconds(300)))
    #expect(try send("first again", on: &first))
    #expect(try nextMessage(&router)?.text == "first again")
    let isResumed = listener.resume()
    #expect(isResumed)
    #expect(try send("second", on: &second))
    #expect(try nextMessage(&router)?.text == "second")
  }
}
