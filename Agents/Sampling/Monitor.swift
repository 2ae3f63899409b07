import Glibc

/// A mutex with conditions that time out by the monotonic clock, which the standard library lacks.
///
/// `@unchecked Sendable`: the primitives exist for use from several threads, and the pointer never changes.
@safe final class Monitor: @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>

  init() {
    unsafe mutex = .allocate(capacity: 1)
    // SAFETY: the memory is ours and is initialised by the call.
    let code = unsafe pthread_mutex_init(mutex, nil)
    precondition(code == 0, "pthread_mutex_init: error \(code)")
  }

  deinit {
    // SAFETY: no thread holds a reference any more, so none holds or waits for the mutex.
    unsafe pthread_mutex_destroy(mutex)
    unsafe mutex.deallocate()
  }

  /// Runs `body` alone among all users of this monitor.
  func locked<Result>(_ body: () throws -> Result) rethrows -> Result {
    // SAFETY: initialised in `init`, alive as long as `self`.
    unsafe pthread_mutex_lock(mutex)
    defer { unsafe pthread_mutex_unlock(mutex) }
    return try body()
  }

  /// Something to wait for under the monitor's mutex.
  @safe final class Condition: @unchecked Sendable {
    private let monitor: Monitor
    private let condition: UnsafeMutablePointer<pthread_cond_t>

    init(_ monitor: Monitor) {
      self.monitor = monitor
      unsafe condition = .allocate(capacity: 1)
      var attributes = pthread_condattr_t()
      // SAFETY: attributes live until destroyed below; the condition's memory is ours.
      unsafe pthread_condattr_init(&attributes)
      unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
      let code = unsafe pthread_cond_init(condition, &attributes)
      precondition(code == 0, "pthread_cond_init: error \(code)")
      unsafe pthread_condattr_destroy(&attributes)
    }

    deinit {
      // SAFETY: no thread holds a reference any more, so none waits.
      unsafe pthread_cond_destroy(condition)
      unsafe condition.deallocate()
    }

    /// Wakes whoever waits. To be called with the monitor locked.
    func signal() {
      // SAFETY: initialised in `init`, alive as long as `self`.
      unsafe pthread_cond_broadcast(condition)
    }

    /// Waits for a signal. To be called with the monitor locked, in a loop that checks what it waits for.
    func wait() {
      // SAFETY: both are initialised and alive; the caller holds the mutex.
      unsafe pthread_cond_wait(condition, monitor.mutex)
    }

    /// Waits for a signal until `deadline` on the monotonic clock, nanoseconds. To be called with the monitor locked.
    ///
    /// - Returns: `false` when the deadline has passed.
    func wait(until deadline: Int64) -> Bool {
      var time = timespec(tv_sec: Int(deadline / 1_000_000_000), tv_nsec: Int(deadline % 1_000_000_000))
      // SAFETY: both are initialised and alive; the caller holds the mutex; `time` outlives the call.
      return unsafe pthread_cond_timedwait(condition, monitor.mutex, &time) != ETIMEDOUT
    }
  }
}

/// A value that several threads use one at a time.
///
/// As `Synchronization.Mutex`, on a POSIX mutex, whose order of events the thread sanitizer sees.
///
/// `@unchecked Sendable`: the value is only touched with the monitor locked.
final class Guarded<Value>: @unchecked Sendable {
  private let monitor = Monitor()
  private var value: Value

  init(_ value: sending Value) { self.value = value }

  func withLock<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
    try monitor.locked { try body(&value) }
  }
}

/// The kernel's clocks in nanoseconds.
enum SystemClock {
  static func wall() -> Int64 { read(CLOCK_REALTIME) }
  static func boottime() -> Int64 { read(CLOCK_BOOTTIME) }
  static func monotonic() -> Int64 { read(CLOCK_MONOTONIC) }

  private static func read(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    // SAFETY: the call writes one timespec.
    unsafe clock_gettime(clock, &time)
    return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
  }
}

/// A POSIX thread.
struct WorkerThread: Sendable {
  private let handle: pthread_t

  /// Runs `body` on a new thread called `name` (at most 15 bytes are shown by the system).
  init(name: String, _ body: @escaping @Sendable () -> Void) {
    // SAFETY: the thread takes the reference over.
    let start = unsafe Unmanaged.passRetained(Start(name: name, body: body))
    var attributes = pthread_attr_t()
    var handle = pthread_t()
    // SAFETY: attributes and handle live across the calls; the retained start object is consumed by the thread.
    unsafe pthread_attr_init(&attributes)
    unsafe pthread_attr_setstacksize(&attributes, SamplingLimits.threadStackBytes)
    let code = unsafe pthread_create(
      &handle, &attributes,
      { argument in
        guard let argument = unsafe argument else { return nil }
        let start = unsafe Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
        Self.nameThisThread(start.name)
        start.body()
        return nil
      }, start.toOpaque())
    unsafe pthread_attr_destroy(&attributes)
    precondition(code == 0, "cannot start thread \(name): error \(code)")
    self.handle = handle
  }

  /// Waits for the thread to end.
  func join() {
    // The handle is of a thread that is joined once, by its owner.
    let code = pthread_join(handle, nil)
    precondition(code == 0, "pthread_join: error \(code)")
  }

  /// Leaves the thread to itself: it hangs in a call that nothing can interrupt.
  func abandon() {
    _ = pthread_detach(handle)
  }

  /// Shows `name` in the system's lists of threads; of no use to the program, so failure is of no interest.
  private static func nameThisThread(_ name: String) {
    let file = unsafe open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
    guard file >= 0 else { return }
    var bytes = Array(name.utf8.prefix(15))
    // SAFETY: as many bytes are written as the array has.
    _ = unsafe write(file, &bytes, bytes.count)
    _ = close(file)
  }

  private final class Start: Sendable {
    let name: String
    let body: @Sendable () -> Void
    init(name: String, body: @escaping @Sendable () -> Void) {
      self.name = name
      self.body = body
    }
  }
}
