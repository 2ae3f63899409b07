public import BongsuFleet
public import BongsuModel

/// Forms the windows of one node from its stored rows: the finest level, which is cheaper to derive where a node's
/// minutes are at hand together than to keep for all nodes at once.
///
/// Rows come in the order of their ticks, each once; what was late is in its place by then. The counts are those of the
/// levels above, without estimates: a node that is silent has no row.
public struct NodeFolder: Sendable {
  private let program: RowProgram
  private let traits: PowerTraits
  private var member: RollupMember
  private var counters: [EnergyCounter.Reading]
  private var cell = CellTable(count: 1)
  private let length: WindowLength
  private var open: WindowTable?
  /// What the machine's controller said.
  var machine: ControllerReadings?

  /// A folder for the rows of `node` in `layout`, into windows of `length`. `node` is `nil` when the fleet does not know it.
  public init(_ tree: FleetTree, node: NodeIndex?, layout: RowLayout, length: WindowLength = .minute) {
    program = RowProgram(layout)
    let model = node.map { tree.model(of: $0) } ?? ShardRollup.model(of: layout)
    traits = PowerTraits(model)
    let interval = Int64(layout.interval.milliseconds)
    member = RollupMember(
      node: node, meter: nil, program: 0, traits: traits, intervalMilliseconds: interval, periodMilliseconds: interval,
      pace: .even, counterBase: 0, counterCapacity: program.offsets.gpus, gpus: program.offsets.gpus)
    member.expectedGPUs = Int64(node.map { tree[$0].gpus } ?? program.offsets.gpus)
    counters = Array(repeating: EnergyCounter.Reading(), count: program.offsets.gpus)
    self.length = length
  }

  /// Newest energy counters in row order.
  var readings: [EnergyCounter.Reading] { counters }

  /// Begins with the counters of the rows before, so that energy goes on without a gap.
  mutating func resume(_ state: MemberState, layout: RowLayout) {
    let known = Dictionary(state.counters.map { ($0.key, $0) }) { first, _ in first }
    for (gpu, key) in ShardRollup.gpuKeys(layout).enumerated() where gpu < counters.count {
      guard let counter = known[key], let tick = counter.tick else { continue }
      counters[gpu] = EnergyCounter.Reading(value: counter.millijoules, time: tick.unixMilliseconds)
    }
  }

  /// Adds the row of one tick; returns the window before it when this one begins another.
  ///
  /// `isExpected` says whether the node is in service and not in maintenance at the tick.
  public mutating func add(_ row: borrowing Span<Int64>, at tick: Tick, isExpected: Bool) -> WindowTable? {
    precondition(row.count == program.width, "row has \(row.count) values, layout \(program.width)")
    let time = tick.unixMilliseconds
    let activity = RowKernel.activity(row, program.offsets, busyMilliwatts: traits.busyMilliwatts)
    var power = NodePower(activity, member, machine: machine?.milliwatts(at: time), at: time)
    power.missing = 0
    power.missingGPU = 0
    power.estimatedGPUs = 0
    let joules = EnergyCounter.advance(
      row, program.offsets, &counters, at: 0, time: time, milliwattsMax: traits.gpuMilliwattsMax,
      interval: member.intervalMilliseconds)
    var expecting = member
    expecting.expectedGPUs = isExpected ? member.expectedGPUs : 0
    cell.clear()
    add(row, activity, power, joules, expecting)
    cell.setField(.expectedGPUs, 0, expecting.expectedGPUs)
    let end = length.end(of: tick)
    var ended: WindowTable?
    if let window = open, window.end != end { ended = finish() }
    if open == nil { open = WindowTable(nil, length, end: end, count: 1) }
    open?.fold(cell, at: tick) { _ in nil }
    return ended
  }

  /// Ends the window that is open; `nil` when none is.
  public mutating func finish() -> WindowTable? {
    defer { open = nil }
    return open
  }

  private mutating func add(
    _ row: borrowing Span<Int64>, _ activity: RowKernel.Activity, _ power: NodePower, _ joules: Int64,
    _ member: RollupMember
  ) {
    let columns = program.columns
    var words = cell.words.mutableSpan
    var noCounters = MutableSpan<UInt32>()
    RowKernel.addGauges(row, columns.span, to: &words, at: 0, counters: &noCounters, at: -1)
    RowKernel.addFields(activity, power, joules, member, to: &words, at: 0)
  }
}
