import BongsuFleet
public import BongsuModel

/// The rollup of the nodes that one shard owns: rows in, exact leaf cells per tick out.
///
/// Several ticks are open at once, because agents' clocks differ; each has its own set of leaf cells:
///
///     closed ◀──│ tick │ tick+1 │ … │ tick+n │      n covers ``Limits/clockLeadMilliseconds``
///               └ the watermark waits for this one
///
/// Rows of open ticks are added once and forgotten; rows of closed ticks go to ``addLate(_:at:row:)``. Nothing here reads
/// a clock or does I/O, and adding a row allocates nothing once a member has joined. Used by one thread; frames of all
/// shards are added up by ``LevelRollup``.
public struct ShardRollup: Sendable {
  public let plan: RollupPlan
  /// Distance between rollup ticks: 1 s, or less where all nodes sample faster.
  public let interval: TickInterval
  /// When the next tick can be closed.
  public internal(set) var watermark: Watermark

  var members: [RollupMember] = []
  /// Names of the members, apart from what every row touches.
  var memberIDs: [NodeID] = []
  var memberByID: [NodeID: MemberNumber] = [:]
  /// What controllers say of their machines, and where in it each machine is.
  var controllers: [ControllerReadings] = []
  var controllerNumbers: [NodeID: Int32] = [:]
  /// What nodes outside the fleet file say they are.
  var strangerModels: [Int32: GPUModel] = [:]
  var programs: [RowProgram] = []
  var programByShape: [RowProgram: Int] = [:]
  /// Newest energy counters of all members, each at its `counterBase`.
  var counters: [EnergyCounter.Reading] = []
  /// Whose counter it is, as a hash of the GPU's key.
  var counterKeys: [UInt64] = []

  let step: Int64
  let leafCount: Int
  /// Ticks up to this one are closed.
  var closedThrough: Int64
  let slotMask: Int
  private var slotTime = Int64.min
  private var slotOfTime = 0
  /// Cells of all open ticks: slot after slot, leaf after leaf.
  var words: [Int64]
  /// Tick for which a slot's leaf was last emptied; other leaves of the slot hold leftovers.
  var stamps: [Int64]
  /// Readings of meters, slot after slot, `Int64.min` when absent.
  var meterReadings: [Int64]
  /// Members that are not sampled once per rollup tick, and their rows.
  var pacedMembers: [Int32] = []
  var paced: [PacedRows] = []
  let keepsSketches: Bool
  var sketches: SketchTable
  /// Silences that late rows may fill, newest last, by member.
  var gaps: [Int32: [Silence]] = [:]
  var late: [Int64: LateCells] = [:]

  /// An empty rollup whose first closed tick is `first`.
  ///
  /// - Precondition: `interval` divides one second; `first` is aligned to it.
  public init(_ plan: RollupPlan, interval: TickInterval = .second, first: Tick, keepsSketches: Bool = true) {
    self.init(plan, interval: interval, first: first, keepsSketches: keepsSketches, reusing: nil)
  }

  /// What a rollup that is done with leaves to another one of the same plan: memory that need not be cleared, and
  /// sketches that go on.
  struct Leftover {
    fileprivate var words: [Int64]
    var sketches: SketchTable
  }

  /// Gives up what another rollup may use. This one must not be used any more.
  mutating func takeLeftover() -> Leftover {
    let leftover = Leftover(words: words, sketches: sketches)
    words = []
    sketches = SketchTable(plan, isKept: false)
    return leftover
  }

  /// The same, with what one before it has left; `nil`: with memory of its own.
  init(
    _ plan: RollupPlan, interval: TickInterval = .second, first: Tick, keepsSketches: Bool = true,
    reusing leftover: consuming Leftover?
  ) {
    precondition(
      1000 % interval.milliseconds == 0, "rollup interval is \(interval.milliseconds) ms, must divide one second")
    precondition(
      first == first.aligned(to: interval), "first tick \(first.unixMilliseconds) ms is not aligned to the interval")
    self.plan = plan
    self.interval = interval
    step = Int64(interval.milliseconds)
    closedThrough = first.unixMilliseconds - step
    watermark = Watermark(first: first, interval: interval)
    // The tick that is waited for, one interval of waiting, the clocks' lead, and one to round up.
    leafCount = plan.leafCount
    let openTicks = Int(Limits.clockLeadMilliseconds / step) + 3
    let slots = 1 << (Int.bitWidth - (openTicks - 1).leadingZeroBitCount)
    slotMask = slots - 1
    // Leftovers in a cell do no harm: it is emptied when its stamp is not that of the tick.
    let count = slots * plan.leafCount * CellLayout.words
    if let leftover, leftover.words.count == count {
      words = leftover.words
      sketches = leftover.sketches
    } else {
      words = [Int64](repeating: 0, count: count)
      sketches = SketchTable(plan, isKept: keepsSketches)
    }
    stamps = [Int64](repeating: .min, count: slots * plan.leafCount)
    meterReadings = [Int64](repeating: .min, count: slots * plan.tree.meters.count)
    self.keepsSketches = keepsSketches
  }

  // MARK: - Rows

  /// Adds a row that arrived in time. `row` has the width of the member's layout; values are `SampleValue.bits`.
  ///
  /// - Complexity: linear in the row's width; no allocation.
  public mutating func add(_ member: MemberNumber, at tick: Tick, row: borrowing Span<Int64>) -> RowOutcome {
    let position = Int(member.position)
    let time = tick.unixMilliseconds
    let program = members[position].program
    precondition(
      row.count == programs[program].width, "row has \(row.count) values, layout \(programs[program].width)")
    if members[position].isController { return noteController(position, at: time, row) }
    if members[position].pace != .even { return addPaced(position, at: time, row) }
    guard time > closedThrough else {
      noteSeen(position, time)
      return .late
    }
    guard isOpen(time) else { return .ahead }
    guard markDelivered(position, time) else { return .duplicate }
    count(position, at: time, row, spendsEnergy: true)
    return .added
  }

  /// Whether there are cells for a tick that is not closed yet.
  func isOpen(_ time: Int64) -> Bool { time &- closedThrough <= Int64(slotMask &+ 1) &* step }

  /// Notes that `time` was delivered; false when it was before.
  mutating func markDelivered(_ position: Int, _ time: Int64) -> Bool {
    let last = members[position].lastTick
    if time > last {
      if last == .min { members[position].firstTick = time }
      // Rows from before the first one in time may come too; to them it is the end of a silence.
      if last == .min || time > last &+ members[position].periodMilliseconds { endSilence(position, at: time) }
      let steps = last == .min ? 64 : time == last &+ step ? 1 : (time &- last) / step
      members[position].delivered = (steps < 64 ? members[position].delivered << steps : 0) | 1
      members[position].lastTick = time
      noteSeen(position, time)
      return true
    }
    let bit = UInt64(1) << UInt64((last &- time) / step)
    guard (last &- time) / step < 64, members[position].delivered & bit == 0 else { return false }
    members[position].delivered |= bit
    return true
  }

  /// Keeps the watermark's counts in step with the newest tick that a member sent, in time or not: a member that comes
  /// just too late must be waited for at the next tick, or it would be too late for ever.
  @inline(__always)
  mutating func noteSeen(_ position: Int, _ time: Int64) {
    let last = members[position].lastSeen
    guard time > last else { return }
    members[position].lastSeen = time
    let period = members[position].periodMilliseconds
    let awaited = watermark.tick.unixMilliseconds
    let stillOwes = time &+ period <= awaited
    if isLive(last, period, at: awaited) {
      if last &+ period <= awaited && !stillOwes { watermark.delivered() }
    } else if isLive(time, period, at: awaited) {
      watermark.joined(isPending: stillOwes)
    }
  }

  func isLive(_ last: Int64, _ interval: Int64, at awaited: Int64) -> Bool {
    last != .min && awaited - last <= Int64(Limits.liveIntervals) * interval
  }

  /// Adds a row to the cells of open tick `time`.
  @inline(__always)
  mutating func count(_ position: Int, at time: Int64, _ row: borrowing Span<Int64>, spendsEnergy: Bool) {
    if let meter = members[position].meter { return countMeter(position, meter, at: time, row) }
    if time < members[position].eraFrom || time >= members[position].eraUntil { enterEra(position, at: time) }
    let leaf = members[position].leaf
    let base = openCell(leaf, at: time)
    let columns = programs[members[position].program].columns
    let offsets = programs[members[position].program].offsets
    if members[position].endsSilence {
      members[position].endsSilence = false
      noteSilenceEnd(position, at: time, row)
    }
    let joules = spendsEnergy ? energy(position, at: time, row) : 0
    let activity = RowKernel.activity(
      row, offsets, busyMilliwatts: members[position].traits.busyMilliwatts)
    let power = NodePower(
      activity, members[position], machine: controllerMilliwatts(position, at: time), at: time)
    let counterBase = keepsSketches ? sketches.cell(leaf, at: time) : -1
    Self.add(row, columns.span, to: &words, at: base, counters: &sketches.counts, at: counterBase)
    addFields(activity, power, joules, members[position], at: base)
    if time >= members[position].lastTick { remember(position, activity, power, at: time) }
  }

  /// Which set of cells an open tick uses.
  @inline(__always)
  private mutating func slot(of time: Int64) -> Int {
    // Rows of one tick follow each other, so the division is rare.
    if time != slotTime { (slotTime, slotOfTime) = (time, Int(time / step) & slotMask) }
    return slotOfTime
  }

  /// Where the cell of `leaf` at open tick `time` begins, emptied of what it held before.
  @inline(__always)
  mutating func openCell(_ leaf: Int, at time: Int64) -> Int {
    let cell = slot(of: time) &* leafCount &+ leaf
    let base = cell &* CellLayout.words
    if stamps[cell] != time {
      stamps[cell] = time
      CellLayout.clear(&words, at: base)
    }
    return base
  }

  @inline(__always)
  private static func add(
    _ row: borrowing Span<Int64>, _ columns: borrowing Span<RowProgram.Column>, to words: inout [Int64],
    at base: Int, counters: inout [UInt32], at counterBase: Int
  ) {
    // Each span is taken once for all columns: taking one checks whether the array is shared.
    var target = words.mutableSpan
    var counterTarget = counters.mutableSpan
    RowKernel.addGauges(row, columns, to: &target, at: base, counters: &counterTarget, at: counterBase)
  }

  @inline(__always)
  private mutating func addFields(
    _ activity: RowKernel.Activity, _ power: NodePower, _ joules: Int64, _ member: RollupMember, at base: Int
  ) {
    var target = words.mutableSpan
    RowKernel.addFields(activity, power, joules, member, to: &target, at: base)
  }

  /// Keeps what a silence will be estimated from.
  mutating func remember(_ position: Int, _ activity: RowKernel.Activity, _ power: NodePower, at time: Int64) {
    let gpus = Int64(members[position].gpus)
    members[position].lastMilliwatts = power.total
    members[position].lastGPUMilliwatts = activity.gpuMilliwatts &+ power.missingGPU
    members[position].lastGPUs = min(gpus, activity.reportingGPUs &+ power.estimatedGPUs)
    if activity.gpusWithPower == gpus && gpus > 0 {
      members[position].fullGPUMilliwatts = activity.gpuMilliwatts
      members[position].fullTick = time
    }
  }

  private mutating func countMeter(
    _ position: Int, _ meter: MeterIndex, at time: Int64, _ row: borrowing Span<Int64>
  ) {
    let offset = programs[members[position].program].offsets.nodePower
    let milliwatts = offset >= 0 ? row[offset] : RowKernel.absent
    meterReadings[(Int(time / step) & slotMask) * plan.tree.meters.count + meter.position] = milliwatts
  }

  /// Looks up where a member stands at `time` and how many GPUs are expected of it.
  mutating func enterEra(_ position: Int, at time: Int64) {
    let tick = Tick(unixMilliseconds: time)
    let era = plan.era(at: tick)
    members[position].eraFrom = era.from.unixMilliseconds
    members[position].eraUntil = era.until.unixMilliseconds
    members[position].leaf = plan.leaf(of: members[position].node, at: tick)
    members[position].expectedGPUs = expectedGPUs(members[position], at: tick)
  }

  /// What the fleet file expects of a known node; of an unknown one, what it said it has.
  func expectedGPUs(_ member: RollupMember, at tick: Tick) -> Int64 {
    guard let node = member.node else { return Int64(member.gpus) }
    let isExpected = plan.tree.isInService(node, at: tick) && !plan.tree.isInMaintenance(node, at: tick)
    return isExpected ? Int64(plan.tree[node].gpus) : 0
  }
}
