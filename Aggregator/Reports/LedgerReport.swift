/// What `/api/bongsu/v1/ledger` is asked for.
public struct LedgerRequest: Hashable, Sendable {
  /// Length of the spans that are accounted for one by one.
  public enum Step: String, Codable, Hashable, Sendable, CaseIterable {
    case hour
    /// Days of the nation's time zone.
    case day
  }

  /// Only this allocation with all below it; `nil`: all.
  public var allocation: String?
  /// Only what stands at this factory; `nil`: everywhere, not split by factory.
  public var factory: String?
  /// Whether an entry is made for each factory where an allocation has nodes, besides `factory` being given.
  public var byFactory: Bool
  /// Time that is accounted for, milliseconds since 1970; rounded outwards to whole hours.
  public var startUnixMilliseconds: Int64
  public var endUnixMilliseconds: Int64
  /// `nil`: one entry for the whole time.
  public var step: Step?

  public init(
    allocation: String? = nil, factory: String? = nil, byFactory: Bool = false, startUnixMilliseconds: Int64,
    endUnixMilliseconds: Int64, step: Step? = nil
  ) {
    self.allocation = allocation
    self.factory = factory
    self.byFactory = byFactory
    self.startUnixMilliseconds = startUnixMilliseconds
    self.endUnixMilliseconds = endUnixMilliseconds
    self.step = step
  }
}

/// What one allocation, or its part at one factory, had and used in one span of time, by dated membership.
public struct LedgerEntry: Codable, Hashable, Sendable {
  public var allocation: String
  /// 1 for allocations at the top; sum only over one depth.
  public var depth: Int
  public var factory: String?
  public var startUnixMilliseconds: Int64
  public var endUnixMilliseconds: Int64
  /// GPUs granted by the plan × hours; `nil` where the plan names no number, and at single factories.
  public var grantedGPUHours: Double?
  /// GPU-hours in service and not in maintenance; reported; at work.
  public var expectedGPUHours: Double
  public var reportingGPUHours: Double
  public var busyGPUHours: Double
  /// Reporting and not at work.
  public var idleGPUHours: Double
  /// GPU energy from counters, joules.
  public var energyJoules: Double
  /// Mean and highest minute of IT power, watts; `nil` where nothing is known.
  public var meanWatts: Double?
  public var peakWatts: Double?
  /// Share of the span that stored history covers, 0 to 1.
  public var stored: Double

  private enum CodingKeys: String, CodingKey {
    case allocation, depth, factory, stored
    case startUnixMilliseconds = "start_ms"
    case endUnixMilliseconds = "end_ms"
    case grantedGPUHours = "granted_gpu_hours"
    case expectedGPUHours = "expected_gpu_hours"
    case reportingGPUHours = "reporting_gpu_hours"
    case busyGPUHours = "busy_gpu_hours"
    case idleGPUHours = "idle_gpu_hours"
    case energyJoules = "energy_joules"
    case meanWatts = "mean_watts"
    case peakWatts = "peak_watts"
  }

  public init(
    allocation: String, depth: Int, factory: String?, startUnixMilliseconds: Int64, endUnixMilliseconds: Int64,
    grantedGPUHours: Double?, expectedGPUHours: Double, reportingGPUHours: Double, busyGPUHours: Double,
    idleGPUHours: Double, energyJoules: Double, meanWatts: Double?, peakWatts: Double?, stored: Double
  ) {
    self.allocation = allocation
    self.depth = depth
    self.factory = factory
    self.startUnixMilliseconds = startUnixMilliseconds
    self.endUnixMilliseconds = endUnixMilliseconds
    self.grantedGPUHours = grantedGPUHours
    self.expectedGPUHours = expectedGPUHours
    self.reportingGPUHours = reportingGPUHours
    self.busyGPUHours = busyGPUHours
    self.idleGPUHours = idleGPUHours
    self.energyJoules = energyJoules
    self.meanWatts = meanWatts
    self.peakWatts = peakWatts
    self.stored = stored
  }
}

/// The answer of `/api/bongsu/v1/ledger`: entries by allocation, factory and time.
public struct LedgerReport: Codable, Hashable, Sendable {
  public var entries: [LedgerEntry]

  public init(entries: [LedgerEntry]) { self.entries = entries }
}
