import BongsuRing
import Synchronization
import Testing

@Suite("Single-producer ring")
struct SPSCRingTests {
  @Test("an empty ring gives nothing and is not at its end")
  func emptyRing() throws {
    var ring = try SPSCRing<UInt64>(capacity: 8)
    let producer = ring.takeProducer()
    var consumer = ring.takeConsumer()
    #expect(consumer.tryPop() == nil)
    #expect(popAll(&consumer, room: 4) == [])
    #expect(consumer.isEnded == false)
    #expect(consumer.waitForElements(timeout: .milliseconds(1)) == .timedOut)
    #expect(producer.isConsumerGone == false)
  }

  @Test("a full ring refuses the next element and keeps the old ones in order", arguments: [1, 2, 8, 1024])
  func fullRingRefuses(capacity: Int) throws {
    var ring = try SPSCRing<UInt64>(capacity: capacity)
    var producer = ring.takeProducer()
    var consumer = ring.takeConsumer()
    for value in 0..<UInt64(capacity) { #expect(producer.tryPush(value) == true) }
    #expect(producer.tryPush(999_999) == false)
    #expect(producer.waitForSpace(timeout: .milliseconds(1), strategy: .parkAtOnce) == .timedOut)
    #expect(consumer.tryPop() == 0)
    #expect(producer.waitForSpace() == .ready)
    #expect(producer.tryPush(UInt64(capacity)) == true)
    #expect(popAll(&consumer, room: 3) == Array(1...UInt64(capacity)))
  }

  @Test("a batch larger than the free space is taken from its front, and a batch over the wrap keeps its order")
  func batches() throws {
    var ring = try SPSCRing<UInt64>(capacity: 8)
    var producer = ring.takeProducer()
    var consumer = ring.takeConsumer()
    #expect(push([], to: &producer) == 0)
    #expect(push([0, 1, 2, 3, 4], to: &producer) == 5)
    #expect(consumer.tryPop() == 0)
    #expect(consumer.tryPop() == 1)
    #expect(push([5, 6, 7, 8, 9, 10, 11], to: &producer) == 5)
    #expect(push([99], to: &producer) == 0)
    #expect(popAll(&consumer, room: 64) == [2, 3, 4, 5, 6, 7, 8, 9])
  }

  @Test("a pop with no room takes nothing")
  func emptyTarget() throws {
    var ring = try SPSCRing<UInt64>(capacity: 2)
    var producer = ring.takeProducer()
    var consumer = ring.takeConsumer()
    #expect(producer.tryPush(7) == true)
    var none: [UInt64] = []
    var span = none.mutableSpan
    #expect(consumer.tryPop(into: &span) == 0)
    #expect(consumer.tryPop() == 7)
  }

  @Test("after a close the consumer takes what is left and then sees the end")
  func closeDrains() throws {
    var ring = try SPSCRing<UInt64>(capacity: 4)
    var producer = ring.takeProducer()
    var consumer = ring.takeConsumer()
    #expect(push([1, 2], to: &producer) == 2)
    producer.close()
    #expect(consumer.isEnded == false)
    #expect(consumer.waitForElements() == .ready)
    #expect(popAll(&consumer, room: 1) == [1, 2])
    #expect(consumer.isEnded == true)
    #expect(consumer.waitForElements() == .ended)
    #expect(consumer.tryPop() == nil)
  }

  @Test("what the consumer leaves behind goes to the discard handler, once and in order")
  func discards() throws {
    let discarded = Recorder()
    do {
      var ring = try SPSCRing<UInt64>(capacity: 4) { discarded.append($0) }
      var producer = ring.takeProducer()
      do {
        var consumer = ring.takeConsumer()
        #expect(push([1, 2, 3], to: &producer) == 3)
        #expect(consumer.tryPop() == 1)
      }
      #expect(producer.isConsumerGone == true)
      #expect(producer.waitForSpace() == .ended)
      #expect(producer.tryPush(4) == true)
      #expect(discarded.values == [], "nothing is discarded while an end lives")
    }
    #expect(discarded.values == [2, 3, 4])
  }

  @Test("an end that nobody took counts as closed once the ring is dropped")
  func endsNeverTaken() throws {
    func onlyConsumer() throws -> RingConsumer<UInt64> {
      var ring = try SPSCRing<UInt64>(capacity: 2)
      return ring.takeConsumer()
    }
    func onlyProducer() throws -> RingProducer<UInt64> {
      var ring = try SPSCRing<UInt64>(capacity: 2)
      return ring.takeProducer()
    }
    var consumer = try onlyConsumer()
    #expect(consumer.waitForElements() == .ended)
    let producer = try onlyProducer()
    #expect(producer.isConsumerGone == true)
  }

  @Test("elements of any plain type keep their bytes")
  func wideElements() throws {
    struct Wide: BitwiseCopyable, Sendable, Hashable {
      var handle: UInt64
      var node: UInt32
      var flag: Bool
    }
    var ring = try SPSCRing<Wide>(capacity: 2)
    var producer = ring.takeProducer()
    var consumer = ring.takeConsumer()
    for round in 0..<10 {
      let wide = Wide(handle: .max - UInt64(round), node: UInt32(round), flag: round % 2 == 0)
      #expect(producer.tryPush(wide) == true)
      #expect(consumer.tryPop() == wide)
    }
  }
}

@Suite("Wake descriptors")
struct WakeDescriptorTests {
  @Test("a ring made without them has none")
  func absent() throws {
    var ring = try SPSCRing<UInt64>(capacity: 2)
    let producer = ring.takeProducer()
    let consumer = ring.takeConsumer()
    #expect(producer.descriptor == nil)
    #expect(consumer.descriptor == nil)
  }

  @Test("the consumer's becomes readable by the first push after arming, and arming again clears it")
  func data() throws {
    var ring = try SPSCRing<UInt64>(capacity: 4, descriptors: .data)
    var producer = ring.takeProducer()
    var consumer = ring.takeConsumer()
    let descriptor = try #require({ consumer.descriptor }())
    #expect(producer.tryPush(1) == true)
    #expect(!isReadable(descriptor), "nobody was armed")
    #expect(consumer.armDescriptor() == false, "there is something to take")
    #expect(consumer.tryPop() == 1)
    #expect(consumer.armDescriptor() == true)
    #expect(!isReadable(descriptor))
    #expect(producer.tryPush(2) == true)
    #expect(isReadable(descriptor))
    #expect(consumer.tryPop() == 2)
    #expect(consumer.armDescriptor() == true)
    #expect(!isReadable(descriptor))
    producer.close()
    #expect(isReadable(descriptor), "the end is announced too")
    #expect(consumer.armDescriptor() == false)
  }

  @Test("the producer's becomes readable by the first pop after arming")
  func space() throws {
    var ring = try SPSCRing<UInt64>(capacity: 1, descriptors: .space)
    var producer = ring.takeProducer()
    var consumer = ring.takeConsumer()
    let descriptor = try #require({ producer.descriptor }())
    #expect(producer.armDescriptor() == false, "there is room")
    #expect(producer.tryPush(1) == true)
    #expect(producer.armDescriptor() == true)
    #expect(!isReadable(descriptor))
    #expect(consumer.tryPop() == 1)
    #expect(isReadable(descriptor))
    #expect(producer.tryPush(2) == true)
  }

  @Test("one descriptor serves all lanes of a multi-producer ring")
  func merged() throws {
    var ring = try MPSCRing<UInt64>(producers: 2, capacityPerProducer: 2, descriptors: .data)
    var first = ring.takeProducer()
    var second = ring.takeProducer()
    var consumer = ring.takeConsumer()
    let descriptor = try #require({ consumer.descriptor }())
    #expect(consumer.armDescriptor() == true)
    #expect(second.tryPush(2) == true)
    #expect(isReadable(descriptor))
    #expect(consumer.tryPop() == 2)
    #expect(consumer.armDescriptor() == true)
    #expect(first.tryPush(1) == true)
    #expect(isReadable(descriptor))
  }

  @Test("a ring error names errno and the remedy")
  func errorText() {
    let text = "\(RingError.descriptorUnavailable(errno: 24))"
    #expect(text.contains("errno 24") && text.contains("ulimit -n"))
  }
}
