import BongsuFleet
import BongsuModel
import BongsuRollup
import BongsuWire

/// Two factories, three allocations on two depths, six nodes; `stranger` is in none of them.
enum TestFleet {
  static let text = """
    version: 1
    nation: test
    time_zone: UTC
    factories:
      - id: east
        halls:
          - id: a
            in_service: 2020-01-01
            model: B200
            racks:
              - { id: "r[1-2]", nodes: "{factory}-{rack}-n[1-2]" }
      - id: west
        halls:
          - id: a
            in_service: 2020-01-01
            model: H100
            racks:
              - { id: r1, nodes: "{factory}-{rack}-n[1-2]" }
    allocations:
      - { path: ministry, granted_gpus: 40 }
      - path: ministry/hosted
        granted_gpus: 32
        members:
          - { nodes: "east-r1-n[1-2],west-r1-n1" }
      - path: owner
        members:
          - { nodes: "east-r2-n[1-2],west-r1-n2" }
    """

  static let tree: FleetTree = {
    let file = FleetFile(text: text, path: "test.yaml")
    guard let tree = file.tree else { fatalError("\(file.findings)") }
    return tree
  }()

  static let nodes: [NodeID] = tree.nodes.map(\.id)
  /// First byte of a block: wire version and type.
  static let blockByte: UInt8 = WireVersion.current << 5 | FrameType.block.rawValue
  static let stranger = node("stranger")

  static func node(_ name: String) -> NodeID {
    guard let id = NodeID(name) else { fatalError("\(name) is no node id") }
    return id
  }

  /// Eight GPUs: power and energy; and the node's own power.
  static let layout: RowLayout = {
    let columns = [MetricID.gpuPower, MetricID.gpuEnergy, MetricID.nodePower]
      .compactMap(MetricCatalogue.metric)
    let devices = (0..<8).map { Device(scope: .gpu, index: UInt16($0), key: "GPU-\($0)", model: "NVIDIA B200") }
    do {
      return try RowLayout(interval: .second, columns: columns, devices: devices + [.node])
    } catch {
      fatalError("\(error)")
    }
  }()

  /// A row that says by its values whose and of when it is.
  static func row(_ node: NodeID, _ tick: Int64) -> [Int64] {
    let seed = node.name.utf8.reduce(Int64(7)) { ($0 &* 31 &+ Int64($1)) & 0xFFFF }
    let second = tick / 1000
    let powers = (0..<8).map { Int64(400_000 + seed + 1000 * Int64($0) + second % 977) }
    let energies = (0..<8).map { second * 500_000 + seed * Int64($0 + 1) }
    return powers + energies + [powers.reduce(0, +) + 1_000_000 + seed]
  }
}
