internal import Foundation

/// Runs a program of this machine with an alert on its standard input.
enum CommandHook {
  /// Runs `words` and waits for its end, at most `timeoutMilliseconds`; then it is killed.
  static func run(_ words: [String], input: Data, timeoutMilliseconds: Int64) async -> DeliveryQueue.Outcome {
    guard let program = words.first else { return .refused("no program is named") }
    return await withCheckedContinuation { continuation in
      // On a thread of its own, because writing to a program that does not read waits.
      let thread = Thread {
        continuation.resume(
          returning: runBlocking(program, Array(words.dropFirst()), input, milliseconds: timeoutMilliseconds))
      }
      thread.name = "alert-command"
      thread.start()
    }
  }

  private static func runBlocking(
    _ program: String, _ arguments: [String], _ input: Data, milliseconds: Int64
  ) -> DeliveryQueue.Outcome {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    let file = FileManager.default.temporaryDirectory.appending(path: "bongsu-alert-\(UUID().uuidString).json")
    defer { try? FileManager.default.removeItem(at: file) }
    do {
      // From a file rather than a pipe: a program that does not read cannot hold the writer.
      try input.write(to: file)
      process.standardInput = try FileHandle(forReadingFrom: file)
      try process.run()
    } catch {
      return .failed("cannot run \(program): \(error.localizedDescription)")
    }
    let deadline = ContinuousClock.now + .milliseconds(milliseconds)
    while process.isRunning, ContinuousClock.now < deadline { Thread.sleep(forTimeInterval: 0.01) }
    guard !process.isRunning else {
      kill(process.processIdentifier, SIGKILL)
      process.waitUntilExit()
      return .failed("\(program) did not end within \(milliseconds) ms and was killed")
    }
    return process.terminationStatus == 0
      ? .delivered : .failed("\(program) ended with status \(process.terminationStatus)")
  }
}
