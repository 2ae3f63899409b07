import BongsuAPI
import BongsuReports
import FixtureAggregator
import Foundation
import Testing

@Suite struct WatchTests {
  @Test("in a pipe --watch prints block after block, one JSON document or one CSV header in all")
  func plainBlocks() async throws {
    try await withServer(APISources(live: FixtureAggregator())) { port async throws in
      let arguments = ["top", "nation", "--watch", "--count", "2", "--url", "http://127.0.0.1:\(port)"]
      let table = try await run(arguments)
      #expect(table.output.components(separatedBy: "NATION").count == 3 && !table.output.contains("\u{1B}"))
      let json = try await run(arguments + ["--format", "json"])
      #expect(json.output.split(separator: "\n").count == 2)
      let csv = try await run(arguments + ["--format", "csv"])
      #expect(csv.output.components(separatedBy: "time,level").count == 2)
      #expect(csv.output.components(separatedBy: "\r\n").count == 4)
    }
  }

  @Test("on a terminal other formats are drawn on the other screen, which is given back when interrupted")
  func terminal() async throws {
    try await withServer(APISources(live: FixtureAggregator())) { port async throws in
      let command =
        "timeout --foreground -k 20 -s INT 25 \(bongsuPath) top factories --watch --format csv"
        + " --url http://127.0.0.1:\(port)"
      let ended = try await run(["-qec", command, "/dev/null"], executable: "/usr/bin/script")
      #expect(ended.output.hasPrefix("\u{1B}[?1049h\u{1B}[?25l"), "\(ended)")
      #expect(ended.output.hasSuffix("\u{1B}[?25h\u{1B}[?1049l"))
      #expect(ended.output.components(separatedBy: "\u{1B}[H").count >= 3)
    }
  }

  @Test("NO_COLOR keeps a terminal plain")
  func noColour() async throws {
    try await withServer(APISources(live: FixtureAggregator())) { port async throws in
      let command = "\(bongsuPath) top factories --url http://127.0.0.1:\(port)"
      let plain = try await run(
        ["-qec", command, "/dev/null"], executable: "/usr/bin/script", environment: ["NO_COLOR": "1"])
      #expect(plain.status == 0 && plain.output.contains("66.6 %") && !plain.output.contains("\u{1B}"))
      let coloured = try await run(["-qec", command, "/dev/null"], executable: "/usr/bin/script")
      #expect(coloured.output.contains("\u{1B}[1;31m66.6 %\u{1B}[0m"))
    }
  }

  @Test("the first drawing must succeed, later failures are told and tried again")
  func failures() async throws {
    let fixture = FixtureAggregator()
    try await withServer(APISources(live: fixture)) { port async throws in
      let url = "http://127.0.0.1:\(port)"
      fixture.setFailure(APIError(.notReady, "still replaying", nextStep: "wait"))
      let first = try await run(["top", "--watch", "--count", "2", "--url", url])
      #expect(first.status == 1 && first.errors == "bongsu: still replaying; wait (not_ready)\n")
      fixture.setFailure(APIError(.notReady, "still replaying", nextStep: "wait"), answers: 2...2)
      let ended = try await run(["top", "--watch", "--count", "4", "--url", url])
      #expect(ended.status == 0 && ended.errors.contains("bongsu: still replaying; wait (not_ready)\n"))
      #expect(ended.output.components(separatedBy: "FACTORY").count == 4)
    }
  }
}
