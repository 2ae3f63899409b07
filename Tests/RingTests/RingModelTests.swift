import BongsuRing
import BongsuTestKit
import Testing

/// Random single and batch operations on one thread, against an array that can do no wrong.
@Suite("Ring against its model")
struct RingModelTests {
  @Test(
    "any sequence of pushes and pops behaves like a bounded array", arguments: [1, 2, 4, 64],
    1...8 as ClosedRange<UInt64>)
  func singleProducer(capacity: Int, seed: UInt64) throws {
    var random = SeededRandom(default: seed)
    var ring = try SPSCRing<UInt64>(capacity: capacity)
    var producer = ring.takeProducer()
    var consumer = ring.takeConsumer()
    var model: [UInt64] = []
    var nextValue: UInt64 = 0
    for step in 0..<2_000 {
      let size = Int.random(in: 0...capacity + 2, using: &random)
      switch Int.random(in: 0..<4, using: &random) {
      case 0:
        let isTaken = producer.tryPush(nextValue)
        #expect(isTaken == (model.count < capacity), "seed \(random.seed), step \(step)")
        if isTaken { model.append(nextValue) }
        nextValue += 1
      case 1:
        let batch = (0..<UInt64(size)).map { nextValue + $0 }
        let taken = push(batch, to: &producer)
        #expect(taken == min(size, capacity - model.count), "seed \(random.seed), step \(step)")
        model += batch.prefix(taken)
        nextValue += UInt64(size)
      case 2:
        #expect(consumer.tryPop() == model.first, "seed \(random.seed), step \(step)")
        if !model.isEmpty { model.removeFirst() }
      default:
        var room = [UInt64](repeating: 0, count: size)
        var span = room.mutableSpan
        let taken = consumer.tryPop(into: &span)
        #expect(Array(room.prefix(taken)) == Array(model.prefix(taken)), "seed \(random.seed), step \(step)")
        #expect(
          taken > 0 || size == 0 || model.isEmpty, "seed \(random.seed), step \(step): a pop may not miss what is there"
        )
        model.removeFirst(taken)
      }
    }
    #expect(popAll(&consumer, room: 5) == model, "seed \(random.seed)")
  }

  @Test(
    "with several producers each one's elements come out once and in order", arguments: 1...8 as ClosedRange<UInt64>)
  func multiProducer(seed: UInt64) throws {
    var random = SeededRandom(default: seed)
    var ring = try MPSCRing<UInt64>(producers: 2, capacityPerProducer: 8)
    var even = ring.takeProducer()
    var odd = ring.takeProducer()
    var consumer = ring.takeConsumer()
    var sent: [UInt64] = [0, 0]
    var received: [UInt64] = [0, 0]
    for step in 0..<2_000 {
      switch Int.random(in: 0..<3, using: &random) {
      case 0: if even.tryPush(sent[0] << 1) { sent[0] += 1 }
      case 1: if odd.tryPush(sent[1] << 1 | 1) { sent[1] += 1 }
      default:
        var room = [UInt64](repeating: 0, count: Int.random(in: 1...12, using: &random))
        var span = room.mutableSpan
        let count = consumer.tryPop(into: &span)
        for value in room.prefix(count) {
          let lane = Int(value & 1)
          #expect(value >> 1 == received[lane], "seed \(random.seed), step \(step)")
          received[lane] += 1
        }
      }
    }
    while let value = consumer.tryPop() { received[Int(value & 1)] += 1 }
    #expect(received == sent, "seed \(random.seed)")
  }
}
