import Glibc

/// A thread that owns one ring end while it runs.
final class Worker<Owned: ~Copyable & Sendable>: Sendable {
  private let thread: pthread_t

  init(
    _ owned: consuming sending Owned, _ body: @escaping @Sendable (inout Owned) -> Void
  ) {
    let job = Job(owned, body)
    let start = unsafe Unmanaged.passRetained(AnyJob { job.run() })
    var made = pthread_t()
    // SAFETY: the job is retained for the new thread, which releases it.
    let code = unsafe pthread_create(
      &made, nil,
      { argument in
        unsafe Unmanaged<AnyJob>.fromOpaque(argument!).takeRetainedValue().run()
        return nil
      }, start.toOpaque())
    precondition(code == 0, "cannot start a worker thread: errno \(code)")
    thread = made
  }

  func join() {
    _ = pthread_join(thread, nil)
  }
}

private final class AnyJob: Sendable {
  let run: @Sendable () -> Void

  init(_ run: @escaping @Sendable () -> Void) {
    self.run = run
  }
}

/// `@unchecked Sendable`: written before the thread starts, then used by it alone.
private final class Job<Owned: ~Copyable & Sendable>: @unchecked Sendable {
  private var owned: Owned?
  private let body: @Sendable (inout Owned) -> Void

  init(_ owned: consuming Owned, _ body: @escaping @Sendable (inout Owned) -> Void) {
    self.owned = consume owned
    self.body = body
  }

  func run() {
    guard var owned = owned.take() else { return }
    body(&owned)
  }
}
