import BongsuAPI
import BongsuReports
import FixtureAggregator
import Foundation
import Testing

/// Where promtool is, `nil` when it is not installed.
private let promtool = ["/usr/bin/promtool", "/usr/local/bin/promtool"].first {
  FileManager.default.isExecutableFile(atPath: $0)
}

@Suite struct ExportTests {
  @Test("an hour of two GPUs streams as OpenMetrics, complete and in order")
  func openMetrics() async throws {
    let fixture = FixtureAggregator()
    try await withServer(APISources(live: fixture, export: fixture)) { port async throws in
      let answer = try await call(
        port, "/api/bongsu/v1/export?match=bongsu_gpu_power_watts&start=2026-11-21T09:30:00Z&end=1795257000")
      #expect(answer.header("Content-Type")?.hasPrefix("application/openmetrics-text") == true)
      let lines = answer.body.split(separator: "\n")
      #expect(lines.count == 2 * 3601 + 2)
      #expect(lines.first == "# TYPE bongsu_gpu_power_watts gauge")
      #expect(
        lines[1] == "bongsu_gpu_power_watts{gpu=\"0\",mig=\"a\\\"b\",node=\"r1,n1\"} 600.125 1795253400.000")
      #expect(lines.last == "# EOF")
    }
  }

  @Test("CSV has a column for each label of a GPU, and one for the others")
  func csv() async throws {
    let fixture = FixtureAggregator()
    try await withServer(APISources(live: fixture, export: fixture)) { port async throws in
      let answer = try await call(port, "/api/bongsu/v1/export?match=x&start=1795253400&end=1795253400.9&format=csv")
      let lines = answer.body.components(separatedBy: "\r\n")
      #expect(lines[0] == "time,metric,value,nation,factory,hall,rack,node,gpu,uuid,model,allocation,other_labels")
      let first = "2026-11-21T09:30:00Z,bongsu_gpu_power_watts,600.125,,,,,\"r1,n1\",0,,,,\"mig=\"\"a\\\"\"b\"\"\""
      #expect(lines[1] == first)
      #expect(lines[3].isEmpty && lines.count == 4)
    }
  }

  @Test(
    "an export without both ends of time, without matchers or the wrong way round is refused",
    arguments: [
      ("start=0&end=1", "0 matchers are given"), ("match=a&end=1", "start is missing"),
      ("match=a&start=0", "end is missing"), ("match=a&start=2&end=1", "end lies before start"),
      ("match=a&start=yesterday&end=1", "start is \"yesterday\""), ("match=&start=0&end=1", "a matcher has 0 bytes"),
      ("match=a&start=0&end=1&format=xml", "format is \"xml\""),
    ])
  func refusals(query: String, message: String) async throws {
    let fixture = FixtureAggregator()
    try await withServer(APISources(live: fixture, export: fixture)) { port async throws in
      let answer = try await call(port, "/api/bongsu/v1/export?" + query)
      #expect(answer.status == 400 && answer.refusal?.message == message, "\(answer.body)")
    }
  }

  @Test("HEAD and answers that are never read give their export slot back")
  func slots() async throws {
    let fixture = FixtureAggregator()
    try await withServer(APISources(live: fixture, export: fixture)) { port async throws in
      for _ in 0..<20 {
        #expect(try await call(port, "/api/bongsu/v1/export?match=x&start=0&end=1", method: "HEAD").status == 200)
      }
      #expect(try await call(port, "/api/bongsu/v1/export?match=x&start=0&end=1").status == 200)
    }
  }

  @Test(
    "Prometheus imports an export as it is",
    .enabled(if: promtool != nil, "promtool is not installed (package prometheus)"))
  func promtoolImports() async throws {
    let fixture = FixtureAggregator()
    let text = try await withServer(APISources(live: fixture, export: fixture)) { port async throws in
      try await call(port, "/api/bongsu/v1/export?match=x&start=1795253400&end=1795253700").body
    }
    let folder = FileManager.default.temporaryDirectory.appending(path: "bongsu-export-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appending(path: "export.txt")
    try text.write(to: file, atomically: false, encoding: .utf8)
    let process = Process()
    process.executableURL = URL(fileURLWithPath: try #require(promtool))
    process.arguments = ["tsdb", "create-blocks-from", "openmetrics", file.path, folder.appending(path: "tsdb").path]
    let output = Pipe()
    process.standardOutput = output
    process.standardError = output
    try process.run()
    let said = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    process.waitUntilExit()
    #expect(process.terminationStatus == 0, "\(said)")
    #expect(said.contains(" 602 "), "602 samples in one block: \(said)")
  }
}
