import BongsuFleet
import BongsuModel
import BongsuRollup
import BongsuTestKit
import Synchronization

@testable import BongsuStore

/// Two sites, two meters of which one is read, nested allocations with dated membership, a node that no file names, and
/// controllers of some machines.
enum TierFleet {
  static let text = """
    version: 1
    nation: test
    time_zone: UTC
    factories:
      - id: east
        pue: 1.25
        halls:
          - id: a
            in_service: 2020-01-01
            model: B200
            racks:
              - { id: "r[1-2]", nodes: "{factory}-{hall}-{rack}-n[1-2]" }
        meters:
          - { id: east, contract_power: 1 MW, source_node: east-utility }
      - id: west
        halls:
          - id: a
            in_service: 2020-01-01
            model: H100
            racks:
              - { id: r1, nodes: "{factory}-{hall}-{rack}-n[1-3]" }
        meters:
          - { id: west, pue: 1.5, contract_power: 500 kW }
    allocations:
      - { path: ministry, granted_gpus: 40 }
      - path: ministry/hosted
        granted_gpus: 32
        members:
          - { nodes: "east-a-r1-n[1-2],west-a-r1-n1" }
      - path: owner
        members:
          - { nodes: "east-a-r2-n[1-2]" }
          - { nodes: west-a-r1-n2, until: 2026-01-01T00:02 }
      - path: other
        members:
          - { nodes: west-a-r1-n2, from: 2026-01-01T00:02 }
          - { nodes: west-a-r1-n3 }
    maintenance:
      - { halls: west/a, from: 2026-01-01T00:03, until: 2026-01-01T00:04, reason: filters }
    """

  static let tree: FleetTree = {
    let file = FleetFile(text: text, path: "tiers.yaml")
    guard let tree = file.tree else { fatalError("\(file.findings)") }
    return tree
  }()

  static let plan = RollupPlan(tree)
  /// 2025-12-31T23:58:00Z: an hour and a quarter-hour end within the first minutes.
  static let start: Int64 = 1_767_225_600_000 - 120_000
  static let names =
    tree.nodes.map(\.id.name) + ["stray-1", "east-utility"] + controllers.map { $0.name }
  /// Beside a node that has a meter, a slow and a fast one, one that loses a GPU, and one that nobody knows.
  static let controllers: [(name: String, milliseconds: Int)] = [
    (name: "east-a-r1-n2.bmc", milliseconds: 10_000), ("west-a-r1-n1.bmc", 5000), ("west-a-r1-n2.bmc", 10_000),
    ("east-a-r2-n1.bmc", 60_000), ("stray-1.bmc", 1000),
  ]

  static func layout(_ index: Int, _ step: Int) -> RowLayout {
    let controller = controllers.first { $0.name == names[index] }
    let isMeter = names[index] == "east-utility" || controller != nil
    // One node loses a GPU on the way, one has no counters, one is slow, one is fast.
    let gpus = isMeter ? 0 : index == 1 && step >= 100 ? 7 : 8
    var ids: [MetricID] = [.gpuPower, .gpuUtilization, .gpuMemoryUsed, .gpuTemperatureMargin]
    if index != 3 { ids.append(.gpuEnergy) }
    if index % 2 == 0 { ids.append(.nodePower) }
    if isMeter { ids = [.nodePower] }
    let devices =
      [Device.node]
      + (0..<gpus).map { Device(scope: .gpu, index: UInt16($0), key: "GPU-\($0)", model: "NVIDIA B200") }
    let interval = TickInterval(
      milliseconds: controller?.milliseconds ?? (index == 4 ? 10_000 : index == 5 ? 500 : 1000))
    return try! RowLayout(  // known metrics and distinct devices
      interval: interval ?? .second, columns: ids.map { MetricCatalogue.metric($0)! }, devices: devices)
  }
}

/// Rows of a random fleet, all of them, of which a test hands over as many as it wants.
final class TierRows: Sendable {
  struct Entry: Sendable {
    let node: NodeID
    let layout: RowLayout
    let tick: Int64
    let row: [Int64]
  }

  let all: [Entry]
  private let present: Mutex<Set<Int>>

  /// `seconds` of all nodes; some rows are lost, and some nodes are silent for minutes.
  init(seed: UInt64, seconds: Int) {
    var random = SeededRandom(seed: seed)
    var all: [Entry] = []
    for index in TierFleet.names.indices {
      let name = NodeID(TierFleet.names[index])!
      var energy = [Int64](repeating: Int64.random(in: 0...1_000_000_000, using: &random), count: 8)
      let silence = Int.random(in: 30...120, using: &random)
      let silent = silence..<silence + Int.random(in: 20...90, using: &random)
      for step in 0..<seconds {
        let layout = TierFleet.layout(index, step)
        let interval = Int(layout.interval.milliseconds)
        for part in 0..<max(1, 1000 / interval) {
          let tick = TierFleet.start + Int64(step) * 1000 + Int64((part + 1) * min(interval, 1000))
          guard tick % Int64(interval) == 0 else { continue }
          let row = Self.row(layout, &energy, &random)
          guard !silent.contains(step), Int.random(in: 0..<1000, using: &random) >= 50 else { continue }
          all.append(Entry(node: name, layout: layout, tick: tick, row: row))
        }
      }
    }
    self.all = all
    present = Mutex(Set(all.indices))
  }

  private static func row(_ layout: RowLayout, _ energy: inout [Int64], _ random: inout SeededRandom) -> [Int64] {
    var row = [Int64](repeating: SampleValue.absent.bits, count: layout.width)
    for gpu in energy.indices { energy[gpu] += Int64.random(in: 60_000...900_000, using: &random) }
    for (number, column) in layout.columns.enumerated() {
      for (device, place) in layout.range(of: number).enumerated() {
        if Int.random(in: 0..<1000, using: &random) < 30 { continue }
        row[place] =
          switch column.id {
          case .gpuEnergy: energy[device]
          case .gpuUtilization: Int64.random(in: 0...1000, using: &random)
          case .gpuMemoryUsed: Int64.random(in: 0...190_000_000, using: &random)
          case .gpuTemperatureMargin: Int64.random(in: -50...600, using: &random)
          case .nodePower: Int64.random(in: 1_000_000...9_000_000, using: &random)
          default: Int64.random(in: 60_000...1_000_000, using: &random)
          }
      }
    }
    return row
  }

  /// Which rows are stored, by their position in `all`.
  func show(_ wanted: (Entry) -> Bool) {
    let shown = Set(all.indices.filter { wanted(all[$0]) })
    present.withLock { $0 = shown }
  }

  var shown: [Entry] { present.withLock { present in present.sorted().map { all[$0] } } }

  /// Minutes with rows among the shown ones that satisfy `wanted`.
  func minutes(_ wanted: (Entry) -> Bool = { _ in true }) -> Set<Int64> {
    var minutes: Set<Int64> = []
    for entry in shown where wanted(entry) {
      let minute = (entry.tick + 59_999) / 60_000 * 60_000
      minutes.insert(minute)
      if entry.layout.interval.milliseconds > 1000 { minutes.insert(minute + 60_000) }
    }
    return minutes
  }

  /// As ``RawHistory`` hands rows over.
  var source: TierKeeper.RowSource {
    { [self] selection, body in
      let first = selection.ticks.lowerBound.unixMilliseconds
      let last = selection.ticks.upperBound.unixMilliseconds
      let wanted = shown.filter { first <= $0.tick && $0.tick <= last }
      let nodes = Dictionary(grouping: wanted, by: \.node)
      for node in selection.sorted(nodes.keys) {
        var pile = RawPile()
        for entry in nodes[node] ?? [] {
          pile.put(entry.layout, Tick(unixMilliseconds: entry.tick), entry.row.span, record: 1, selection)
        }
        for run in pile.runs(of: node, in: first...last) { guard try body(run) else { return RawLosses() } }
      }
      return RawLosses()
    }
  }
}

/// What live rollup makes of the same rows when all come in time: the undisturbed run.
struct LiveRun {
  private(set) var ticks: [ClosedTick] = []

  init(_ rows: [TierRows.Entry], from start: Int64, seconds: Int) {
    var rollup = ShardRollup(TierFleet.plan, first: Tick(unixMilliseconds: start + 1000))
    var levels = LevelRollup(TierFleet.plan)
    let byTick = Dictionary(grouping: rows) { ($0.tick + 999) / 1000 * 1000 }
    for step in 1...seconds {
      let tick = start + Int64(step) * 1000
      for entry in (byTick[tick] ?? []).sorted(by: { ($0.tick, $0.node) < ($1.tick, $1.node) }) {
        let member = rollup.join(entry.node, layout: entry.layout)
        _ = rollup.add(member, at: Tick(unixMilliseconds: entry.tick), row: entry.row.span)
      }
      var frame = LeafFrame(tick: Tick(unixMilliseconds: tick))
      rollup.close(into: &frame)
      ticks.append(levels.close([frame]))
    }
  }

  func windows(_ level: RollupLevel, _ tier: Tier) -> [WindowTable] {
    guard let length = tier.window else { return [] }
    var windows: [WindowTable] = []
    for tick in ticks {
      let end = length.end(of: tick.tick)
      if windows.last?.end != end { windows.append(WindowTable(level, length, end: end, count: tick[level].count)) }
      windows[windows.count - 1].fold(tick)
    }
    return windows
  }
}
