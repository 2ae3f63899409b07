import BongsuMetrics
import Foundation
import Testing

/// Where promtool is, `nil` when it is not installed.
private let promtool = ["/usr/bin/promtool", "/usr/local/bin/promtool"].first {
  FileManager.default.isExecutableFile(atPath: $0)
}

/// The same texts read by Prometheus' own checker.
@Suite(.enabled(if: promtool != nil, "promtool is not installed (Debian package prometheus)"))
struct PromtoolTests {
  @Test("promtool check metrics has nothing to say about any kind of metric")
  func checkMetrics() throws {
    let (status, output) = try Self.run(
      ["check", "metrics"], input: ExpositionTests.sample().render(as: .prometheusText))
    #expect(status == 0 && output.isEmpty, "\(output)")
  }

  @Test("promtool check metrics does speak up when a name is bad, so its silence means something")
  func checkMetricsObjects() throws {
    let text = "# HELP bongsu_thing a thing\n# TYPE bongsu_thing counter\nbongsu_thing 1\n"
    let (status, output) = try Self.run(["check", "metrics"], input: text)
    #expect(status != 0 && output.contains("_total"))
  }

  @Test("Prometheus' OpenMetrics parser reads every line up to the missing times")
  func openMetrics() throws {
    // The importer wants a time on each sample, so each sample line is given one.
    let timed = ExpositionTests.sample().render(as: .openMetrics).split(separator: "\n").map {
      $0.hasPrefix("#") ? String($0) : $0 + " 1795253400"
    }
    let folder = FileManager.default.temporaryDirectory.appending(path: "bongsu-metrics-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appending(path: "metrics.txt")
    try (timed.joined(separator: "\n") + "\n").write(to: file, atomically: false, encoding: .utf8)
    let (status, output) = try Self.run(
      ["tsdb", "create-blocks-from", "openmetrics", file.path, folder.appending(path: "tsdb").path], input: "")
    #expect(status == 0, "\(output)")
  }

  static func run(_ arguments: [String], input: String) throws -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: try #require(promtool))
    process.arguments = arguments
    let stdin = Pipe()
    let output = Pipe()
    process.standardInput = stdin
    process.standardOutput = output
    process.standardError = output
    try process.run()
    try stdin.fileHandleForWriting.write(contentsOf: Data(input.utf8))
    try stdin.fileHandleForWriting.close()
    let data = try output.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: data, as: UTF8.self))
  }
}
