/// The reading end of a single-producer ring.
///
/// Thread rule: owned by one thread at a time; may be handed to another. Dropping it tells the producer, and what is
/// unread by then goes to the ring's discard handler.
@safe @frozen
public struct RingConsumer<Element: BitwiseCopyable & Sendable>: ~Copyable, @unchecked Sendable {
  // `@unchecked Sendable`: not copyable and mutated only through `mutating` methods, so one thread at a time holds it;
  // what it shares with the producer follows the orderings in RingMemory.swift.
  @usableFromInline var reader: LaneReader<Element>
  @usableFromInline let data: UnsafeMutablePointer<Doorbell>
  @usableFromInline let memory: RingMemory<Element>

  init(memory: RingMemory<Element>) {
    reader = LaneReader(memory: memory, lane: 0)
    unsafe data = memory.data
    self.memory = memory
  }

  deinit {
    reader.close()
  }

  /// Takes the oldest element; `nil` when there is none now. Never blocks, never allocates.
  ///
  /// - Complexity: O(1); one release store, and one acquire load per time the ring looks empty.
  @inlinable
  public mutating func tryPop() -> Element? {
    reader.tryPop()
  }

  /// Takes the oldest elements, in order, into the front of `target`. Never blocks, never allocates.
  ///
  /// - Returns: how many were taken, 0 when there is none now. May be fewer than are there; call again until 0.
  /// - Complexity: O(count); one release store for all.
  @inlinable
  public mutating func tryPop(into target: inout MutableSpan<Element>) -> Int {
    // SAFETY: address and room come from the same span.
    unsafe target.withUnsafeMutableBufferPointer { buffer in
      guard let start = buffer.baseAddress else { return 0 }
      return unsafe reader.tryPop(into: start, room: buffer.count)
    }
  }

  /// Waits until an element is there: `.ready`, `.ended` when the producer closed and all was taken, or `.timedOut`.
  public mutating func waitForElements(
    timeout: Duration? = nil, strategy: WaitStrategy = .standard
  ) -> Availability {
    // SAFETY: `memory` keeps the doorbell alive for the whole call.
    unsafe wait(on: data.pointee, for: timeout, strategy) { reader.look() }
  }

  /// Whether the producer closed and everything was taken.
  public var isEnded: Bool {
    reader.look() == .ended
  }

  /// Readable in `poll` when elements arrived after `armDescriptor`; `nil` unless made with `.data`.
  public var descriptor: Int32? {
    let descriptor = unsafe data.pointee.descriptor
    return descriptor >= 0 ? descriptor : nil
  }

  /// Call before `poll`: `true` when the ring is empty and the descriptor will announce the next element or the end,
  /// `false` when there is something to see now. Also clears an earlier announcement.
  public mutating func armDescriptor() -> Bool {
    unsafe arm(data) { reader.look() }
  }
}

/// Arms a consumer's doorbell for `poll`, unless there is something to see.
func arm(_ data: UnsafeMutablePointer<Doorbell>, look: () -> Availability?) -> Bool {
  precondition(unsafe data.pointee.descriptor >= 0, "this ring was made without a wake descriptor for its consumer")
  unsafe data.pointee.drain()
  unsafe data.pointee.arm(inPoll: true)
  if look() == nil { return true }
  unsafe data.pointee.disarm()
  return false
}
