/// A bounded lock-free queue from one thread to one other, for raw handles and other plain values.
///
///     producer ──▶ [ 5 | 6 | 7 | · | · | 2 | 3 | 4 ] ──▶ consumer
///                                ▲ produced  ▲ consumed
///
/// Take each end once and give it to its thread. When to use `MPSCRing` instead: several threads write.
///
///     var ring = try SPSCRing<UInt64>(capacity: 8192)
///     let producer = ring.takeProducer()      // to the writing thread
///     let consumer = ring.takeConsumer()      // to the reading thread
public struct SPSCRing<Element: BitwiseCopyable & Sendable>: ~Copyable {
  private var ends: RingEnds<Element>

  /// - Parameters:
  ///   - capacity: slots, a power of two up to `RingLimits.capacityMax`.
  ///   - descriptors: which ends shall also be able to wait in `poll`.
  ///   - discard: called once for each element that was pushed and never taken, when the last end goes. Elements that
  ///     stand for memory are freed here.
  /// - Throws: `RingError` only when wake descriptors were asked for and the process has none left.
  public init(
    capacity: Int, descriptors: WakeDescriptors = [], discard: @escaping @Sendable (Element) -> Void = { _ in }
  ) throws(RingError) {
    ends = RingEnds(
      memory: try RingMemory(capacity: capacity, lanes: 1, descriptors: descriptors, discard: discard))
  }

  /// The writing end. To be taken once.
  public mutating func takeProducer() -> RingProducer<Element> {
    ends.takeProducer()
  }

  /// The reading end. To be taken once.
  public mutating func takeConsumer() -> RingConsumer<Element> {
    ends.markConsumerTaken()
    return RingConsumer(memory: ends.memory)
  }
}

/// Which ends of a ring are still to be taken; those never taken count as closed when it goes.
struct RingEnds<Element: BitwiseCopyable & Sendable>: ~Copyable {
  let memory: RingMemory<Element>
  private var producersTaken = 0
  private var isConsumerTaken = false

  init(memory: RingMemory<Element>) {
    self.memory = memory
  }

  deinit {
    for lane in producersTaken..<memory.laneCount { unsafe closeLane(memory.lane(lane), memory.data) }
    if !isConsumerTaken {
      for lane in 0..<memory.laneCount { LaneReader(memory: memory, lane: lane).close() }
    }
  }

  mutating func takeProducer() -> RingProducer<Element> {
    precondition(producersTaken < memory.laneCount, "all \(memory.laneCount) producers of this ring are taken")
    defer { producersTaken += 1 }
    return RingProducer(memory: memory, lane: producersTaken)
  }

  mutating func markConsumerTaken() {
    precondition(!isConsumerTaken, "the consumer of this ring is taken")
    isConsumerTaken = true
  }
}
