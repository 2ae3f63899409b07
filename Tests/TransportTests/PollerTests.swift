import BongsuRing
import BongsuTransport
import Glibc
import Testing

@Suite("Poller")
struct PollerTests {
  @Test("one wait serves sockets and ring descriptors, each under its token")
  func mixed() throws {
    let context = try Context()
    var router = try Socket(.router, in: context)
    try router.bind("tcp://127.0.0.1:*")
    var dealer = try Socket(.dealer, in: context)
    try dealer.connect(try router.lastEndpoint)
    var ring = try SPSCRing<UInt64>(capacity: 8, descriptors: .data)
    var producer = ring.takeProducer()
    var consumer = ring.takeConsumer()
    var poller = try Poller()
    try poller.add(router, token: 1)
    try poller.add(descriptor: { consumer.descriptor! }(), token: 2)

    #expect(try poller.wait(timeout: .milliseconds(20)) == 0)
    #expect(consumer.armDescriptor() == true)
    #expect(producer.tryPush(99) == true)
    #expect(try poller.wait(timeout: patience) == 1)
    #expect(poller.ready == [PollEvent(token: 2, readiness: .readable)])
    #expect(consumer.tryPop() == 99)
    #expect(consumer.armDescriptor() == true)
    #expect(try poller.wait(timeout: .milliseconds(20)) == 0)

    #expect(try send("hello", on: &dealer))
    #expect(try poller.wait(timeout: patience) == 1)
    #expect(poller.ready == [PollEvent(token: 1, readiness: .readable)])
    #expect(try poller.wait(timeout: .zero) == 1, "reported until it is read")
    #expect(try nextOnWatched(&router) == "hello")
    #expect(try poller.wait(timeout: .milliseconds(20)) == 0)
  }

  @Test("a socket that was ready before it was watched is seen")
  func readyBefore() throws {
    let context = try Context()
    var left = try Socket(.pair, in: context)
    try left.bind("inproc://before")
    var right = try Socket(.pair, in: context)
    try right.connect("inproc://before")
    #expect(try left.trySend(copying: Array("early".utf8).span) == .sent)
    usleep(20_000)
    var poller = try Poller()
    try poller.add(right, token: 5)
    #expect(try poller.wait(timeout: patience) == 1)
    #expect(try right.tryReceive()?.copiedBytes == Array("early".utf8))
  }

  @Test("a message is seen although another call on the socket swallowed its hint")
  func swallowedHint() throws {
    let context = try Context()
    var left = try Socket(.pair, in: context)
    try left.bind("inproc://swallowed")
    var right = try Socket(.pair, in: context)
    try right.connect("inproc://swallowed")
    var poller = try Poller()
    try poller.add(right, token: 5)
    for round in 0..<200 {
      #expect(try poller.wait(timeout: .zero) == 0)
      #expect(try left.trySend(copying: [UInt8(round % 256)].span) == .sent)
      if round % 3 == 0 { usleep(500) }
      // Runs the command queue of `right`, which empties the descriptor.
      #expect(try right.trySend(copying: [0].span) == .sent)
      #expect(try poller.wait(timeout: patience) == 1, "round \(round)")
      #expect(try right.tryReceive()?.copiedBytes == [UInt8(round % 256)])
      #expect(try nextFrame(&left) == [0])
    }
  }

  @Test("writability is reported while it is asked for")
  func writable() throws {
    let context = try Context()
    var router = try Socket(.router, in: context)
    try router.bind("tcp://127.0.0.1:*")
    var dealer = try Socket(.dealer, in: context)
    var poller = try Poller()
    try poller.add(dealer, for: [.readable, .writable], token: 3)
    #expect(try poller.wait(timeout: .milliseconds(20)) == 0, "nobody to write to")
    try dealer.connect(try router.lastEndpoint)
    #expect(try poller.wait(timeout: patience) == 1)
    #expect(poller.ready == [PollEvent(token: 3, readiness: .writable)])
    poller.update(dealer, for: .readable)
    #expect(try poller.wait(timeout: .milliseconds(20)) == 0)
  }

  @Test("closed and removed sockets fall silent, and their places are used again")
  func removal() throws {
    let context = try Context()
    var poller = try Poller()
    for round in 0..<20 {
      var left = try Socket(.pair, in: context)
      try left.bind("inproc://round-\(round)")
      var right = try Socket(.pair, in: context)
      try right.connect("inproc://round-\(round)")
      try poller.add(left, token: 1)
      try poller.add(right, token: 2)
      #expect(try left.trySend(copying: [1].span) == .sent)
      #expect(try poller.wait(timeout: patience) == 1)
      #expect(poller.ready.first?.token == 2)
      if round % 2 == 0 { poller.remove(right) }
    }
    #expect(try poller.wait(timeout: .milliseconds(20)) == 0)
  }

  @Test("among many dealers exactly those with messages are reported")
  func manyDealers() throws {
    let context = try Context()
    var router = try Socket(.router, in: context)
    try router.bind("tcp://127.0.0.1:*")
    let endpoint = try router.lastEndpoint
    let dealers = try (0..<100).map { _ in
      let dealer = SharedSocket(try Socket(.dealer, in: context))
      try dealer.socket.connect(endpoint)
      return dealer
    }
    var poller = try Poller()
    var senders: [Int: RoutingID] = [:]
    for (number, dealer) in dealers.enumerated() {
      #expect(try send("\(number)", on: &dealer.socket))
      let received = try #require(try nextMessage(&router))
      senders[Int(received.text)!] = received.sender
      try poller.add(dealer.socket, token: UInt64(number))
    }
    let chosen = Set([3, 50, 99])
    for number in chosen { #expect(try router.trySend(to: senders[number]!, copying: [7].span) == .sent) }
    var seen: Set<Int> = []
    while seen.count < chosen.count, try poller.wait(timeout: patience) > 0 {
      seen.formUnion(poller.ready.map { Int($0.token) })
    }
    #expect(seen == chosen)
  }

  @Test("a descriptor whose other side is gone is reported as failed")
  func hangup() throws {
    var pipeEnds: [Int32] = [0, 0]
    try #require(unsafe pipe(&pipeEnds) == 0)
    var poller = try Poller()
    try poller.add(descriptor: pipeEnds[0], token: 9)
    close(pipeEnds[1])
    #expect(try poller.wait(timeout: patience) == 1)
    #expect(poller.ready.first?.readiness.contains(.failed) == true)
    poller.remove(descriptor: pipeEnds[0])
    close(pipeEnds[0])
  }

  /// Reads without a poller of its own: the socket has one.
  private func nextOnWatched(_ router: inout Socket) throws -> String? {
    guard case .message(_, let message) = try router.receiveEnvelope() else { return nil }
    return String(decoding: message.copiedBytes, as: UTF8.self)
  }
}

/// Lets an array hold sockets.
private final class SharedSocket {
  var socket: Socket

  init(_ socket: consuming Socket) {
    self.socket = socket
  }
}
