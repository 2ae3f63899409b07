import BongsuFleet
import BongsuModel

/// The place of a node in the tables of one shard. Valid for the ``ShardRollup`` that gave it.
public struct MemberNumber: Hashable, Sendable, BitwiseCopyable {
  let position: Int32
}

/// What became of a row.
public enum RowOutcome: Hashable, Sendable {
  /// It counts in its tick.
  case added
  /// Its tick is closed: give it to ``ShardRollup/addLate(_:at:row:)``, which corrects what was published.
  case late
  /// Its tick is further ahead than clocks may be: close ticks up to now first, and refuse it if that does not help.
  case ahead
  /// A row of this tick was counted already; this one is dropped.
  case duplicate
}

/// One node, one meter, or one controller, as a shard follows it.
struct RollupMember: BitwiseCopyable {
  let node: NodeIndex?
  /// The meter whose readings these are; such a member is in no cell.
  let meter: MeterIndex?
  /// Whether these are a controller's readings of another member's power; such a member is in no cell either.
  var isController = false
  var program: Int
  var traits: PowerTraits
  var intervalMilliseconds: Int64
  /// How often it owes something to the rollup: its interval, or the rollup's when that is longer.
  var periodMilliseconds: Int64
  var pace: Pace
  /// Its place among the members that are not even, -1 when it is.
  var pacedIndex: Int32 = -1

  /// Leaf cell and expected GPUs, valid for ticks from `eraFrom` to before `eraUntil`.
  var leaf = 0
  var expectedGPUs: Int64 = 0
  var eraFrom = Int64.max
  var eraUntil = Int64.min

  /// First tick that was delivered, `Int64.min` before it.
  var firstTick = Int64.min
  /// Newest tick that was delivered in time, `Int64.min` before the first.
  var lastTick = Int64.min
  /// Newest tick that was sent, in time or late: whether the watermark waits for it.
  var lastSeen = Int64.min
  /// Whether the row at `lastTick` ends a silence and was not counted yet.
  var endsSilence = false
  /// Bit n: the tick n rollup intervals before `lastTick` was delivered.
  var delivered: UInt64 = 0
  /// IT power, its GPUs' own part and GPUs at `lastTick`.
  var lastMilliwatts: Int64 = 0
  var lastGPUMilliwatts: Int64 = 0
  var lastGPUs: Int64 = 0
  /// GPU power at the newest tick at which all GPUs reported it.
  var fullGPUMilliwatts: Int64 = 0
  var fullTick = Int64.min
  /// Where the newest energy counters stand in the shard's table.
  var counterBase: Int
  /// GPUs for which there is room.
  var counterCapacity: Int
  /// Tick of those counters, `Int64.min` before the first.
  var counterTick = Int64.min
  var gpus: Int
  /// Where the shard has what the machine's controller says; -1 when the machine has none.
  var controller: Int32 = -1

  /// What the member is assumed to draw, that long after it was last heard.
  func estimate(ageMilliseconds: Int64) -> Int64 {
    MissingEstimate.milliwatts(
      ageMilliseconds: ageMilliseconds, lastMilliwatts: lastMilliwatts,
      typicalMilliwatts: traits.typicalMilliwatts &* lastGPUs)
  }

  /// The GPUs' own part of ``estimate(ageMilliseconds:)``.
  func gpuEstimate(ageMilliseconds: Int64) -> Int64 {
    MissingEstimate.milliwatts(
      ageMilliseconds: ageMilliseconds, lastMilliwatts: lastGPUMilliwatts,
      typicalMilliwatts: traits.typicalGPUMilliwatts &* lastGPUs)
  }

  /// How the node's interval compares with the rollup's.
  enum Pace: UInt8 {
    case even
    /// Several rows per rollup tick: their mean counts.
    case fast
    /// Several rollup ticks per row: the newest row counts until the next is due.
    case slow
  }
}
