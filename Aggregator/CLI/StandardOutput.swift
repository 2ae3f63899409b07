internal import Foundation

/// How the process may end.
enum ExitStatus: Int32 {
  case done = 0
  case failed = 1
  case usage = 2

  /// Ends the process.
  func end() -> Never { exit(rawValue) }
}

/// Writing to the terminal or to whatever stands in its place.
///
/// The reader of a pipe may leave early (`bongsu top gpus | head`). The network library lets the signal for that be
/// ignored, so it is raised again here: the process ends quietly, as every Unix filter does.
enum StandardOutput {
  /// Whether people look at it directly.
  static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

  /// Whether it is a terminal that can draw over what it has drawn.
  static var canMoveCursor: Bool {
    let kind = ProcessInfo.processInfo.environment["TERM"] ?? ""
    return isTerminal && !kind.isEmpty && kind != "dumb"
  }

  /// Writes `text` and a newline.
  static func print(_ text: String) {
    write(text + "\n")
  }

  /// Writes `text` as it is.
  static func write(_ text: String) {
    write(Data(text.utf8))
  }

  /// Writes bytes as they are.
  static func write(_ bytes: some DataProtocol) {
    do {
      try FileHandle.standardOutput.write(contentsOf: bytes)
    } catch {
      guard Self.errorNumber(of: error) == EPIPE else {
        printError("bongsu: cannot write the output: \(error.localizedDescription)")
        ExitStatus.failed.end()
      }
      _ = signal(SIGPIPE, SIG_DFL)
      raise(SIGPIPE)
      ExitStatus.failed.end()
    }
  }

  /// Writes a line for people who look for the reason of a failure. Nothing can be done when that fails too.
  static func printError(_ line: String) {
    try? FileHandle.standardError.write(contentsOf: Data((line + "\n").utf8))
  }

  /// Columns and rows of the terminal; `nil` when the output is none.
  static var terminalSize: (columns: Int, rows: Int)? {
    var size = winsize()
    // SAFETY: the kernel writes one `winsize` through the pointer, which outlives the call.
    guard unsafe ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
      return nil
    }
    return (Int(size.ws_col), Int(size.ws_row))
  }

  private static func errorNumber(of error: any Error) -> Int32? {
    var error = error as NSError
    while error.domain != NSPOSIXErrorDomain {
      guard let cause = error.userInfo[NSUnderlyingErrorKey] as? NSError else { return nil }
      error = cause
    }
    return Int32(error.code)
  }
}
