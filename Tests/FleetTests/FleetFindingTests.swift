import BongsuFleet
import BongsuModel
import BongsuTestKit
import Testing

/// A good fleet in which a test changes one line.
private let good = """
  version: 1
  nation: lab
  time_zone: Asia/Seoul
  plan_gpus: 100
  gpu_models:
    - { id: X1, gpus_per_node: 2, power_limit: 500 W, idle_power: 50 W, typical_power: 400 W, non_gpu_share: 30 % }
  factories:
    - id: seoul
      pue: 1.2
      halls:
        - id: a
          in_service: 2026-01-01
          power_limit: 1 MW
          racks:
            - { id: "r[1-2]", nodes: "{factory}-{hall}-{rack}-n[1-2]", model: H100 }
            - { id: r3, nodes: spare-1, model: X1, gpus_per_node: 1 }
        - id: b
          planned: true
          racks:
            - { id: r1, nodes: "b-n[01-04]", model: B200 }
      meters:
        - { id: main, halls: [a], contract_power: 500 kW, warn_at: 80 %, critical_at: 0.95 }
        - { id: second, halls: [b], source_node: utility-b, ratchet_months: [12, 1] }
  allocations:
    - { path: state, granted_gpus: 60 }
    - path: state/research
      granted_gpus: 40
      members:
        - { nodes: "seoul-a-r[1-2]-n[1-2]", from: 2026-01-01, until: 2027-01-01 }
        - { nodes: seoul-a-r1-n1, from: 2027-01-01 }
    - { path: firm, granted_gpus: 40, power_budget: 20 kW, members: [{ nodes: "b-n[01-04],spare-1" }] }
  maintenance:
    - { from: 2026-05-01, until: 2026-05-02T12:00, halls: seoul/a, racks: "seoul/b/r1", nodes: spare-1, reason: pumps }
  carbon_factors:
    - { from: 2026-01-01, grams_per_kwh: 417.3 }
  """

struct Mistake: Sendable, CustomTestStringConvertible {
  let old: String
  let new: String
  let line: Int
  let says: [String]
  var severity = FleetFinding.Severity.error
  var testDescription: String { "\(old) → \(new)" }
}

@Suite("Findings of a fleet file")
struct FleetFindingTests {
  @Test("the file that the other tests change is good")
  func isGood() {
    #expect(FleetFile(text: good, path: "f.yaml").findings.map(\.description) == [])
  }

  static let mistakes: [Mistake] = [
    // Names that occur twice.
    .init(old: "- id: b\n", new: "- id: a\n", line: 17, says: ["hall 'a'", "defined again", "line 11"]),
    .init(old: "id: second", new: "id: main", line: 23, says: ["meter 'main'", "line 22"]),
    .init(old: "path: firm,", new: "path: state,", line: 31, says: ["allocation 'state'", "line 25"]),
    .init(old: "id: r3", new: "id: r2", line: 16, says: ["rack 'r2'", "line 15"]),
    .init(
      old: "spare-1, model", new: "seoul-a-r1-n1, model", line: 16, says: ["'seoul-a-r1-n1'", "two racks", "line 15"]),
    .init(old: "{rack}-n[1-2]", new: "r-n[1-2]", line: 15, says: ["same for all 2 racks", "{rack}"]),
    .init(old: "id: X1", new: "id: X1 }\n  - { id: X1", line: 6, says: ["no 'gpus_per_node'"]),
    // References.
    .init(
      old: "model: H100", new: "model: H10", line: 15, says: ["GPU model 'H10' is unknown", "did you mean 'H100'"]),
    .init(old: ", model: B200", new: "", line: 20, says: ["no GPU model"]),
    .init(old: "path: state/research", new: "path: stat/research", line: 26, says: ["'stat'", "did you mean 'state'"]),
    .init(old: "halls: [b]", new: "halls: [c]", line: 23, says: ["hall 'c'", "seoul"]),
    .init(old: "halls: [b]", new: "halls: [a]", line: 23, says: ["hall 'a'", "'second'", "'main'"]),
    .init(
      old: "halls: seoul/a", new: "halls: seoul/aa", line: 33, says: ["hall 'seoul/aa'", "did you mean 'seoul/a'"]),
    .init(old: "seoul/b/r1", new: "seoul/b", line: 33, says: ["rack 'seoul/b'"]),
    .init(old: "nodes: \"b-n[01-04],", new: "nodes: \"b-n[01-06],", line: 31, says: ["'b-n05'", "1 more", "no rack"]),
    .init(old: "source_node: utility-b", new: "source_node: spare-1", line: 23, says: ["stands in a rack"]),
    // Grants and memberships.
    .init(old: "granted_gpus: 40\n", new: "granted_gpus: 61\n", line: 25, says: ["'state'", "61", "60"]),
    .init(old: "plan_gpus: 100", new: "plan_gpus: 99", line: 25, says: ["100", "99"]),
    .init(
      old: "from: 2027-01-01 }", new: "from: 2026-12-31 }", line: 30,
      says: ["'seoul-a-r1-n1'", "same time", "2026-12-31T00:00:00+09:00", "line 29"]),
    .init(
      old: "- { nodes: seoul-a-r1-n1, from: 2027-01-01 }", new: "- { nodes: seoul-a-r1-n1 }", line: 29,
      says: ["same time"]),
    .init(
      old: "granted_gpus: 40\n", new: "granted_gpus: 31\n", line: 26, says: ["'state/research'", "31", "up to 32"],
      severity: .warning),
    .init(old: "until: 2027-01-01", new: "until: 2026-01-01", line: 29, says: ["until", "not after 'from'"]),
    // Patterns.
    .init(old: "b-n[01-04]\", model", new: "b-n[04-01]\", model", line: 20, says: ["'04-01'", "counts backwards"]),
    .init(old: "r[1-2]\", nodes", new: "r[]\", nodes", line: 15, says: ["no name"]),
    .init(old: "r[1-2]\", nodes", new: "r[1-99999]\", nodes", line: 15, says: ["racks", "limit"]),
    .init(old: "n[1-2]\", model", new: "n[1-900000]\", model", line: 15, says: ["262144"]),
    .init(old: "nodes: spare-1, model", new: "nodes: spare/1, model", line: 16, says: ["'spare/1'", "label"]),
    // Keys, types, units, dates.
    .init(
      old: "planned: true", new: "planed: true", line: 18, says: ["has no key 'planed'", "did you mean 'planned'"]),
    .init(old: "planned: true", new: "planned: maybe", line: 18, says: ["'maybe'", "true or false"]),
    .init(old: "planned: true", new: "planned: true\n        in_service: 2026-01-01", line: 19, says: ["contradicts"]),
    .init(old: "in_service: 2026-01-01", new: "in_service: 2026-02-30", line: 12, says: ["'2026-02-30'", "calendar"]),
    .init(old: "plan_gpus: 100", new: "plan_gpus: lots", line: 4, says: ["'lots'", "whole number"]),
    .init(old: "power_limit: 1 MW", new: "power_limit: 1000", line: 13, says: ["'1000'", "unit"]),
    .init(old: "power_limit: 1 MW", new: "power_limit: -1 MW", line: 13, says: ["'-1 MW'"]),
    .init(old: "contract_power: 500 kW", new: "contract_power: [500 kW]", line: 22, says: ["a list", "single value"]),
    .init(old: "warn_at: 80 %", new: "warn_at: 96 %", line: 22, says: ["warn_at", "above critical_at"]),
    .init(old: "ratchet_months: [12, 1]", new: "ratchet_months: [0, 1]", line: 23, says: ["'0'", "1 to 12"]),
    .init(old: "pue: 1.2", new: "pue: 0.9", line: 9, says: ["'0.9'", "1.000 to 5.000"]),
    .init(old: "pue: 1.2\n", new: "operator: o\n", line: 22, says: ["neither 'pue' nor 'source_node'"]),
    .init(old: "time_zone: Asia/Seoul", new: "time_zone: Europe/Paris", line: 3, says: ["'Europe/Paris'", "+09:00"]),
    .init(old: "version: 1", new: "version: 2", line: 1, says: ["2", "version 1"]),
    .init(old: "nation: lab", new: "nation: l a b", line: 2, says: ["'l a b'", "label"]),
    .init(old: "id: seoul\n", new: "id: unassigned\n", line: 8, says: ["'unassigned'", "taken"]),
    .init(old: "gpus_per_node: 1 }", new: "gpus_per_node: 0 }", line: 16, says: ["'0'"]),
    .init(old: "gpus_per_node: 1 }", new: "gpus_per_node: 145 }", line: 16, says: ["'145'", "144"]),
    .init(old: "idle_power: 50 W", new: "idle_power: 450 W", line: 6, says: ["idle ≤ typical"]),
    .init(old: "417.3", new: "about 400", line: 35, says: ["'about 400'"]),
    .init(
      old: "- { from: 2026-01-01, grams",
      new: "- { from: 2026-01-01, grams_per_kwh: 1 }\n  - { from: 2026-01-01, grams", line: 36,
      says: ["second carbon factor", "line 35"]),
    .init(old: "  - id: seoul\n", new: "  - seoul\n  - id: seoul\n", line: 8, says: ["text 'seoul'", "mapping"]),
    .init(old: "allocations:\n", new: "allocations: none\nother:\n", line: 24, says: ["text 'none'", "list"]),
    // YAML itself.
    .init(old: "nation: lab", new: "nation: [lab", line: 3, says: ["malformed YAML"]),
    .init(old: "nation: lab", new: "nation: lab\nnation: lab", line: 2, says: ["'nation' appears twice"]),
    .init(old: "nation: lab", new: "\tnation: lab", line: 2, says: ["malformed YAML"]),
    .init(old: "nation: lab", new: "nation: *lab", line: 2, says: ["undefined alias"]),
    .init(old: "nation: lab", new: "nation: lab\n---\nmore: 1", line: 3, says: ["another document"]),
  ]

  @Test("each mistake is named with its line, its value and a remedy", arguments: mistakes)
  func namesMistake(mistake: Mistake) {
    #expect(good.contains(mistake.old))
    let text = good.replacing(mistake.old, with: mistake.new, maxReplacements: 1)
    let file = FleetFile(text: text, path: "f.yaml")
    #expect((file.tree == nil) == (mistake.severity == .error))
    let named = file.findings.contains { finding in
      finding.severity == mistake.severity && finding.line == mistake.line
        && mistake.says.allSatisfy { finding.description.contains($0) }
    }
    let lines = file.findings.map(\.description).joined(separator: "\n")
    #expect(named, "nothing on line \(mistake.line) says \(mistake.says):\n\(lines)")
  }

  @Test("all mistakes of a file are found in one go, in file order")
  func collectsAll() {
    let text =
      good
      .replacing("model: H100", with: "model: H10").replacing("planned: true", with: "planned: maybe")
      .replacing("417.3", with: "x").replacing("plan_gpus: 100", with: "plan_gpus: 1.5")
    let file = FleetFile(text: text, path: "f.yaml")
    let lines = file.findings.map(\.line)
    #expect(lines == lines.sorted())
    #expect(Set(lines).isSuperset(of: [4, 15, 18, 35]))
    #expect(file.tree == nil)
    #expect(throws: FleetFile.Unusable.self) { try file.usableTree() }
  }

  @Test("findings are bounded, and the rest is counted")
  func bounded() {
    let keys = (0..<Limits.findingsMax + 50).map { "zz\($0): 1" }.joined(separator: "\n")
    let findings = FleetFile(text: good + "\n" + keys, path: "f.yaml").findings
    #expect(findings.count == Limits.findingsMax + 1)
    #expect(findings.last?.message == "50 more findings are not shown, limit \(Limits.findingsMax)")
  }

  @Test(
    "texts that are no fleet at all are refused",
    arguments: ["", "# only a comment", "just text", "- a\n- list", "\u{0}", "{", String(repeating: "[", count: 3000)])
  func noFleet(text: String) {
    let file = FleetFile(text: text, path: "f.yaml")
    #expect(file.tree == nil && file.findings.contains { $0.severity == .error })
  }

  @Test("a few lines of aliases cannot stand for billions of values")
  func aliasBomb() {
    var lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in 1..<12 {
      lines.append("a\(level): &a\(level) [\(Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", "))]")
    }
    let file = FleetFile(text: lines.joined(separator: "\n"), path: "f.yaml")
    #expect(file.findings.first?.message.contains("\(Limits.valuesMax) values") == true)
  }

  @Test("a file that is missing, a folder, or too large is refused")
  func unreadable() {
    let missing = FleetFile(path: "/nonexistent/fleet.yaml")
    #expect(missing.findings.first?.message.contains("No such file") == true)
    let folder = FleetFile(path: "/tmp")
    #expect(folder.tree == nil && folder.findings.count == 1)
    let large = FleetFile(text: good + "\n#" + String(repeating: "x", count: Limits.fileBytesMax), path: "f.yaml")
    #expect(large.findings.first?.message.contains("limit \(Limits.fileBytesMax)") == true)
  }

  @Test("random changes of the file never crash the check", arguments: 1...4 as ClosedRange<UInt64>)
  func mutated(seed: UInt64) {
    var random = SeededRandom(default: seed)
    print("seed \(random.seed)")
    let letters = Array("[]{}:,-\"'#&*!|>%@0123456789abnr \n\t/.~\u{e9}\u{1f600}")
    for _ in 0..<300 {
      var text = Array(good)
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let place = Int.random(in: text.indices, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: text[place] = letters.randomElement(using: &random)!
        case 1: text.insert(letters.randomElement(using: &random)!, at: place)
        case 2: text.remove(at: place)
        default:
          let other = Int.random(in: text.indices, using: &random)
          text.insert(contentsOf: text[min(place, other)..<min(max(place, other), min(place, other) + 200)], at: place)
        }
      }
      let file = FleetFile(text: String(text), path: "f.yaml")
      #expect(file.tree != nil || file.findings.contains { $0.severity == .error }, "seed \(random.seed)")
    }
  }

  @Test("cutting the file anywhere never crashes the check")
  func truncated() {
    for length in stride(from: 0, to: good.utf8.count, by: 7) {
      let file = FleetFile(text: String(good.prefix(length)), path: "f.yaml")
      #expect(file.tree != nil || !file.findings.isEmpty)
    }
  }
}
