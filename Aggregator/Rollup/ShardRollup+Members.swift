import BongsuFleet
public import BongsuModel

extension ShardRollup {
  /// Registers a node, or gives a registered one a new layout. Unknown names are members of `unassigned`; names of meter
  /// sources feed their meter, names of controllers their node.
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
    let machine = plan.tree.node(controlledBy: id)
    if machine == nil && node == nil {
      strangerModels[number.position] = Self.model(of: layout)
    }
    members.append(
      RollupMember(
        node: node, meter: plan.tree.meter(readBy: id), program: program,
        traits: PowerTraits(node.map { plan.tree.model(of: $0) } ?? Self.model(of: layout)),
        intervalMilliseconds: interval, periodMilliseconds: max(interval, step), pace: pace,
        counterBase: counters.count, counterCapacity: gpus, gpus: gpus))
    members[members.count - 1].isController = machine != nil
    let controller = machine.map { controllerNumber(of: $0) } ?? controllerNumbers[id]
    members[members.count - 1].controller = controller ?? -1
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
  mutating func refit(
    _ position: Int, program: Int, model: GPUModel?, keys: [UInt64], interval: Int64, pace: RollupMember.Pace
  ) {
    // Rows that wait for their mean have the old shape.
    if members[position].pace == .fast { flushFast(Int(members[position].pacedIndex)) }
    let old = members[position]
    var known: [UInt64: EnergyCounter.Reading] = [:]
    for gpu in 0..<old.gpus { known[counterKeys[old.counterBase + gpu]] = counters[old.counterBase + gpu] }
    if keys.count > old.counterCapacity {
      members[position].counterBase = counters.count
      members[position].counterCapacity = keys.count
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
  static func gpuKeys(_ layout: RowLayout) -> [UInt64] {
    layout.devices.filter { $0.scope == .gpu }.map { device in
      let text = device.key.isEmpty ? "#\(device.index)" : device.key
      return text.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    }
  }

  mutating func setPace(_ pace: RollupMember.Pace, of position: Int) {
    members[position].pace = pace
    let old = Int(members[position].pacedIndex)
    if old >= 0 {
      // The last one takes the free place.
      members[Int(pacedMembers[pacedMembers.count - 1])].pacedIndex = Int32(old)
      pacedMembers.swapAt(old, pacedMembers.count - 1)
      paced.swapAt(old, paced.count - 1)
      pacedMembers.removeLast()
      paced.removeLast()
      members[position].pacedIndex = -1
    }
    guard pace != .even else { return }
    members[position].pacedIndex = Int32(paced.count)
    pacedMembers.append(Int32(position))
    paced.append(PacedRows(width: programs[members[position].program].width))
  }

  mutating func program(for layout: RowLayout) -> Int { number(of: RowProgram(layout)) }

  /// The number of a shape; shapes that no member has any more make room for new ones.
  mutating func number(of program: RowProgram) -> Int {
    if let known = programByShape[program] { return known }
    if programs.count >= members.count + Limits.spareProgramsMax { dropUnusedPrograms() }
    programs.append(program)
    programByShape[program] = programs.count - 1
    return programs.count - 1
  }

  private mutating func dropUnusedPrograms() {
    var kept: [RowProgram] = []
    programByShape.removeAll(keepingCapacity: true)
    for position in members.indices {
      let program = programs[members[position].program]
      if programByShape[program] == nil {
        programByShape[program] = kept.count
        kept.append(program)
      }
      members[position].program = programByShape[program]!
    }
    programs = kept
  }

  /// The model that a node outside the fleet file reports, so that its power can be scaled like any other's.
  static func model(of layout: RowLayout) -> GPUModel? {
    layout.devices.lazy.compactMap { $0.scope == .gpu ? GPUModel.model(driverName: $0.model) : nil }.first
  }
}
