internal import Glibc
internal import Synchronization

/// The agent's log: one line on standard error per change of state, with the time in UTC.
///
///     2026-11-21T12:00:00Z warning uplink: no answer from 127.0.0.1:7420 for 3 s, retrying
///
/// Under systemd the lines go to the journal. The same complaint twice in a row is the caller's bug, not filtered here:
/// callers report transitions. Any thread may call.
package struct AgentLog: Sendable {
  /// How urgent a line is; lines below the chosen level are not written.
  package enum Level: Int, Sendable, Comparable, CaseIterable {
    case debug
    case info
    case warning
    case error

    /// The level called `name`, `nil` for an unknown one.
    package init?(named name: String) {
      guard let level = Self.allCases.first(where: { $0.name == name }) else { return nil }
      self = level
    }

    package var name: String {
      switch self {
      case .debug: "debug"
      case .info: "info"
      case .warning: "warning"
      case .error: "error"
      }
    }

    package static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }
  }

  /// The lowest level that is written; shared by all copies.
  private let lowest: Threshold

  private final class Threshold: Sendable {
    let level: Atomic<Int>
    init(_ level: Level) { self.level = Atomic(level.rawValue) }
  }

  /// Of whom all lines are; empty for the process itself.
  private let subject: String

  /// Writes lines of `level` and above.
  package init(level: Level) {
    lowest = Threshold(level)
    subject = ""
  }

  private init(_ lowest: Threshold, _ subject: String) {
    self.lowest = lowest
    self.subject = subject
  }

  /// The same log for one of several that share it: `subject` stands in front of each message.
  package func named(_ subject: String) -> AgentLog { AgentLog(lowest, subject + ": ") }

  /// The lowest level that is written.
  package var level: Level { Level(rawValue: lowest.level.load(ordering: .relaxed)) ?? .info }

  /// Writes lines of `level` and above from now on, in all copies of this log.
  package func setLevel(_ level: Level) {
    lowest.level.store(level.rawValue, ordering: .relaxed)  // nothing else is published through it
  }

  /// Writes one line, if `level` is high enough. A failed write is ignored: there is nowhere else to say it.
  package func write(_ level: Level, _ component: String, _ message: String) {
    guard level >= self.level else { return }
    let line = "\(Self.timestamp()) \(level.name) \(component): \(subject)\(message)\n"
    var bytes = Array(line.utf8)
    // SAFETY: the buffer is valid for its own count during the call.
    unsafe bytes.withUnsafeMutableBytes { buffer in
      _ = unsafe Glibc.write(2, buffer.baseAddress, buffer.count)
    }
  }

  package func info(_ component: String, _ message: String) { write(.info, component, message) }
  package func warning(_ component: String, _ message: String) { write(.warning, component, message) }
  package func error(_ component: String, _ message: String) { write(.error, component, message) }

  private static func timestamp() -> String {
    var now = timespec()
    // SAFETY: a structure of numbers and one pointer that nobody follows.
    var parts = unsafe tm()
    // SAFETY: both structures are local and live for the calls.
    unsafe clock_gettime(CLOCK_REALTIME, &now)
    unsafe gmtime_r(&now.tv_sec, &parts)
    func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
    let date = unsafe "\(1900 + parts.tm_year)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
    return unsafe "\(date)T\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))Z"
  }
}
