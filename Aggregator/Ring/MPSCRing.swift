/// A bounded lock-free queue from several threads to one: a lane of its own for each producer, one consumer that takes
/// from them in turn.
///
///     producer 0 ──▶ [ lane 0 ] ──┐
///     producer 1 ──▶ [ lane 1 ] ──┼──▶ consumer
///     producer 2 ──▶ [ lane 2 ] ──┘
///
/// A shared ring makes producers compete for one index, and one that loses its core between claiming and writing a slot
/// holds up the consumer and everyone behind it. With lanes a push is a plain store whatever the others do (wait-free),
/// and a full lane refuses its own producer only. The price: the number of producers is fixed, and elements of different
/// producers have no order between them.
public struct MPSCRing<Element: BitwiseCopyable & Sendable>: ~Copyable {
  private var ends: RingEnds<Element>

  /// - Parameters:
  ///   - producers: lanes, 1 to `RingLimits.lanesMax`.
  ///   - capacityPerProducer: slots of each lane, a power of two up to `RingLimits.capacityMax`.
  ///   - descriptors, discard: as for `SPSCRing`.
  /// - Throws: `RingError` only when wake descriptors were asked for and the process has none left.
  public init(
    producers: Int, capacityPerProducer: Int, descriptors: WakeDescriptors = [],
    discard: @escaping @Sendable (Element) -> Void = { _ in }
  ) throws(RingError) {
    ends = RingEnds(
      memory: try RingMemory(
        capacity: capacityPerProducer, lanes: producers, descriptors: descriptors, discard: discard))
  }

  /// The writing end of the next lane. Each lane can be taken once.
  public mutating func takeProducer() -> RingProducer<Element> {
    ends.takeProducer()
  }

  /// The reading end. To be taken once.
  public mutating func takeConsumer() -> MergingConsumer<Element> {
    ends.markConsumerTaken()
    return MergingConsumer(memory: ends.memory)
  }
}
