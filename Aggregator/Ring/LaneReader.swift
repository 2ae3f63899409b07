public import Synchronization

/// The reading side of one lane, without waiting: what both kinds of consumer are made of.
@safe @frozen @usableFromInline
struct LaneReader<Element: BitwiseCopyable & Sendable>: ~Copyable {
  @usableFromInline let lane: UnsafeMutablePointer<LaneState>
  @usableFromInline let slots: UnsafeMutablePointer<Element>
  @usableFromInline let capacity: UInt
  @usableFromInline var consumed: UInt = 0
  @usableFromInline var producedSeen: UInt = 0

  init(memory: RingMemory<Element>, lane index: Int) {
    unsafe lane = memory.lane(index)
    unsafe slots = memory.slots(index)
    capacity = UInt(memory.capacity)
  }

  @inlinable @inline(__always)
  mutating func tryPop() -> Element? {
    guard readySlots(atLeast: 1) > 0 else { return nil }
    // SAFETY: the acquire in `readySlots` shows the producer's write of this slot (P1/C1).
    let element = unsafe slots[slot(of: consumed)]
    release(1)
    return element
  }

  /// Moves at most `room` elements to `target`.
  ///
  /// SAFETY: `target` must have room for them; the callers derive both from one span.
  @inlinable @inline(__always)
  mutating func tryPop(into target: UnsafeMutablePointer<Element>, room: Int) -> Int {
    let count = min(room, Int(readySlots(atLeast: UInt(room))))
    guard count > 0 else { return 0 }
    let start = slot(of: consumed)
    let beforeWrap = min(count, Int(capacity) - start)
    // SAFETY: `count` slots from `consumed` on are published (P1/C1); both parts stay inside the slots and the target.
    unsafe target.update(from: slots + start, count: beforeWrap)
    unsafe (target + beforeWrap).update(from: slots, count: count - beforeWrap)
    release(UInt(count))
    return count
  }

  /// `.ready`, `.ended`, or `nil` for "open and empty".
  @usableFromInline
  func look() -> Availability? {
    // Relaxed: only a look; the pop that follows acquires.
    if unsafe lane.pointee.producer.index.load(ordering: .relaxed) != consumed { return .ready }
    guard unsafe lane.pointee.producer.isClosed.load(ordering: .acquiring) else { return nil }  // C3, pairs with P3
    // Having seen the close, this sees the last push before it.
    return unsafe lane.pointee.producer.index.load(ordering: .relaxed) != consumed ? .ready : .ended
  }

  /// Tells the producer that nobody reads any more.
  func close() {
    unsafe lane.pointee.consumer.isClosed.store(true, ordering: .releasing)  // C4, pairs with P4
    unsafe lane.pointee.space.ring()
  }

  /// Published elements, looking at the producer's index only when fewer than `wanted` are known, and of these none:
  /// what is already known is taken first, so a stream touches the producer's line once per batch.
  @inlinable @inline(__always)
  mutating func readySlots(atLeast wanted: UInt) -> UInt {
    let known = producedSeen &- consumed
    if known > 0 { return known }
    producedSeen = unsafe lane.pointee.producer.index.load(ordering: .acquiring)  // C1, pairs with P1
    return producedSeen &- consumed
  }

  @inlinable @inline(__always)
  func slot(of index: UInt) -> Int {
    Int(bitPattern: index & (capacity &- 1))
  }

  @inlinable @inline(__always)
  mutating func release(_ count: UInt) {
    consumed &+= count
    unsafe lane.pointee.consumer.index.store(consumed, ordering: .releasing)  // C2, pairs with P2
    unsafe lane.pointee.space.ring()
  }
}
