internal import Glibc
public import Synchronization

/// The writing end of one lane: the only one, so a push needs no compare-and-swap.
///
/// Thread rule: owned by one thread at a time; may be handed to another. Dropping it closes the lane.
@safe @frozen
public struct RingProducer<Element: BitwiseCopyable & Sendable>: ~Copyable, @unchecked Sendable {
  // `@unchecked Sendable`: not copyable and mutated only through `mutating` methods, so one thread at a time holds it;
  // what it shares with the consumer follows the orderings in RingMemory.swift.
  @usableFromInline let lane: UnsafeMutablePointer<LaneState>
  @usableFromInline let slots: UnsafeMutablePointer<Element>
  @usableFromInline let data: UnsafeMutablePointer<Doorbell>
  @usableFromInline let memory: RingMemory<Element>
  @usableFromInline let capacity: UInt
  @usableFromInline var produced: UInt = 0
  @usableFromInline var consumedSeen: UInt = 0

  init(memory: RingMemory<Element>, lane index: Int) {
    unsafe lane = memory.lane(index)
    unsafe slots = memory.slots(index)
    unsafe data = memory.data
    self.memory = memory
    capacity = UInt(memory.capacity)
  }

  deinit {
    unsafe closeLane(lane, data)
  }

  /// Publishes one element, or refuses when every slot is unread. Never blocks, never allocates.
  ///
  /// - Returns: `false` when the lane is full; the caller counts the refusal or waits. An element pushed after the
  ///   consumer has gone goes to the ring's discard handler.
  /// - Complexity: O(1); one release store, and one acquire load per time the lane looks full.
  @inlinable
  public mutating func tryPush(_ element: Element) -> Bool {
    guard freeSlots(atLeast: 1) > 0 else { return false }
    // SAFETY: the acquire in `freeSlots` shows that the consumer is done with this slot (C2/P2).
    unsafe (slots + slot(of: produced)).initialize(to: element)
    publish(1)
    return true
  }

  /// Publishes as many of `elements` as fit, from the front, in one step. Never blocks, never allocates.
  ///
  /// - Returns: how many were taken; fewer than given means that the lane is full.
  /// - Complexity: O(count); one release store for all.
  @inlinable
  public mutating func tryPush(contentsOf elements: Span<Element>) -> Int {
    let count = min(elements.count, Int(freeSlots(atLeast: UInt(elements.count))))
    guard count > 0 else { return 0 }
    let start = slot(of: produced)
    let beforeWrap = min(count, Int(capacity) - start)
    // SAFETY: `count` slots from `produced` on are free (C2/P2); both parts stay inside the slots and inside `elements`.
    unsafe elements.withUnsafeBufferPointer { source in
      let first = source.baseAddress!  // count > 0
      unsafe (slots + start).initialize(from: first, count: beforeWrap)
      unsafe slots.initialize(from: first + beforeWrap, count: count - beforeWrap)
    }
    publish(UInt(count))
    return count
  }

  /// Whether the consumer has gone: what is pushed from now on is discarded.
  public var isConsumerGone: Bool {
    unsafe lane.pointee.consumer.isClosed.load(ordering: .relaxed)  // P4: a hint, no data follows
  }

  /// Waits until a slot is free: `.ready`, `.ended` when the consumer has gone, or `.timedOut`.
  public mutating func waitForSpace(
    timeout: Duration? = nil, strategy: WaitStrategy = .standard
  ) -> Availability {
    let (lane, produced, capacity) = unsafe (self.lane, self.produced, self.capacity)
    // SAFETY: `memory` keeps the lane alive for the whole call.
    return unsafe wait(on: lane.pointee.space, for: timeout, strategy) {
      if unsafe lane.pointee.consumer.isClosed.load(ordering: .relaxed) { return .ended }
      // Relaxed: only a look; the push that follows acquires.
      let consumed = unsafe lane.pointee.consumer.index.load(ordering: .relaxed)
      return produced &- consumed < capacity ? .ready : nil
    }
  }

  /// Readable in `poll` when space appeared after `armDescriptor`; `nil` unless made with `.space`.
  public var descriptor: Int32? {
    let descriptor = unsafe lane.pointee.space.descriptor
    return descriptor >= 0 ? descriptor : nil
  }

  /// Call before `poll`: `true` when the lane is full and the descriptor will announce space, `false` when there is no
  /// reason to wait. Also clears an earlier announcement.
  public mutating func armDescriptor() -> Bool {
    precondition(descriptor != nil, "this ring was made without a wake descriptor for its producers")
    unsafe lane.pointee.space.drain()
    unsafe lane.pointee.space.arm(inPoll: true)
    // Relaxed: only a look; the push that follows acquires.
    let consumed = unsafe lane.pointee.consumer.index.load(ordering: .relaxed)
    if !isConsumerGone && produced &- consumed == capacity { return true }
    unsafe lane.pointee.space.disarm()
    return false
  }

  /// Ends the stream: the consumer takes what is left and then sees the end. The same as dropping the producer.
  public consuming func close() {}

  /// Free slots, looking at the consumer's index only when fewer than `wanted` are known to be free.
  @inlinable @inline(__always)
  mutating func freeSlots(atLeast wanted: UInt) -> UInt {
    let known = capacity &- (produced &- consumedSeen)
    if known >= wanted { return known }
    consumedSeen = unsafe lane.pointee.consumer.index.load(ordering: .acquiring)  // P2, pairs with C2
    return capacity &- (produced &- consumedSeen)
  }

  @inlinable @inline(__always)
  func slot(of index: UInt) -> Int {
    Int(bitPattern: index & (capacity &- 1))
  }

  @inlinable @inline(__always)
  mutating func publish(_ count: UInt) {
    produced &+= count
    unsafe lane.pointee.producer.index.store(produced, ordering: .releasing)  // P1, pairs with C1
    unsafe data.pointee.ring()
  }
}

/// Marks the producer of a lane as gone and wakes the consumer to see it.
func closeLane(_ lane: UnsafeMutablePointer<LaneState>, _ data: UnsafeMutablePointer<Doorbell>) {
  unsafe lane.pointee.producer.isClosed.store(true, ordering: .releasing)  // P3, pairs with C3
  unsafe data.pointee.ring()
}
