internal import CBongsuPlatform
internal import Glibc
internal import Synchronization

/// Waits for the driver's reports of XID errors, on a thread of its own.
///
/// The driver tells nobody who does not wait, and what it tells of is often the beginning of calls that hang. So the wait
/// is no part of a tick: it goes on while readings hang, and if it hangs itself, nothing else does.
///
///     thread   wait(½ s) … XID 79 ─► counted ─► wait … timeout ─► wait …        stop: ends within ½ s
///     source           take() at every tick
///
/// - Thread rule: made, fed, started, asked and stopped by one thread at a time; the waiting thread is its own.
///
/// `@unchecked Sendable`: the library's functions and the set never change, the memory of an event and `failures` belong
/// to the waiting thread, and what both sides touch is in `seen` and the atomics.
@safe final class NVMLEventWatch: @unchecked Sendable {
  /// XID errors of one GPU: how many, and the number of the newest.
  struct Seen: Hashable, Sendable {
    var count: Int64
    var last: Int64
  }

  static let xidEvent: UInt64 = 0x8
  /// How long one wait lasts: what a release waits for at most, and how often an idle thread wakes up.
  private static let waitMilliseconds: UInt32 = 500
  /// How long a stop waits for the thread before it is left to itself in a call that hangs.
  private static let patienceMilliseconds = 800
  private static let stackBytes = 1 << 18

  /// The GPUs that were asked about, by handle.
  var handles: [UInt] = []

  private let wait: NVMLLibrary.SetWait
  private let free: NVMLLibrary.SetFree
  private let set: NVMLLibrary.Handle
  private let memory: UnsafeMutableRawPointer
  private var registered: Set<UInt> = []
  private let seen = Mutex<[UInt: Seen]>([:])
  private let hasNews = Atomic<Bool>(false)
  private let isStopping = Atomic<Bool>(false)
  private let isRunning = Atomic<Bool>(false)
  private let hasFailed = Atomic<Bool>(false)
  private var thread: pthread_t?

  /// A set of events of `library`; `nil` where the library has none.
  init?(_ library: NVMLLibrary) {
    guard let create = unsafe library.eventSetCreate, let free = unsafe library.eventSetFree,
      let wait = unsafe library.eventSetWait
    else { return nil }
    var set: NVMLLibrary.Handle?
    guard unsafe create(&set) == 0, let set = unsafe set else { return nil }
    unsafe self.wait = wait
    unsafe self.free = free
    unsafe self.set = set
    unsafe memory = .allocate(byteCount: NVMLLayout.eventBytes, alignment: 8)
  }

  deinit { unsafe memory.deallocate() }

  /// Whether the thread waits for events, and the driver does not refuse that.
  var isWorking: Bool { thread != nil && !hasFailed.load(ordering: .relaxed) }

  /// Whether errors of this GPU are reported.
  func counts(_ handle: NVMLLibrary.Handle?) -> Bool {
    unsafe handle.map { registered.contains(UInt(bitPattern: $0)) } ?? false
  }

  /// Asks for the XID errors of the GPU of `handle`. Before ``start()``.
  func add(_ handle: NVMLLibrary.Handle, _ register: NVMLLibrary.Register) -> Bool {
    guard unsafe register(handle, Self.xidEvent, set) == 0 else { return false }
    registered.insert(UInt(bitPattern: handle))
    return true
  }

  /// Starts waiting, if there is anything to wait for and the system has a thread to spare.
  func start() {
    guard !registered.isEmpty else { return }
    isRunning.store(true, ordering: .relaxed)  // the thread is made afterwards
    let retained = unsafe Unmanaged.passRetained(self)
    var attributes = pthread_attr_t()
    var handle = pthread_t()
    // SAFETY: attributes live across the calls; the retained object is consumed by the thread.
    unsafe pthread_attr_init(&attributes)
    unsafe pthread_attr_setstacksize(&attributes, Self.stackBytes)
    let code = unsafe pthread_create(
      &handle, &attributes,
      { argument in
        guard let argument = unsafe argument else { return nil }
        unsafe Unmanaged<NVMLEventWatch>.fromOpaque(argument).takeRetainedValue().run()
        return nil
      }, retained.toOpaque())
    unsafe pthread_attr_destroy(&attributes)
    if code == 0 {
      thread = handle
    } else {
      unsafe retained.release()
      isRunning.store(false, ordering: .relaxed)
    }
  }

  /// What was reported since the last call, by handle; `nil` when nothing was.
  func take() -> [UInt: Seen]? {
    guard hasNews.exchange(false, ordering: .acquiring) else { return nil }  // pairs with the release in `note`
    return seen.withLock { seen in
      defer { seen.removeAll(keepingCapacity: true) }
      return seen
    }
  }

  /// Ends waiting.
  ///
  /// - Returns: `false` when the thread hangs in the library; it is left to itself with the set, and the library must not
  ///   be closed under it.
  func stop() -> Bool {
    guard let thread else {
      _ = unsafe free(set)
      return true
    }
    isStopping.store(true, ordering: .relaxed)  // nothing else is published through it
    for _ in 0..<Self.patienceMilliseconds / 5 {
      if !isRunning.load(ordering: .acquiring) { break }  // pairs with the release in `run`
      usleep(5000)
    }
    self.thread = nil
    guard !isRunning.load(ordering: .acquiring) else {
      _ = pthread_detach(thread)
      return false
    }
    _ = pthread_join(thread, nil)
    _ = unsafe free(set)
    return true
  }

  // MARK: The waiting thread

  private func run() {
    while !isStopping.load(ordering: .relaxed) {
      // SAFETY: the memory has the size of one event.
      let code = NVMLCode(rawValue: unsafe wait(set, memory, Self.waitMilliseconds))
      switch code {
      case .success, .timeout:
        hasFailed.store(false, ordering: .relaxed)  // nothing else is published through it
        if code == .success { note() }
      default:
        // A GPU of the set is gone, or the driver is: the source notices by its readings and asks anew.
        hasFailed.store(true, ordering: .relaxed)  // nothing else is published through it
        usleep(Self.waitMilliseconds * 1000)
      }
    }
    isRunning.store(false, ordering: .releasing)  // pairs with the acquires in `stop`
  }

  private func note() {
    let type = unsafe (memory + NVMLLayout.eventType).load(as: UInt64.self)
    guard type & Self.xidEvent != 0 else { return }
    let handle = unsafe memory.load(as: UInt.self)
    let number = Int64(clamping: unsafe (memory + NVMLLayout.eventValue).load(as: UInt64.self))
    seen.withLock { seen in
      let count = seen[handle]?.count ?? 0
      seen[handle] = Seen(count: count + 1, last: number)
    }
    hasNews.store(true, ordering: .releasing)  // pairs with the exchange in `take`
  }
}
