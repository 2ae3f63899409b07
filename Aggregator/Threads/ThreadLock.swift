public import Glibc

/// A value behind a POSIX mutex.
///
/// What `Mutex` does, with a lock that the thread sanitizer follows: of `Mutex` it sees only the uncontended way, since
/// the kernel hands the lock over otherwise, and reports a race for a handover that is none. All threads of ingest and
/// store meet behind this one, so that a report of the sanitizer is always a fault.
///
/// Thread rule: any thread; never taken again by the thread that holds it.
@safe public final class ThreadLock<Value: ~Copyable>: @unchecked Sendable {
  // `@unchecked Sendable`: the value is touched only while the mutex is held.
  @usableFromInline let mutex: UnsafeMutablePointer<pthread_mutex_t>
  @usableFromInline var value: Value

  public init(_ value: consuming Value) {
    unsafe mutex = .allocate(capacity: 1)
    let status = unsafe pthread_mutex_init(mutex, nil)
    precondition(status == 0, "pthread_mutex_init: errno \(status)")
    self.value = value
  }

  deinit {
    unsafe pthread_mutex_destroy(mutex)
    unsafe mutex.deallocate()
  }

  /// Runs `body` with the value, and nobody else meanwhile. Blocks until the lock is free.
  @inlinable public func withLock<Result: ~Copyable, Failure: Error>(
    _ body: (inout Value) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    unsafe pthread_mutex_lock(mutex)
    defer { unsafe pthread_mutex_unlock(mutex) }
    return try body(&value)
  }
}
