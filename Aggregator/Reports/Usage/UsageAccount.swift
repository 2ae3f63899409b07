/// What an allocation or a factory had and used over a time, such as a month: sums of hours, and what minutes say of
/// demand and utilization. Pure: the same rows in any order give the same account.
///
/// Nothing is extrapolated: hours and minutes that are not there add nothing, and ``stored`` and ``knownMinutes`` say how
/// much of the time is behind each figure.
public struct UsageAccount: Codable, Hashable, Sendable {
  /// The highest demand of a quarter hour.
  public struct Peak: Codable, Hashable, Sendable {
    /// Mean power over the quarter, watts: measured plus estimated, and the estimated part.
    public var watts: Double
    public var estimatedWatts: Double
    /// Beginning of the quarter, milliseconds since 1970.
    public var startUnixMilliseconds: Int64
    /// Minutes of the fifteen that are known.
    public var knownMinutes: Int

    private enum CodingKeys: String, CodingKey {
      case watts
      case estimatedWatts = "estimated_watts"
      case startUnixMilliseconds = "start_ms"
      case knownMinutes = "known_minutes"
    }
  }

  public var startUnixMilliseconds: Int64
  public var endUnixMilliseconds: Int64
  /// GPU-hours. `grantedGPUHours` is `nil` where the plan names no number for some hour.
  public var grantedGPUHours: Double?
  public var expectedGPUHours = 0.0
  public var reportingGPUHours = 0.0
  public var busyGPUHours = 0.0
  public var energyJoules = 0.0
  /// Tonnes of CO₂ equivalent of that energy; `nil` when a part of it was used before the first factor counts.
  public var carbonTonnes: Double?
  /// Mean power over the known minutes, watts, and the share of it that was estimated; `nil` when none is known.
  public var meanWatts: Double?
  public var estimatedShare: Double?
  public var peak: Peak?
  /// Of the minutes' mean utilizations: their mean, and those that half and 95 of 100 minutes do not exceed.
  public var utilizationMean: Double?
  public var utilizationMedian: Double?
  public var utilization95: Double?
  /// Minutes whose power is known, of all.
  public var knownMinutes = 0
  public var minutes: Int
  /// Share of the time that stored history covers, 0 to 1.
  public var stored = 0.0

  /// Reporting and not at work.
  public var idleGPUHours: Double { max(0, reportingGPUHours - busyGPUHours) }

  /// Reported of what was in service; `nil` when nothing was.
  public var coverage: Double? { expectedGPUHours > 0 ? reportingGPUHours / expectedGPUHours : nil }

  private enum CodingKeys: String, CodingKey {
    case peak, minutes, stored
    case startUnixMilliseconds = "start_ms"
    case endUnixMilliseconds = "end_ms"
    case grantedGPUHours = "granted_gpu_hours"
    case expectedGPUHours = "expected_gpu_hours"
    case reportingGPUHours = "reporting_gpu_hours"
    case busyGPUHours = "busy_gpu_hours"
    case energyJoules = "energy_joules"
    case carbonTonnes = "carbon_tonnes"
    case meanWatts = "mean_watts"
    case estimatedShare = "estimated_share"
    case utilizationMean = "utilization_mean"
    case utilizationMedian = "utilization_median"
    case utilization95 = "utilization_p95"
    case knownMinutes = "known_minutes"
  }

  /// Accounts for the time from `start` to before `end`, both on whole hours; rows outside of it are left aside. There is
  /// at most one row for an hour and for a minute.
  public init(
    startUnixMilliseconds start: Int64, endUnixMilliseconds end: Int64, hours: [UsageHour], minutes: [UsageMinute],
    carbon factors: [CarbonFactor] = []
  ) {
    precondition(start < end && start % Self.hour == 0 && end % Self.hour == 0, "\(start) to \(end) are no whole hours")
    startUnixMilliseconds = start
    endUnixMilliseconds = end
    self.minutes = Int((end - start) / Self.minute)
    // By time, so that sums of fractions do not depend on the order in which rows come.
    let hours = hours.filter { (start..<end).contains($0.startUnixMilliseconds) }
      .sorted { $0.startUnixMilliseconds < $1.startUnixMilliseconds }
    let minutes = minutes.filter { (start..<end).contains($0.startUnixMilliseconds) }
      .sorted { $0.startUnixMilliseconds < $1.startUnixMilliseconds }
    add(hours, factors.sorted { $0.sinceUnixMilliseconds < $1.sinceUnixMilliseconds })
    add(minutes)
  }

  private static let hour: Int64 = 3_600_000
  private static let minute: Int64 = 60_000
  private static let quarter: Int64 = 900_000
  private static let joulesPerMegawattHour = 3.6e9

  private mutating func add(_ hours: [UsageHour], _ factors: [CarbonFactor]) {
    var granted: Double? = hours.isEmpty ? nil : 0
    var carbon: Double? = factors.isEmpty ? nil : 0
    for row in hours {
      granted = row.grantedGPUHours.flatMap { hour in granted.map { $0 + hour } }
      expectedGPUHours += row.expectedGPUHours
      reportingGPUHours += row.reportingGPUHours
      busyGPUHours += row.busyGPUHours
      energyJoules += row.energyJoules
      stored += row.stored
      guard row.energyJoules != 0 else { continue }
      let factor = factors.last { $0.sinceUnixMilliseconds <= row.startUnixMilliseconds }
      carbon = factor.flatMap { factor in
        carbon.map { $0 + row.energyJoules / Self.joulesPerMegawattHour * factor.tonnesPerMegawattHour }
      }
    }
    grantedGPUHours = granted
    carbonTonnes = carbon
    stored /= Double((endUnixMilliseconds - startUnixMilliseconds) / Self.hour)
  }

  private mutating func add(_ minutes: [UsageMinute]) {
    var measured = 0.0
    var estimated = 0.0
    var current: (number: Int64, watts: Double, estimated: Double, minutes: Int)?
    func closed() -> Peak? {
      guard let current else { return peak }
      let watts = current.watts / Double(current.minutes)
      // The first of equal ones, so that a flat load names its first quarter.
      if let peak, peak.watts >= watts { return peak }
      return Peak(
        watts: watts, estimatedWatts: current.estimated / Double(current.minutes),
        startUnixMilliseconds: current.number * Self.quarter, knownMinutes: current.minutes)
    }
    for row in minutes {
      measured += row.measuredWatts
      estimated += row.estimatedWatts
      let number = row.startUnixMilliseconds / Self.quarter
      if current?.number != number {
        peak = closed()
        current = (number, 0, 0, 0)
      }
      current?.watts += row.measuredWatts + row.estimatedWatts
      current?.estimated += row.estimatedWatts
      current?.minutes += 1
    }
    peak = closed()
    knownMinutes = minutes.count
    if knownMinutes > 0 {
      meanWatts = (measured + estimated) / Double(knownMinutes)
      estimatedShare = measured + estimated > 0 ? estimated / (measured + estimated) : nil
    }
    let utilizations = minutes.compactMap(\.utilization).sorted()
    guard !utilizations.isEmpty else { return }
    utilizationMean = utilizations.reduce(0, +) / Double(utilizations.count)
    utilizationMedian = Self.quantile(0.5, utilizations)
    utilization95 = Self.quantile(0.95, utilizations)
  }

  /// The smallest value that at least the share `rank` of the sorted values does not exceed.
  private static func quantile(_ rank: Double, _ sorted: [Double]) -> Double {
    sorted[max(0, Int((rank * Double(sorted.count)).rounded(.up)) - 1)]
  }
}
