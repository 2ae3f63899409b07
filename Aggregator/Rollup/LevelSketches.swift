import BongsuFleet
public import BongsuModel

/// Quantile sketches of one minute at every level that keeps them: hall, factory, nation and allocation.
public struct LevelSketches: Sendable {
  /// The tick that ends the minute.
  public let minuteEnd: Tick
  private var sketches: [Key: QuantileSketch] = [:]

  private struct Key: Hashable {
    let level: RollupLevel
    let group: Int
    let slot: Int
  }

  /// Levels that keep sketches.
  public static let levels: [RollupLevel] = [.hall, .factory, .nation, .allocation]

  /// Merges the frames of all shards, or corrections, of one minute.
  public init(_ plan: RollupPlan, _ frames: [SketchFrame], minuteEnd: Tick) {
    self.minuteEnd = minuteEnd
    for frame in frames {
      precondition(frame.minuteEnd == minuteEnd, "sketches of two minutes merged")
      for (cell, slot, sketch) in frame.entries {
        let share = plan.hallShares[Int(cell)]
        add(.hall, share.hall.position, Int(slot), sketch)
        add(.factory, plan.tree[share.hall].factory.position, Int(slot), sketch)
        add(.nation, 0, Int(slot), sketch)
        for allocation in plan.tree.lineage(of: share.allocation) {
          add(.allocation, allocation.position, Int(slot), sketch)
        }
      }
    }
  }

  /// The sketch of the gauge at `slot` of ``RolledMetric/all``; `nil` when nothing was counted.
  public func sketch(_ level: RollupLevel, _ group: Int, slot: Int) -> QuantileSketch? {
    sketches[Key(level: level, group: group, slot: slot)]
  }

  /// Every sketch with readings, in a fixed order.
  public var all: [(level: RollupLevel, group: Int, slot: Int, sketch: QuantileSketch)] {
    sketches.sorted {
      ($0.key.level.rawValue, $0.key.group, $0.key.slot) < ($1.key.level.rawValue, $1.key.group, $1.key.slot)
    }
    .map { ($0.key.level, $0.key.group, $0.key.slot, $0.value) }
  }

  private mutating func add(_ level: RollupLevel, _ group: Int, _ slot: Int, _ sketch: QuantileSketch) {
    sketches[Key(level: level, group: group, slot: slot), default: QuantileSketch()].merge(sketch)
  }
}
