import BongsuFleet
public import BongsuModel

/// All totals of one tick: a table for each level, groups in the order of ``RollupPlan``.
public struct ClosedTick: Sendable {
  public let plan: RollupPlan
  /// The tick. Its cells describe the time since the tick before.
  public internal(set) var tick: Tick
  public internal(set) var interval: TickInterval
  var tables: [CellTable]
  /// What each meter shows: its real reading, or IT power of its halls times the PUE; mW.
  public internal(set) var meterPower: [MeterPower]

  /// Facility power behind one meter.
  public struct MeterPower: Hashable, Sendable, BitwiseCopyable {
    /// Facility power, mW.
    public var milliwatts: Int64 = 0
    /// The part of it that rests on an estimate, mW: all of it but a real reading, or IT power that was measured.
    public var estimatedMilliwatts: Int64 = 0
    /// Whether a real meter was read.
    public var isRead = false
  }

  init(plan: RollupPlan, interval: TickInterval) {
    self.plan = plan
    self.interval = interval
    tick = .earliest
    tables = RollupLevel.allCases.map { CellTable(count: plan.groupCount($0)) }
    meterPower = Array(repeating: MeterPower(), count: plan.tree.meters.count)
  }

  /// The totals of `level`.
  public subscript(_ level: RollupLevel) -> CellTable { tables[level.rawValue] }

  /// The cell of the whole nation, as number 0 of its table.
  public var nation: CellTable { tables[RollupLevel.nation.rawValue] }
}
