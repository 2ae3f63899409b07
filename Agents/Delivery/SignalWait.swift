internal import CBongsuPlatform
internal import Glibc

/// What the main thread waits for: signals, a connection to the control socket, time.
///
/// To be made before any thread is started, so that all inherit the blocked signals and only this wait receives them.
package struct SignalWait: ~Copyable {
  package enum Event: Hashable {
    /// SIGINT or SIGTERM: end in order.
    case stop
    /// SIGHUP: read the settings again.
    case reload
    /// Somebody has connected.
    case connection
    case timeout
  }

  private var signals = sigset_t()
  private let descriptor: Int32

  package init() {
    // SAFETY: the set is local to this value and initialised by the first call.
    unsafe sigemptyset(&signals)
    for signal in [SIGINT, SIGTERM, SIGHUP] { unsafe sigaddset(&signals, signal) }
    unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
    // A peer that goes away is an error of the call that writes, not the end of the process.
    _ = signal(SIGPIPE, SIG_IGN)
    descriptor = unsafe bongsu_signalfd_open(&signals)
    precondition(descriptor >= 0, "signalfd: error \(-descriptor)")
  }

  deinit { _ = close(descriptor) }

  /// Waits for what comes first.
  ///
  /// - Parameter listener: a listening socket; -1 for none.
  package func wait(milliseconds: Int, listener: Int32 = -1) -> Event {
    var places = [
      pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
      pollfd(fd: listener, events: Int16(POLLIN), revents: 0),
    ]
    // SAFETY: the array holds the two entries. Negative descriptors are passed over.
    guard unsafe poll(&places, 2, Int32(milliseconds)) > 0 else { return .timeout }
    if places[0].revents != 0 {
      switch bongsu_signalfd_take(descriptor) {
      case SIGHUP: return .reload
      case SIGINT, SIGTERM: return .stop
      default: return .timeout
      }
    }
    return places[1].revents != 0 ? .connection : .timeout
  }
}
