import BongsuAPI
import BongsuFleet
import BongsuModel
import BongsuReports
import BongsuRollup
import Foundation

/// Makes up accounts of a month: hours from the ledger, minutes of power and utilization and hours of nodes from stored
/// rollups.
struct UsageAnswers: ReportSource {
  let tree: FleetTree
  let tiers: any TierReader
  let ledger: any HistorySource
  let signer: ReportSigner
  /// The present, milliseconds since 1970.
  var now: @Sendable () -> Int64 = { Int64((Date().timeIntervalSince1970 * 1000).rounded(.down)) }

  var key: ReportKey { signer.key }

  func report(_ request: UsageReportRequest, within scope: AccessScope) async throws -> SignedReport {
    let subject = try subject(request, within: scope)
    let present = now()
    let month = try month(request.month, present)
    let start = month.start(secondsEast: tree.timeZone.secondsEast)
    let over = month.next.start(secondsEast: tree.timeZone.secondsEast)
    // Of the running month, the hours that are over.
    let end = min(over, present - present % Self.hour)
    guard start < end else {
      throw APIError(
        .badParameter, "\(month) has no full hour yet in \(tree.timeZone)", nextStep: "ask for an earlier month")
    }
    let hours = try await hours(subject, start, end)
    let tiers = tiers
    let (minutes, nodes) = try await IngestService.onThread("account") {
      (
        try Self.minutes(of: subject, in: tiers, start, end),
        try Self.idleNodes(of: subject, in: tiers, start, end)
      )
    }
    let factors = tree.carbonFactors.map {
      BongsuReports.CarbonFactor(
        sinceUnixMilliseconds: $0.from.unixMilliseconds,
        tonnesPerMegawattHour: Double($0.milligramsPerKilowattHour) / 1e6)
    }
    let account = UsageAccount(
      startUnixMilliseconds: start, endUnixMilliseconds: end, hours: hours, minutes: minutes, carbon: factors)
    let report = UsageReport(
      nation: tree.name.isEmpty ? tree.nation : tree.name, subject: subject, month: month,
      timeZone: tree.timeZone.name, secondsEast: tree.timeZone.secondsEast, isWholeMonth: end == over,
      madeUnixMilliseconds: present, release: Release.version, account: account,
      carbonFactors: Self.counting(factors, start, end), idleNodes: nodes)
    return try SignedReport(report, by: signer)
  }

  static let hour: Int64 = 3_600_000

  // MARK: What is asked for

  /// Whose account it is. Somebody who sees a part of it gets none: an account is of a whole.
  private func subject(_ request: UsageReportRequest, within scope: AccessScope) throws -> UsageSubject {
    switch request.kind {
    case .allocation:
      let known = tree.allocations.map(\.path)
      guard let found = tree.allocation(request.id), scope.includes(["allocation": request.id]) else {
        throw APIError.unknownName("allocation", request.id, known: known.filter { scope.includes(["allocation": $0]) })
      }
      return UsageSubject(.allocation, request.id, name: tree[found].name)
    case .factory:
      let known = tree.factories.map(\.id)
      guard let found = tree.factory(request.id), scope.includes(["factory": request.id]) else {
        throw APIError.unknownName("factory", request.id, known: known.filter { scope.includes(["factory": $0]) })
      }
      return UsageSubject(.factory, request.id, name: tree[found].name)
    }
  }

  private func month(_ asked: ReportMonth?, _ present: Int64) throws -> ReportMonth {
    let zone = tree.timeZone
    guard zone.secondsEast % 3600 == 0 else {
      throw APIError(
        .notAvailable, "clocks of \(zone) are not whole hours ahead of UTC, and accounts are kept by the hour of UTC",
        nextStep: "set time_zone of the fleet file to one that is")
    }
    guard let running = ReportMonth(containing: present, secondsEast: zone.secondsEast) else {
      throw APIError(.internalFailure, "the clock stands at \(present) ms", nextStep: "set the clock")
    }
    let month = asked ?? running.previous
    guard month <= running else {
      throw APIError(.badParameter, "\(month) has not begun", nextStep: "ask for \(running) or an earlier month")
    }
    return month
  }

  // MARK: What it is made of

  private func hours(_ subject: UsageSubject, _ start: Int64, _ end: Int64) async throws -> [UsageHour] {
    var request = LedgerRequest(startUnixMilliseconds: start, endUnixMilliseconds: end, step: .hour)
    switch subject.kind {
    case .allocation: request.allocation = subject.id
    case .factory: request.factory = subject.id
    }
    // Whether it may be seen is settled.
    let entries = try await ledger.ledger(request, within: .unlimited).entries
    switch subject.kind {
    case .allocation:
      return entries.filter { $0.allocation == subject.id && $0.factory == nil }.map(UsageHour.init)
    case .factory:
      // What stands there belongs to allocations, of which those at the top have everything once.
      let tops = entries.filter { $0.depth == 1 && $0.factory == subject.id }
      return Dictionary(grouping: tops, by: \.startUnixMilliseconds).values.map { parts in
        var hour = UsageHour(parts[0])
        hour.grantedGPUHours = nil
        for part in parts.dropFirst() {
          hour.expectedGPUHours += part.expectedGPUHours
          hour.reportingGPUHours += part.reportingGPUHours
          hour.busyGPUHours += part.busyGPUHours
          hour.energyJoules += part.energyJoules
          hour.stored = min(hour.stored, part.stored)
        }
        return hour
      }
    }
  }

  private static let total = series("bongsu_power_total_watts", "sum")
  private static let estimated = series("bongsu_power_estimated_watts", "sum")
  private static let utilization = series("bongsu_gpu_utilization_ratio", "avg")
  private static let gpuPower = series("bongsu_gpu_power_watts", "sum")
  private static let reporting = series("bongsu_gpus", "reporting")
  private static let busy = series("bongsu_gpus", "busy")

  private static func series(_ metric: String, _ operation: String) -> RollupSeries {
    guard let series = RollupSeries.all.first(where: { $0.metric == metric && $0.operation == operation }) else {
      preconditionFailure("no rollup is called \(metric):\(operation)")
    }
    return series
  }

  /// Ends of the windows that make up the time.
  private static func ends(_ tier: Tier, _ start: Int64, _ end: Int64) -> ClosedRange<Tick> {
    Tick(unixMilliseconds: start + tier.milliseconds)...Tick(unixMilliseconds: end)
  }

  private static func minutes(
    of subject: UsageSubject, in tiers: any TierReader, _ start: Int64, _ end: Int64
  ) throws -> [UsageMinute] {
    let label = subject.kind.rawValue
    let question = TierQuestion(
      .rollup(subject.kind == .allocation ? .allocation : .factory), .minute, in: ends(.minute, start, end),
      [total, estimated, utilization]
    ) { labels in labels.contains { $0.name == label && $0.value == subject.id } }
    var minutes: [UsageMinute] = []
    try tiers.visit(question) { _, course in
      for (index, end) in course.ends.enumerated() where !course.values[0][index].isNaN {
        let (watts, guessed, share) = (course.values[0][index], course.values[1][index], course.values[2][index])
        let estimate = guessed.isNaN ? 0 : min(guessed, watts)
        minutes.append(
          UsageMinute(
            startUnixMilliseconds: end - Tier.minute.milliseconds, measuredWatts: watts - estimate,
            estimatedWatts: estimate, utilization: share.isNaN ? nil : share))
      }
      return true
    }
    return minutes
  }

  /// The nodes whose idle GPUs drew most; `nil` when no node of the subject has stored hours.
  ///
  /// Hours that are not stored as such yet are made up of their minutes.
  private static func idleNodes(
    of subject: UsageSubject, in tiers: any TierReader, _ start: Int64, _ end: Int64
  ) throws -> [IdleNode]? {
    var nodes: [String: IdleHours] = [:]
    let whole = try tiers.extent(.node, .hour).map { min(end, max(start, $0.upperBound.unixMilliseconds)) } ?? start
    for (tier, from, to) in [(Tier.hour, start, whole), (.minute, whole, end)] where from < to {
      let question = TierQuestion(.node, tier, in: ends(tier, from, to), [gpuPower, reporting, busy]) { labels in
        labels.contains { label in
          switch subject.kind {
          case .factory: label.name == "factory" && label.value == subject.id
          case .allocation: label.name == "allocation" && TopFilter.allocation(label.value, isWithin: subject.id)
          }
        }
      }
      try tiers.visit(question) { group, course in
        func label(_ name: String) -> String { group.labels.first { $0.name == name }?.value ?? "" }
        // A node that changed hands has a group for each of its holders.
        nodes[label("node"), default: IdleHours(factory: label("factory"))].add(course, tier)
        return true
      }
    }
    let known = nodes.filter { $0.value.hours > 0 }
    guard !known.isEmpty else { return nil }
    // The highest come first, and of equal ones the name, so that the same history gives the same document.
    let all = known.map {
      IdleNode(
        node: $0.key, factory: $0.value.factory, idleWatts: $0.value.watts / Double($0.value.hours),
        hours: $0.value.hours)
    }
    return Array(
      all.filter { $0.idleWatts > 0 }.sorted { ($1.idleWatts, $0.node) < ($0.idleWatts, $1.node) }
        .prefix(UsageReport.idleNodesMax))
  }

  /// What a node's idle GPUs drew in the hours of which something is known.
  private struct IdleHours {
    let factory: String
    /// Sum over hours.
    var watts = 0.0
    var hours = 0

    /// Adds windows of power, reporting and busy GPUs, means each.
    mutating func add(_ course: TierCourse, _ tier: Tier) {
      var index = 0
      while index < course.ends.count {
        // All windows that begin in the same hour.
        let hour = (course.ends[index] - tier.milliseconds).flooredDivision(by: UsageAnswers.hour)
        var (power, there, working, windows) = (0.0, 0.0, 0.0, 0)
        while index < course.ends.count,
          (course.ends[index] - tier.milliseconds).flooredDivision(by: UsageAnswers.hour) == hour
        {
          let values = course.values.map { $0[index] }
          index += 1
          guard !values.contains(where: \.isNaN), values[1] > 0 else { continue }
          power += values[0]
          there += values[1]
          working += values[2]
          windows += 1
        }
        guard windows > 0 else { continue }
        watts += power / Double(windows) * max(0, there - working) / there
        hours += 1
      }
    }
  }

  /// The factors that count within the time: the last one before it, and those that begin in it.
  private static func counting(
    _ factors: [BongsuReports.CarbonFactor], _ start: Int64, _ end: Int64
  ) -> [BongsuReports.CarbonFactor] {
    let known = factors.filter { $0.sinceUnixMilliseconds < end }
    let first = known.lastIndex { $0.sinceUnixMilliseconds <= start } ?? 0
    return Array(known[first...])
  }
}
