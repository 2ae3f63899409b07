import BongsuAPI
import FixtureAggregator
import Foundation
import Testing

@Suite struct UsageTests {
  static let commands = [
    [], ["status"], ["top"], ["nodes"], ["nodes", "list"], ["nodes", "show"], ["nodes", "revoke"], ["join-token"],
    ["join-token", "create"], ["join-token", "list"], ["join-token", "revoke"], ["token"], ["token", "create"],
    ["token", "list"], ["token", "revoke"], ["export"], ["query"], ["graph"], ["series"],
    ["labels"], ["fleet"],
    ["fleet", "check"], ["fleet", "show"], ["fleet", "restate"], ["rules"], ["rules", "check"], ["rules", "test"],
    ["backup"], ["restore"],
  ]

  @Test("every command has help with an example, on standard output, with status 0", arguments: commands)
  func help(command: [String]) async throws {
    let ended = try await run(command + ["--help"])
    #expect(ended.status == 0 && ended.errors.isEmpty)
    #expect(ended.output.contains("Example:\n") && ended.output.contains("bongsu \(command.first ?? "")"))
  }

  @Test("the version is one line")
  func version() async throws {
    let ended = try await run(["--version"])
    #expect(ended.status == 0 && ended.output.hasPrefix("bongsu ") && ended.output.split(separator: "\n").count == 1)
  }

  @Test(
    "wrong usage is told on standard error with status 2, before anything is sent",
    arguments: [
      ["bake"], ["top", "planets"], ["top", "--by", "colour"], ["top", "--limit", "0"], ["top", "--limit", "many"],
      ["top", "--count", "2"], ["top", "--watch", "--count", "0"], ["top", "factories", "--node", "r1"],
      ["top", "--format", "xml"], ["top", "--colour"], ["status", "extra"], ["status", "--url", "ftp://x"],
      ["status", "--url", "127.0.0.1:7480"], ["status", "--url", "http://"], ["status", "--url", "http://a/?b=c"],
      ["nodes", "show"], ["nodes", "list", "--state", "asleep"], ["join-token", "create", "--expires", "soon"],
      ["join-token", "create", "--count", "0"], ["join-token", "create", "--expires", "31d"],
      ["join-token", "revoke", "../x"], ["export"], ["export", "--match", "x"], ["fleet", "check"],
      ["fleet", "restate"], ["fleet", "restate", "--from", ""],
      ["fleet", "restate", "--from", "2026-11-01", "--format", "csv"],
      ["export", "--match", "x", "--start", "yesterday"], ["fleet", "show", "x.yaml", "--at", "noon"],
      ["rules", "test"], ["token", "create"], ["token", "create", "--name", "a b"], ["token", "revoke", "../x"],
      ["token", "create", "--name", "a", "--role", "root"], ["token", "create", "--name", "a", "--expires", "soon"],
      ["token", "create", "--name", "a", "--role", "admin", "--match", "factory=\"a\""],
      ["token", "create", "--name", "a", "--expires", "4000d"],
      ["query"], ["query", "1", "--time", "soon"], ["query", "1", "--time", "-1h", "--last", "1h"],
      ["query", "1", "--last", "soon"], ["query", "1", "--last", "0s"], ["query", "1", "--step", "5s"],
      ["query", "1", "--last", "1h", "--step", "0"], ["query", "1", "--start", "5", "--last", "1h"],
      ["query", "1", "--end", "now"], ["query", "1", "--start", "now", "--end", "5"],
      ["query", "1", "--format", "xml"], ["graph"], ["graph", "1", "--limit", "27"], ["graph", "1", "--width", "39"],
      ["graph", "1", "--height", "3"], ["series"], ["series", "x", "--limit", "0"], ["labels", "0x"],
      ["labels", "--limit", "0"], ["backup"], ["backup", "a", "b"], ["restore"], ["restore", "a"],
      ["restore", "--data", "d"],
    ])
  func wrongUsage(arguments: [String]) async throws {
    let ended = try await run(arguments)
    #expect(ended.status == 2 && ended.output.isEmpty && !ended.errors.isEmpty, "\(ended)")
  }

  @Test("an aggregator that is not there is one line with its address and the next step, status 1")
  func nobodyThere() async throws {
    // A port that was free a moment ago; nothing else starts listening on it meanwhile.
    let port = try await withServer(APISources(live: FixtureAggregator())) { $0 }
    let ended = try await run(["status", "--url", "http://127.0.0.1:\(port)"])
    #expect(ended.status == 1 && ended.output.isEmpty)
    #expect(
      ended.errors == """
        bongsu: cannot reach the aggregator at http://127.0.0.1:\(port): connection refused; is the aggregator running? \
        start it with ops/run, or give another address by --url or BONGSU_URL

        """)
  }

  @Test("something else behind the address is told as such")
  func somethingElse() async throws {
    try await withServer(APISources(live: FixtureAggregator())) { port async throws in
      let ended = try await run(["status", "--url", "http://127.0.0.1:\(port)/elsewhere"])
      #expect(ended.status == 1 && ended.errors.contains("nothing is at /elsewhere/api/bongsu/v1/status"))
    }
  }
}
