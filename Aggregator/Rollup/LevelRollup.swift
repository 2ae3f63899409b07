import BongsuFleet
public import BongsuModel

/// Adds up the frames of all shards for one tick after the other and forms every level from them.
///
/// Used by one thread. Its tables are reused from tick to tick; a caller that keeps a ``ClosedTick`` keeps a copy.
public struct LevelRollup: Sendable {
  public let plan: RollupPlan
  private var leaves: CellTable
  private var touched: [Bool]
  /// Racks that hold something in `closed`; the others are empty.
  private var filledRacks: [Int] = []
  /// The same for corrections.
  private var corrected: ClosedTick
  private var correctedRacks: [Int] = []
  private var closed: ClosedTick
  /// Expected GPUs per leaf, and the span of ticks for which they hold.
  private var expected: [Int64]
  private var expectedFrom = Int64.max
  private var expectedUntil = Int64.min
  /// Newest reading of each meter and its tick.
  private var meterReadings: [(milliwatts: Int64, time: Int64)]

  public init(_ plan: RollupPlan, interval: TickInterval = .second) {
    self.plan = plan
    leaves = CellTable(count: plan.leafCount)
    touched = Array(repeating: false, count: plan.leafCount)
    closed = ClosedTick(plan: plan, interval: interval)
    corrected = closed
    expected = Array(repeating: 0, count: plan.leafCount)
    meterReadings = Array(repeating: (0, .min), count: plan.tree.meters.count)
  }

  /// The newest reading of each meter that was read, by the meter's number: what a tick without one may still show.
  var readings: [(meter: Int, milliwatts: Int64, time: Int64)] {
    get {
      meterReadings.indices.compactMap { meter in
        meterReadings[meter].time == .min ? nil : (meter, meterReadings[meter].milliwatts, meterReadings[meter].time)
      }
    }
    set {
      for meter in meterReadings.indices { meterReadings[meter] = (0, .min) }
      for reading in newValue where meterReadings.indices.contains(reading.meter) {
        meterReadings[reading.meter] = (reading.milliwatts, reading.time)
      }
    }
  }

  /// The totals of the tick that `frames` make up: one frame from each shard, all of the same tick.
  public mutating func close(_ frames: [LeafFrame]) -> ClosedTick {
    precondition(!frames.isEmpty, "no frame to close")
    let tick = frames[0].tick
    gather(frames)
    addExpected(at: tick)
    closed.tick = tick
    formLevels()
    formMeters(at: tick)
    clearLeaves()
    return closed
  }

  /// What corrections of one tick add to each level. Nothing is expected of them: that belongs to the tick that was
  /// closed. Meters that are read replace what they showed at that tick; the others stay as they were. Takes time with the groups touched, besides a fixed part without the racks.
  public mutating func correction(_ frames: [LeafFrame]) -> ClosedTick {
    precondition(!frames.isEmpty, "no correction to form")
    gather(frames)
    // Corrections have tables of their own, so that the newest tick stays as it is while hours of them are formed.
    swap(&corrected, &closed)
    swap(&correctedRacks, &filledRacks)
    closed.tick = frames[0].tick
    formLevels()
    for meter in closed.meterPower.indices { closed.meterPower[meter] = ClosedTick.MeterPower() }
    for (meter, milliwatts) in frames.flatMap(\.meterReadings) {
      closed.meterPower[Int(meter)] = .init(milliwatts: milliwatts, estimatedMilliwatts: 0, isRead: true)
    }
    swap(&corrected, &closed)
    swap(&correctedRacks, &filledRacks)
    clearLeaves()
    return corrected
  }

  private mutating func gather(_ frames: [LeafFrame]) {
    let tick = frames[0].tick
    for frame in frames {
      precondition(frame.tick == tick, "frames of ticks \(frame.tick.unixMilliseconds) and \(tick.unixMilliseconds)")
      for (index, leaf) in frame.leaves.enumerated() {
        touched[Int(leaf)] = true
        CellTable.add(frame.words.span, index * CellLayout.words, to: &leaves.words, Int(leaf) * CellLayout.words)
      }
      for (meter, milliwatts) in frame.meterReadings where tick.unixMilliseconds > meterReadings[Int(meter)].time {
        meterReadings[Int(meter)] = (milliwatts, tick.unixMilliseconds)
      }
    }
  }

  private mutating func addExpected(at tick: Tick) {
    let time = tick.unixMilliseconds
    if time < expectedFrom || time >= expectedUntil {
      let era = plan.era(at: tick)
      expectedFrom = era.from.unixMilliseconds
      expectedUntil = era.until.unixMilliseconds
      for leaf in expected.indices { expected[leaf] = 0 }
      let perNode = plan.tree.expectedGPUs(at: tick)
      for node in perNode.indices where perNode[node] > 0 {
        expected[plan.leaf(of: NodeIndex(node), at: tick)] += Int64(perNode[node])
      }
    }
    for leaf in expected.indices where expected[leaf] > 0 {
      touched[leaf] = true
      leaves.addField(.expectedGPUs, leaf, expected[leaf])
    }
  }

  private mutating func formLevels() {
    let tree = plan.tree
    for level in RollupLevel.allCases where level != .rack { closed.tables[level.rawValue].clear() }
    for rack in filledRacks { closed.tables[RollupLevel.rack.rawValue].clear(rack) }
    filledRacks.removeAll(keepingCapacity: true)
    for leaf in touched.indices where touched[leaf] {
      let rack = Int(plan.leafRack[leaf])
      closed.tables[RollupLevel.rack.rawValue].add(leaves, leaf, to: rack)
      closed.tables[RollupLevel.factoryAllocation.rawValue].add(leaves, leaf, to: Int(plan.leafPair[leaf]))
      // Leaves ascend by rack, so leaves of one rack follow each other.
      if filledRacks.last != rack { filledRacks.append(rack) }
    }
    for rack in filledRacks { add(.rack, rack, to: .hall, tree.racks[rack].hall.position) }
    for hall in tree.halls.indices {
      add(.hall, hall, to: .factory, tree.halls[hall].factory.position)
      if let meter = tree.halls[hall].meter { add(.hall, hall, to: .meter, meter.position) }
    }
    for factory in tree.factories.indices { add(.factory, factory, to: .nation, 0) }
    // Parents stand before their children, so backwards every pair is complete when it is added to its parent.
    for pair in plan.pairs.indices.reversed() {
      let parent = Int(plan.pairParent[pair])
      if parent >= 0 { closed.tables[RollupLevel.factoryAllocation.rawValue].addWithin(pair, to: parent) }
      add(.factoryAllocation, pair, to: .allocation, plan.pairs[pair].allocation.position)
    }
  }

  private mutating func add(_ source: RollupLevel, _ group: Int, to target: RollupLevel, _ targetGroup: Int) {
    // Taking the source out keeps its array unique while the target changes.
    let table = closed.tables[source.rawValue]
    closed.tables[target.rawValue].add(table, group, to: targetGroup)
  }

  private mutating func formMeters(at tick: Tick) {
    let patience = Int64(Limits.liveIntervals) * Int64(closed.interval.milliseconds)
    closed.formPowers { meter in
      let reading = meterReadings[meter]
      return reading.time != .min && tick.unixMilliseconds - reading.time <= patience ? reading.milliwatts : nil
    }
  }

  private mutating func clearLeaves() {
    for leaf in touched.indices where touched[leaf] {
      leaves.clear(leaf)
      touched[leaf] = false
    }
  }
}
