import BongsuAPI
import BongsuReports
import FixtureAggregator
import Foundation
import Testing

/// The command as a process against a server in this process.
@Suite struct CommandTests {
  @Test("top factories prints power, estimates, utilization and coverage, aligned, without colour in a pipe")
  func topFactories() async throws {
    try await withServer(APISources(live: FixtureAggregator())) { port async throws in
      let ended = try await run(["top", "factories", "--url", "http://127.0.0.1:\(port)"])
      #expect(ended.status == 0 && ended.errors.isEmpty)
      #expect(
        ended.output == """
          FACTORY       NAME        POWER  ESTIMATED    UTIL     ENERGY  BUSY  REPORTING  COVERAGE
          sk-ulsan      울산 SK  3.000 GW              3.1 %  50.00 MWh     1      16/24    66.6 %
          naver-sejong           23.20 kW  +2.800 kW  90.9 %   386.7 Wh    26      28/32    87.5 %
          unassigned              700.0 W             50.0 %   11.67 Wh     1        2/0         -
          at 2026-11-21T09:30:00Z, energy since 2026-11-21T09:29:00Z, 3 rows by power

          """)
    }
  }

  @Test("top allocations is an indented tree with what was granted, and shows a GPU-less row as unknown, not as zero")
  func topAllocations() async throws {
    try await withServer(APISources(live: FixtureAggregator())) { port async throws in
      let ended = try await run(["top", "allocations"], environment: ["BONGSU_URL": "http://localhost:\(port)/"])
      #expect(ended.status == 0)
      let lines = ended.output.split(separator: "\n").map(String.init)
      #expect(lines[0].hasPrefix("ALLOCATION ") && lines[0].contains("GRANTED"))
      #expect(lines[3].hasPrefix("msit "))
      #expect(lines[4].hasPrefix("  naver-hosted "))
      #expect(lines[5].hasPrefix("  sk-hosted ") && lines[5].contains("  -  ") && lines[5].hasSuffix("0/8     0.0 %"))
    }
  }

  @Test("JSON is the answer to the last digit, CSV has the exact figures")
  func exactForms() async throws {
    try await withServer(APISources(live: FixtureAggregator())) { port async throws in
      let url = "http://127.0.0.1:\(port)"
      let json = try await run(["top", "nation", "--format", "json", "--url", url])
      #expect(json.output.contains("\"power_total_milliwatts\":3000026700005,"))
      #expect(try JSONDecoder().decode(TopReport.self, from: Data(json.output.utf8)).rows.count == 1)
      let csv = try await run(["top", "nation", "--format", "csv", "--url", url])
      let lines = csv.output.components(separatedBy: "\r\n")
      #expect(lines.count == 3 && lines[0].hasPrefix("time,level,id,name,parent,depth,"))
      #expect(lines[1].contains(",3000023900005,2800000,3000026700005,"))
      let status = try await run(["status", "--format", "csv", "--url", url])
      #expect(status.output.contains(",9007199254740993,"))
    }
  }

  @Test("filters, order and limit reach the aggregator, and a cut list says so")
  func filters() async throws {
    try await withServer(APISources(live: FixtureAggregator())) { port async throws in
      let ended = try await run([
        "top", "racks", "--by", "utilization", "--limit", "1", "--factory", "naver-sejong", "--allocation", "naver",
        "--url", "http://127.0.0.1:\(port)",
      ])
      #expect(ended.output.contains("naver-sejong/hall-1/r2") && !ended.output.contains("r3"))
      #expect(ended.output.hasSuffix("1 of 2 rows by utilization, --limit shows more\n"))
    }
  }

  @Test("status tells everything in words, with the next step beside each trouble")
  func status() async throws {
    let fixture = FixtureAggregator()
    fixture.setReady(.degraded(reason: "disk full: 0 B free"))
    try await withServer(APISources(live: fixture)) { port async throws in
      let ended = try await run(["status", "--url", "http://127.0.0.1:\(port)"])
      #expect(
        ended.output == """
          bongsu 9.8.7, 대한민국, degraded: disk full: 0 B free, up 1 d 2 h
          nodes    7 connected, 9 expected in service, 8 known
                   1 in no rack of the fleet file (stray-01); add them to it, or see `bongsu nodes list --unassigned`
          ingest   1,235 samples/s, 7 blocks/s, 2.048 kB/s; 9,007,199,254,740,993 samples so far, 3 duplicate blocks dropped
          journal  writing, 3 segments of 4.295 GB, 107.4 GB free, durable within 1.5 ms, 2 records pending
          data     complete up to 2026-11-21T09:30:00Z, 180 ms behind
          refused  2 unknown_key (revoke it or enrol the node)
          losses   30 node ticks in 1 gaps; 1 agent_restart

          """)
    }
  }

  @Test("nodes are listed, shown and revoked, and what is unknown is refused in the aggregator's words")
  func nodes() async throws {
    let fixture = FixtureAggregator()
    try await withServer(APISources(live: fixture, enrolment: fixture)) { port async throws in
      let url = "http://127.0.0.1:\(port)"
      let list = try await run(["nodes", "list", "--state", "missing", "--url", url])
      #expect(list.output.contains("msit/sk-hosted") && list.output.hasSuffix("1 nodes\n"))
      let shown = try await run(["nodes", "show", "stray-01", "--url", url])
      #expect(shown.output.contains("last tick      2026-11-21T09:30:00Z\n") && !shown.output.contains("factory"))
      let revoked = try await run(["nodes", "revoke", "stray-01", "--url", url])
      #expect(revoked.status == 0 && revoked.output.contains("state          revoked\n"))
      let unknown = try await run(["nodes", "show", "nobody", "--url", url])
      #expect(unknown.status == 1 && unknown.output.isEmpty)
      #expect(
        unknown.errors
          == "bongsu: no node is called \"nobody\"; list them with `bongsu nodes list` (not_found)\n")
      let malformed = try await run(["nodes", "show", "../status", "--url", url])
      #expect(malformed.status == 2 && malformed.errors.contains("cannot be the name of a node"))
    }
  }

  @Test("gaps are listed by node and time, with their reason, and what is damaged is counted")
  func gaps() async throws {
    let fixture = FixtureAggregator()
    try await withServer(APISources(live: fixture, gaps: fixture)) { port async throws in
      let url = "http://127.0.0.1:\(port)"
      let all = try await run([
        "gaps", "--start", "2026-11-21T09:00:00Z", "--end", "2026-11-21T10:00:00Z", "--url", url,
      ])
      #expect(
        all.output == """
          NODE               FACTORY       ALLOCATION  FIRST TICK            LAST TICK             ROWS  REASON         WHAT
          naver-sejong-r2-5  naver-sejong  naver       2026-11-21T09:29:00Z  2026-11-21T09:29:29Z    30  agent_restart  the agent ended
          stray-01           -             -           -                     -                        -  new_stream     the spool was lost
          2 gaps; 1 records are damaged and left out

          """)
      let one = try await run([
        "gaps", "--node", "stray-01", "--last", "7d", "--format", "csv", "--url", url,
      ])
      #expect(one.output.hasSuffix("\r\nstray-01,,,,,,new_stream,the spool was lost,see the disk\r\n"))
      let cut = try await run([
        "gaps", "--start", "2026-11-21T09:00:00Z", "--end", "2026-11-21T10:00:00Z", "--limit", "1", "--url", url,
      ])
      #expect(cut.output.contains("the newest 1 of 2 gaps, --limit shows more"))
      let empty = try await run(["gaps", "--node", "nobody", "--url", url])
      #expect(empty.status == 0 && empty.output == "0 gaps; 1 records are damaged and left out\n")
      for (arguments, message) in [
        (["--last", "soon"], "--last is \"soon\""), (["--start", "-1h", "--last", "1h"], "exclude each other"),
        (["--start", "yesterday"], "is not a time"), (["--limit", "0"], "--limit is 0"),
      ] {
        let wrong = try await run(["gaps", "--url", url] + arguments)
        #expect(wrong.status == 2 && wrong.errors.contains(message), "\(wrong.errors)")
      }
    }
  }

  @Test("join tokens: strings on standard output alone, the warning beside, lists without secrets")
  func joinTokens() async throws {
    let fixture = FixtureAggregator()
    try await withServer(APISources(live: fixture, enrolment: fixture), token: "0123456789abcdef") {
      port async throws in
      let environment = ["BONGSU_URL": "http://127.0.0.1:\(port)", "BONGSU_TOKEN": "0123456789abcdef"]
      let created = try await run(
        ["join-token", "create", "--count", "2", "--expires", "2h", "--nodes", "r[01-08]", "--comment", "row,1"],
        environment: environment)
      #expect(created.status == 0 && created.output == "bongsu1.secret-jt-1\nbongsu1.secret-jt-2\n")
      #expect(created.errors.hasPrefix("keep it safe"))
      let revoked = try await run(["join-token", "revoke", "jt-2"], environment: environment)
      #expect(revoked.output.contains("revoked"))
      let list = try await run(["join-token", "list", "--format", "csv"], environment: environment)
      #expect(
        !list.output.contains("secret")
          && list.output.contains("jt-1,open,2026-11-21T09:30:00Z,2026-11-21T11:30:00Z,1,1,r[01-08],\"row,1\"\r\n"))
      let denied = try await run(["join-token", "list"], environment: ["BONGSU_URL": "http://127.0.0.1:\(port)"])
      #expect(denied.status == 1)
      #expect(denied.errors == "bongsu: no token was given; set BONGSU_TOKEN or give --token (unauthenticated)\n")
    }
  }

  @Test("an export goes to standard output or to a new file, never over an old one")
  func export() async throws {
    let fixture = FixtureAggregator()
    let file = FileManager.default.temporaryDirectory.appending(path: "bongsu-export-\(UUID().uuidString).csv").path
    defer { try? FileManager.default.removeItem(atPath: file) }
    try await withServer(APISources(live: fixture, export: fixture)) { port async throws in
      let range = ["--start", "1795253400", "--end", "2026-11-21T09:30:02Z", "--url", "http://127.0.0.1:\(port)"]
      let printed = try await run(["export", "--match", "bongsu_gpu_power_watts{node=\"r1,n1\"}"] + range)
      #expect(printed.status == 0 && printed.output.hasSuffix("# EOF\n"))
      #expect(printed.output.split(separator: "\n").count == 8)
      let written = try await run(["export", "--match", "x", "--format", "csv", "--output", file] + range)
      #expect(written.status == 0 && written.output.isEmpty)
      #expect(try String(contentsOfFile: file, encoding: .utf8).components(separatedBy: "\r\n").count == 8)
      let again = try await run(["export", "--match", "x", "--output", file] + range)
      #expect(again.status == 1 && again.errors.hasPrefix("bongsu: cannot create \(file); it exists already"))
    }
  }

  @Test("a reader that leaves early ends the command quietly, as with any filter")
  func brokenPipe() async throws {
    let fixture = FixtureAggregator()
    try await withServer(APISources(live: fixture, export: fixture)) { port async throws in
      let command =
        "\(bongsuPath) export --match x --start 1700000000 --end now --url http://127.0.0.1:\(port) | head -1"
      let ended = try await run(["-c", command + "; echo ${PIPESTATUS[0]}"], executable: "/bin/bash")
      #expect(ended.output == "# TYPE bongsu_gpu_power_watts gauge\n141\n" && ended.errors.isEmpty)
    }
  }
}
