import BongsuTestKit
import Foundation
import Glibc

/// A program that is started, stopped, killed and started again, always with the same arguments. Its output goes to one
/// file over all its lives.
///
/// Used from one thread. Waits by `waitpid` itself, so that nothing else has to run for an end to be noticed.
final class DrilledProcess {
  let name: String
  private let command: [String]
  private let output: String
  private var child: pid_t?
  /// How the last life ended, as `waitpid` says it.
  private var status: Int32 = 0
  /// Whether the drill itself has ended the present life.
  private var isEnding = false

  init(name: String, executable: String, arguments: [String], output: String) {
    self.name = name
    self.output = output
    // The child goes with the drill, also when that is killed.
    let reaper = "/usr/bin/setpriv"
    let reaps = FileManager.default.isExecutableFile(atPath: reaper)
    command = (reaps ? [reaper, "--pdeathsig", "KILL", executable] : [executable]) + arguments
  }

  /// Whether it lives; notices an end.
  var isRunning: Bool {
    guard let child else { return false }
    // SAFETY: the status is a variable of this object.
    guard unsafe waitpid(child, &status, WNOHANG) == child else { return true }
    self.child = nil
    return false
  }

  /// What to say when the program has ended without being told to; `nil` while all is well.
  var unexpectedEnd: String? {
    guard !isRunning, !isEnding else { return nil }
    let how = status & 0x7F == 0 ? "with status \(status >> 8 & 0xFF)" : "by signal \(status & 0x7F)"
    return "\(name) ended by itself \(how); its last words are in \(output)"
  }

  func start() throws {
    precondition(!isRunning, "\(name) is started while it runs")
    child = try spawn(command, output: output)
    isEnding = false
  }

  func signal(_ number: Int32) {
    guard isRunning, let child else { return }
    _ = Glibc.kill(child, number)
  }

  /// Ends it at once.
  func kill() {
    isEnding = true
    signal(SIGKILL)
    while isRunning { usleep(1000) }
  }

  /// Asks it to end; `false` when it had to be killed after `seconds`, or ended with a failure.
  func terminate(seconds: Int) -> Bool {
    guard isRunning else { return true }
    isEnding = true
    signal(SIGCONT)
    signal(SIGTERM)
    let deadline = Date(timeIntervalSinceNow: Double(seconds))
    while isRunning, Date() < deadline { usleep(10_000) }
    guard isRunning else { return status == 0 }
    kill()
    return false
  }
}

/// Starts a program whose output is appended to the file `output`.
private func spawn(_ command: [String], output: String) throws -> pid_t {
  var child = pid_t()
  // SAFETY: initialised below before it is used.
  var actions = unsafe posix_spawn_file_actions_t()
  var attributes = posix_spawnattr_t()
  var signals = sigset_t()
  // SAFETY: all structures are local, initialised before use and destroyed after; the strings are copies that live
  // until the call returns.
  let code = unsafe command.withCStrings { words in
    unsafe posix_spawn_file_actions_init(&actions)
    unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    unsafe posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o600)
    unsafe posix_spawn_file_actions_adddup2(&actions, 1, 2)
    unsafe posix_spawnattr_init(&attributes)
    unsafe sigemptyset(&signals)
    unsafe posix_spawnattr_setsigmask(&attributes, &signals)
    unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    defer {
      unsafe posix_spawn_file_actions_destroy(&actions)
      unsafe posix_spawnattr_destroy(&attributes)
    }
    return unsafe posix_spawnp(&child, command[0], &actions, &attributes, words, environ)
  }
  guard code == 0 else { throw DrillFailure("cannot start \(command[0]): error \(code)") }
  return child
}

/// Runs a short program to its end; its status, or `nil` when it could not be started.
func runToEnd(_ command: [String]) -> Int32? {
  guard let child = try? spawn(command, output: "/dev/null") else { return nil }
  var status: Int32 = 0
  // SAFETY: the status is local.
  guard unsafe waitpid(child, &status, 0) == child else { return nil }
  return status
}

extension [String] {
  /// Lends the strings as a zero-terminated vector of C strings.
  fileprivate func withCStrings<Result>(
    _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) throws -> Result
  ) rethrows -> Result {
    // SAFETY: each copy is freed after the call, and the vector ends with nil.
    var words = unsafe map { unsafe strdup($0) } + [nil]
    defer {
      for index in unsafe words.indices { unsafe free(words[index]) }
    }
    return try unsafe words.withUnsafeMutableBufferPointer { unsafe try body($0.baseAddress.unsafelyUnwrapped) }
  }
}
