import BongsuRing
import Testing

@Suite("Multi-producer ring")
struct MPSCRingTests {
  @Test("lanes are served in turn, so that a busy producer does not starve a quiet one")
  func fairness() throws {
    var ring = try MPSCRing<UInt64>(producers: 3, capacityPerProducer: 4)
    var first = ring.takeProducer()
    var second = ring.takeProducer()
    var third = ring.takeProducer()
    var consumer = ring.takeConsumer()
    #expect(push([10, 11, 12], to: &first) == 3)
    #expect(push([20], to: &second) == 1)
    #expect(push([30, 31], to: &third) == 2)
    var taken: [UInt64] = []
    while let element = consumer.tryPop() { taken.append(element) }
    #expect(taken == [10, 20, 30, 11, 31, 12])
  }

  @Test("a batch gathers from several lanes and keeps the order within each")
  func gatheredBatch() throws {
    var ring = try MPSCRing<UInt64>(producers: 2, capacityPerProducer: 4)
    var first = ring.takeProducer()
    var second = ring.takeProducer()
    var consumer = ring.takeConsumer()
    #expect(push([10, 11, 12], to: &first) == 3)
    #expect(push([20, 21], to: &second) == 2)
    var room = [UInt64](repeating: 0, count: 4)
    var span = room.mutableSpan
    #expect(consumer.tryPop(into: &span) == 4)
    #expect(room == [10, 11, 12, 20])
    #expect(consumer.tryPop() == 21)
  }

  @Test("a full lane refuses its own producer only")
  func fullLane() throws {
    var ring = try MPSCRing<UInt64>(producers: 2, capacityPerProducer: 2)
    var first = ring.takeProducer()
    var second = ring.takeProducer()
    var consumer = ring.takeConsumer()
    #expect(push([1, 2, 3], to: &first) == 2)
    #expect(second.tryPush(4) == true)
    #expect(consumer.tryPop() == 1)
    #expect(first.tryPush(3) == true)
  }

  @Test("the end comes when every producer has closed and everything was taken")
  func end() throws {
    var ring = try MPSCRing<UInt64>(producers: 2, capacityPerProducer: 2)
    let first = ring.takeProducer()
    var second = ring.takeProducer()
    var consumer = ring.takeConsumer()
    first.close()
    #expect(consumer.isEnded == false)
    #expect(second.tryPush(1) == true)
    second.close()
    #expect(consumer.waitForElements() == .ready)
    #expect(consumer.tryPop() == 1)
    #expect(consumer.waitForElements() == .ended)
  }

  @Test("a lane that nobody took counts as closed once the ring is dropped")
  func laneNeverTaken() throws {
    func ends() throws -> MergingConsumer<UInt64> {
      var ring = try MPSCRing<UInt64>(producers: 3, capacityPerProducer: 2)
      var producer = ring.takeProducer()
      #expect(producer.tryPush(5) == true)
      return ring.takeConsumer()
    }
    var consumer = try ends()
    #expect(consumer.tryPop() == 5)
    #expect(consumer.isEnded == true)
  }
}
