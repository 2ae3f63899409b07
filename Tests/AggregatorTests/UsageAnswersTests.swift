import BongsuAPI
import BongsuDevices
import BongsuFleet
import BongsuModel
import BongsuReports
import BongsuRollup
import BongsuTestKit
import Testing

@testable import bongsu_aggregator

/// Accounts of simulated GPUs, made up of real rollups, against the sum of every single sample.
@Suite("accounts of a month")
struct UsageAnswersTests {
  static let past = Result { try SimulatedPast() }

  private func close(_ left: Double?, _ right: Double?) -> Bool {
    guard let left, let right else { return left == nil && right == nil }
    return abs(left - right) <= 1e-9 * max(1, abs(left), abs(right))
  }

  @Test(
    "every figure equals the one added up from raw samples",
    arguments: [
      (UsageSubject(.allocation, "blue"), ["n1", "n2", "n3", "s1"]),
      (UsageSubject(.allocation, "blue/one"), ["n1", "n2", "s1"]),
      (UsageSubject(.allocation, "green"), ["s2"]),
      (UsageSubject(.factory, "north", name: "North"), ["n1", "n2", "n3"]),
      (UsageSubject(.factory, "south"), ["s1", "s2"]),
    ])
  func bruteForce(subject: UsageSubject, nodes: [String]) async throws {
    let past = try Self.past.get()
    let signed = try await past.answers().report(
      UsageReportRequest(subject.kind, subject.id, month: ReportMonth("2026-10")), within: .unlimited)
    let (report, account) = (signed.report, signed.report.account)
    let samples = past.samples.filter { nodes.contains($0.node) }
    let gpus = samples.flatMap(\.gpus)

    #expect(report.subject.id == subject.id && report.month == "2026-10" && report.isWholeMonth)
    #expect(close(account.reportingGPUHours, Double(gpus.count) / 3600))
    #expect(close(account.expectedGPUHours, Double(gpus.count) / 3600))
    #expect(close(account.busyGPUHours, Double(gpus.count { $0.permille >= 50 }) / 3600))
    #expect(account.busyGPUHours > 0 && (subject.id != "blue" || account.idleGPUHours > 0), "the simulation did both")
    #expect(account.grantedGPUHours == (subject.id == "blue" ? 24 : nil))
    // The aggregator was away, counters went on: energy of that time is in the first sample after it.
    var joules: [Double] = [0, 0, 0]
    for node in nodes {
      for gpu in 0..<2 {
        var last: Int64?
        for sample in samples where sample.node == node {
          if let last { joules[Int((sample.second - 1) / 3600)] += Double(sample.gpus[gpu].millijoules - last) / 1000 }
          // Before the first there is none to subtract: its own power counts for its second.
          if last == nil { joules[0] += Double(sample.gpus[gpu].milliwatts) / 1000 }
          last = sample.gpus[gpu].millijoules
        }
      }
    }
    #expect(abs(account.energyJoules - joules.reduce(0, +)) <= 1e-3 * account.energyJoules + 2000)
    // 2026-10-31T22:00 in Korea is an hour after the beginning.
    let megawattHours = account.energyJoules / 3.6e9
    let carbon = try #require(account.carbonTonnes)
    #expect(carbon > megawattHours * 0.4173 && carbon < megawattHours * 0.4541)
    #expect(report.carbonFactors.map(\.tonnesPerMegawattHour) == [0.4541, 0.4173])

    // Means of each minute's known seconds, and of each quarter's known minutes.
    var minutes: [Int64: (watts: Double, seconds: Set<Int64>, permille: Double, gpus: Double)] = [:]
    for sample in samples {
      var minute = minutes[(sample.second - 1) / 60] ?? (0, [], 0, 0)
      minute.watts += Double(sample.nodeMilliwatts) / 1000
      minute.seconds.insert(sample.second)
      minute.permille += Double(sample.gpus.reduce(0) { $0 + $1.permille })
      minute.gpus += 2
      minutes[(sample.second - 1) / 60] = minute
    }
    let watts = minutes.mapValues { $0.watts / Double($0.seconds.count) }
    #expect(account.knownMinutes == minutes.count && account.knownMinutes == 180 - 6)
    #expect(
      close(account.meanWatts, watts.sorted { $0.key < $1.key }.reduce(0) { $0 + $1.value } / Double(watts.count)))
    let quarters = Dictionary(grouping: watts, by: { $0.key / 15 }).mapValues { minutes in
      minutes.sorted { $0.key < $1.key }.reduce(0) { $0 + $1.value } / Double(minutes.count)
    }
    let peak = try #require(quarters.max { ($0.value, $1.key) < ($1.value, $0.key) })
    #expect(close(account.peak?.watts, peak.value))
    #expect(account.peak?.startUnixMilliseconds == SimulatedPast.start + peak.key * 900_000)
    #expect(account.estimatedShare == 0 && account.peak?.estimatedWatts == 0)
    let shares = minutes.values.map { $0.permille / $0.gpus / 1000 }.sorted()
    #expect(close(account.utilizationMean, shares.reduce(0, +) / Double(shares.count)))
    #expect(close(account.utilizationMedian, shares[(shares.count + 1) / 2 - 1]))
    #expect(close(account.utilization95, shares[Int((0.95 * Double(shares.count)).rounded(.up)) - 1]))
    // Of the whole month three hours are stored but for the seconds away.
    #expect(close(account.stored, (3 - 437.0 / 3600) / 744))
    #expect(account.coverage == 1)
    try signed.check(signedBy: try ownKey(signed))
  }

  private func ownKey(_ signed: SignedReport) throws -> ReportKey {
    try #require(ReportKey(signed.signature.key))
  }

  @Test("nodes are listed by what their GPUs drew idle, hour by hour")
  func idleNodes() async throws {
    let past = try Self.past.get()
    let report = try await past.answers().report(
      UsageReportRequest(.allocation, "blue", month: ReportMonth("2026-10")), within: .unlimited
    ).report
    let expected = ["n1", "n2", "n3", "s1"].map { node -> (node: String, watts: Double) in
      let hours = (0..<3).map { hour -> Double in
        let samples = past.samples.filter { $0.node == node && ($0.second - 1) / 3600 == Int64(hour) }
        let watts = samples.reduce(0.0) { $0 + Double($1.gpus.reduce(0) { $0 + $1.milliwatts }) / 1000 }
        let idle = samples.reduce(0) { $0 + $1.gpus.count { $0.permille < 50 } }
        return watts / Double(samples.count) * Double(idle) / Double(2 * samples.count)
      }
      return (node, hours.reduce(0, +) / 3)
    }.filter { $0.watts > 0 }.sorted { $0.watts > $1.watts }
    let nodes = try #require(report.idleNodes)
    #expect(nodes.map(\.node) == expected.map(\.node) && !nodes.isEmpty)
    for (node, want) in zip(nodes, expected) { #expect(close(node.idleWatts, want.watts) && node.hours == 3) }
    #expect(nodes.allSatisfy { $0.factory == ($0.node.hasPrefix("n") ? "north" : "south") })
  }

  @Test("of the running month the full hours count, without a month it is the last one that is over")
  func months() async throws {
    let past = try Self.past.get()
    let running = try await past.answers(now: "2026-10-31T14:30:00Z").report(
      UsageReportRequest(.factory, "north", month: ReportMonth("2026-10")), within: .unlimited
    ).report
    #expect(!running.isWholeMonth)
    #expect(running.account.endUnixMilliseconds == SimulatedPast.start + 2 * 3_600_000)
    #expect(close(running.account.stored, (2 - 437.0 / 3600) / 743))
    let last = try await past.answers().report(UsageReportRequest(.factory, "north"), within: .unlimited).report
    #expect(last.month == "2026-10")
    // Midnight in Korea is 15:00 UTC of the day before.
    let early = try await past.answers(now: "2026-10-31T15:30:00Z").report(
      UsageReportRequest(.factory, "north"), within: .unlimited
    ).report
    #expect(early.month == "2026-10" && early.isWholeMonth)
    for (month, now) in [
      ("2026-11", "2026-10-31T14:59:59Z"), ("2026-11", "2026-10-31T15:30:00Z"), ("2027-01", "2026-11-15T00:00:00Z"),
    ] {
      await #expect(throws: APIError.self, "\(month) at \(now)") {
        try await past.answers(now: now).report(
          UsageReportRequest(.factory, "north", month: ReportMonth(month)), within: .unlimited)
      }
    }
  }

  @Test("who may not see the whole gets no account, and cannot tell what exists")
  func scopes() async throws {
    let past = try Self.past.get()
    let answers = try past.answers()
    func code(_ kind: UsageSubject.Kind, _ id: String, _ matchers: [String]) async throws -> String {
      let scope = try AccessScope(matchers)
      do {
        return try await answers.report(UsageReportRequest(kind, id), within: scope).report.subject.id
      } catch let error as APIError { return "\(error.code.rawValue) \(error.message)" }
    }
    #expect(try await code(.allocation, "blue", ["allocation=\"blue\""]) == "blue")
    #expect(try await code(.allocation, "blue/one", ["allocation=\"blue\""]) == "blue/one")
    #expect(try await code(.factory, "south", ["factory=\"south\""]) == "south")
    let refused = [
      try await code(.allocation, "blue", ["allocation=\"blue/two\""]),
      try await code(.allocation, "green", ["allocation=\"blue/two\""]),
      try await code(.allocation, "nobody", ["allocation=\"blue/two\""]),
    ]
    for (text, id) in zip(refused, ["blue", "green", "nobody"]) {
      #expect(text == "unknown_name no allocation is called \"\(id)\"; known are blue/two")
    }
    #expect(try await code(.factory, "north", ["allocation=\"blue\""]).hasPrefix("unknown_name"))
    #expect(try await code(.allocation, "blue", ["factory=\"north\""]).hasPrefix("unknown_name"))
    #expect(
      try await code(.allocation, "blue", ["allocation=\"blue\"", "factory=\"north\""]).hasPrefix("unknown_name"))
    #expect(try await code(.factory, "nowhere", []).contains("known are north, south"))
  }

  @Test("the key is made once, for its owner's eyes alone, and one that is damaged is not replaced")
  func keyFile() throws {
    let folder = try TemporaryDirectory()
    let key = try ReportKeyFile.signer(directory: folder.path).key
    #expect(try ReportKeyFile.signer(directory: folder.path).key == key)
    #expect(runShell("test \"$(stat -c %a '\(folder.path)/keys/report.key')\" = 600") == 0)
    #expect(runShell("chmod 644 '\(folder.path)/keys/report.key'") == 0)
    #expect(throws: StartFailure.self) { try ReportKeyFile.signer(directory: folder.path) }
    #expect(runShell("chmod 600 '\(folder.path)/keys/report.key'; echo x > '\(folder.path)/keys/report.key'") == 0)
    #expect(throws: StartFailure.self) { try ReportKeyFile.signer(directory: folder.path) }
  }
}
