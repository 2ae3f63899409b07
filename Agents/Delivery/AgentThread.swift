import Glibc

/// A thread with a small stack, joined once.
package struct AgentThread {
  private let thread: pthread_t

  private final class Body {
    let run: () -> Void
    init(_ run: @escaping () -> Void) { self.run = run }
  }

  /// Starts `body`. The process cannot work without it, so a system that refuses a thread ends it.
  package init(_ name: String, _ body: sending @escaping () -> Void) {
    let box = unsafe Unmanaged.passRetained(Body(body))
    var attributes = pthread_attr_t()
    var thread = pthread_t()
    // SAFETY: attributes live across the calls; the retained box is consumed by the thread.
    unsafe pthread_attr_init(&attributes)
    unsafe pthread_attr_setstacksize(&attributes, 512 << 10)
    let code = unsafe pthread_create(
      &thread, &attributes,
      { argument in
        // SAFETY: the pointer is the box retained for this thread.
        if let argument = unsafe argument { unsafe Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run() }
        return nil
      }, box.toOpaque())
    unsafe pthread_attr_destroy(&attributes)
    precondition(code == 0, "the system refuses the thread \(name): error \(code)")
    self.thread = thread
  }

  /// Waits for its end. To be called once.
  package func join() { _ = pthread_join(thread, nil) }
}
