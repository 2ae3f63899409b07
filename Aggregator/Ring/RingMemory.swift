// Memory of one ring: a doorbell for the consumer, then per lane three line pairs and the slots.
//
//   +-----------------+
//   | data doorbell   |  rung by every producer, armed by the consumer
//   +-----------------+  lane 0
//   | producer index  |  written by the producer, read by the consumer
//   | consumer index  |  written by the consumer, read by the producer
//   | space doorbell  |  rung by the consumer, armed by the producer
//   | slots …         |  capacity × stride of Element, rounded up to a line pair
//   +-----------------+  lane 1 (multi-producer rings only)
//   | …               |
//
// Indices count elements since the start and never wrap in practice (2^64); slot = index & mask. A lane is full at
// produced - consumed == capacity, so every slot is usable. Each end keeps its own index and the last value seen of the
// other's in its own fields: in a stream it touches the other's line once per batch, not once per element.
//
// Orderings, each with its partner:
//   P1 producer stores `producer.index` releasing  <->  C1 consumer loads it acquiring: the slots written are visible.
//   C2 consumer stores `consumer.index` releasing  <->  P2 producer loads it acquiring: the slots read may be reused.
//   P3 producer stores `producer.isClosed` releasing after its last P1  <->  C3 consumer loads it acquiring and then
//      repeats C1: having seen the close it sees every element pushed before it.
//   C4 consumer stores `consumer.isClosed` releasing  <->  P4 producer loads it relaxed: a mere hint, no data follows.
//   An end loads its own index never; it is the only writer and keeps the value.
//   Wake-ups: see Doorbell.swift.

public import Synchronization

/// One end's published state: its index and whether it has left. One line pair, written by that end alone.
@frozen @usableFromInline
struct EndState: ~Copyable {
  @usableFromInline let index = Atomic<UInt>(0)
  @usableFromInline let isClosed = Atomic<Bool>(false)
  @usableFromInline let padding = InlineArray<14, UInt64>(repeating: 0)

  init() {}
}

/// The shared words of one lane.
@frozen @usableFromInline
struct LaneState: ~Copyable {
  @usableFromInline let producer: EndState
  @usableFromInline let consumer: EndState
  @usableFromInline let space: Doorbell

  init(spaceDescriptor: Int32) {
    producer = EndState()
    consumer = EndState()
    space = Doorbell(descriptor: spaceDescriptor)
  }
}

/// Owns the memory; the ends hold it strongly, so it goes when the last of them goes.
///
/// `@unchecked Sendable`: the fields never change after `init`; what they point to is shared by the rules above.
@safe @usableFromInline
final class RingMemory<Element: BitwiseCopyable & Sendable>: @unchecked Sendable {
  @usableFromInline let capacity: Int
  @usableFromInline let laneCount: Int
  @usableFromInline let data: UnsafeMutablePointer<Doorbell>
  private let base: UnsafeMutableRawPointer
  private let laneBytes: Int
  private let discard: @Sendable (Element) -> Void

  init(
    capacity: Int, lanes: Int, descriptors: WakeDescriptors, discard: @escaping @Sendable (Element) -> Void
  ) throws(RingError) {
    precondition(
      capacity > 0 && capacity & (capacity - 1) == 0 && capacity <= RingLimits.capacityMax,
      "ring capacity must be a power of two up to \(RingLimits.capacityMax), got \(capacity)")
    precondition(
      (1...RingLimits.lanesMax).contains(lanes), "a ring has 1 to \(RingLimits.lanesMax) lanes, got \(lanes)")
    let line = RingLimits.lineBytes
    precondition(
      MemoryLayout<EndState>.stride == line && MemoryLayout<Doorbell>.stride == line
        && MemoryLayout<Element>.alignment <= line,
      "a shared word must fill its line pair of \(line) bytes")
    self.capacity = capacity
    laneCount = lanes
    self.discard = discard
    let slotBytes = (capacity * MemoryLayout<Element>.stride + line - 1) / line * line
    laneBytes = MemoryLayout<LaneState>.stride + slotBytes

    let opened = try openDescriptors(lanes: lanes, descriptors)
    // SAFETY: the whole block is allocated at line alignment; every part starts at a multiple of the line within it,
    // and is initialized before any end can see it.
    unsafe base = .allocate(byteCount: line + lanes * laneBytes, alignment: line)
    unsafe data = base.bindMemory(to: Doorbell.self, capacity: 1)
    unsafe data.initialize(to: Doorbell(descriptor: opened.data))
    for lane in 0..<lanes {
      let start = unsafe base + line + lane * laneBytes
      unsafe start.bindMemory(to: LaneState.self, capacity: 1)
        .initialize(to: LaneState(spaceDescriptor: opened.space[lane]))
      unsafe (start + MemoryLayout<LaneState>.stride).bindMemory(to: Element.self, capacity: capacity)
    }
  }

  @usableFromInline
  func lane(_ index: Int) -> UnsafeMutablePointer<LaneState> {
    precondition(index >= 0 && index < laneCount, "lane \(index) of \(laneCount)")
    // SAFETY: bound in `init` at this offset.
    return unsafe (base + RingLimits.lineBytes + index * laneBytes).assumingMemoryBound(to: LaneState.self)
  }

  @usableFromInline
  func slots(_ index: Int) -> UnsafeMutablePointer<Element> {
    // SAFETY: bound in `init` right behind the lane's state; `lane` checks the index.
    unsafe (UnsafeMutableRawPointer(lane(index)) + MemoryLayout<LaneState>.stride)
      .assumingMemoryBound(to: Element.self)
  }

  deinit {
    for index in 0..<laneCount {
      // SAFETY: the last end has gone, and ARC's release orders all it did before this.
      let lane = unsafe lane(index)
      let produced = unsafe lane.pointee.producer.index.load(ordering: .relaxed)
      var consumed = unsafe lane.pointee.consumer.index.load(ordering: .relaxed)
      while consumed != produced {
        unsafe discard(slots(index)[Int(truncatingIfNeeded: consumed) & (capacity - 1)])
        consumed &+= 1
      }
      closeDescriptor(unsafe lane.pointee.space.descriptor)
      unsafe lane.deinitialize(count: 1)
    }
    closeDescriptor(unsafe data.pointee.descriptor)
    unsafe data.deinitialize(count: 1)
    unsafe base.deallocate()
  }
}
