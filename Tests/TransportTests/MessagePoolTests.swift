import BongsuRing
import BongsuTransport
import Glibc
import Testing

@Suite("Messages by handle")
struct MessagePoolTests {
  @Test("a message crosses a ring by handle with its bytes and its sender")
  func throughRing() throws {
    let context = try Context()
    var router = try Socket(.router, in: context)
    try router.bind("tcp://127.0.0.1:*")
    var dealer = try Socket(.dealer, in: context)
    try dealer.connect(try router.lastEndpoint)
    let pool = MessagePool(capacity: 4)
    var ring = try SPSCRing<MessageHandle>(capacity: 4)
    var producer = ring.takeProducer()
    var consumer = ring.takeConsumer()
    for size in [5, 40, 100_000] {
      let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0) }
      #expect(try send(bytes, on: &dealer))
      var poller = try Poller()
      try poller.add(router, token: 0)
      #expect(try poller.wait(timeout: patience) == 1)
      guard case .message(_, var message) = try router.receiveEnvelope() else {
        Issue.record("nothing received")
        return
      }
      let parked = try handle(of: &message, in: pool)
      #expect(message.byteCount == 0, "the pool owns it now")
      #expect(producer.tryPush(parked) == true)
      let taken = pool.take(try #require({ consumer.tryPop() }()))
      #expect(taken.copiedBytes == bytes)
      #expect(taken.peerAddress == "127.0.0.1")
      poller.remove(router)
    }
  }

  @Test("a full pool refuses and leaves the message with its owner")
  func full() throws {
    let pool = MessagePool(capacity: 2)
    var handles: [MessageHandle] = []
    for number in 0..<2 {
      var message = try Message(copying: [UInt8(number)].span)
      handles.append(try handle(of: &message, in: pool))
    }
    var third = try Message(copying: [9].span)
    #expect(pool.park(&third) == nil)
    #expect(third.copiedBytes == [9])
    #expect(pool.take(handles[1]).copiedBytes == [1])
    let again = try handle(of: &third, in: pool)
    #expect(again != handles[1], "a slot's next message has another handle")
    #expect(pool.take(handles[0]).copiedBytes == [0])
    #expect(pool.take(again).copiedBytes == [9])
  }

  @Test("a handle that is taken twice stops the program")
  func takenTwice() async {
    await #expect(processExitsWith: .failure) {
      let pool = MessagePool(capacity: 2)
      var message = try Message(copying: [1].span)
      let handle = pool.park(&message)!
      _ = pool.take(handle)
      _ = pool.take(handle)
    }
  }

  @Test("slots are used again and again without mixing messages up")
  func reuse() throws {
    let pool = MessagePool(capacity: 4)
    var held: [(MessageHandle, UInt8)] = []
    for round in 0..<1_000 {
      var message = try Message(copying: [UInt8(round % 251)].span)
      if let handle = pool.park(&message) { held.append((handle, UInt8(round % 251))) }
      if held.count == 4 || round % 3 == 0 {
        let (handle, value) = held.remove(at: round % held.count)
        #expect(pool.take(handle).copiedBytes == [value])
      }
    }
    // What is still parked is released with the pool.
  }
}

/// Parks a message for which there must be room. The macros cannot take noncopyable values themselves.
private func handle(of message: inout Message, in pool: MessagePool) throws -> MessageHandle {
  let handle = pool.park(&message)
  return try #require(handle)
}
