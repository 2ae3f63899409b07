import BongsuAPI
import FixtureAggregator
import Foundation
import Testing

/// Where promtool is, `nil` when it is not installed.
private let promtool = ["/usr/bin/promtool", "/usr/local/bin/promtool"].first {
  FileManager.default.isExecutableFile(atPath: $0)
}

@Suite struct PromtoolLintTests {
  @Test(
    "promtool check metrics has nothing to say about what the server exposes of itself",
    .enabled(if: promtool != nil, "promtool is not installed (package prometheus)"))
  func ownMetrics() async throws {
    let text = try await withServer(APISources(live: FixtureAggregator())) { port async throws in
      _ = try await call(port, "/api/bongsu/v1/status")
      return try await call(port, "/metrics").body
    }
    #expect(text.contains("bongsu_http_requests_total"))
    let file = FileManager.default.temporaryDirectory.appending(path: "bongsu-lint-\(UUID().uuidString)")
    try text.write(to: file, atomically: false, encoding: .utf8)
    defer { try? FileManager.default.removeItem(at: file) }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: try #require(promtool))
    process.arguments = ["check", "metrics"]
    process.standardInput = try FileHandle(forReadingFrom: file)
    let output = Pipe()
    process.standardOutput = output
    process.standardError = output
    try process.run()
    let said = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    process.waitUntilExit()
    #expect(process.terminationStatus == 0 && said.isEmpty, "\(said)")
  }
}
