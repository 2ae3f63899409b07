import BongsuFleet
import BongsuModel
import BongsuTestKit

/// Nodes of the small fleet, and two that it does not know, with readings drawn from a seed.
struct RandomNodes {
  struct Node {
    let id: NodeID
    let layout: RowLayout
    var energy: [Int64]
  }

  var random: SeededRandom
  var nodes: [Node]

  init(seed: UInt64, hasAbsence: Bool = true) {
    var random = SeededRandom(seed: seed)
    nodes = SmallFleet.nodeNames.enumerated().map { index, name in
      let known = SmallFleet.tree.node(NodeID(name)!)
      let gpus = known.map { SmallFleet.tree[$0].gpus } ?? 8
      let layout = RowLayout.node(
        gpus: gpus, hasMeter: index % 3 == 0, hasCounter: index % 4 != 3, hasModules: gpus == 4)
      return Node(
        id: NodeID(name)!, layout: layout,
        energy: (0..<gpus).map { _ in Int64.random(in: 0...1_000_000_000, using: &random) })
    }
    absentPermille = hasAbsence ? 30 : 0
    self.random = random
  }

  let absentPermille: Int

  /// The node's readings at one tick.
  mutating func row(of index: Int) -> [Int64] {
    let layout = nodes[index].layout
    var row = [Int64](repeating: SampleValue.absent.bits, count: layout.width)
    let gpus = layout.devices.count { $0.scope == .gpu }
    let powers = (0..<gpus).map { _ in Int64.random(in: 60_000...1_000_000, using: &random) }
    for gpu in 0..<gpus { nodes[index].energy[gpu] += powers[gpu] }
    for (number, column) in layout.columns.enumerated() {
      for (device, place) in layout.range(of: number).enumerated() {
        row[place] =
          switch column.id {
          case .gpuPower: powers[device]
          case .gpuEnergy: nodes[index].energy[device]
          case .gpuUtilization: Int64.random(in: 0...1000, using: &random)
          case .gpuMemoryUsed: Int64.random(in: 0...190_000_000, using: &random)
          case .gpuTemperatureMargin: Int64.random(in: -50...600, using: &random)
          case .gpuClockEventReasons: [0, 1, 4, 0x80, 0x24, 0x40].randomElement(using: &random)!
          case .modulePower: Int64.random(in: 500_000...2_500_000, using: &random)
          case .nodePower: powers.reduce(0, +) + Int64.random(in: 500_000...4_000_000, using: &random)
          default: fatalError("no readings for \(column.name)")
          }
        if Int.random(in: 0..<1000, using: &random) < absentPermille { row[place] = SampleValue.absent.bits }
      }
    }
    return row
  }
}
