internal import CZeroMQ
internal import Synchronization

/// A message on its way through a ring: 64 bits that stand for exactly one message of one pool.
public struct MessageHandle: Sendable, Hashable, BitwiseCopyable {
  public let rawValue: UInt64

  /// For a ring that carries the plain number. Only values that came from a handle of the same pool make sense.
  public init(rawValue: UInt64) {
    self.rawValue = rawValue
  }
}

/// Parks messages so that threads can pass them on by handle. All memory is taken at the start.
///
///     receiver: handle = pool.park(&message)  ──handle──▶  ring  ──handle──▶  worker: message = pool.take(handle)
///
/// A slot's state counts its uses: even is free, odd is held. The handle carries slot and count, so a handle that is
/// taken twice, or after its slot went to another message, stops the program instead of handing out a stranger's bytes.
///
/// Thread rule: any thread may park and take.
@safe
public final class MessagePool: Sendable {
  public let capacity: Int
  // SAFETY of both: never change after `init`; a slot's content belongs to whoever moved its state to odd, and passes
  // to whoever moves it back to even.
  nonisolated(unsafe) private let states: UnsafeMutablePointer<Atomic<UInt32>>
  nonisolated(unsafe) private let contents: UnsafeMutablePointer<zmq_msg_t>
  private let next = Atomic<UInt32>(0)

  /// - Parameter capacity: messages held at once, a power of two; at least the slots of the rings the handles go through.
  public init(capacity: Int) {
    precondition(
      capacity > 0 && capacity & (capacity - 1) == 0 && capacity <= TransportLimits.poolMessagesMax,
      "pool capacity must be a power of two up to \(TransportLimits.poolMessagesMax), got \(capacity)")
    self.capacity = capacity
    // SAFETY: every state is initialized here; contents are plain bytes, valid while the state is odd.
    unsafe states = .allocate(capacity: capacity)
    unsafe contents = .allocate(capacity: capacity)
    for slot in 0..<capacity { unsafe (states + slot).initialize(to: Atomic(0)) }
  }

  deinit {
    for slot in 0..<capacity {
      // SAFETY: nobody else holds the pool; odd slots hold messages that nobody took.
      if unsafe states[slot].load(ordering: .relaxed) & 1 == 1 { _ = unsafe zmq_msg_close(contents + slot) }
    }
    unsafe states.deinitialize(count: capacity)
    unsafe states.deallocate()
    unsafe contents.deallocate()
  }

  /// Moves `message` in and leaves it empty. `nil` when every slot is held: the message stays, treat it like a full
  /// ring. Never blocks, never allocates.
  ///
  /// - Complexity: O(1) while messages leave roughly in the order they came, O(capacity) at worst.
  public func park(_ message: inout Message) -> MessageHandle? {
    for _ in 0..<capacity {
      // Relaxed: only spreads the search; ownership comes from the exchange below.
      let slot = Int(next.wrappingAdd(1, ordering: .relaxed).oldValue) & (capacity - 1)
      let state = unsafe states[slot].load(ordering: .relaxed)
      guard state & 1 == 0 else { continue }
      // Acquiring pairs with the releasing exchange in `take`: the last holder is done with the content.
      let won = unsafe states[slot].compareExchange(expected: state, desired: state &+ 1, ordering: .acquiring)
      guard won.exchanged else { continue }
      // SAFETY: the slot is ours. What was there moved out in `take` or was never there.
      unsafe (contents + slot).initialize(to: message.raw)
      message.raw = Message.emptyRaw()
      // The state is odd already; the ring's release carries the content to the thread that gets the handle.
      return MessageHandle(rawValue: UInt64(state &+ 1) << 32 | UInt64(slot))
    }
    return nil
  }

  /// Moves the message out and frees its slot.
  ///
  /// - Precondition: `handle` came from this pool and was not taken yet.
  public func take(_ handle: MessageHandle) -> Message {
    let slot = Int(truncatingIfNeeded: handle.rawValue & 0xFFFF_FFFF)
    let state = UInt32(truncatingIfNeeded: handle.rawValue >> 32)
    precondition(slot < capacity && state & 1 == 1, "no message handle of this pool: \(handle.rawValue)")
    // SAFETY: the bytes are only used when the exchange shows that this handle still owned them.
    let content = unsafe contents[slot]
    // Releasing pairs with the acquiring exchange in `park`: our read of the content comes before its reuse.
    let freed = unsafe states[slot].compareExchange(expected: state, desired: state &+ 1, ordering: .releasing)
    precondition(freed.exchanged, "message handle \(handle.rawValue) was taken before")
    return Message(moving: content)
  }
}
