import Foundation
import Synchronization

/// A program on a terminal of its own: keys go in, what it draws comes out.
final class PseudoTerminal: @unchecked Sendable {
  // Everything but the bytes behind the lock is set once, before another thread sees it.
  private let master: Int32
  private let slave: Int32
  private let process = Process()
  private let output = Mutex<[UInt8]>([])
  private let ended = Mutex<Int32?>(nil)
  private let source: any DispatchSourceRead
  /// How the terminal was set before the program began.
  let settingsBefore: termios

  /// Starts `arguments` of the command under test on a terminal of `columns` and `lines`.
  init(_ arguments: [String], columns: UInt16 = 120, lines: UInt16 = 24, environment: [String: String] = [:]) throws {
    // SAFETY: the path is a constant.
    master = unsafe open("/dev/ptmx", O_RDWR | O_NOCTTY)
    var isLocked: Int32 = 0
    var number: UInt32 = 0
    // SAFETY: the kernel reads or writes one number through each pointer, which outlives the call (ioctl_tty(2)).
    let isOpen = unsafe ioctl(master, 0x4004_5431, &isLocked) == 0 && ioctl(master, 0x8004_5430, &number) == 0
    precondition(isOpen, "no pseudo terminal, errno \(errno)")
    // SAFETY: the path lives until the call returns.
    slave = unsafe open("/dev/pts/\(number)", O_RDWR | O_NOCTTY)
    precondition(slave >= 0, "cannot open the pseudo terminal, errno \(errno)")
    var settings = termios()
    // SAFETY: the kernel writes one `termios` through the pointer, which outlives the call.
    precondition(unsafe tcgetattr(slave, &settings) == 0)
    settingsBefore = settings
    source = DispatchSource.makeReadSource(fileDescriptor: master, queue: DispatchQueue(label: "terminal"))
    resize(columns: columns, lines: lines)
    source.setEventHandler { [self] in
      var buffer = [UInt8](repeating: 0, count: 65536)
      // SAFETY: the kernel writes at most `count` bytes into the array, which outlives the call.
      let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(master, $0.baseAddress, $0.count) }
      if count > 0 { output.withLock { $0 += buffer.prefix(count) } }
    }
    source.resume()
    // A session of its own with this as its terminal, so that Ctrl-C and resizing arrive as they do for people.
    process.executableURL = URL(fileURLWithPath: "/usr/bin/setsid")
    process.arguments = ["--ctty", "--wait", bongsuPath] + arguments
    var inherited = ["PATH": "/usr/bin:/bin", "TERM": "xterm-256color"]
    inherited["LD_LIBRARY_PATH"] = ProcessInfo.processInfo.environment["LD_LIBRARY_PATH"]
    process.environment = inherited.merging(environment) { _, new in new }
    let end = FileHandle(fileDescriptor: slave, closeOnDealloc: false)
    (process.standardInput, process.standardOutput, process.standardError) = (end, end, end)
    process.terminationHandler = { [self] in ended.withLock { [status = $0.terminationStatus] in $0 = status } }
    try process.run()
  }

  func close() {
    if process.isRunning { kill(programID ?? process.processIdentifier, SIGKILL) }
    source.cancel()
    Glibc.close(slave)
    Glibc.close(master)
  }

  /// The command's own process below the one that made the session.
  var programID: pid_t? {
    let parent = process.processIdentifier
    let children = try? String(contentsOfFile: "/proc/\(parent)/task/\(parent)/children", encoding: .utf8)
    return children?.split(separator: " ").first.flatMap { pid_t($0) }
  }

  func type(_ text: String) {
    let bytes = Array(text.utf8)
    // SAFETY: the array outlives the call, which reads `count` bytes of it.
    let written = unsafe bytes.withUnsafeBytes { unsafe write(master, $0.baseAddress, $0.count) }
    precondition(written == bytes.count)
  }

  func resize(columns: UInt16, lines: UInt16) {
    var size = winsize(ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
    // SAFETY: the kernel reads one `winsize` through the pointer, which outlives the call.
    precondition(unsafe ioctl(master, UInt(TIOCSWINSZ), &size) == 0)
  }

  /// Everything that was written so far.
  var text: String { String(decoding: output.withLock { $0 }, as: UTF8.self) }

  /// The lines of the last picture that is complete, without colours.
  var screen: [String] {
    let pieces = text.components(separatedBy: "\u{1B}[H")
    guard pieces.count > 1, let last = pieces.dropFirst().last(where: { $0.contains("\u{1B}[?2026l") }) else {
      return []
    }
    let picture = last.components(separatedBy: "\u{1B}[?2026l")[0]
    // Carriage returns go scalar by scalar: with a newline behind it one is a single character.
    return String(String.UnicodeScalarView(picture.unicodeScalars.filter { $0 != "\r" })).components(separatedBy: "\n")
      .map { $0.replacing(/\u{1B}\[[0-9;?]*[A-Za-z]/, with: "") }
  }

  /// Waits until `condition` holds for the screen; the screen as it was last when that does not happen within 30 s.
  func sees(_ condition: ([String]) -> Bool) async throws -> Bool {
    for _ in 0..<1500 {
      if condition(screen) { return true }
      try await Task.sleep(for: .milliseconds(20))
    }
    return false
  }

  /// The exit status, once the program has ended; `nil` when it does not within 30 s.
  func status() async throws -> Int32? {
    for _ in 0..<1500 {
      if let status = ended.withLock({ $0 }) {
        // What was written last is on its way through another thread.
        try await Task.sleep(for: .milliseconds(100))
        return status
      }
      try await Task.sleep(for: .milliseconds(20))
    }
    return nil
  }

  /// Whether echo and line editing are as they were, and the last thing written left the other screen and showed the cursor.
  var isRestored: Bool {
    var now = termios()
    // SAFETY: the kernel writes one `termios` through the pointer, which outlives the call.
    guard unsafe tcgetattr(slave, &now) == 0 else { return false }
    let text = text
    guard let left = text.range(of: "\u{1B}[?7h\u{1B}[?25h\u{1B}[?1049l", options: .backwards) else { return false }
    let isLast = text.range(of: "\u{1B}[?1049h", options: .backwards).map { $0.lowerBound < left.lowerBound } ?? false
    return isLast && now.c_lflag == settingsBefore.c_lflag && now.c_iflag == settingsBefore.c_iflag
      && now.c_oflag == settingsBefore.c_oflag
  }
}
