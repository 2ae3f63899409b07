import Foundation

/// Where the products were built: beside the tests.
private let products = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()

/// The root of the repository.
let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent().path

/// What a program that has ended left behind.
struct Ended {
  let status: Int32
  let output: String
  let errors: String
}

/// One of the products, running. It is killed with the last reference to it, so that no test leaves a process behind.
final class RunningProgram {
  private let process = Process()
  private let folder: URL

  /// Starts `program`, a product by its name or anything by its path, with `arguments`; `through` is a command that gets both and ends by executing them.
  init(
    _ program: String, _ arguments: [String], environment extra: [String: String] = [:], through: [String] = []
  ) throws {
    folder = FileManager.default.temporaryDirectory.appending(path: "bongsu-process-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    for name in ["out", "err"] { try Data().write(to: folder.appending(path: name)) }
    let path = program.hasPrefix("/") ? program : products.appending(path: program).path
    if through.isEmpty {
      process.executableURL = URL(fileURLWithPath: path)
      process.arguments = arguments
    } else {
      process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
      process.arguments = through + [path] + arguments
    }
    var environment = ["PATH": "/usr/bin:/bin", "TERM": "xterm"]
    environment["LD_LIBRARY_PATH"] = ProcessInfo.processInfo.environment["LD_LIBRARY_PATH"]
    environment.merge(extra) { $1 }
    process.environment = environment
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try FileHandle(forWritingTo: folder.appending(path: "out"))
    process.standardError = try FileHandle(forWritingTo: folder.appending(path: "err"))
    try process.run()
  }

  deinit {
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    try? FileManager.default.removeItem(at: folder)
  }

  var isRunning: Bool { process.isRunning }
  var output: String { text("out") }
  var errors: String { text("err") }

  /// Sends a signal.
  func send(_ signal: Int32) { kill(process.processIdentifier, signal) }

  var processID: Int32 { process.processIdentifier }

  /// Asks it to end, as a service manager does.
  func terminate() { process.terminate() }

  /// Waits for its end; `nil` when it still runs after `seconds`.
  func ended(within seconds: Double = 30) async throws -> Ended? {
    guard try await eventually(within: seconds, { !process.isRunning }) else { return nil }
    return Ended(status: process.terminationStatus, output: output, errors: errors)
  }

  private func text(_ name: String) -> String {
    (try? String(contentsOf: folder.appending(path: name), encoding: .utf8)) ?? ""
  }
}

/// Asks `condition` again and again; whether it held within `seconds`.
func eventually(within seconds: Double, _ condition: () async throws -> Bool) async throws -> Bool {
  let deadline = ContinuousClock.now + .seconds(seconds)
  while ContinuousClock.now < deadline {
    if try await condition() { return true }
    try await Task.sleep(for: .milliseconds(50))
  }
  return try await condition()
}

/// Runs `program` to its end.
func run(_ program: String, _ arguments: [String], within seconds: Double = 30) async throws -> Ended {
  let running = try RunningProgram(program, arguments)
  guard let ended = try await running.ended(within: seconds) else {
    throw StillRunning(program: program, errors: running.errors)
  }
  return ended
}

struct StillRunning: Error {
  let program: String
  let errors: String
}
