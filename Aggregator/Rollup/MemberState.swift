import BongsuFleet
public import BongsuModel

/// What a shard remembers of a node between rows: enough to go on estimating it, and counting its energy without a gap,
/// after a restart.
public struct MemberState: Hashable, Sendable {
  /// Whose state it is.
  public let id: NodeID
  /// Model of the GPUs of a node that the fleet file does not know, as ``GPUModel/key``; `nil` for all others.
  public let modelKey: String?
  /// First and newest tick delivered in time, and the distance between its ticks in milliseconds.
  public let firstTick: Tick
  public let lastTick: Tick
  public let intervalMilliseconds: Int64
  /// IT power, its GPUs' own part and reporting GPUs at the newest tick.
  public let lastMilliwatts: Int64
  public let lastGPUMilliwatts: Int64
  public let lastGPUs: Int64
  /// GPU power at the newest tick at which all GPUs reported it; `nil` before the first.
  public let full: FullReading?
  /// Energy counters, by GPU.
  public let counters: [Counter]

  /// GPU power while all GPUs answered.
  public struct FullReading: Hashable, Sendable {
    public let tick: Tick
    public let milliwatts: Int64

    public init(tick: Tick, milliwatts: Int64) {
      self.tick = tick
      self.milliwatts = milliwatts
    }
  }

  /// The newest energy counter of one GPU.
  public struct Counter: Hashable, Sendable {
    /// Hash of the GPU's key.
    public let key: UInt64
    /// When it was read, and what it showed, mJ; `nil` before the first reading.
    public let tick: Tick?
    public let millijoules: Int64

    public init(key: UInt64, tick: Tick?, millijoules: Int64) {
      self.key = key
      self.tick = tick
      self.millijoules = millijoules
    }
  }

  public init(
    id: NodeID, modelKey: String?, firstTick: Tick, lastTick: Tick, intervalMilliseconds: Int64, lastMilliwatts: Int64,
    lastGPUMilliwatts: Int64, lastGPUs: Int64, full: FullReading?, counters: [Counter]
  ) {
    self.id = id
    self.modelKey = modelKey
    self.firstTick = firstTick
    self.lastTick = lastTick
    self.intervalMilliseconds = intervalMilliseconds
    self.lastMilliwatts = lastMilliwatts
    self.lastGPUMilliwatts = lastGPUMilliwatts
    self.lastGPUs = lastGPUs
    self.full = full
    self.counters = counters
  }
}

extension ShardRollup {
  /// The states of all members that were heard, for a checkpoint.
  public var memberStates: [MemberState] {
    members.indices.compactMap { position in
      let member = members[position]
      guard member.lastTick != .min, member.meter == nil else { return nil }
      let counterStates = (member.counterBase..<member.counterBase + member.gpus).map { place in
        let reading = counters[place]
        return MemberState.Counter(
          key: counterKeys[place], tick: reading.isAbsent ? nil : Tick(unixMilliseconds: reading.time),
          millijoules: reading.isAbsent ? 0 : reading.value)
      }
      return MemberState(
        id: memberIDs[position], modelKey: strangerModels[Int32(position)]?.key,
        firstTick: Tick(unixMilliseconds: member.firstTick),
        lastTick: Tick(unixMilliseconds: member.lastTick), intervalMilliseconds: member.intervalMilliseconds,
        lastMilliwatts: member.lastMilliwatts, lastGPUMilliwatts: member.lastGPUMilliwatts,
        lastGPUs: member.lastGPUs,
        full: member.fullTick == .min
          ? nil : .init(tick: Tick(unixMilliseconds: member.fullTick), milliwatts: member.fullGPUMilliwatts),
        counters: counterStates)
    }
  }

  /// Remembers a node from before a restart. It counts as silent since then until it joins and delivers again. Nodes that
  /// have joined already keep what they know.
  public mutating func restore(_ state: MemberState) {
    guard memberByID[state.id] == nil, !plan.tree.standsNowhere(state.id),
      members.count < Limits.membersMax, state.counters.count <= Limits.gpusPerMemberMax
    else { return }
    let node = plan.tree.node(state.id)
    let model = node.map { plan.tree.model(of: $0) } ?? state.modelKey.flatMap { GPUModel.model($0) }
    let interval = max(1, state.intervalMilliseconds)
    var member = RollupMember(
      node: node, meter: nil, program: number(of: RowProgram(gpus: state.counters.count)),
      traits: PowerTraits(model), intervalMilliseconds: interval,
      periodMilliseconds: max(interval, step), pace: .even, counterBase: counters.count,
      counterCapacity: state.counters.count, gpus: state.counters.count)
    member.firstTick = state.firstTick.unixMilliseconds
    member.lastTick = min(state.lastTick.unixMilliseconds, closedThrough)
    member.lastSeen = member.lastTick
    member.delivered = 1
    member.lastMilliwatts = state.lastMilliwatts
    member.lastGPUMilliwatts = state.lastGPUMilliwatts
    member.lastGPUs = state.lastGPUs
    if let full = state.full {
      member.fullTick = full.tick.unixMilliseconds
      member.fullGPUMilliwatts = full.milliwatts
    }
    addCounters(state.counters.map(\.key))
    for (gpu, counter) in state.counters.enumerated() {
      guard let tick = counter.tick else { continue }
      counters[member.counterBase + gpu] = EnergyCounter.Reading(
        value: counter.millijoules, time: tick.unixMilliseconds)
      member.counterTick = max(member.counterTick, tick.unixMilliseconds)
    }
    member.controller = controllerNumbers[state.id] ?? -1
    let position = members.count
    if node == nil { strangerModels[Int32(position)] = model }
    members.append(member)
    memberIDs.append(state.id)
    memberByID[state.id] = MemberNumber(position: Int32(position))
  }
}
