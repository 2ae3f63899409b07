import Glibc
import Testing

@testable import BongsuTransport

@Suite("Plain sockets")
struct PlainSocketTests {
  @Test("bytes go to the router and back, whatever their number", arguments: [0, 1, 33, 34, 8_192, 300_000])
  func roundTrip(byteCount: Int) throws {
    let context = try Context()
    var router = try Socket(.router, in: context)
    try router.bind("tcp://127.0.0.1:*")
    var dealer = try Socket(.dealer, in: context)
    try dealer.connect(try router.lastEndpoint)
    let bytes = (0..<byteCount).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    #expect(try send(bytes, on: &dealer))
    let received = try #require(try nextMessage(&router))
    #expect(received.bytes == bytes)
    #expect(received.userID == nil, "without CURVE nobody is known")
    #expect(received.peerAddress == "127.0.0.1")
    let sender = try #require(received.sender)
    #expect(try router.trySend(to: sender, copying: received.bytes.span) == .sent)
    #expect(try nextFrame(&dealer) == bytes)
  }

  @Test("a message is given away when it is sent, and kept when it is refused")
  func ownership() throws {
    let context = try Context()
    var router = try Socket(.router, in: context)
    try router.bind("tcp://127.0.0.1:*")
    var message = try Message(copying: Array("block".utf8).span)
    #expect(try router.trySend(to: RoutingID(number: 7), &message) == .unroutable)
    #expect(message.byteCount == 5)
    var dealer = try Socket(.dealer, in: context)
    #expect(try dealer.trySend(&message) == .wouldBlock, "no connection yet, so nothing may pile up")
    #expect(message.byteCount == 5)
    try dealer.connect(try router.lastEndpoint)
    #expect(try send("hello", on: &dealer))
    let sender = try #require(try nextMessage(&router)?.sender)
    #expect(try router.trySend(to: sender, &message) == .sent)
    #expect(message.byteCount == 0)
    #expect(try nextFrame(&dealer) == Array("block".utf8))
  }

  @Test("after a refused message the router sends the next one whole")
  func refusalLeavesNothing() throws {
    let context = try Context()
    var router = try Socket(.router, in: context)
    try router.bind("tcp://127.0.0.1:*")
    var dealer = try Socket(.dealer, in: context)
    try dealer.connect(try router.lastEndpoint)
    #expect(try send("hello", on: &dealer))
    let sender = try #require(try nextMessage(&router)?.sender)
    let payload = Array("ack".utf8)
    #expect(try router.trySend(to: RoutingID(number: sender.number &+ 1), copying: payload.span) == .unroutable)
    #expect(try router.trySend(to: sender, copying: payload.span) == .sent)
    #expect(try nextFrame(&dealer) == payload)
    #expect(try dealer.tryReceive() == nil)
  }

  @Test("a full queue is a value on both sides, and writability comes back when the peer reads")
  func backpressure() throws {
    let context = try Context()
    var options = quickOptions()
    options.sendHighWaterMark = 2
    options.receiveHighWaterMark = 2
    var router = try Socket(.router, in: context, options: options)
    try router.bind("tcp://127.0.0.1:*")
    var dealer = try Socket(.dealer, in: context, options: options)
    try dealer.connect(try router.lastEndpoint)
    #expect(try send("hello", on: &dealer))
    let sender = try #require(try nextMessage(&router)?.sender)
    let large = [UInt8](repeating: 7, count: 200_000)
    // Router to dealer, which does not read: two queues and the kernel's buffers fill up.
    var sent = 0
    while sent < 1_000, try sendSettled(large, to: sender, on: &router) { sent += 1 }
    #expect(sent > 0 && sent < 1_000)
    #expect(try router.trySend(to: sender, copying: large.span) == .wouldBlock)
    for _ in 0..<sent { #expect(try nextFrame(&dealer)?.count == large.count) }
    #expect(try dealer.tryReceive() == nil, "what was refused was not sent")
    #expect(try router.trySend(to: sender, copying: large.span) == .sent)
    #expect(try nextFrame(&dealer)?.count == large.count)
    // Dealer to router, which does not read.
    sent = 0
    while sent < 1_000, try send(large, on: &dealer, within: .milliseconds(300)) { sent += 1 }
    #expect(sent > 0 && sent < 1_000)
    for _ in 0..<sent { #expect(try nextMessage(&router)?.bytes.count == large.count) }
    #expect(try send(large, on: &dealer))
  }

  /// Tries for a while: the I/O thread may still be moving bytes into the kernel.
  private func sendSettled(_ bytes: [UInt8], to peer: RoutingID, on router: inout Socket) throws -> Bool {
    for _ in 0..<30 {
      if try router.trySend(to: peer, copying: bytes.span) == .sent { return true }
      usleep(10_000)
    }
    return false
  }

  @Test("a message of several frames, and one under a name of the peer's choice, are refused whole; the next is fine")
  func refusedEnvelopes() throws {
    let context = try Context()
    var router = try Socket(.router, in: context)
    try router.bind("tcp://127.0.0.1:*")
    let endpoint = try router.lastEndpoint
    var talkative = try Socket(.dealer, in: context)
    try talkative.connect(endpoint)
    #expect(try send("hello", on: &talkative))
    #expect(try nextMessage(&router)?.text == "hello")
    let frame = Array("frame".utf8)
    for more in [true, true, false] { #expect(try talkative.trySend(copying: frame.span, more: more) == .sent) }
    #expect(try nextMessage(&router)?.fault == .tooManyFrames(3))
    var named = try Socket(.dealer, in: context)
    try named.handle.set(5, "ROUTING_ID", Array("node-1".utf8))
    try named.connect(endpoint)
    #expect(try send("impostor", on: &named))
    let refused = try #require(try nextMessage(&router))
    #expect(refused.fault == .foreignRoutingID && refused.text == "impostor")
    #expect(try send("still here", on: &talkative))
    #expect(try nextMessage(&router)?.text == "still here")
  }

  @Test("sockets inside the process exchange frames")
  func inproc() throws {
    let context = try Context()
    var left = try Socket(.pair, in: context)
    try left.bind("inproc://commands")
    var right = try Socket(.pair, in: context)
    try right.connect("inproc://commands")
    #expect(try send("stop", on: &left))
    #expect(try nextFrame(&right) == Array("stop".utf8))
    #expect(Message().connection == nil)
  }

  @Test("after a shutdown every call says that the transport has ended")
  func shutdown() throws {
    let context = try Context()
    var router = try Socket(.router, in: context)
    try router.bind("tcp://127.0.0.1:*")
    context.shutdown()
    #expect(throws: TransportError.terminated) { _ = try router.receiveEnvelope() }
    #expect(throws: TransportError.terminated) { try router.bind("tcp://127.0.0.1:*") }
    #expect(throws: TransportError.terminated) { _ = try Socket(.dealer, in: context) }
  }

  @Test("a failed bind names the endpoint, the errno and the next step")
  func bindErrors() throws {
    let context = try Context()
    var router = try Socket(.router, in: context)
    try router.bind("tcp://127.0.0.1:*")
    var second = try Socket(.router, in: context)
    let taken = try router.lastEndpoint
    let busy = #expect(throws: TransportError.self) { try second.bind(taken) }
    #expect(busy == .failed(operation: "listen on", subject: taken, errno: EADDRINUSE))
    #expect(try #require(busy).description.contains("choose another port"))
    let malformed = #expect(throws: TransportError.self) { try second.bind("7420") }
    #expect(try #require(malformed).description.contains("tcp://HOST:PORT"))
  }

  @Test("settings beyond their limits are refused by name")
  func optionLimits() throws {
    let context = try Context()
    func attempt(_ change: (inout SocketOptions) -> Void) -> TransportError? {
      var options = SocketOptions()
      change(&options)
      return #expect(throws: TransportError.self) { _ = try Socket(.dealer, in: context, options: options) }
    }
    #expect(
      attempt { $0.sendHighWaterMark = 0 }
        == .outOfRange(setting: "sendHighWaterMark", value: 0, allowed: 1...TransportLimits.highWaterMarkMax))
    #expect("\(attempt { $0.messageBytesMax = 1 << 40 }!)".contains("messageBytesMax is 1099511627776"))
    #expect("\(attempt { $0.linger = .seconds(-1) }!)".contains("linger"))
    #expect("\(attempt { $0.keepalive!.idle = .zero }!)".contains("keepalive.idle"))
    #expect(throws: TransportError.outOfRange(setting: "ioThreads", value: 0, allowed: 1...64)) {
      _ = try Context(ioThreads: 0)
    }
  }

  @Test("more sockets than the context allows are refused with the setting to raise")
  func socketLimit() throws {
    let context = try Context(socketsMax: 2)
    let first = try Socket(.dealer, in: context)
    let second = try Socket(.dealer, in: context)
    let refused = #expect(throws: TransportError.self) { _ = try Socket(.dealer, in: context) }
    #expect(try #require(refused).description.contains("socketsMax"))
    _ = (first.kind, second.kind)
  }
}
