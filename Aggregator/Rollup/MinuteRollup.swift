import BongsuFleet
public import BongsuModel

/// The stored rows of one node in one minute.
public struct NodeRows: Sendable {
  /// Rows of one layout, in order of ticks: row after row.
  public struct Run: Sendable {
    public let layout: RowLayout
    public let ticks: [Tick]
    /// `SampleValue.bits`, `layout.width` of them for each tick.
    public let words: [Int64]

    /// A run of `ticks.count` rows, each of `layout.width` words.
    public init(layout: RowLayout, ticks: [Tick], words: [Int64]) {
      precondition(words.count == ticks.count * layout.width, "\(words.count) words of \(ticks.count) rows")
      self.layout = layout
      self.ticks = ticks
      self.words = words
    }
  }

  public let id: NodeID
  /// In order of time.
  public var runs: [Run]

  /// The rows of `id`, in order of time.
  public init(_ id: NodeID, _ runs: [Run]) {
    self.id = id
    self.runs = runs
  }
}

/// Forms one minute of history from the rows in it: every level at every tick, its windows, its quantiles.
///
/// The rows go through the same ``ShardRollup`` and ``LevelRollup`` as live rows do, in the order of their ticks and with
/// nothing late. So a minute is a function of its rows, of the ``RollupCarry`` and of the fleet, whenever it is formed.
/// Nodes come in batches of any size: memory holds the rows of one batch, and the leaf cells of the minute.
public struct MinuteRollup {
  public let plan: RollupPlan
  /// The tick that ends the minute; it holds the ticks after the one 60 s before.
  public let end: Tick
  private var carry: RollupCarry
  private var left = RollupCarry()
  /// Frames by tick, of all batches.
  private var frames: [[LeafFrame]] = Array(repeating: [], count: Self.tickCount)
  /// The cells' memory and the sketches so far, from batch to batch.
  private var leftover: ShardRollup.Leftover?
  private var nodes: [StoredMinute.Row] = []

  static let tickCount = 60
  private static let step: Int64 = 1000

  /// Ticks of the minute that ends with `end`.
  public static func ticks(to end: Tick) -> ClosedRange<Tick> {
    Tick(unixMilliseconds: end.unixMilliseconds - 60_000 + 1)...end
  }

  /// A minute without rows so far, by the fleet of `plan`.
  ///
  /// - Precondition: `end` is a whole minute.
  public init(_ plan: RollupPlan, to end: Tick, after carry: RollupCarry) {
    precondition(end.unixMilliseconds % 60_000 == 0, "minute ends at \(end.unixMilliseconds) ms")
    self.plan = plan
    self.end = end
    self.carry = carry
  }

  private var start: Int64 { end.unixMilliseconds - 60_000 }

  /// Adds all rows of some nodes. Rows from before the minute may be among them: the last of a node that is slower than
  /// the rollup counts until its next one.
  ///
  /// A controller comes in the same batch as its node or in one before it: its readings are in the node's power.
  public mutating func add(_ all: [NodeRows]) {
    var batch: [NodeRows] = []
    for rows in all {
      if let machine = plan.tree.node(controlledBy: rows.id) { note(rows, of: machine) } else { batch.append(rows) }
    }
    var shard = ShardRollup(plan, first: Tick(unixMilliseconds: start + Self.step), reusing: leftover.take())
    var states: [NodeID: MemberState] = [:]
    for node in batch {
      if let readings = carry.controllers[node.id] { shard.note(readings, of: node.id) }
      guard let state = carry.nodes.removeValue(forKey: node.id) else { continue }
      states[node.id] = state
      shard.restore(state)
    }
    var cursors = batch.map { Cursor($0) }
    for index in cursors.indices { cursors[index].skip(through: start, &shard) }
    for number in 0..<Self.tickCount {
      let time = start + Self.step * Int64(number + 1)
      for index in cursors.indices { cursors[index].feed(through: time, &shard) }
      var frame = LeafFrame(tick: Tick(unixMilliseconds: time))
      shard.close(into: &frame)
      if !frame.isEmpty { frames[number].append(frame) }
    }
    for state in shard.memberStates { left.nodes[state.id] = state }
    leftover = shard.takeLeftover()
    for node in batch { addNode(node, states[node.id]) }
  }

  /// Takes what a controller says in the minute; of before it the carry has what still stands.
  private mutating func note(_ rows: NodeRows, of machine: NodeID) {
    for run in rows.runs {
      let offsets = RowProgram(run.layout).offsets
      let width = run.layout.width
      let interval = Int64(run.layout.interval.milliseconds)
      for (index, tick) in run.ticks.enumerated() where start < tick.unixMilliseconds {
        let row = run.words.span.extracting(index * width..<(index + 1) * width)
        guard let reading = ControllerReading(row, offsets, at: tick.unixMilliseconds, interval: interval) else {
          continue
        }
        carry.controllers[machine, default: ControllerReadings()].note(reading)
      }
    }
  }

  /// The minute, and what it leaves to the next one. `levels` is only reused for its memory.
  public mutating func finish(_ levels: inout LevelRollup) -> (minute: StoredMinute, carry: RollupCarry) {
    estimateSilentNodes()
    let meters = plan.tree.meters.enumerated().map { ($0.offset, Self.name(of: $0.element, plan)) }
    levels.readings = meters.compactMap { meter, name in
      carry.meters[name].map { (meter, $0.milliwatts, $0.tick.unixMilliseconds) }
    }
    var minute = StoredMinute(plan, end: end)
    for number in 0..<Self.tickCount {
      let tick = Tick(unixMilliseconds: start + Self.step * Int64(number + 1))
      let some = frames[number].isEmpty ? [LeafFrame(tick: tick)] : frames[number]
      frames[number] = []
      minute.add(levels.close(some))
    }
    let sketches = leftover?.sketches.take(minute: end.unixMilliseconds)
    minute.finish(nodes, LevelSketches(plan, sketches.map { [$0] } ?? [], minuteEnd: end))
    for (machine, readings) in carry.controllers {
      guard let newest = readings.readings.last, newest.until > end.unixMilliseconds else { continue }
      left.controllers[machine] = ControllerReadings(newest)
    }
    left.meters = carry.meters
    for reading in levels.readings {
      left.meters[meters[reading.meter].1] = RollupCarry.Reading(
        milliwatts: reading.milliwatts, tick: Tick(unixMilliseconds: reading.time))
    }
    return (minute, left)
  }

  private static func name(of meter: Meter, _ plan: RollupPlan) -> String {
    "\(plan.tree[meter.factory].id)/\(meter.id)"
  }

  /// Nodes without a row in the minute: what is estimated of them. They leave what they found.
  private mutating func estimateSilentNodes() {
    guard !carry.nodes.isEmpty else { return }
    let current = carry.nodes.values.filter {
      MissingEstimate.isCurrent(ageMilliseconds: start - $0.lastTick.unixMilliseconds)
    }
    if !current.isEmpty {
      var shard = ShardRollup(plan, first: Tick(unixMilliseconds: start + Self.step), keepsSketches: false)
      for state in current.sorted(by: { $0.id < $1.id }) { shard.restore(state) }
      for number in 0..<Self.tickCount {
        var frame = LeafFrame(tick: Tick(unixMilliseconds: start + Self.step * Int64(number + 1)))
        shard.close(into: &frame)
        if !frame.isEmpty { frames[number].append(frame) }
      }
    }
    for (id, state) in carry.nodes { left.nodes[id] = state }
  }

  private mutating func addNode(_ rows: NodeRows, _ state: MemberState?) {
    guard plan.tree.meter(readBy: rows.id) == nil else { return }
    let node = plan.tree.node(rows.id)
    var window: WindowTable?
    var known = state
    var folder: NodeFolder?
    var layout: RowLayout?
    func close() {
      guard let ended = folder?.finish() else { return }
      if window == nil { window = ended } else { window?.merge(ended) }
    }
    for run in rows.runs where run.ticks.last.map({ $0.unixMilliseconds > start }) ?? false {
      if run.layout != layout {
        close()
        if let old = folder, let last = layout { known = old.state(rows.id, last, after: known) }
        folder = NodeFolder(plan.tree, node: node, layout: run.layout)
        if let known { folder?.resume(known, layout: run.layout) }
        folder?.machine = carry.controllers[rows.id]
        layout = run.layout
      }
      let width = run.layout.width
      for (index, tick) in run.ticks.enumerated() where tick.unixMilliseconds > start {
        let isExpected =
          node.map { plan.tree.isInService($0, at: tick) && !plan.tree.isInMaintenance($0, at: tick) } ?? true
        _ = folder?.add(
          run.words.span.extracting(index * width..<(index + 1) * width), at: tick, isExpected: isExpected)
      }
    }
    close()
    if let window { nodes.append(StoredMinute.Row(labels: plan.labels(of: rows.id, at: end), window: window)) }
  }

  /// Where one node's rows are.
  private struct Cursor {
    let rows: NodeRows
    var run = 0
    var row = 0
    var member: MemberNumber?
    /// Words of a row, once the node has joined.
    private var width = 0

    init(_ rows: NodeRows) { self.rows = rows }

    /// Passes over rows from before the minute; the last one of a slow node is held.
    mutating func skip(through time: Int64, _ shard: inout ShardRollup) {
      var last: (run: Int, row: Int)?
      while let tick = tick, tick.unixMilliseconds <= time {
        last = (run, row)
        advance()
      }
      guard let last else { return }
      let run = rows.runs[last.run]
      guard run.layout.interval.milliseconds > 1000 else { return }
      let number = shard.join(rows.id, layout: run.layout)
      let width = run.layout.width
      shard.hold(
        number, at: run.ticks[last.row], row: run.words.span.extracting(last.row * width..<(last.row + 1) * width))
      // Joined with the layout of another run, it joins again.
      if last.run == self.run {
        member = number
        self.width = width
      }
    }

    /// Adds all rows up to `time`.
    mutating func feed(through time: Int64, _ shard: inout ShardRollup) {
      while let tick = tick, tick.unixMilliseconds <= time {
        let number: MemberNumber
        if let member {
          number = member
        } else {
          number = shard.join(rows.id, layout: rows.runs[run].layout)
          member = number
          width = rows.runs[run].layout.width
        }
        let words = rows.runs[run].words
        _ = shard.add(number, at: tick, row: words.span.extracting(row * width..<(row + 1) * width))
        advance()
      }
    }

    private var tick: Tick? { run < rows.runs.count ? rows.runs[run].ticks[row] : nil }

    private mutating func advance() {
      row += 1
      guard row == rows.runs[run].ticks.count else { return }
      run += 1
      row = 0
      while run < rows.runs.count, rows.runs[run].ticks.isEmpty { run += 1 }
      member = nil
    }
  }
}

extension NodeFolder {
  /// What the folder's counters say, for a folder of another layout.
  func state(_ id: NodeID, _ layout: RowLayout, after known: MemberState?) -> MemberState {
    var byKey = Dictionary((known?.counters ?? []).map { ($0.key, $0) }) { first, _ in first }
    for (key, reading) in zip(ShardRollup.gpuKeys(layout), readings) where !reading.isAbsent {
      byKey[key] = MemberState.Counter(
        key: key, tick: Tick(unixMilliseconds: reading.time), millijoules: reading.value)
    }
    return MemberState(
      id: id, modelKey: nil, firstTick: .earliest, lastTick: .earliest, intervalMilliseconds: 1000, lastMilliwatts: 0,
      lastGPUMilliwatts: 0, lastGPUs: 0, full: nil, counters: byKey.values.sorted { $0.key < $1.key })
  }
}

extension RollupPlan {
  /// Labels of a node's own windows at `tick`.
  public func labels(of id: NodeID, at tick: Tick) -> [(name: String, value: String)] {
    let node = tree.node(id)
    let rack = node.map { tree.rack(of: $0) } ?? tree.unassignedRack
    let allocation = node.map { tree.allocation(of: $0, at: tick) } ?? tree.unassignedAllocation
    let hall = tree[rack].hall
    return [
      ("nation", tree.nation), ("factory", tree[tree[hall].factory].id), ("hall", tree[hall].id),
      ("rack", tree[rack].id), ("node", id.name), ("allocation", tree[allocation].path),
    ]
  }
}
