import Foundation

/// What a run of the command left behind.
struct Ended: Sendable {
  let status: Int32
  let output: String
  let errors: String
}

/// The command as it was built beside the tests.
let bongsuPath = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().appending(path: "bongsu")
  .path

/// Runs `executable` with nothing in its environment but what is given, waiting without blocking a thread.
func run(
  _ arguments: [String], executable: String = bongsuPath, environment: [String: String] = [:]
) async throws -> Ended {
  let folder = FileManager.default.temporaryDirectory.appending(path: "bongsu-cli-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  let (out, err) = (folder.appending(path: "out"), folder.appending(path: "err"))
  for file in [out, err] { try Data().write(to: file) }
  let process = Process()
  process.executableURL = URL(fileURLWithPath: executable)
  process.arguments = arguments
  var inherited = ["PATH": "/usr/bin:/bin", "TERM": "xterm"]
  inherited["LD_LIBRARY_PATH"] = ProcessInfo.processInfo.environment["LD_LIBRARY_PATH"]
  process.environment = inherited.merging(environment) { _, new in new }
  process.standardInput = FileHandle.nullDevice
  process.standardOutput = try FileHandle(forWritingTo: out)
  process.standardError = try FileHandle(forWritingTo: err)
  let status = try await withCheckedThrowingContinuation { continuation in
    process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
    do { try process.run() } catch { continuation.resume(throwing: error) }
  }
  return Ended(
    status: status, output: String(decoding: try Data(contentsOf: out), as: UTF8.self),
    errors: String(decoding: try Data(contentsOf: err), as: UTF8.self))
}
