internal import CBongsuTerminal
internal import Dispatch
internal import Foundation

/// The terminal under a full-screen view: takes it, hands over what happens on it, and gives it back whatever happens.
/// Used from one task; one at a time in a process.
final class LiveTerminal {
  /// What happens while the screen is ours.
  enum Event: Sendable {
    case bytes([UInt8])
    case resized
    /// A signal, or the terminal is gone: it is time to end.
    case stopped
    /// Ctrl-Z: give the terminal back and call ``suspend()``.
    case suspended
  }

  /// Other screen, cursor hidden, long lines cut; and the way back.
  private static let enter = "\u{1B}[?1049h\u{1B}[?25l\u{1B}[?7l"
  private static let leave = "\u{1B}[?2026l\u{1B}[?7h\u{1B}[?25h\u{1B}[?1049l"
  /// How long a program that was told to end may take before the terminal is taken from it.
  private static let secondsToEnd = 2

  /// Whether a full-screen view is possible here: both ends are a terminal that can move its cursor.
  static var isUsable: Bool { isatty(STDIN_FILENO) == 1 && StandardOutput.canMoveCursor }

  private let sources: [any DispatchSourceProtocol]
  /// For one waiter.
  let events: AsyncStream<Event>

  /// Takes the terminal. Throws with the reason when it cannot be set.
  init() throws {
    try Self.begin()
    let (events, continuation) = AsyncStream.makeStream(of: Event.self)
    self.events = events
    let queue = DispatchQueue(label: "bongsu.terminal")
    func signalSource(_ number: Int32, _ handler: @escaping @Sendable () -> Void) -> any DispatchSourceProtocol {
      _ = signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
      source.setEventHandler(handler: handler)
      source.resume()
      return source
    }
    let stop: @Sendable () -> Void = {
      continuation.yield(.stopped)
      queue.asyncAfter(deadline: .now() + .seconds(Self.secondsToEnd)) {
        bongsu_terminal_end()
        ExitStatus.failed.end()
      }
    }
    let input = DispatchSource.makeReadSource(fileDescriptor: STDIN_FILENO, queue: queue)
    input.setEventHandler {
      var buffer = [UInt8](repeating: 0, count: 4096)
      // SAFETY: the kernel writes at most `count` bytes into the array, which outlives the call.
      let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(STDIN_FILENO, $0.baseAddress, $0.count) }
      if count > 0 {
        continuation.yield(.bytes(Array(buffer.prefix(count))))
      } else if count == 0 || (errno != EINTR && errno != EAGAIN) {
        stop()
      }
    }
    input.resume()
    sources =
      [SIGINT, SIGTERM, SIGHUP].map { signalSource($0, stop) } + [
        signalSource(SIGWINCH) { continuation.yield(.resized) },
        signalSource(SIGTSTP) { continuation.yield(.suspended) },
        input,
      ]
  }

  /// Replaces the screen by `lines`. Each line is cleared before it is written, not behind its end: a cursor that stands on
  /// the last column would clear what it has just written there. Terminals that can show the picture at once are asked to.
  func show(_ lines: [String]) {
    StandardOutput.write(
      "\u{1B}[?2026h\u{1B}[H" + lines.map { "\u{1B}[K" + $0 }.joined(separator: "\r\n") + "\u{1B}[?2026l")
  }

  /// Gives the terminal back, sleeps until the shell wakes the process, and takes it again.
  func suspend() throws {
    bongsu_terminal_end()
    raise(SIGSTOP)
    try Self.begin()
  }

  /// Gives the terminal back.
  func end() {
    for source in sources { source.cancel() }
    bongsu_terminal_end()
  }

  private static func begin() throws {
    let status = unsafe bongsu_terminal_begin(STDIN_FILENO, STDOUT_FILENO, enter, leave)
    guard status == 0 else {
      // SAFETY: strerror's text is copied before any other call could overwrite it.
      let reason = unsafe String(cString: strerror(-status)).lowercased()
      throw CommandFailure(
        "cannot set up the terminal: \(reason); leave out --watch, or pipe the output to see it line by line")
    }
  }
}
