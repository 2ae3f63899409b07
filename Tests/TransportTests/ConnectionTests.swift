import BongsuTransport
import Glibc
import Testing

@Suite("Connections")
struct ConnectionTests {
  @Test("a monitor reports accept, handshake and end with the descriptor that messages name")
  func monitorEvents() throws {
    let context = try Context()
    var router = try Socket(.router, in: context)
    try router.bind("tcp://127.0.0.1:*")
    var monitor = try ConnectionMonitor(of: router, in: context)
    var connection: ConnectionID?
    do {
      var dealer = try Socket(.dealer, in: context)
      var dealerMonitor = try ConnectionMonitor(of: dealer, in: context)
      try dealer.connect(try router.lastEndpoint)
      #expect(try send("hello", on: &dealer))
      connection = try nextMessage(&router)?.connection
      let seen = try events(of: &dealerMonitor) { $0 == .handshakeSucceeded }
      #expect(seen.contains(.connected))
      #expect(seen.last == .handshakeSucceeded)
    }
    let descriptor = try #require(connection).descriptor
    let seen = try events(of: &monitor) { $0 == .disconnected(descriptor: descriptor) }
    #expect(
      seen == [.accepted(descriptor: descriptor), .handshakeSucceeded, .disconnected(descriptor: descriptor)])
  }

  @Test("two monitors and a closed socket leave nothing behind that the context would wait for")
  func monitorLifetime() throws {
    let context = try Context()
    do {
      var router = try Socket(.router, in: context)
      try router.bind("tcp://127.0.0.1:*")
      do {
        var first = try ConnectionMonitor(of: router, in: context)
        #expect(try first.nextEvent() == nil)
      }
      var second = try ConnectionMonitor(of: router, in: context)
      #expect(try second.nextEvent() == nil)
    }
  }

  @Test("a stale connection never cuts whoever got its descriptor next")
  func staleConnection() throws {
    var pair: [Int32] = [0, 0]
    try #require(unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0)
    let stale = try #require(ConnectionID(descriptor: pair[0]))
    // The number stays taken all the time: other tests of this process open files as well.
    // SAFETY: a constant zero-terminated path.
    let placeholder = unsafe open("/dev/null", O_RDONLY)
    try #require(placeholder >= 0 && dup2(placeholder, stale.descriptor) == stale.descriptor)
    close(pair[1])
    let isCut = stale.shutdown()
    #expect(!isCut)
    // Put another socket at the very same number.
    var next: [Int32] = [0, 0]
    try #require(unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &next) == 0)
    try #require(dup2(next[0], stale.descriptor) == stale.descriptor)
    let isWrongCut = stale.shutdown()
    #expect(!isWrongCut)
    #expect(unsafe send(stale.descriptor, [1], 1, Int32(MSG_NOSIGNAL)) == 1, "the newcomer still works")
    let current = try #require(ConnectionID(descriptor: stale.descriptor))
    #expect(current != stale)
    let isRightCut = current.shutdown()
    #expect(isRightCut)
    #expect(unsafe send(stale.descriptor, [1], 1, Int32(MSG_NOSIGNAL)) == -1)
    for descriptor in next + [stale.descriptor, placeholder] { close(descriptor) }
  }

  @Test("a descriptor that is no socket is no connection")
  func noSocket() {
    #expect(ConnectionID(descriptor: -1) == nil)
  }

  @Test("the budget pauses at its limit, resumes a sixteenth below, and pauses at once when descriptors run out")
  func budget() {
    func event(_ kind: ConnectionEvent.Kind) -> ConnectionEvent { ConnectionEvent(kind: kind, endpoint: "") }
    var budget = ConnectionBudget(limit: 32)
    for _ in 0..<31 { #expect(budget.note(event(.accepted(descriptor: 9))) == nil) }
    #expect(budget.note(event(.accepted(descriptor: 9))) == .pause)
    #expect(budget.note(event(.accepted(descriptor: 9))) == nil, "a burst may pass the limit before the pause")
    #expect(budget.note(event(.disconnected(descriptor: 9))) == nil)
    #expect(budget.note(event(.disconnected(descriptor: 9))) == nil)
    #expect(budget.note(event(.disconnected(descriptor: 9))) == .resume)
    #expect(budget.connections == 30)
    #expect(budget.note(event(.acceptFailed(errno: EMFILE))) == .pause, "fewer descriptors than thought")
    #expect(budget.limit == 30)
    #expect(budget.note(event(.acceptFailed(errno: EMFILE))) == nil)
    #expect(budget.note(event(.handshakeSucceeded)) == nil)
    #expect(budget.note(event(.disconnected(descriptor: 9))) == .resume)
  }

  @Test("the descriptor limit is raised as far as allowed, never lowered, and the shortfall names the remedy")
  func descriptorLimit() {
    let before = DescriptorLimit.raise(toHold: 0)
    let raised = DescriptorLimit.raise(toHold: min(before.hard, before.soft + 10))
    #expect(raised.soft == min(before.hard, before.soft + 10) && raised.isEnough)
    let short = DescriptorLimit(soft: 1_024, hard: 20_000, needed: 33_000)
    #expect(!short.isEnough)
    #expect("\(short)".contains("33000 descriptors needed, 1024 allowed (hard limit 20000)"))
    #expect("\(short)".contains("LimitNOFILE=33000"))
  }
}
