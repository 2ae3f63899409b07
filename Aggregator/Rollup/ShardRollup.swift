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
  /// What nodes outside the fleet file say they are.
  var strangerModels: [Int32: GPUModel] = [:]
  var programs: [RowProgram] = []
  private var programByShape: [RowProgram: Int] = [:]
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
  private var meterReadings: [Int64]
  /// Members that are not sampled once per rollup tick, and their rows.
  var pacedMembers: [Int32] = []
  var paced: [PacedRows] = []
  let keepsSketches: Bool
  var sketches: SketchTable
  /// Silences that late rows may fill, newest last, by member.
  var gaps: [Int32: [Silence]] = [:]
  /// Whether the row being counted ends a silence.
  var pendingSilenceEnds = false
  var late: [Int64: LateCells] = [:]

  /// An empty rollup whose first closed tick is `first`.
  ///
  /// - Precondition: `interval` divides one second; `first` is aligned to it.
  public init(_ plan: RollupPlan, interval: TickInterval = .second, first: Tick, keepsSketches: Bool = true) {
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
    words = [Int64](repeating: 0, count: slots * plan.leafCount * CellLayout.words)
    stamps = [Int64](repeating: .min, count: slots * plan.leafCount)
    meterReadings = [Int64](repeating: .min, count: slots * plan.tree.meters.count)
    self.keepsSketches = keepsSketches
    sketches = SketchTable(plan, isKept: keepsSketches)
  }

  // MARK: - Members

  /// Registers a node, or gives a registered one a new layout. Unknown names are members of `unassigned`; names of meter
  /// sources feed their meter.
  ///
  /// - Precondition: fewer than ``Limits/membersMax`` members; see ``isFull``.
  public mutating func join(_ id: NodeID, layout: RowLayout) -> MemberNumber {
    let program = program(for: layout)
    let gpus = programs[program].offsets.gpus
    let interval = Int64(layout.interval.milliseconds)
    let pace: RollupMember.Pace = interval == step ? .even : interval < step ? .fast : .slow
    if let number = memberByID[id] {
      let position = Int(number.position)
      let keys = counterKeys[members[position].counterBase..<members[position].counterBase + members[position].gpus]
      let isSame =
        members[position].program == program && members[position].intervalMilliseconds == interval
        && keys.elementsEqual(Self.gpuKeys(layout))
      if !isSame {
        refit(
          position, program: program, model: Self.model(of: layout), keys: Self.gpuKeys(layout), interval: interval,
          pace: pace)
      }
      return number
    }
    precondition(!isFull, "\(members.count) members, limit \(Limits.membersMax)")
    let node = plan.tree.node(id)
    let number = MemberNumber(position: Int32(members.count))
    if node == nil { strangerModels[number.position] = Self.model(of: layout) }
    members.append(
      RollupMember(
        node: node, meter: plan.tree.meter(readBy: id), program: program,
        traits: PowerTraits(node.map { plan.tree.model(of: $0) } ?? Self.model(of: layout)),
        intervalMilliseconds: interval, periodMilliseconds: max(interval, step), pace: pace,
        counterBase: counters.count, gpus: gpus))
    addCounters(Self.gpuKeys(layout))
    memberIDs.append(id)
    memberByID[id] = number
    setPace(pace, of: Int(number.position))
    return number
  }

  /// Whether no further node can join.
  public var isFull: Bool { members.count >= Limits.membersMax }

  /// The member called `id`, `nil` before it has joined.
  public func member(_ id: NodeID) -> MemberNumber? { memberByID[id] }

  /// Gives a member another shape. Counters follow their GPUs, which may have changed places; what was remembered of the
  /// shape itself is forgotten.
  private mutating func refit(
    _ position: Int, program: Int, model: GPUModel?, keys: [UInt64], interval: Int64, pace: RollupMember.Pace
  ) {
    let old = members[position]
    var known: [UInt64: EnergyCounter.Reading] = [:]
    for gpu in 0..<old.gpus { known[counterKeys[old.counterBase + gpu]] = counters[old.counterBase + gpu] }
    if keys.count > old.gpus {
      members[position].counterBase = counters.count
      addCounters(keys)
    }
    let base = members[position].counterBase
    for (gpu, key) in keys.enumerated() {
      counterKeys[base + gpu] = key
      counters[base + gpu] = known[key] ?? EnergyCounter.Reading()
    }
    members[position].program = program
    members[position].gpus = keys.count
    members[position].intervalMilliseconds = interval
    members[position].periodMilliseconds = max(interval, step)
    members[position].eraUntil = .min
    if Set(known.keys) != Set(keys) { members[position].fullTick = .min }
    if old.node == nil {
      members[position].traits = PowerTraits(model)
      strangerModels[Int32(position)] = model
    }
    gaps[Int32(position)] = nil
    setPace(pace, of: position)
  }

  mutating func addCounters(_ keys: [UInt64]) {
    counters.append(contentsOf: repeatElement(EnergyCounter.Reading(), count: keys.count))
    counterKeys.append(contentsOf: keys)
  }

  /// Hashes of the GPUs' keys in row order (FNV-1a, 64 bits); of their numbers where they have none.
  private static func gpuKeys(_ layout: RowLayout) -> [UInt64] {
    layout.devices.filter { $0.scope == .gpu }.map { device in
      let text = device.key.isEmpty ? "#\(device.index)" : device.key
      return text.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    }
  }

  private mutating func setPace(_ pace: RollupMember.Pace, of position: Int) {
    members[position].pace = pace
    if let index = pacedMembers.firstIndex(of: Int32(position)) {
      pacedMembers.remove(at: index)
      paced.remove(at: index)
    }
    guard pace != .even else { return }
    pacedMembers.append(Int32(position))
    paced.append(PacedRows(width: programs[members[position].program].width))
  }

  private mutating func program(for layout: RowLayout) -> Int { number(of: RowProgram(layout)) }

  mutating func number(of program: RowProgram) -> Int {
    if let known = programByShape[program] { return known }
    programs.append(program)
    programByShape[program] = programs.count - 1
    return programs.count - 1
  }

  /// The model that a node outside the fleet file reports, so that its power can be scaled like any other's.
  static func model(of layout: RowLayout) -> GPUModel? {
    layout.devices.lazy.compactMap { $0.scope == .gpu ? GPUModel.model(driverName: $0.model) : nil }.first
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
    if members[position].pace != .even { return addPaced(position, at: time, row) }
    guard time > closedThrough else { return .late }
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
      if last == .min {
        members[position].firstTick = time
      } else if time > last &+ members[position].periodMilliseconds {
        endSilence(position, at: time)
      }
      let steps = last == .min ? 64 : time == last &+ step ? 1 : (time &- last) / step
      let owed = last == .min || last &+ members[position].periodMilliseconds <= watermark.tick.unixMilliseconds
      members[position].delivered = (steps < 64 ? members[position].delivered << steps : 0) | 1
      members[position].lastTick = time
      noteProgress(position, from: last, to: time, owed: owed)
      return true
    }
    let bit = UInt64(1) << UInt64((last &- time) / step)
    guard (last &- time) / step < 64, members[position].delivered & bit == 0 else { return false }
    members[position].delivered |= bit
    return true
  }

  /// Keeps the watermark's counts in step with a member's newest tick.
  private mutating func noteProgress(_ position: Int, from last: Int64, to time: Int64, owed: Bool) {
    let interval = members[position].periodMilliseconds
    let awaited = watermark.tick.unixMilliseconds
    let stillOwes = time &+ interval <= awaited
    guard isLive(last, interval, at: awaited) else {
      watermark.joined(isPending: stillOwes)
      return
    }
    if owed && !stillOwes { watermark.delivered() }
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
    if pendingSilenceEnds {
      pendingSilenceEnds = false
      noteSilenceEnd(position, at: time, row)
    }
    let joules = spendsEnergy ? energy(position, at: time, row) : 0
    let activity = RowKernel.activity(
      row, offsets, busyMilliwatts: members[position].traits.busyMilliwatts)
    let power = NodePower(activity, members[position], at: time)
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
  private mutating func remember(_ position: Int, _ activity: RowKernel.Activity, _ power: NodePower, at time: Int64) {
    let gpus = Int64(members[position].gpus)
    members[position].lastMilliwatts = power.total
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

  // MARK: - Closing

  /// Whether the next tick can be closed at server time `now`; see ``Watermark/isClosable(now:)``.
  public mutating func isClosable(now: Tick) -> Bool { watermark.isClosable(now: now) }

  /// The tick that ``close(into:)`` will close next.
  public var nextTick: Tick { Tick(unixMilliseconds: closedThrough + step) }

  /// Closes the next tick: writes its cells into `frame`, estimates of silent nodes included, and begins to wait for the
  /// tick after it. Does not allocate once `frame` has been through it.
  public mutating func close(into frame: inout LeafFrame) {
    let time = closedThrough + step
    frame.reset(tick: Tick(unixMilliseconds: time))
    flushPaced(at: time)
    estimateSilentMembers(at: time)
    let slot = Int(time / step) & slotMask
    for leaf in 0..<plan.leafCount where stamps[slot * plan.leafCount + leaf] == time {
      let base = (slot * plan.leafCount + leaf) * CellLayout.words
      frame.leaves.append(Int32(leaf))
      frame.words.append(contentsOf: words[base..<base + CellLayout.words])
    }
    let meters = plan.tree.meters.count
    for meter in 0..<meters where meterReadings[slot * meters + meter] != .min {
      frame.meterReadings.append((Int32(meter), meterReadings[slot * meters + meter]))
      meterReadings[slot * meters + meter] = .min
    }
    closedThrough = time
    beginWaiting(for: time + step)
  }

  /// Hands out the quantile sketches of the minute that ends with `tick`, which was closed last; `nil` when nothing was
  /// counted in it, or `tick` ends no minute.
  public mutating func takeSketches(endingWith tick: Tick) -> SketchFrame? {
    guard keepsSketches, tick.unixMilliseconds % 60_000 == 0 else { return nil }
    return sketches.take(minute: tick.unixMilliseconds)
  }

  /// Quantile sketches of late rows, by minute; each is merged into what the minute had before.
  public mutating func takeLateSketches() -> [SketchFrame] { sketches.takeLate() }

  /// Adds estimates for members that did not deliver `time`.
  private mutating func estimateSilentMembers(at time: Int64) {
    for position in members.indices where !isDelivered(members[position], time) {
      let member = members[position]
      let age = time &- member.lastTick
      guard member.meter == nil, member.lastTick != .min, time > member.firstTick,
        MissingEstimate.isCurrent(ageMilliseconds: age)
      else { continue }
      if time < member.eraFrom || time >= member.eraUntil { enterEra(position, at: time) }
      let expected = members[position].expectedGPUs
      guard expected > 0 else { continue }
      let base = openCell(members[position].leaf, at: time)
      words[base + CellLayout.field(.missingPower)] &+= member.estimate(ageMilliseconds: age)
      words[base + CellLayout.field(.estimatedGPUs)] &+= member.lastGPUs
      if member.node == nil { words[base + CellLayout.field(.expectedGPUs)] &+= expected }
    }
  }

  /// Whether `time` was delivered, or is covered by the row of a slower member.
  private func isDelivered(_ member: RollupMember, _ time: Int64) -> Bool {
    if member.pace == .slow { return member.lastTick != .min && time - member.lastTick < member.intervalMilliseconds }
    let behind = (member.lastTick &- time) / step
    return member.lastTick >= time && behind < 64 && member.delivered & 1 << UInt64(behind) != 0
  }

  private mutating func beginWaiting(for time: Int64) {
    var live = 0
    var pending = 0
    for member in members where isLive(member.lastTick, member.periodMilliseconds, at: time) {
      live += 1
      if member.lastTick + member.periodMilliseconds <= time { pending += 1 }
    }
    watermark.await(Tick(unixMilliseconds: time), live: live, pending: pending)
  }
}
