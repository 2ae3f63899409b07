import BongsuTestKit
import Foundation
import Testing

/// What the programs do with what they cannot use: they say what and where, and end before anything starts.
@Suite("wrong input of programs")
struct WrongInputTests {
  static let wrongUsage: [[String]] = [
    ["bongsu-agent", "--bake"], ["bongsu-agent", "bake"], ["bongsu-agent", "run", "extra"],
    ["bongsu-agent", "run", "--node"], ["bongsu-agent", "run", "--node", "a", "--node", "b"],
    ["bongsu-agent", "sample", "--format", "xml"], ["bongsu-agent", "join"], ["bongsu-agent", "join", "a", "b"],
    ["bongsu-facility-agent", "--bake"], ["bongsu-facility-agent", "bake"], ["bongsu-facility-agent", "run", "extra"],
    ["bongsu-facility-agent", "sample", "extra"], ["bongsu-facility-agent", "join"],
    ["bongsu-aggregator", "--bake"], ["bongsu-aggregator"],
    ["bongsu-aggregator", "--fleet", "f.yaml", "--data", "d", "--listen", "nowhere"],
    ["bongsu-aggregator", "--fleet", "f.yaml", "--data", "d", "--shards", "0"], ["bongsu-fleet", "--bake"],
    ["bongsu-fleet"], ["bongsu", "top", "--bake"], ["bongsu", "bake"],
  ]

  @Test("a wrong flag is told with the usage on standard error, status 2", arguments: wrongUsage)
  func usage(words: [String]) async throws {
    let ended = try await run(words[0], Array(words.dropFirst()))
    #expect(ended.status == 2, "\(ended.errors)")
    #expect(ended.errors.lowercased().contains("usage: \(words[0])"), "\(ended.errors)")
    #expect(ended.output.isEmpty)
  }

  /// File contents and the place and expectation that must be named.
  static let wrongSettings = [
    ("node r1\n", ":1: expected 'key = value'"), ("node = a\n\nbake = 1\n", ":3: unknown key 'bake', expected one of"),
    ("node = a\nnode = b\n", ":2: 'node' is given twice"), ("interval =\n", ":1: 'interval' has no value"),
  ]

  @Test("a wrong line of the agent's configuration is named, status 1", arguments: wrongSettings)
  func configuration(contents: String, complaint: String) async throws {
    try await refused("bongsu-agent", contents, complaint) { ["run", "--config", $0] }
  }

  static let wrongRecordings = [
    ("", ":1: file is empty; expected the header"), ("a,b\n1,2\n", ":1: header starts with 'a,b'; expected"),
    ("run,node,gpu,t_ms,power_w\na,n,0,1000,abc\n", ":2: power_w is 'abc'; expected a number"),
    ("run,node,gpu,t_ms,power_w\na,n,0,1000\n", ":2: 4 fields; expected 5"),
  ]

  @Test("a wrong line of a recording is named, status 1", arguments: wrongRecordings)
  func recording(contents: String, complaint: String) async throws {
    try await refused("bongsu-agent", contents, complaint) { ["run", "--source", "replay:\($0)"] }
    try await refused("bongsu-agent", contents, complaint) { ["sample", "--source", "replay:\($0)"] }
  }

  static let wrongFleets = [
    ("version: 1\nnation: lab\n", ":1:1: error: the fleet file has no"), ("factories: [\n", ":2:"),
    ("version: 1\nnation: lab\nbake: 1\n", ":3:"),
  ]

  @Test("a wrong line of the fleet file is named, status 1, and nothing was started", arguments: wrongFleets)
  func fleet(contents: String, complaint: String) async throws {
    let folder = try TemporaryDirectory()
    let data = "\(folder.path)/data"
    try await refused("bongsu-aggregator", contents, complaint) { ["--fleet", $0, "--data", data] }
    #expect(!FileManager.default.fileExists(atPath: data))
    try await refused("bongsu-fleet", contents, complaint) { ["--fleet", $0, "--aggregator", "127.0.0.1:9"] }
    try await refused("bongsu", contents, complaint) { ["fleet", "check", $0] }
  }

  @Test(
    "a file that is not there is named, status 1",
    arguments: [
      ["bongsu-agent", "run", "--config", "/nonexistent/file"],
      ["bongsu-agent", "run", "--source", "replay:/nonexistent/file"],
      ["bongsu-aggregator", "--fleet", "/nonexistent/file", "--data", "/nonexistent/data"],
      ["bongsu-fleet", "--fleet", "/nonexistent/file", "--aggregator", "127.0.0.1:9"],
      ["bongsu", "fleet", "check", "/nonexistent/file"],
    ])
  func missing(words: [String]) async throws {
    let ended = try await run(words[0], Array(words.dropFirst()))
    #expect(ended.status == 1)
    #expect(ended.errors.contains("/nonexistent/file"), "\(ended.errors)")
  }

  private func refused(
    _ program: String, _ contents: String, _ complaint: String, _ arguments: (String) -> [String],
    location: SourceLocation = #_sourceLocation
  ) async throws {
    let folder = try TemporaryDirectory()
    let file = "\(folder.path)/input"
    try contents.write(toFile: file, atomically: true, encoding: .utf8)
    let ended = try await run(program, arguments(file))
    let said = ended.errors + ended.output
    #expect(ended.status == 1, "\(said)", sourceLocation: location)
    #expect(said.contains(file + complaint), "\(program): \(said)", sourceLocation: location)
  }
}
