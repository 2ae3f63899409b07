import BongsuAPI
import BongsuReports
import FixtureAggregator
import Foundation
import Testing

@Suite("bongsu report")
struct ReportCommandTests {
  private static func withReports(
    _ body: @escaping @Sendable (_ url: String, _ key: String, _ folder: URL) async throws -> Void
  )
    async throws
  {
    let folder = FileManager.default.temporaryDirectory.appending(path: "bongsu-report-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let reports = FixtureReports()
    try await withServer(APISources(live: FixtureAggregator(), reports: reports)) { port async throws in
      try await body("http://127.0.0.1:\(port)", reports.key.description, folder)
    }
  }

  private static let asked = ["report", "--allocation", "msit/naver-hosted", "--month", "2026-10"]

  @Test("the table has every figure with its unit, what is unknown says so, and the account's limits stand below")
  func table() async throws {
    try await Self.withReports { url, key, _ in
      let ended = try await run(Self.asked + ["--url", url])
      #expect(ended.status == 0 && ended.errors.isEmpty)
      for text in [
        "allocation msit/naver-hosted, \(FixtureReports.name)",
        "2026-10-01 00:00 to 2026-10-01 02:00 +09:00 (Asia/Seoul)",
        "3,056.0", "3,000.5", "2,100.0", "900.5", "98.1 %", "1.509 MWh", "0.630 t CO2eq", "1.250 MW",
        "2026-10-01 00:45 +09:00", "60 of 120", "50.0 %", "naver-sejong-gov-r001-n1", "612.5 W",
        "carbon: 0.4173 t CO2eq/MWh from 2026-09-30", "note: the month is not over", "key \(key)",
      ] { #expect(ended.output.contains(text), "\(text) is missing in\n\(ended.output)") }
    }
  }

  @Test(
    "each form but the table verifies without anybody being asked, and fails after one changed digit",
    arguments: ["json", "csv", "html"])
  func verify(form: String) async throws {
    try await Self.withReports { url, key, folder in
      let ended = try await run(Self.asked + ["--format", form, "--url", url])
      #expect(ended.status == 0)
      let file = folder.appending(path: "account.\(form)").path
      let keyFile = folder.appending(path: "report.pub").path
      try ended.output.write(toFile: file, atomically: false, encoding: .utf8)
      try (try await run(["report", "key", "--url", url])).output.write(
        toFile: keyFile, atomically: false, encoding: .utf8)
      let good = try await run(["report", "verify", file, "--key", keyFile])
      #expect(good.status == 0 && good.output.contains("account of allocation msit/naver-hosted for 2026-10, intact"))
      #expect(try await run(["report", "verify", file], environment: ["BONGSU_REPORT_KEY": key]).status == 0)
      let stranger = try await run(["report", "verify", file, "--key", ReportSigner().key.description])
      #expect(stranger.status == 1 && stranger.errors.contains("is signed by the key"))

      // Every digit of the file, one by one, in the pages that people read as in what programs read.
      let bytes = Array(ended.output.utf8)
      let digits = bytes.indices.filter { (0x30...0x39).contains(bytes[$0]) }
      let changedFile = folder.appending(path: "changed").path
      for index in stride(from: 0, to: digits.count, by: max(1, digits.count / 40)).map({ digits[$0] }) {
        var changed = bytes
        changed[index] = changed[index] == 0x39 ? 0x30 : changed[index] + 1
        try Data(changed).write(to: URL(fileURLWithPath: changedFile))
        let bad = try await run(["report", "verify", changedFile, "--key", key])
        #expect(bad.status == 1 && bad.output.isEmpty && !bad.errors.isEmpty, "digit at \(index)")
      }
    }
  }

  @Test("a figure of the page that was changed by hand is named by its line, and the signed one can still be shown")
  func changedPage() async throws {
    try await Self.withReports { url, key, folder in
      let page = try await run(Self.asked + ["--format", "html", "--url", url]).output
      #expect(page.contains("hosted by &quot;NAVER&quot; &amp; &lt;Cloud&gt;, 호스팅") && !page.contains("<Cloud>"))
      let file = folder.appending(path: "account.html").path
      try page.replacingOccurrences(of: ">1.509 MWh<", with: ">1.109 MWh<")
        .write(toFile: file, atomically: false, encoding: .utf8)
      let bad = try await run(["report", "verify", file, "--key", key])
      let line = page.components(separatedBy: "1.509 MWh")[0].filter { $0 == "\n" }.count + 1
      #expect(bad.status == 1 && bad.errors.contains("line \(line) is not what this release prints"))
      let shown = try await run(["report", "show", file])
      #expect(shown.status == 0 && shown.output.contains("1.509 MWh"))
    }
  }

  @Test("without a key nothing is vouched for; usage and unknown names are told apart")
  func refusals() async throws {
    try await Self.withReports { url, key, folder in
      let file = folder.appending(path: "account.json").path
      try await run(Self.asked + ["--format", "json", "--url", url]).output
        .write(toFile: file, atomically: false, encoding: .utf8)
      if !FileManager.default.fileExists(atPath: "/etc/bongsu/report.pub") {
        let nobody = try await run(["report", "verify", file])
        #expect(nobody.status == 1 && nobody.errors.contains("no key to check against"))
      }
      let nonsense = try await run(["report", "verify", file, "--key", "nonsense"])
      #expect(nonsense.status == 2 && nonsense.errors.contains("neither 32 bytes in base64 nor a file"))
      let noReport = try await run(["report", "verify", "/etc/hostname", "--key", key])
      #expect(noReport.status == 1 && noReport.errors.contains("this is no signed report"))
      let missing = try await run(["report", "verify", file + ".gone", "--key", key])
      #expect(missing.status == 1 && missing.errors.contains("cannot be read"))
      for arguments in [
        ["report"], Self.asked + ["--factory", "f"], ["report", "--factory", "f", "--month", "2026-13"],
      ] {
        #expect(try await run(arguments + ["--url", url]).status == 2, "\(arguments)")
      }
      let unknown = try await run(["report", "--factory", "nowhere", "--url", url])
      #expect(unknown.status == 1 && unknown.errors.contains("no factory is called"))
    }
  }

  @Test("whoever has OpenSSL needs no Bongsu to check a signature, by the commands that ops/README prints")
  func openSSL() async throws {
    let root = #filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" }
    let text = try String(contentsOfFile: root + "/ops/README.md", encoding: .utf8)
    let block = try #require(
      text.components(separatedBy: "<!-- check report -->\n").dropFirst().first?.components(separatedBy: "<!-- end -->")
        .first)
    let commands = block.split(separator: "\n").map { $0.dropFirst(4) }.joined(separator: "\n")
    try await Self.withReports { url, key, folder in
      let file = folder.appending(path: "account.json")
      let script = "set -e; cd '\(folder.path)'; KEY='\(key)'\n\(commands)\n"
      let report = try await run(Self.asked + ["--format", "json", "--url", url]).output
      try report.write(to: file, atomically: false, encoding: .utf8)
      let good = try await run(["-c", script], executable: "/bin/bash")
      #expect(good.status == 0 && good.output.contains("Signature Verified Successfully"), "\(good.errors)")
      try report.replacingOccurrences(of: "5432100000", with: "5432100001").write(
        to: file, atomically: false, encoding: .utf8)
      let bad = try await run(["-c", script], executable: "/bin/bash")
      #expect(bad.status != 0 && bad.output.contains("Signature Verification Failure"))
    }
  }

  @Test("an aggregator without stored history says so")
  func notAvailable() async throws {
    try await withServer(APISources(live: FixtureAggregator())) { port async throws in
      let ended = try await run(Self.asked + ["--url", "http://127.0.0.1:\(port)"])
      #expect(ended.status == 1 && ended.errors.contains("(not_available)"))
    }
  }
}
