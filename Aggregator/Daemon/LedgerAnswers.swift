import BongsuAPI
import BongsuFleet
import BongsuModel
import BongsuReports
import BongsuRollup
import BongsuStore

/// Accounts for what allocations had and used, from stored hours: by membership as it was when each minute was formed.
///
/// The hour that is not over yet is made up of its minutes. Blocks, so not for a task's thread.
struct LedgerAnswers: Sendable {
  let tiers: TierStore
  let plan: RollupPlan

  private static let hour: Int64 = 3_600_000

  private struct Key: Hashable {
    let allocation: String
    let factory: String?
  }

  private struct Account {
    var expectedTicks: Int64 = 0
    var reportingTicks: Int64 = 0
    var busyTicks: Int64 = 0
    var millijoules: Int64 = 0
    var powerSum = 0.0
    /// By factory, of those that are added up.
    var powerTicks: [String: Int64] = [:]
    var peakWatts: Double?

    /// Adds an hour or a minute of one group.
    mutating func add(_ window: WindowTable, factory: String) {
      expectedTicks += window.field(.expectedGPUs, 0).sum
      reportingTicks += window.field(.reportingGPUs, 0).sum
      busyTicks += window.field(.busyGPUs, 0).sum
      millijoules += window.field(.gpuEnergy, 0).sum
      let power = window.power(.total, 0)
      powerSum += Double(power.sum)
      powerTicks[factory, default: 0] += power.ticks
    }
  }

  /// What is asked for, with everything looked up.
  private struct Work {
    var spans: [Range<Int64>]
    let level: RollupLevel
    /// Whether entries are made by factory.
    let isSplit: Bool
    let includes: @Sendable ([(name: String, value: String)]) -> Bool
    var accounts: [Key: [Account]] = [:]
    /// Seconds that are stored of each span.
    var storedTicks: [Int64]

    var whole: Range<Int64> { spans[0].lowerBound..<spans[spans.count - 1].upperBound }

    /// Which span holds the instant.
    func span(of instant: Int64) -> Int? {
      var (low, high) = (0, spans.count)
      while low < high {
        let middle = (low + high) / 2
        if spans[middle].upperBound > instant { high = middle } else { low = middle + 1 }
      }
      return low < spans.count && spans[low].contains(instant) ? low : nil
    }

    func key(_ labels: [(name: String, value: String)]) -> Key? {
      guard let allocation = labels.first(where: { $0.name == "allocation" })?.value else { return nil }
      return Key(
        allocation: allocation, factory: isSplit ? labels.first { $0.name == "factory" }?.value : nil)
    }
  }

  /// - Throws: ``APIError`` of `unknown_name`, or what the store refuses.
  func report(_ request: LedgerRequest, within access: AccessScope) throws -> LedgerReport {
    // Hours are not kept by who stands where in a hall.
    guard !["hall", "rack", "node"].contains(where: { access.limits($0) }) else { return LedgerReport(entries: []) }
    var work = try work(request, access)
    guard !work.spans.isEmpty else { return LedgerReport(entries: []) }
    try add(to: &work)
    try addPeaks(to: &work, isSummed: work.level == .factoryAllocation && !work.isSplit)
    return LedgerReport(entries: entries(work))
  }

  private func work(_ request: LedgerRequest, _ access: AccessScope) throws -> Work {
    let tree = plan.tree
    if let path = request.allocation, tree.allocation(path) == nil {
      throw APIError.unknownName("allocation", path, known: tree.allocations.map(\.path))
    }
    if let id = request.factory, tree.factory(id) == nil {
      throw APIError.unknownName("factory", id, known: tree.factories.map(\.id))
    }
    let isSplit = request.byFactory || request.factory != nil
    let spans = spans(request)
    let (asked, factory) = (request.allocation, request.factory)
    return Work(
      spans: spans, level: isSplit || access.limits("factory") ? .factoryAllocation : .allocation, isSplit: isSplit,
      includes: { labels in
        for label in labels {
          switch label.name {
          case "allocation":
            guard asked.map({ label.value == $0 || label.value.hasPrefix("\($0)/") }) ?? true,
              access.covers("allocation", label.value)
            else { return false }
          case "factory":
            guard factory.map({ $0 == label.value }) ?? true, access.covers("factory", label.value) else {
              return false
            }
          default: break
          }
        }
        return true
      }, storedTicks: Array(repeating: 0, count: spans.count))
  }

  /// Whole hours, or days of the nation's zone.
  private func spans(_ request: LedgerRequest) -> [Range<Int64>] {
    let start = request.startUnixMilliseconds.flooredDivision(by: Self.hour) * Self.hour
    let end = (request.endUnixMilliseconds + Self.hour - 1).flooredDivision(by: Self.hour) * Self.hour
    guard start < end else { return [] }
    let length: Int64
    var offset: Int64 = 0
    switch request.step {
    case nil: return [start..<end]
    case .hour: length = Self.hour
    case .day:
      length = 24 * Self.hour
      offset = Int64(plan.tree.timeZone.secondsEast) * 1000
    }
    var spans: [Range<Int64>] = []
    var from = start
    while from < end {
      let next = ((from + offset).flooredDivision(by: length) + 1) * length - offset
      spans.append(from..<min(next, end))
      from = min(next, end)
    }
    return spans
  }

  private func add(to work: inout Work) throws {
    var minutes = work.whole
    for level in [work.level, .nation] {
      let isNation = level == .nation
      let includes = isNation ? { @Sendable _ in true } : work.includes
      func take(_ labels: [(name: String, value: String)], _ window: WindowTable) {
        let start = window.end.unixMilliseconds - Int64(window.length.rawValue) * 1000
        guard let span = work.span(of: start) else { return }
        if isNation {
          work.storedTicks[span] += window.ticks
          return
        }
        guard let key = work.key(labels) else { return }
        var account = work.accounts[key] ?? Array(repeating: Account(), count: work.spans.count)
        account[span].add(window, factory: labels.first { $0.name == "factory" }?.value ?? "")
        work.accounts[key] = account
      }
      // The end of the last hour that is stored as one.
      var hoursEnd = work.whole.lowerBound
      if let extent = try tiers.extent(.rollup(level), .hour) {
        hoursEnd = max(hoursEnd, min(work.whole.upperBound, extent.upperBound.unixMilliseconds))
        if let range = Self.ticks(work.whole.lowerBound..<hoursEnd) {
          try tiers.forEachWindow(.rollup(level), .hour, in: range, where: includes, take)
        }
      }
      minutes = hoursEnd..<work.whole.upperBound
      if let range = Self.ticks(minutes) {
        try tiers.forEachWindow(.rollup(level), .minute, in: range, where: includes, take)
      }
    }
  }

  /// Ends of windows that lie in a time.
  private static func ticks(_ span: Range<Int64>) -> ClosedRange<Tick>? {
    guard !span.isEmpty else { return nil }
    return Tick(unixMilliseconds: span.lowerBound + 1)...Tick(unixMilliseconds: span.upperBound)
  }

  /// The highest minute of IT power; where factories are added up, of their sum.
  private func addPeaks(to work: inout Work, isSummed: Bool) throws {
    guard let series = RollupSeries.all.first(where: { $0.source == .power(.total) }),
      let range = Self.ticks(work.whole)
    else { return }
    var sums: [Key: [Int64: Double]] = [:]
    func note(_ key: Key, _ end: Int64, _ watts: Double) {
      guard let span = work.span(of: end - 1) else { return }
      let known = work.accounts[key]?[span].peakWatts
      work.accounts[key, default: Array(repeating: Account(), count: work.spans.count)][span].peakWatts =
        known.map { max($0, watts) } ?? watts
    }
    try tiers.visit(TierQuestion(.rollup(work.level), .minute, in: range, [series], where: work.includes)) {
      group, course in
      guard let key = work.key(group.labels) else { return true }
      for (end, watts) in zip(course.ends, course.values[0]) where !watts.isNaN {
        if isSummed { sums[key, default: [:]][end, default: 0] += watts } else { note(key, end, watts) }
      }
      return true
    }
    for (key, minutes) in sums { for (end, watts) in minutes { note(key, end, watts) } }
  }

  private func entries(_ work: Work) -> [LedgerEntry] {
    let tree = plan.tree
    // Allocations of the plan have an entry even where nothing is stored of them.
    var keys = Set(work.accounts.keys)
    for group in 0..<plan.groupCount(work.level) {
      let labels = plan.labels(work.level, group)
      if work.includes(labels), let key = work.key(labels) { keys.insert(key) }
    }
    let order = keys.sorted { ($0.allocation, $0.factory ?? "") < ($1.allocation, $1.factory ?? "") }
    var entries: [LedgerEntry] = []
    for (index, span) in work.spans.enumerated() {
      let hours = Double(span.upperBound - span.lowerBound) / Double(Self.hour)
      for key in order {
        let account = work.accounts[key]?[index] ?? Account()
        // Of several factories each tick counts once.
        let powerTicks = account.powerTicks.values.max() ?? 0
        let granted =
          work.level == .allocation ? tree.allocation(key.allocation).flatMap { tree[$0].grantedGPUs } : nil
        entries.append(
          LedgerEntry(
            allocation: key.allocation, depth: key.allocation.split(separator: "/").count, factory: key.factory,
            startUnixMilliseconds: span.lowerBound, endUnixMilliseconds: span.upperBound,
            grantedGPUHours: granted.map { Double($0) * hours },
            expectedGPUHours: Double(account.expectedTicks) / 3600,
            reportingGPUHours: Double(account.reportingTicks) / 3600,
            busyGPUHours: Double(account.busyTicks) / 3600,
            idleGPUHours: Double(account.reportingTicks - account.busyTicks) / 3600,
            energyJoules: Double(account.millijoules) / 1000,
            meanWatts: powerTicks > 0 ? account.powerSum / Double(powerTicks) / 1000 : nil,
            peakWatts: account.peakWatts, stored: min(1, Double(work.storedTicks[index]) / (hours * 3600))))
      }
    }
    return entries
  }
}
