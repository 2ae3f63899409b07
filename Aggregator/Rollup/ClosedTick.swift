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
  /// Facility power of each factory: its meters, and IT power times PUE of halls that hang on none; mW.
  public internal(set) var factoryPower: [Int64]

  /// Facility power behind one meter.
  public struct MeterPower: Hashable, Sendable, BitwiseCopyable {
    /// Facility power, mW.
    public var milliwatts: Int64 = 0
    /// The part of it that rests on an estimate, mW: all of it but a real reading, or IT power that was measured.
    public var estimatedMilliwatts: Int64 = 0
    /// Whether a real meter was read.
    public var isRead = false

    public init(milliwatts: Int64 = 0, estimatedMilliwatts: Int64 = 0, isRead: Bool = false) {
      self.milliwatts = milliwatts
      self.estimatedMilliwatts = estimatedMilliwatts
      self.isRead = isRead
    }
  }

  init(plan: RollupPlan, interval: TickInterval) {
    self.plan = plan
    self.interval = interval
    tick = .earliest
    tables = RollupLevel.allCases.map { CellTable(count: plan.groupCount($0)) }
    meterPower = Array(repeating: MeterPower(), count: plan.tree.meters.count)
    factoryPower = Array(repeating: 0, count: plan.tree.factories.count)
  }

  /// The totals of `level`.
  public subscript(_ level: RollupLevel) -> CellTable { tables[level.rawValue] }

  /// Power with cooling and losses of a group, mW: of meters, factories and the nation; `nil` at other levels, and where
  /// nobody reported or was estimated.
  public func facilityMilliwatts(_ level: RollupLevel, _ group: Int) -> Int64? {
    let table = self[level]
    guard table.field(.reportingNodes, group) > 0 || table.field(.estimatedGPUs, group) > 0 || isMetered(level, group)
    else { return nil }
    switch level {
    case .meter: return meterPower[group].milliwatts
    case .factory: return factoryPower[group]
    case .nation: return factoryPower.reduce(0, &+)
    case .rack, .hall, .allocation, .factoryAllocation: return nil
    }
  }

  /// Whether a real meter speaks for the group even when all its nodes are silent.
  private func isMetered(_ level: RollupLevel, _ group: Int) -> Bool {
    switch level {
    case .meter: meterPower[group].isRead
    case .factory: zip(plan.tree.meters, meterPower).contains { $0.factory.position == group && $1.isRead }
    case .nation: meterPower.contains { $0.isRead }
    case .rack, .hall, .allocation, .factoryAllocation: false
    }
  }

  /// The cell of the whole nation, as number 0 of its table.
  public var nation: CellTable { tables[RollupLevel.nation.rawValue] }
}

extension ClosedTick {
  /// Forms the powers with cooling and losses from the totals: `read` gives what a meter was read to show, mW, `nil`
  /// where it was not.
  mutating func formPowers(read: (Int) -> Int64?) {
    for (index, meter) in plan.tree.meters.enumerated() {
      var power = MeterPower()
      if let milliwatts = read(index) {
        power = MeterPower(milliwatts: milliwatts, isRead: true)
      } else {
        let pue = Int64(meter.puePermille)
        power.milliwatts = self[.meter].totalMilliwatts(index) &* pue / 1000
        power.estimatedMilliwatts = self[.meter].estimatedMilliwatts(index) &* pue / 1000
      }
      meterPower[index] = power
    }
    for factory in factoryPower.indices { factoryPower[factory] = 0 }
    for (index, meter) in plan.tree.meters.enumerated() {
      factoryPower[meter.factory.position] &+= meterPower[index].milliwatts
    }
    for (hall, entry) in plan.tree.halls.enumerated() where entry.meter == nil {
      let pue = Int64(plan.tree[entry.factory].puePermille)
      factoryPower[entry.factory.position] &+= self[.hall].totalMilliwatts(hall) &* pue / 1000
    }
  }

  /// Adds a correction of the same tick, as ``LevelRollup/correction(_:)`` formed it: late rows enter as if they had been
  /// in time. Meters that were read late replace what they showed.
  public mutating func apply(_ correction: ClosedTick) {
    precondition(
      correction.tick == tick, "correction of \(correction.tick.unixMilliseconds) for \(tick.unixMilliseconds)")
    for level in RollupLevel.allCases where tables[level.rawValue].count == correction[level].count {
      tables[level.rawValue].add(correction[level])
    }
    let shown = meterPower
    formPowers { meter in
      if correction.meterPower[meter].isRead { return correction.meterPower[meter].milliwatts }
      return shown[meter].isRead ? shown[meter].milliwatts : nil
    }
  }

  /// The tick without its racks, which are most of its memory; their table has no cell then.
  public var withoutRacks: ClosedTick {
    var copy = self
    copy.tables[RollupLevel.rack.rawValue] = CellTable(count: 0)
    return copy
  }

  /// Bytes that the tables take.
  public var byteCount: Int { tables.reduce(0) { $0 + $1.words.count * 8 } }
}
