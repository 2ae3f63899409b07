import BongsuReports
import Foundation
import Testing

@testable import bongsu

/// What the doctor says about facts that are written down here.
@Suite struct DoctorTests {
  private static let now: Int64 = 1_795_253_400_000

  /// A nation where all is well.
  private static var healthy: DoctorFacts {
    var node = NodeReport(id: "n1", state: .connected, gpus: 8)
    node.agentVersion = "1.2.3"
    node.skewMilliseconds = 12
    var status = StatusReport(
      version: "1.2.3", nation: "kr", uptimeSeconds: 60, ready: .ready,
      nodes: NodeCounts(connected: 1, known: 1, expected: 1),
      journal: JournalFigures(state: .writing, segments: 1, bytes: 1000, freeBytes: 1 << 40, commitMilliseconds: 3),
      closedTickUnixMilliseconds: now - 900, lagMilliseconds: 900)
    status.descriptors = DescriptorFigures(used: 50, limit: 1024)
    return DoctorFacts(
      version: "1.2.3", address: "http://here:7480", nowUnixMilliseconds: now, status: .known(status),
      clockOffsetMilliseconds: 5, roundTripMilliseconds: 4, nodes: .known(NodeList([node], limit: 10)),
      storage: .known(
        StorageReport(
          parts: [
            StorageReport.Part(
              name: "raw", bytes: 5_000_000_000, bytesPerDay: 1_000_000_000, predictedBytesPerDay: 2_000_000_000),
            StorageReport.Part(name: "1s", bytes: 0, predictedBytesPerDay: 30_000_000),
          ],
          bounds: [
            StorageReport.Bound(name: "raw", bytesMax: 40_000_000_000, daysHeld: 40, daysUntilReached: 35),
            StorageReport.Bound(name: "rollups", bytesMax: 4_000_000_000, daysHeld: 3.5),
          ], predictedForGPUs: 1600, minutesWaiting: 3,
          freeBytes: 90_000_000_000,
          diskBytes: 100_000_000_000, daysUntilFull: 90)),
      alerts: .known(
        AlertList(
          alerts: [], receivers: [receiver(isFailing: false)], groups: 3, rules: 29, failingRules: [], fileFailures: [],
          evaluatedUnixMilliseconds: now, isAfterRestart: false, saveFailure: nil)),
      tokens: .known(AccessTokenList(tokens: [])), certificateExpirySeconds: .known(Double(now / 1000) + 90 * 86_400))
  }

  private static func receiver(isFailing: Bool) -> AlertReceiverReport {
    AlertReceiverReport(
      name: "alertmanager", waiting: 4, delivered: 1, failed: 9, refused: 0, dropped: 0, isFailing: isFailing,
      lastFailure: isFailing ? "connection refused" : nil, lastDeliveredUnixMilliseconds: nil)
  }

  private func changed(_ change: (inout DoctorFacts, inout StatusReport) -> Void) throws -> Diagnosis {
    var facts = Self.healthy
    var status = try #require(facts.status.value)
    facts.status = .known(status)
    change(&facts, &status)
    if case .known = facts.status { facts.status = .known(status) }
    return Doctor.diagnosis(facts)
  }

  private func findings(_ diagnosis: Diagnosis) -> [String] {
    diagnosis.checks.filter { $0.state == .finding }.map(\.check)
  }

  @Test("where all is well every check is fine and says what it saw")
  func fine() {
    let diagnosis = Doctor.diagnosis(Self.healthy)
    #expect(diagnosis.checks.allSatisfy { $0.state == .fine && !$0.value.isEmpty }, "\(diagnosis)")
    #expect(diagnosis.checks.count == Set(diagnosis.checks.map(\.check)).count, "a word names one check")
    #expect(diagnosis.lines(style: .plain).last == "nothing to do")
    #expect(
      diagnosis.checks.contains { $0.value == "5.000 GB stored, 1.000 GB more a day, 90.00 GB free, full in 90 d" })
  }

  @Test("an aggregator that does not answer is the only finding")
  func unreachable() {
    var facts = Self.healthy
    facts.status = .unknown("cannot reach the aggregator: connection refused")
    let diagnosis = Doctor.diagnosis(facts)
    #expect(findings(diagnosis) == ["connection"] && diagnosis.checks.count == 1)
  }

  @Test(
    "each thing that is wrong is found by itself",
    arguments: [
      "connection", "state", "version", "agent-versions", "clock", "agent-clocks", "ticks", "journal", "disk",
      "disk-raw", "disk-rollups", "rollups-kept",
      "unassigned", "duplicates", "silent", "missing", "certificate", "tokens", "descriptors", "receivers", "rules",
      "alert-state",
    ])
  func one(check: String) throws {
    let diagnosis = try changed { facts, status in
      switch check {
      case "connection": facts.roundTripMilliseconds = 2001
      case "state": status.ready = .degraded(reason: "disk full")
      case "version": facts.version = "1.2.2"
      case "agent-versions": facts.nodes = .known(Self.nodes { $0.agentVersion = "1.2.2" })
      case "clock": facts.clockOffsetMilliseconds = -2003
      case "agent-clocks": facts.nodes = .known(Self.nodes { $0.skewMilliseconds = -2001 })
      case "ticks": status.lagMilliseconds = 20_001
      case "journal": status.journal.state = .stalled
      case "disk-raw":
        facts.storage = .known(
          StorageReport(parts: [], bounds: [StorageReport.Bound(name: "raw", bytesMax: 1_000_000_000, daysHeld: 0.99)]))
      case "disk-rollups":
        facts.storage = .known(
          StorageReport(parts: [], bounds: [StorageReport.Bound(name: "rollups", bytesMax: 1 << 20, daysHeld: 0)]))
      case "rollups-kept": facts.storage = .known(StorageReport(parts: [], bounds: [], minutesNotRestated: 3))
      case "disk": facts.storage = .known(StorageReport(parts: [], daysUntilFull: 13.9))
      case "unassigned":
        status.nodes = NodeCounts(connected: 1, known: 1, expected: 1, unassigned: 9, unassignedNames: ["stray"])
      case "duplicates":
        status.refused = [ReasonCount(reason: "cloned_key", count: 3, nextStep: "two machines use the key of n1")]
      case "silent": facts.nodes = .known(Self.nodes { $0.state = .silent })
      case "missing": facts.nodes = .known(Self.nodes { $0.state = .missing })
      case "certificate": facts.certificateExpirySeconds = .known(Double(Self.now / 1000) - 3600)
      case "tokens": facts.tokens = .known(Self.tokens(endsIn: 13 * 86_400_000))
      case "descriptors": status.nodes.expected = 976
      case "receivers": facts.alerts = .known(Self.alerts { $0.receivers = [Self.receiver(isFailing: true)] })
      case "rules": facts.alerts = .known(Self.alerts { $0.failingRules = ["PowerHigh: too many series"] })
      default: facts.alerts = .known(Self.alerts { $0.saveFailure = "disk full" })
      }
    }
    #expect(findings(diagnosis) == [check], "\(diagnosis)")
    let found = try #require(diagnosis.checks.first { $0.state == .finding })
    #expect(found.nextStep?.isEmpty == false && !found.value.isEmpty)
    #expect(diagnosis.lines(style: .plain).contains { $0.hasPrefix("! \(check) ") })
    #expect(diagnosis.lines(style: .plain).contains { $0.hasSuffix("→ \(found.nextStep ?? "")") })
  }

  @Test("what is just within its limit is fine")
  func justFine() throws {
    let diagnosis = try changed { facts, status in
      facts.roundTripMilliseconds = 2000
      facts.clockOffsetMilliseconds = 3000
      facts.nodes = .known(Self.nodes { $0.skewMilliseconds = 2000 })
      status.lagMilliseconds = 20_000
      status.journal.commitMilliseconds = 1000
      facts.storage = .known(StorageReport(parts: [], daysUntilFull: 14))
      facts.tokens = .known(Self.tokens(endsIn: 14 * 86_400_000 + 1))
      status.nodes.expected = 975
    }
    #expect(findings(diagnosis).isEmpty, "\(diagnosis)")
  }

  @Test("what could not be asked is told as not known, with the reason, and is no finding")
  func unknown() throws {
    let diagnosis = try changed { facts, status in
      facts.storage = .unknown("stored history is not available")
      facts.tokens = .unknown("only an admin may")
      status.descriptors = nil
    }
    #expect(findings(diagnosis).isEmpty)
    let unknown = diagnosis.checks.filter { $0.state == .unknown }
    #expect(unknown.map(\.check) == ["disk", "tokens", "descriptors"])
    #expect(unknown[0].value.contains("stored history is not available") && unknown[1].value == "only an admin may")
  }

  @Test("a token that sees a part is told that the machine is not its business")
  func scoped() throws {
    let diagnosis = try changed { facts, status in
      status.matchers = ["allocation=~\"msit(/.*)?\""]
      status.journal = JournalFigures()
    }
    #expect(findings(diagnosis).isEmpty && diagnosis.checks.last?.check == "machine")
  }

  @Test("the expiry is read from the metrics of the aggregator")
  func metrics() {
    let name = "bongsu_http_certificate_expiry_timestamp_seconds"
    #expect(DoctorFacts.expiry(inMetrics: "# TYPE \(name) gauge\n\(name) 1.7952534e+09\n") == 1_795_253_400)
    #expect(DoctorFacts.expiry(inMetrics: "other 1\n\(name)_else 3\n") == nil)
  }

  @Test("the JSON form carries every check by its word")
  func json() throws {
    let text = try JSONEncoder().encode(Doctor.diagnosis(Self.healthy))
    let read = try #require(try JSONSerialization.jsonObject(with: text) as? [String: Any])
    #expect(read["findings"] as? Int == 0)
    #expect((read["checks"] as? [[String: Any]])?.contains { $0["check"] as? String == "disk" } == true)
  }

  private static func nodes(_ change: (inout NodeReport) -> Void) -> NodeList {
    var nodes = healthy.nodes.value?.nodes ?? []
    change(&nodes[0])
    return NodeList(nodes, limit: 10)
  }

  private static func alerts(_ change: (inout AlertList) -> Void) -> AlertList {
    guard var list = healthy.alerts.value else { preconditionFailure("the healthy facts have alerts") }
    change(&list)
    return list
  }

  private static func tokens(endsIn milliseconds: Int64) -> AccessTokenList {
    AccessTokenList(tokens: [
      AccessTokenReport(
        id: "t1", name: "grafana", role: .viewer, matchers: [], state: .active, createdUnixMilliseconds: now,
        expiresUnixMilliseconds: now + milliseconds)
    ])
  }
}
