import BongsuFleet
import BongsuModel

/// The bounds of rollups, and the times after which they stop waiting or estimating.
public enum Limits {
  /// Members of one shard: known nodes, unknown ones and meters.
  public static let membersMax = BongsuFleet.Limits.nodesMax + 4096
  /// Row shapes kept beyond one per member, so that nodes that keep changing theirs cannot fill the memory.
  public static let spareProgramsMax = 64
  /// GPUs of one member.
  public static let gpusPerMemberMax = BongsuModel.Limits.devicesMax

  /// A member counts as live, and is waited for, while its newest tick is no more than this many intervals old.
  public static let liveIntervals = 3
  /// Share of live members, in thousandths, whose delivery starts the last wait for the others.
  public static let quorumPermille = 990
  /// How long the others are waited for, milliseconds.
  public static let quorumWaitMilliseconds: Int64 = 100
  /// How far ahead of the server's clock a row may be: agents that are off by more re-anchor their ticks.
  public static let clockLeadMilliseconds: Int64 = 2000

  /// A silent node is estimated at its last value for this long, then at its model's typical power.
  public static let lastValueHoldMilliseconds: Int64 = 5 * 60 * 1000
  /// After this long a silent node is no longer estimated.
  public static let estimateExpiryMilliseconds: Int64 = 60 * 60 * 1000

  /// A GPU is busy from this utilization on, thousandths.
  public static let busyUtilizationPermille: Int64 = 50
  /// Without a utilization reading (MIG) a GPU is busy from this multiple of its model's idle power on, thousandths.
  public static let busyPowerPermilleOfIdle: Int64 = 1500
  /// Power ceiling of a GPU whose model is unknown, for judging energy counters, milliwatts.
  public static let unknownGPUMilliwattsMax: Int64 = 3_000_000

  /// Intervals of a controller for which its newest reading stands: one may be missed.
  public static let controllerReadingIntervals: Int64 = 2
  /// Ticks closed for longer are corrected by late rows without what controllers said of them, milliseconds.
  public static let controllerMemoryMilliseconds: Int64 = 5 * 60 * 1000
  /// Readings of one controller that are kept live at most.
  public static let controllerReadingsMax = 1024

  /// Silences of one node over which late rows can still spread energy; that of older ones stays on the row after them.
  public static let energyGapsMax = 4
  /// How long the running totals of energy wait for rows that belong into such a silence, milliseconds.
  public static let energyHoleMilliseconds: Int64 = 86_400_000
  /// Places in which one node has drawn energy, as they are restored.
  public static let energyPlacesMax = 4096

  /// Quarter-hours of a meter that late rows can still change: eight days, longer than late rows are accepted.
  public static let demandIntervalsKept = 8 * 96

  /// Largest power that one meter's demand follows, 5 GW in milliwatts: 900,000 ms of it are half of 63 bits.
  public static let meterMilliwattsMax: Int64 = 5_000_000_000_000
}
