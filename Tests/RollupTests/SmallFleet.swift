import BongsuFleet
import BongsuModel

/// Two sites, four holders, two meters: one site holds GPUs of two allocations, one allocation is nested and spans both.
enum SmallFleet {
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
          - id: b
            in_service: 2020-01-01
            model: H100
            racks:
              - { id: r1, nodes: "{factory}-{hall}-{rack}-n[1-3]" }
        meters:
          - { id: east, contract_power: 1 MW, source_node: east-utility }
      - id: west
        halls:
          - id: a
            in_service: 2026-01-02
            model: GB200
            racks:
              - { id: r1, nodes: "{factory}-{hall}-{rack}-n[01-04]" }
        meters:
          - { id: west, pue: 1.5, contract_power: 500 kW }
    allocations:
      - { path: ministry, granted_gpus: 40 }
      - path: ministry/hosted
        granted_gpus: 32
        members:
          - { nodes: "east-a-r1-n[1-2],west-a-r1-n[01-02]" }
      - path: owner
        members:
          - { nodes: "east-a-r2-n[1-2],west-a-r1-n03" }
          - { nodes: east-b-r1-n1, until: 2026-01-01T00:01 }
      - path: other
        members:
          - { nodes: east-b-r1-n1, from: 2026-01-01T00:01 }
          - { nodes: west-a-r1-n04 }
    maintenance:
      - { halls: east/a, from: 2026-01-01T00:02, until: 2026-01-01T00:03, reason: filters }
    """

  static let tree: FleetTree = {
    let file = FleetFile(text: text, path: "small.yaml")
    guard let tree = file.tree else { fatalError("\(file.findings)") }
    return tree
  }()

  /// 2026-01-01T00:00:00Z, when hall `west/a` is not in service yet.
  static let start = Tick(unixMilliseconds: 1_767_225_600_000)

  static let nodeNames = tree.nodes.map(\.id.name) + ["stray-1", "stray-2"]
}

extension RowLayout {
  /// A node with `gpus` GPUs and the columns of a training cluster; `hasMeter` adds a node power reading.
  static func node(
    gpus: Int, interval: TickInterval = .second, hasMeter: Bool = false, hasCounter: Bool = true,
    hasModules: Bool = false
  ) -> RowLayout {
    var ids: [MetricID] = [.gpuPower, .gpuUtilization, .gpuMemoryUsed, .gpuTemperatureMargin, .gpuClockEventReasons]
    if hasCounter { ids.append(.gpuEnergy) }
    if hasModules { ids.append(.modulePower) }
    if hasMeter { ids.append(.nodePower) }
    var devices = [Device.node]
    for gpu in 0..<gpus {
      devices.append(Device(scope: .gpu, index: UInt16(gpu), key: "GPU-\(gpu)", model: "NVIDIA B200"))
    }
    if hasModules {
      for board in 0..<(gpus + 1) / 2 {
        devices.append(Device(scope: .module, index: UInt16(board), key: "board-\(board)", model: ""))
      }
    }
    do {
      return try RowLayout(
        interval: interval, columns: ids.map { MetricCatalogue.metric($0)! }, devices: devices)
    } catch {
      fatalError("\(error)")
    }
  }
}
