import Glibc

/// Waits for SIGINT and SIGTERM on the main thread. To be made before any thread is started, so that all inherit the
/// blocked signals and only this wait receives them.
package struct SignalWait {
  private var signals = sigset_t()

  package init() {
    // SAFETY: the set is local to this value and initialised by the first call.
    unsafe sigemptyset(&signals)
    unsafe sigaddset(&signals, SIGINT)
    unsafe sigaddset(&signals, SIGTERM)
    unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
    // A peer that goes away is an error of the call that writes, not the end of the process.
    _ = signal(SIGPIPE, SIG_IGN)
  }

  /// `true` when a signal came, `false` after `seconds`.
  package func wait(seconds: Int) -> Bool {
    var signals = signals
    var timeout = timespec(tv_sec: seconds, tv_nsec: 0)
    // SAFETY: both are local.
    return unsafe sigtimedwait(&signals, nil, &timeout) > 0
  }
}
