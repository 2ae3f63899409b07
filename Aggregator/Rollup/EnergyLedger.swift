import BongsuFleet
public import BongsuModel

/// Energy that GPUs have drawn since a data directory was begun, by where they stood and whom they belonged to.
///
///     rows, as they are stored ─▶ counters of each GPU, energy of each node by place ─▶ leaf cells ─▶ ``EnergyTotals``
///                                    └ a checkpoint has these as of a record; a replay adds what came after it
///
/// - **Exact.** Differences of hardware counters, see ``EnergyCounter``; a GPU without a counter is integrated from its
///   power. Rows that come late into a hole put right what the row behind the hole had counted for them.
/// - **The same after a restart.** It is a function of each node's rows in the order in which they were stored, and what it
///   remembers of a node is in its ``state(of:)``. Whoever restores that and adds the rows after it has the same sums.
/// - **Monotone.** No sum falls. Where a late row takes more from a node than it brings (broken counters; a membership that
///   changed in the hole), the node owes that, and pays with what it draws next.
///
/// Adding a row allocates nothing once the node is known, but for the first row after a hole. Used by one thread.
public struct EnergyLedger: Sendable {
  let plan: RollupPlan
  /// Tick of the first row that was counted; `nil` before it.
  public internal(set) var since: Tick?
  /// By the caller's numbers.
  var nodes: [Node] = []
  /// Newest counters of all GPUs, and whose they are; each node's at its `base`.
  var readings: [EnergyCounter.Reading] = []
  var keys: [UInt64] = []
  /// Where late rows may still come, oldest first, by node.
  var holes: [Int32: [EnergyHole]] = [:]
  /// What nodes drew in other leaf cells than their home, and in places that the plan no longer has.
  var away: [Int32: [Int32: Int64]] = [:]
  var strays: [Int32: [EnergyPlace: Int64]] = [:]
  /// Sums over nodes.
  private var leaves: [Int64]
  var elsewhere: [EnergyPlace: Int64] = [:]
  /// Leaf cells by their place, while states are restored.
  var leafByPlace: [EnergyPlace: Int32] = [:]

  /// One node.
  struct Node: Sendable {
    /// The layout that the places below are of, 0 before the first.
    var version: UInt32 = 0
    var isCounted = true
    var hasHoles = false
    /// Whether a hole waits for the next reading of a counter.
    var awaitsEnd = false
    var gpus: Int32 = 0
    var capacity: Int32 = 0
    var base = 0
    var energyOffset: Int32 = -1
    var powerOffset: Int32 = -1
    var place: NodeIndex?
    var interval: Int64 = 1000
    var milliwattsMax = Limits.unknownGPUMilliwattsMax
    /// Leaf cell for ticks from `eraFrom` to before `eraUntil`.
    var leaf: Int32 = -1
    var eraFrom = Int64.max
    var eraUntil = Int64.min
    /// Newest tick, `Int64.min` before the first; bit n: the tick n intervals before it has come.
    var newest = Int64.min
    var delivered: UInt64 = 0
    /// End of the oldest hole.
    var oldestHole = Int64.max
    /// What was drawn in leaf cell `home`, mJ, and what is still owed there.
    var home: Int32 = -1
    var millijoules: Int64 = 0
    var debt: Int64 = 0
  }

  /// Nothing was drawn yet.
  public init(_ plan: RollupPlan) {
    self.plan = plan
    leaves = [Int64](repeating: 0, count: plan.leafCount)
  }

  /// Energy of one shard's nodes so far.
  public struct Sums: Sendable {
    let leaves: [Int64]
    let elsewhere: [EnergyPlace: Int64]
    let since: Tick?
  }

  /// What was drawn so far. Shares memory until the next row.
  public var sums: Sums { Sums(leaves: leaves, elsewhere: elsewhere, since: since) }

  // MARK: - Rows

  /// Says which layout the next rows of a node have. `version` is not 0, and another for every other layout of the node.
  /// Meters and controllers are not counted.
  public mutating func adopt(_ number: Int, _ id: NodeID, _ layout: RowLayout, version: UInt32) {
    precondition(version > 0, "layout of \(id) has version 0")
    if number >= nodes.count { nodes.append(contentsOf: repeatElement(Node(), count: number + 1 - nodes.count)) }
    guard nodes[number].version != version else { return }
    let offsets = RowProgram(layout).offsets
    let node = plan.tree.node(id)
    nodes[number].version = version
    nodes[number].isCounted = !plan.tree.standsNowhere(id)
    nodes[number].energyOffset = Int32(offsets.energy)
    nodes[number].powerOffset = Int32(offsets.power)
    nodes[number].place = node
    let interval = Int64(max(1, layout.interval.milliseconds))
    // Ticks are told apart by their distance.
    if interval != nodes[number].interval { nodes[number].delivered = 1 }
    nodes[number].interval = interval
    nodes[number].milliwattsMax =
      PowerTraits(node.map { plan.tree.model(of: $0) } ?? ShardRollup.model(of: layout)).gpuMilliwattsMax
    nodes[number].eraUntil = .min
    refit(number, ShardRollup.gpuKeys(layout))
  }

  /// Counters follow their GPUs, which may have changed places.
  private mutating func refit(_ number: Int, _ new: [UInt64]) {
    let node = nodes[number]
    let old = node.base..<node.base + Int(node.gpus)
    guard !keys[old].elementsEqual(new) else { return }
    let known = Dictionary(old.map { (keys[$0], readings[$0]) }) { first, _ in first }
    makeRoom(number, gpus: new.count)
    let base = nodes[number].base
    for (gpu, key) in new.enumerated() {
      keys[base + gpu] = key
      readings[base + gpu] = known[key] ?? EnergyCounter.Reading()
    }
    forgetHoles(number)
  }

  mutating func makeRoom(_ number: Int, gpus: Int) {
    if gpus > Int(nodes[number].capacity) {
      nodes[number].base = readings.count
      nodes[number].capacity = Int32(gpus)
      readings.append(contentsOf: repeatElement(EnergyCounter.Reading(), count: gpus))
      keys.append(contentsOf: repeatElement(0, count: gpus))
    }
    nodes[number].gpus = Int32(gpus)
  }

  /// Counts a row of the adopted layout. Rows of a node come in the order in which they are stored.
  public mutating func add(_ number: Int, at tick: Tick, _ row: borrowing Span<Int64>) {
    let node = nodes[number]
    guard node.isCounted else { return }
    let time = tick.unixMilliseconds
    if since == nil { since = tick }
    guard time > node.newest else { return addLate(number, at: time, row) }
    if node.awaitsEnd { endHoles(number, at: time, row) }
    if node.newest == .min || time &- node.newest > node.interval { beginHole(number, until: time, row) }
    if node.hasHoles && time &- node.oldestHole > Limits.energyHoleMilliseconds { dropOldHoles(number, at: time) }
    let joules = EnergyCounter.advance(
      row, node.offsets, &readings, at: node.base, time: time, milliwattsMax: node.milliwattsMax,
      interval: node.interval)
    let steps = node.newest == .min ? 64 : (time &- node.newest) / node.interval
    nodes[number].delivered = (steps < 64 ? node.delivered << steps : 0) | 1
    nodes[number].newest = time
    let leaf = leaf(of: number, at: time)
    if leaf != nodes[number].home { moveHome(number, to: leaf) }
    credit(number, leaf, joules)
  }

  /// The leaf cell of a node at an instant.
  mutating func leaf(of number: Int, at time: Int64) -> Int32 {
    if time < nodes[number].eraFrom || time >= nodes[number].eraUntil {
      let tick = Tick(unixMilliseconds: time)
      let era = plan.era(at: tick)
      nodes[number].eraFrom = era.from.unixMilliseconds
      nodes[number].eraUntil = era.until.unixMilliseconds
      nodes[number].leaf = Int32(plan.leaf(of: nodes[number].place, at: tick))
    }
    return nodes[number].leaf
  }

  private mutating func moveHome(_ number: Int, to leaf: Int32) {
    let node = nodes[number]
    if node.home >= 0, node.millijoules != 0 {
      away[Int32(number), default: [:]][node.home, default: 0] &+= node.millijoules
    }
    nodes[number].home = leaf
    nodes[number].millijoules = away[Int32(number)]?.removeValue(forKey: leaf) ?? 0
  }

  /// Adds to what a node drew in a leaf cell; what would make it less is owed.
  mutating func credit(_ number: Int, _ leaf: Int32, _ millijoules: Int64) {
    var net = millijoules
    if leaf == nodes[number].home || net < 0 {
      net &-= nodes[number].debt
      nodes[number].debt = max(0, 0 &- net)
      guard net > 0 else { return }
    }
    leaves[Int(leaf)] &+= net
    if leaf == nodes[number].home {
      nodes[number].millijoules &+= net
    } else {
      away[Int32(number), default: [:]][leaf, default: 0] &+= net
    }
  }

  /// Takes over what a node drew before a restart.
  mutating func restore(_ number: Int, _ leaf: Int32, _ millijoules: Int64) {
    leaves[Int(leaf)] &+= millijoules
    if nodes[number].home == leaf {
      nodes[number].millijoules &+= millijoules
    } else {
      away[Int32(number), default: [:]][leaf, default: 0] &+= millijoules
    }
  }
}

extension EnergyLedger.Node {
  /// What ``EnergyCounter`` needs to know of the layout.
  var offsets: RowProgram.Offsets {
    var offsets = RowProgram.Offsets()
    offsets.gpus = Int(gpus)
    offsets.energy = Int(energyOffset)
    offsets.power = Int(powerOffset)
    return offsets
  }
}
