import BongsuTestKit
import Foundation
import Testing

/// A token for one of two tenants against the real program, over every route that tells of data.
@Suite("what a tenant's token tells of others")
struct ScopedProgramTests {
  /// Two tenants: one has a factory of its own, both share another, and everything of the rival's is named so that no answer
  /// can contain it by chance.
  private static let fleet = """
    version: 1
    nation: lab
    time_zone: UTC
    factories:
      - id: alpha
        pue: 1.3
        halls:
          - id: a
            in_service: 2020-01-01
            model: H100
            racks: [{ id: r1, nodes: "alpha-n[1-2]", power_limit: 30 kW }]
        meters: [{ id: alpha-feed, contract_power: 90 kW }]
      - id: commons
        halls:
          - id: c
            in_service: 2020-01-01
            model: H100
            racks: [{ id: r2, nodes: "commons-n[1-2]" }]
      - id: zetafactory
        name: Zetafactory
        pue: 1.3
        halls:
          - id: zetahall
            in_service: 2020-01-01
            model: H100
            racks: [{ id: zetarack, nodes: zetanode }]
        meters: [{ id: zetafeed, contract_power: 77 kW }]
    allocations:
      - { path: mine, granted_gpus: 24, members: [{ nodes: ["alpha-n[1-2]", commons-n1] }] }
      - { path: mine-too, granted_gpus: 8, members: [{ nodes: commons-n2 }] }
      - { path: rival, granted_gpus: 8, members: [{ nodes: zetanode }] }
    """
  /// Words that stand for others.
  private static let others = ["zeta", "rival", "mine-too", "commons-n2"]
  private static let ownGPUs = 24

  @Test(
    "no route tells of others, streams and listings included, and others' names are as unknown as names of nobody",
    .timeLimit(.minutes(5)))
  func scoped() async throws {
    let folder = try TemporaryDirectory()
    let plan = "\(folder.path)/fleet.yaml"
    try Self.fleet.write(toFile: plan, atomically: true, encoding: .utf8)
    let (ingest, http) = (freePort(), freePort())
    let url = "http://127.0.0.1:\(http)"
    let aggregator = try RunningProgram(
      "bongsu-aggregator",
      [
        "--fleet", plan, "--data", "\(folder.path)/data", "--listen", "127.0.0.1:\(ingest)", "--http",
        "127.0.0.1:\(http)",
      ])
    let fleet = try RunningProgram("bongsu-fleet", ["--fleet", plan, "--aggregator", "127.0.0.1:\(ingest)"])
    defer { fleet.send(SIGTERM) }
    let isThere = try await eventually(within: 120) {
      try await Asker(url: url, token: "").get("/api/v1/query?query=count(bongsu_gpu_power_watts)", isNarrowed: false)
        .contains("\"40\"")
    }
    try #require(isThere, "\(aggregator.errors)\n\(fleet.errors)")
    let made = try await run(
      "bongsu",
      ["token", "create", "--name", "m", "--match", "allocation=\"mine\"", "--expires", "1h", "--url", url])
    try #require(made.status == 0, "\(made)")
    let asker = Asker(url: url, token: made.output.trimmingCharacters(in: .whitespacesAndNewlines))
    try await Self.listings(asker)
    try await Self.streams(asker)
    try await Self.names(asker)
    try await Self.whole(asker)
    aggregator.terminate()
    #expect(try await aggregator.ended(within: 60)?.status == 0)
  }

  /// Routes that list: to those who see everything they tell of others, which the token's answers must not.
  private static func listings(_ asker: Asker) async throws {
    let everything = "%7B__name__%3D~%22.%2B%22%7D"
    for path in [
      "/federate?match%5B%5D=\(everything)", "/api/v1/series?match%5B%5D=\(everything)",
      "/api/v1/query?query=\(everything)", "/api/v1/label/node/values", "/api/v1/label/factory/values",
      "/api/v1/label/allocation/values", "/api/bongsu/v1/nodes", "/api/bongsu/v1/top/factories",
      "/api/bongsu/v1/top/allocations", "/api/bongsu/v1/top/halls", "/api/bongsu/v1/top/racks",
      "/api/bongsu/v1/top/nodes", "/api/bongsu/v1/top/gpus",
      "/api/bongsu/v1/export?start=0&end=now&format=csv&match=\(everything)",
    ] {
      let path = path.replacing("end=now", with: "end=\(Int(Date().timeIntervalSince1970))")
      let narrowed = try await asker.get(path)
      let all = try await asker.get(path, isNarrowed: false)
      #expect(narrowed.hasSuffix("\n200") && all.hasSuffix("\n200"), "\(path): \(narrowed.prefix(300))")
      #expect(others.contains { all.contains($0) }, "\(path) shows nothing of others at all")
      #expect(told(narrowed) == [], "\(path)")
    }
    #expect(try await asker.get("/federate?match%5B%5D=\(everything)").contains("bongsu_gpu_power_watts{"))
    // These may have nothing to tell of anybody.
    for path in [
      "/api/bongsu/v1/status", "/api/bongsu/v1/gaps", "/api/bongsu/v1/alerts", "/api/bongsu/v1/alerts/history",
      "/api/v1/alerts", "/api/v1/rules", "/api/bongsu/v1/ledger", "/api/bongsu/v1/ledger?by=factory",
      "/api/bongsu/v1/ledger?allocation=mine", "/api/v1/status/tsdb", "/api/v1/status/config", "/api/v1/metadata",
      "/api/bongsu/v1/whoami", "/api/v1/query?query=count(bongsu_gpu_power_watts)",
    ] {
      #expect(told(try await asker.get(path)) == [], "\(path)")
    }
    // How much is stored says how much others send.
    let storage = try await asker.get("/api/bongsu/v1/storage")
    #expect(!storage.contains("bytes"))
  }

  private static func streams(_ asker: Asker) async throws {
    for (view, expected) in [
      ("nation", ownGPUs), ("summary", ownGPUs), ("allocation&id=mine", ownGPUs), ("factory&id=alpha", 16),
      ("factory&id=commons", 8), ("factory&id=commons&heat=coverage", 8), ("rack&id=commons&hall=c&rack=r2", nil),
      ("rack&id=alpha&hall=a&rack=r1", nil), ("node&id=commons-n1", nil),
    ] as [(String, Int?)] {
      let path = "/api/bongsu/v1/live?view=\(view)"
      let text = try await asker.events(path)
      #expect(text.contains("event: opening") && text.contains("event: figures"), "\(path): \(text)")
      #expect(told(text) == [], "\(path)")
      guard let expected else { continue }
      let line = try #require(text.split(separator: "\n").last { $0.hasPrefix("data: ") })
      let figures = try JSONSerialization.jsonObject(with: Data(line.dropFirst(6).utf8)) as? [String: Any]
      let subject = try #require(figures?["subject"] as? [Any], "\(line)")
      // Only those of one's own are counted, in a factory that others use as well too.
      #expect((subject[3] as? NSNumber)?.intValue == expected, "\(path): \(line)")
    }
    #expect(told(try await asker.events("/api/bongsu/v1/live?view=nation", isNarrowed: false)).count > 1)
  }

  /// What others have is refused in the words with which something is refused that nobody has.
  private static func names(_ asker: Asker) async throws {
    for (path, theirs, nobodys) in [
      ("/api/bongsu/v1/live?view=factory&id=NAME", "zetafactory", "zetafactors"),
      ("/api/bongsu/v1/live?view=allocation&id=NAME", "rival", "rivas"),
      ("/api/bongsu/v1/live?view=allocation&id=NAME", "mine-too", "mine-tos"),
      ("/api/bongsu/v1/live?view=node&id=NAME", "zetanode", "zetanods"),
      ("/api/bongsu/v1/live?view=node&id=NAME", "commons-n2", "commons-n3"),
      ("/api/bongsu/v1/live?view=rack&id=zetafactory&hall=zetahall&rack=NAME", "zetarack", "zetaracs"),
      ("/api/bongsu/v1/live?view=rack&id=zetafactory&hall=NAME&rack=zetarack", "zetahall", "zetahals"),
      ("/api/bongsu/v1/live?view=rack&id=NAME&hall=zetahall&rack=zetarack", "zetafactory", "zetafactors"),
      ("/api/bongsu/v1/ledger?allocation=NAME", "rival", "rivas"),
      ("/api/bongsu/v1/ledger?factory=NAME", "zetafactory", "zetafactors"),
      ("/api/bongsu/v1/ledger?by=factory&factory=NAME", "zetafactory", "zetafactors"),
      ("/api/bongsu/v1/nodes/NAME", "zetanode", "zetanods"), ("/api/bongsu/v1/gaps?node=NAME", "zetanode", "zetanods"),
      ("/api/bongsu/v1/top/nodes?factory=NAME", "zetafactory", "zetafactors"),
      ("/api/bongsu/v1/top/nodes?allocation=NAME", "rival", "rivas"),
      ("/federate?match%5B%5D=%7Bnode%3D%22NAME%22%7D", "zetanode", "zetanods"),
      ("/api/v1/query?query=absent(bongsu_gpu_power_watts%7Bnode%3D%22NAME%22%7D)&time=1", "zetanode", "zetanods"),
    ] {
      func answer(_ name: String) async throws -> String {
        let path = path.replacing("NAME", with: name)
        let said = try await path.contains("/live?") ? asker.events(path) : asker.get(path)
        return said.replacing(name, with: "NAME")
      }
      let one = try await answer(theirs)
      let other = try await answer(nobodys)
      // Answers may name the instant that they are of.
      #expect(!one.isEmpty && timeless(one) == timeless(other), "\(path): \(one) but \(other)")
    }
  }

  /// What concerns the whole is not for a part.
  private static func whole(_ asker: Asker) async throws {
    for path in ["/metrics", "/api/bongsu/v1/tokens", "/api/bongsu/v1/join-tokens"] {
      #expect(try await asker.get(path).hasSuffix("\n403"), "\(path)")
    }
  }

  private static func told(_ text: String) -> [String] { others.filter { text.contains($0) } }

  private static func timeless(_ text: String) -> String {
    text.replacing(#/[0-9]{10,13}(\.[0-9]+)?|[0-9]{4}-[0-9-]*T[0-9:.]*Z/#, with: "T")
  }
}

/// Asks one aggregator with a token, or without.
private struct Asker {
  let url: String
  let token: String

  /// Body and status of an answer.
  func get(_ path: String, isNarrowed: Bool = true) async throws -> String {
    try await shell("curl -s -m 60 \(header(isNarrowed)) -w '\\n%{http_code}' '\(url)\(path)'")
  }

  /// A stream up to its first figures, or what was answered in its place.
  func events(_ path: String, isNarrowed: Bool = true) async throws -> String {
    try await shell("curl -sN -m 60 \(header(isNarrowed)) '\(url)\(path)' | sed '/^event: figures/{n;q}'")
  }

  private func header(_ isNarrowed: Bool) -> String { isNarrowed ? "-H 'Authorization: Bearer \(token)'" : "" }

  /// In a process that is waited for without blocking a thread, since other tests serve HTTP in this one.
  private func shell(_ command: String) async throws -> String {
    try await run("/bin/sh", ["-c", command], within: 90).output
  }
}
