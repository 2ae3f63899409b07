internal import CBongsuPlatform
internal import Glibc

/// A thread of the data plane: named, started once, joined once.
///
/// Dedicated threads instead of tasks, because each owns sockets, rings or files that must not move between threads,
/// and may wait in the kernel for as long as it likes.
@safe
final class WorkerThread: @unchecked Sendable {
  // `@unchecked Sendable`: the identifier is written in `init` and only read afterwards.
  private let thread: pthread_t

  private final class Body {
    let name: String
    let run: () -> Void

    init(name: String, run: @escaping () -> Void) {
      self.name = name
      self.run = run
    }
  }

  /// Starts a thread that runs `body` to its end. `name` shows in debuggers and `top -H`, cut to 15 bytes.
  ///
  /// - Throws: ``IngestError/threadRefused(name:errno:)`` when the system gives no thread.
  init(_ name: String, running body: sending @escaping () -> Void) throws(IngestError) {
    let box = unsafe Unmanaged.passRetained(Body(name: name, run: body))
    var thread = pthread_t()
    // SAFETY: the box is retained for the new thread, which releases it; pthread_create orders what came before.
    let code = unsafe pthread_create(
      &thread, nil,
      { argument in
        guard let argument = unsafe argument else { return nil }
        // SAFETY: the pointer is the box that was retained for this thread.
        let body = unsafe Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
        _ = unsafe bongsu_thread_name(body.name)
        body.run()
        return nil
      }, box.toOpaque())
    guard code == 0 else {
      unsafe box.release()
      throw .threadRefused(name: name, errno: code)
    }
    self.thread = thread
  }

  /// Waits until the thread has ended. To be called once.
  func join() {
    _ = pthread_join(thread, nil)
  }
}
