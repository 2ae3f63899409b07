import BongsuFleet
public import BongsuModel

/// Where energy was drawn, by name: what a change of the fleet file does not change.
struct EnergyPlace: Hashable, Sendable {
  let factory: String
  let hall: String
  let rack: String
  /// Path.
  let allocation: String
}

// State of a node, as `IntegerWriter` writes it: version 1 · newest tick (0: none, else 1 and the tick) · ticks that came
// lately, a bit each · interval · debt · GPUs, each: key · counter as below · places, each: factory · hall · rack ·
// allocation · millijoules, the node's home first · holes, each: newest tick before or in it (0: none) · end · for each
// GPU: counter before, counter behind, what was counted between them.
//
// A counter is its age against the node's newest tick, plus 1, and its value; 0 when absent.
extension EnergyLedger {
  private static let stateVersion: Int64 = 1

  /// What is remembered of a node, to be restored before its first row.
  public func state(of number: Int) -> [UInt8] {
    var writer = IntegerWriter()
    guard number < nodes.count, nodes[number].isCounted, nodes[number].newest != .min else { return [] }
    let node = nodes[number]
    writer.add(Self.stateVersion)
    writer.add(node.newest)
    writer.add(bits: node.delivered)
    writer.add(node.interval)
    writer.add(node.debt)
    writer.add(Int(node.gpus))
    for place in node.base..<node.base + Int(node.gpus) {
      writer.add(bits: keys[place])
      writer.add(readings[place], before: node.newest)
    }
    var places: [(EnergyPlace, Int64)] = []
    if node.home >= 0 { places.append((plan.energyPlace(Int(node.home)), node.millijoules)) }
    for (leaf, joules) in (away[Int32(number)] ?? [:]).sorted(by: { $0.key < $1.key }) where joules != 0 {
      places.append((plan.energyPlace(Int(leaf)), joules))
    }
    for (place, joules) in strays[Int32(number)] ?? [:] { places.append((place, joules)) }
    writer.add(places.count)
    for (place, joules) in places {
      writer.add(place.factory)
      writer.add(place.hall)
      writer.add(place.rack)
      writer.add(place.allocation)
      writer.add(joules)
    }
    let open = holes[Int32(number)] ?? []
    writer.add(open.count)
    for hole in open {
      writer.add(hole.chain == .min ? 0 : 1)
      if hole.chain != .min { writer.add(node.newest &- hole.chain) }
      writer.add(node.newest &- hole.until)
      for gpu in hole.left.indices {
        writer.add(hole.left[gpu], before: node.newest)
        writer.add(hole.right[gpu], before: node.newest)
        writer.add(hole.counted[gpu])
      }
    }
    return writer.bytes
  }

  /// Restores a node that is not known yet. Energy of places that the plan no longer has stays in all levels that it still
  /// has. Any bytes may be given; nothing traps, and what cannot be read changes nothing.
  public mutating func restore(_ number: Int, state bytes: [UInt8]) throws(PackedIntegersUnreadable) {
    precondition(number >= nodes.count || nodes[number].newest == .min, "node \(number) is known already")
    guard !bytes.isEmpty else { return }
    var reader = IntegerReader(bytes)
    guard try reader.next() == Self.stateVersion else { throw PackedIntegersUnreadable(offset: 0) }
    var node = Node()
    node.newest = try reader.next()
    node.delivered = try reader.nextBits()
    node.interval = max(1, try reader.next())
    node.debt = max(0, try reader.next())
    let gpus = try reader.count(max: Limits.gpusPerMemberMax)
    var counters: [(key: UInt64, reading: EnergyCounter.Reading)] = []
    for _ in 0..<gpus { counters.append((try reader.nextBits(), try reader.reading(before: node.newest))) }
    var places: [(place: EnergyPlace, joules: Int64)] = []
    for _ in 0..<(try reader.count(max: Limits.energyPlacesMax)) {
      let place = EnergyPlace(
        factory: try reader.text(), hall: try reader.text(), rack: try reader.text(), allocation: try reader.text())
      places.append((place, try reader.next()))
    }
    var open: [EnergyHole] = []
    for _ in 0..<(try reader.count(max: Limits.energyGapsMax)) {
      open.append(try reader.hole(gpus: gpus, before: node.newest))
    }
    guard reader.isAtEnd, node.newest != .min else { throw PackedIntegersUnreadable(offset: reader.offset) }
    if number >= nodes.count { nodes.append(contentsOf: repeatElement(Node(), count: number + 1 - nodes.count)) }
    nodes[number] = node
    makeRoom(number, gpus: gpus)
    for (gpu, counter) in counters.enumerated() {
      keys[nodes[number].base + gpu] = counter.key
      readings[nodes[number].base + gpu] = counter.reading
    }
    for (index, entry) in places.enumerated() { restore(number, entry.place, entry.joules, isHome: index == 0) }
    keep(open, number)
  }

  private mutating func restore(_ number: Int, _ place: EnergyPlace, _ joules: Int64, isHome: Bool) {
    if leafByPlace.isEmpty {
      for leaf in 0..<plan.leafCount { leafByPlace[plan.energyPlace(leaf)] = Int32(leaf) }
    }
    guard let leaf = leafByPlace[place] else {
      strays[Int32(number), default: [:]][place, default: 0] &+= joules
      elsewhere[place, default: 0] &+= joules
      return
    }
    if isHome { nodes[number].home = leaf }
    restore(number, leaf, joules)
  }

  /// All states are restored: `since` is the tick of the first row of all.
  public mutating func finishRestoring(since tick: Tick?) {
    leafByPlace = [:]
    if let tick { since = tick }
  }
}

extension RollupPlan {
  /// Where the nodes of a leaf cell stand, and whom they belong to.
  func energyPlace(_ leaf: Int) -> EnergyPlace {
    let rack = tree.racks[Int(leafRack[leaf])]
    let hall = tree[rack.hall]
    return EnergyPlace(
      factory: tree[hall.factory].id, hall: hall.id, rack: rack.id,
      allocation: tree.allocations[Int(leafAllocation[leaf])].path)
  }
}

extension IntegerWriter {
  fileprivate mutating func add(_ reading: EnergyCounter.Reading, before newest: Int64) {
    guard !reading.isAbsent else { return add(0) }
    add(newest &- reading.time &+ 1)
    add(reading.value)
  }
}

extension IntegerReader {
  fileprivate mutating func reading(
    before newest: Int64
  ) throws(PackedIntegersUnreadable) -> EnergyCounter.Reading {
    let age = try next()
    guard age != 0 else { return EnergyCounter.Reading() }
    return EnergyCounter.Reading(value: try next(), time: newest &- (age &- 1))
  }

  fileprivate mutating func hole(gpus: Int, before newest: Int64) throws(PackedIntegersUnreadable) -> EnergyHole {
    let chain = try next() == 0 ? Int64.min : newest &- (try next())
    var hole = EnergyHole(chain: chain, until: newest &- (try next()), left: [])
    for _ in 0..<gpus {
      hole.left.append(try reading(before: newest))
      hole.right.append(try reading(before: newest))
      hole.counted.append(try next())
    }
    return hole
  }
}
