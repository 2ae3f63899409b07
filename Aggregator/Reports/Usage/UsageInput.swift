/// One hour of an allocation or a factory, as the ledger has it.
public struct UsageHour: Hashable, Sendable {
  /// Its beginning, milliseconds since 1970, on a whole hour.
  public var startUnixMilliseconds: Int64
  /// GPU-hours granted by the plan; `nil` where the plan names no number.
  public var grantedGPUHours: Double?
  /// GPU-hours in service and not in maintenance; reported; at work.
  public var expectedGPUHours: Double
  public var reportingGPUHours: Double
  public var busyGPUHours: Double
  /// GPU energy, joules.
  public var energyJoules: Double
  /// Share of the hour that stored history covers, 0 to 1.
  public var stored: Double

  public init(
    startUnixMilliseconds: Int64, grantedGPUHours: Double?, expectedGPUHours: Double, reportingGPUHours: Double,
    busyGPUHours: Double, energyJoules: Double, stored: Double
  ) {
    self.startUnixMilliseconds = startUnixMilliseconds
    self.grantedGPUHours = grantedGPUHours
    self.expectedGPUHours = expectedGPUHours
    self.reportingGPUHours = reportingGPUHours
    self.busyGPUHours = busyGPUHours
    self.energyJoules = energyJoules
    self.stored = stored
  }

  /// The hour that a ledger entry of the step `hour` stands for.
  public init(_ entry: LedgerEntry) {
    self.init(
      startUnixMilliseconds: entry.startUnixMilliseconds, grantedGPUHours: entry.grantedGPUHours,
      expectedGPUHours: entry.expectedGPUHours, reportingGPUHours: entry.reportingGPUHours,
      busyGPUHours: entry.busyGPUHours, energyJoules: entry.energyJoules, stored: entry.stored)
  }
}

/// One minute of power and utilization of the same.
public struct UsageMinute: Hashable, Sendable {
  /// Its beginning, milliseconds since 1970, on a whole minute.
  public var startUnixMilliseconds: Int64
  /// Means over the minute, watts: what was measured, and what was estimated on top for those that were silent.
  public var measuredWatts: Double
  public var estimatedWatts: Double
  /// Mean utilization of the GPUs that reported it, 0 to 1; `nil` when none did.
  public var utilization: Double?

  public init(startUnixMilliseconds: Int64, measuredWatts: Double, estimatedWatts: Double, utilization: Double?) {
    self.startUnixMilliseconds = startUnixMilliseconds
    self.measuredWatts = measuredWatts
    self.estimatedWatts = estimatedWatts
    self.utilization = utilization
  }
}

/// What a megawatt-hour from the grid weighs from a day on.
public struct CarbonFactor: Codable, Hashable, Sendable {
  /// From when it counts, milliseconds since 1970, until the next one does.
  public var sinceUnixMilliseconds: Int64
  /// Tonnes of CO₂ equivalent for each megawatt-hour.
  public var tonnesPerMegawattHour: Double

  private enum CodingKeys: String, CodingKey {
    case sinceUnixMilliseconds = "since_ms"
    case tonnesPerMegawattHour = "tonnes_per_mwh"
  }

  public init(sinceUnixMilliseconds: Int64, tonnesPerMegawattHour: Double) {
    self.sinceUnixMilliseconds = sinceUnixMilliseconds
    self.tonnesPerMegawattHour = tonnesPerMegawattHour
  }
}
