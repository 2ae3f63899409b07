import Testing

@testable import bongsu

@Suite struct TimeArgumentsTests {
  @Test(
    "an instant back from now is joined to its option, everything else stays",
    arguments: [
      ("query x --time -5m", "query x --time=-5m"),
      ("query x --start -1h --end -30m --step 5s", "query x --start=-1h --end=-30m --step 5s"),
      ("export --match x --start -1h", "export --match x --start=-1h"), ("query x --time now", "query x --time now"),
      ("query x --time -h", "query x --time -h"), ("query x --time", "query x --time"),
      ("query x --time=-1h -h", "query x --time=-1h -h"), ("query -- --time -1h", "query -- --time -1h"),
      ("query --time --start -1h", "query --time --start=-1h"), ("top -1h", "top -1h"), ("", ""),
    ])
  func join(line: String, expected: String) {
    func words(_ line: String) -> [String] { line.split(separator: " ").map(String.init) }
    #expect(TimeArguments.joined(words(line)) == words(expected))
  }

  @Test(
    "what is wrong beside an instant back from now is told with status 2, not with help",
    arguments: [
      ["query", "x", "--time", "-5m", "--step", "5s"], ["query", "x", "--start", "-1h", "--end", "soon"],
      ["query", "x", "--start", "-1h", "--end", "-2h"], ["query", "x", "--start", "-1h", "--last", "1h"],
      ["query", "x", "--time", "-1hour"], ["query", "--time", "-1h"], ["query", "x", "--time", "-1h", "--colour"],
      ["graph", "x", "--start", "-1h", "--width", "1"], ["series", "x", "--start", "-1h", "--limit", "0"],
      ["labels", "--start", "-1h", "--limit", "0"], ["gaps", "--start", "-1h", "--end", "soon"],
      ["export", "--start", "-1h"], ["export", "--match", "x", "--start", "-1h", "--format", "xml"],
    ])
  func refusals(arguments: [String]) async throws {
    let ended = try await run(arguments)
    #expect(ended.status == 2 && ended.output.isEmpty, "\(ended)")
    #expect(ended.errors.hasPrefix("Error: "), "\(ended)")
  }

  @Test("help is still given where it is asked for beside one")
  func help() async throws {
    let ended = try await run(["query", "x", "--start", "-1h", "-h"])
    #expect(ended.status == 0 && ended.output.contains("USAGE: bongsu query"))
  }
}
