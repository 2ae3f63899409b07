/// The reading end of a multi-producer ring: takes from the lanes in turn.
///
/// Elements of one producer come in the order pushed; between producers there is no order. Thread rule and dropping as
/// for `RingConsumer`.
@safe @frozen
public struct MergingConsumer<Element: BitwiseCopyable & Sendable>: ~Copyable, @unchecked Sendable {
  // `@unchecked Sendable`: as for `RingConsumer`; the readers are this value's own.
  @usableFromInline let readers: UnsafeMutablePointer<LaneReader<Element>>
  @usableFromInline let laneCount: Int
  /// The lane to look at first: the one after the lane served last, so no producer starves another.
  @usableFromInline var next = 0
  @usableFromInline let data: UnsafeMutablePointer<Doorbell>
  @usableFromInline let memory: RingMemory<Element>

  init(memory: RingMemory<Element>) {
    self.memory = memory
    unsafe data = memory.data
    laneCount = memory.laneCount
    unsafe readers = .allocate(capacity: laneCount)
    // SAFETY: `laneCount` readers were allocated; each is initialized once here and deinitialized in `deinit`.
    for lane in 0..<laneCount { unsafe (readers + lane).initialize(to: LaneReader(memory: memory, lane: lane)) }
  }

  deinit {
    for lane in 0..<laneCount { unsafe readers[lane].close() }
    unsafe readers.deinitialize(count: laneCount)
    unsafe readers.deallocate()
  }

  /// Takes one element from the next lane that has one; `nil` when there is none now. Never blocks, never allocates.
  ///
  /// - Complexity: O(1) in a stream, O(lanes) when empty.
  @inlinable
  public mutating func tryPop() -> Element? {
    for _ in 0..<laneCount {
      let lane = takeTurn()
      if let element = unsafe readers[lane].tryPop() { return element }
    }
    return nil
  }

  /// Fills the front of `target` from the lanes in turn, each in order. Never blocks, never allocates.
  ///
  /// - Returns: how many were taken, 0 when there is none now. May be fewer than are there; call again until 0.
  /// - Complexity: O(count + lanes); one release store per lane.
  @inlinable
  public mutating func tryPop(into target: inout MutableSpan<Element>) -> Int {
    // SAFETY: address and room come from the same span; `taken` never passes the room.
    unsafe target.withUnsafeMutableBufferPointer { buffer in
      guard let start = buffer.baseAddress else { return 0 }
      var taken = 0
      for _ in 0..<laneCount where taken < buffer.count {
        let lane = takeTurn()
        taken += unsafe readers[lane].tryPop(into: start + taken, room: buffer.count - taken)
      }
      return taken
    }
  }

  /// Waits until an element is there: `.ready`, `.ended` when every producer closed and all was taken, or `.timedOut`.
  public mutating func waitForElements(
    timeout: Duration? = nil, strategy: WaitStrategy = .standard
  ) -> Availability {
    // SAFETY: `memory` keeps the doorbell alive for the whole call.
    unsafe wait(on: data.pointee, for: timeout, strategy) { look() }
  }

  /// Whether every producer closed and everything was taken.
  public var isEnded: Bool {
    look() == .ended
  }

  /// As `RingConsumer.descriptor`: one for all lanes.
  public var descriptor: Int32? {
    let descriptor = unsafe data.pointee.descriptor
    return descriptor >= 0 ? descriptor : nil
  }

  /// As `RingConsumer.armDescriptor`.
  public mutating func armDescriptor() -> Bool {
    unsafe arm(data) { look() }
  }

  @inlinable @inline(__always)
  mutating func takeTurn() -> Int {
    let lane = next
    next = lane + 1 == laneCount ? 0 : lane + 1
    return lane
  }

  private func look() -> Availability? {
    var ended = 0
    for lane in 0..<laneCount {
      switch unsafe readers[lane].look() {
      case .ready: return .ready
      case .ended: ended += 1
      default: break
      }
    }
    return ended == laneCount ? .ended : nil
  }
}
