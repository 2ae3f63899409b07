internal import Dispatch
internal import Foundation

/// Draws something again and again: over itself on a terminal, block after block anywhere else.
enum LiveScreen {
  /// Other screen, cursor hidden, long lines cut; and the way back.
  private static let enter = "\u{1B}[?1049h\u{1B}[?25l\u{1B}[?7l"
  private static let leave = "\u{1B}[?7h\u{1B}[?25h\u{1B}[?1049l"

  /// Draws once a second, `drawings` times or until the process is told to end; the screen is given back either way.
  ///
  /// The first drawing must succeed. A later failure is shown and the next second tries again, since an aggregator that
  /// restarts is exactly when somebody watches.
  static func run(drawings: Int?, _ draw: @escaping @Sendable (_ isFirst: Bool) async throws -> String) async throws {
    let first = try await draw(true)
    let isTerminal = StandardOutput.canMoveCursor
    if isTerminal { StandardOutput.write(enter) }
    defer { if isTerminal { StandardOutput.write(leave) } }
    let signals = StopSignals()
    defer { signals.cancel() }
    let stops = signals.stops
    show(first, isTerminal: isTerminal)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await redraw(times: drawings.map { $0 - 1 }, isTerminal: isTerminal, draw) }
      group.addTask { for await _ in stops { return } }
      defer { group.cancelAll() }
      try await group.next()
    }
  }

  /// Draws `times` more times, for ever when `nil`, or until the task is cancelled.
  private static func redraw(
    times: Int?, isTerminal: Bool, _ draw: @Sendable (_ isFirst: Bool) async throws -> String
  ) async throws {
    var drawn = 0
    while times.map({ drawn < $0 }) ?? true {
      do {
        try await Task.sleep(for: CommandLimits.watchInterval)
        show(try await draw(false), isTerminal: isTerminal)
      } catch {
        // Whatever fails after a signal fails because of it.
        if Task.isCancelled { return }
        guard let failure = error as? CommandFailure else { throw error }
        if isTerminal {
          show("\(failure)\n", isTerminal: true)
        } else {
          StandardOutput.printError("bongsu: \(failure)")
        }
      }
      drawn += 1
    }
  }

  /// What is sent to the terminal to replace the screen by `text`, cut to `rows`. Each line is cleared behind its end
  /// instead of clearing the screen first, which would flicker.
  static func frame(_ text: String, rows: Int) -> String {
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    if lines.last == "" { lines.removeLast() }
    if lines.count > rows, rows > 1 {
      let hidden = lines.count - (rows - 1)
      lines = Array(lines.prefix(rows - 1)) + ["… \(hidden) more lines, use --limit or a taller window"]
    }
    return "\u{1B}[H" + lines.map { $0 + "\u{1B}[K" }.joined(separator: "\r\n") + "\u{1B}[J"
  }

  private static func show(_ text: String, isTerminal: Bool) {
    guard isTerminal else { return StandardOutput.write(text) }
    StandardOutput.write(frame(text, rows: StandardOutput.terminalSize?.rows ?? 24))
  }
}

/// Turns the signals that ask a process to end into a value to wait for.
private struct StopSignals {
  private let sources: [any DispatchSourceSignal]
  /// Yields when a signal came. For one waiter, once: waiting that is cancelled ends the stream.
  let stops: AsyncStream<Void>

  init() {
    let (stops, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    self.stops = stops
    sources = [SIGINT, SIGTERM, SIGHUP].map { number in
      _ = signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { continuation.yield() }
      source.resume()
      return source
    }
  }

  /// Leaves the signals alone again; they stay ignored, since the process is about to end by itself.
  func cancel() {
    for source in sources { source.cancel() }
  }
}
