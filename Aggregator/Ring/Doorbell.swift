// The doorbell: how one end of a ring wakes the other without paying for it while both are busy.
//
// Sleeper                              Ringer
//   armed = 1                            index = n            (release, in the ring)
//   FULL FENCE                           compiler fence
//   look at index: still nothing?        armed == 0 ? return  (the common case: one load of a shared line)
//   sleep while armed == 1               armed = 0, wake
//
// This is Dekker's pattern: each side stores one word, then loads the other's. Lost wake-up is the outcome "sleeper
// sees the old index AND ringer sees armed == 0". It needs a store-load barrier on BOTH sides to be impossible; a full
// fence in every push would cost more than the push. So the price moves to the side that is about to sleep anyway:
// membarrier(2) makes every core of this process pass a full barrier between the sleeper's store and its look. The
// ringer then either stored the index before that barrier (the look sees it) or loads `armed` after it (and sees 1);
// only the compiler must keep the ringer's store and load in order. Where the kernel refuses membarrier, both sides
// use a sequentially consistent fence instead.
//
// A doorbell has exactly one sleeper: the consumer, or the producer of one lane. Any number may ring.

// Public, because the inlined push needs the compiler fence; nothing of it appears in a signature.
public import CBongsuPlatform
public import Synchronization

/// One cache line pair: the armed word and where to wake. Lives in ring memory, never moves.
@frozen @usableFromInline
struct Doorbell: ~Copyable {
  /// 0 nobody sleeps, 1 the sleeper waits on this word, 2 the sleeper waits in `poll` on `descriptor`.
  /// First field: its address is the futex.
  @usableFromInline let armed: Atomic<UInt32>
  /// The eventfd, or -1.
  @usableFromInline let descriptor: Int32
  /// Whether the sleeper pays for the fence (see the head of this file).
  @usableFromInline let sleeperFences: Bool
  @usableFromInline let padding = InlineArray<14, UInt64>(repeating: 0)

  init(descriptor: Int32) {
    armed = Atomic(0)
    self.descriptor = descriptor
    sleeperFences = sleeperCanFence
  }

  /// Called after every publication of an index that this doorbell guards.
  @inlinable @inline(__always)
  func ring() {
    if sleeperFences {
      bongsu_compiler_fence()
    } else {
      atomicMemoryFence(ordering: .sequentiallyConsistent)  // pairs with the fence in `arm`
    }
    // Relaxed: the order against the index comes from the fence, and no data is read through this word.
    if armed.load(ordering: .relaxed) != 0 { wake() }
  }

  @usableFromInline
  func wake() {
    // Relaxed: the exchange only decides which ringer makes the call; the woken side acquires the index itself.
    switch armed.exchange(0, ordering: .relaxed) {
    case 1: unsafe withWord { word in _ = unsafe bongsu_futex_wake(word, 1) }
    case 2: _ = bongsu_eventfd_signal(descriptor)
    default: break  // another ringer was first
    }
  }

  /// Announces sleep. The caller must look once more afterwards, and only sleep when there is still nothing.
  @usableFromInline
  func arm(inPoll: Bool = false) {
    armed.store(inPoll ? 2 : 1, ordering: .relaxed)  // ordered by the fence below
    if sleeperFences {
      let result = bongsu_membarrier()
      precondition(result == 0, "membarrier failed with errno \(-result) after it had been registered")
    } else {
      atomicMemoryFence(ordering: .sequentiallyConsistent)  // pairs with the fence in `ring`
    }
  }

  /// Takes the announcement back, when the look after `arm` found something or the sleeper is up again.
  @usableFromInline
  func disarm() {
    armed.store(0, ordering: .relaxed)  // a ringer that still sees the old value makes one needless wake call
  }

  /// Sleeps until rung, or for `timeoutNanoseconds` (negative: for ever). May return early: look again.
  @usableFromInline
  func sleep(timeoutNanoseconds: Int64) {
    unsafe withWord { word in _ = unsafe bongsu_futex_wait(word, 1, timeoutNanoseconds) }
  }

  /// Makes the descriptor unreadable after `poll` reported it.
  @usableFromInline
  func drain() {
    if descriptor >= 0 { _ = bongsu_eventfd_drain(descriptor) }
  }

  private func withWord(_ body: (UnsafeRawPointer) -> Void) {
    // SAFETY: `armed` is an Atomic: it has a stable address for as long as the ring memory that it lies in.
    unsafe withUnsafePointer(to: armed) { unsafe body(UnsafeRawPointer($0)) }
  }
}

/// Whether this kernel offers membarrier to this process; asked once.
private let sleeperCanFence = bongsu_membarrier_register() == 0
