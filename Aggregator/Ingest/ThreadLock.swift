internal import Glibc

/// A value behind a POSIX mutex.
///
/// What `Mutex` does, with a lock that the thread sanitizer follows: of `Mutex` it sees only the uncontended way, since
/// the kernel hands the lock over otherwise, and reports a race for a handover that is none. All threads of ingest meet
/// behind this one, so that a report of the sanitizer is always a fault.
///
/// Thread rule: any thread; never taken again by the thread that holds it.
@safe final class ThreadLock<Value: ~Copyable>: @unchecked Sendable {
  // `@unchecked Sendable`: the value is touched only while the mutex is held.
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private var value: Value

  init(_ value: consuming Value) {
    unsafe mutex = .allocate(capacity: 1)
    let status = unsafe pthread_mutex_init(mutex, nil)
    precondition(status == 0, "pthread_mutex_init: errno \(status)")
    self.value = value
  }

  deinit {
    unsafe pthread_mutex_destroy(mutex)
    unsafe mutex.deallocate()
  }

  func withLock<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
    unsafe pthread_mutex_lock(mutex)
    defer { unsafe pthread_mutex_unlock(mutex) }
    return try body(&value)
  }
}
