import BongsuFleet
import BongsuModel
import Testing

@Suite("The fleet tree")
struct FleetTreeTests {
  static let text = """
    version: 1
    nation: lab
    time_zone: Asia/Seoul
    factories:
      - id: seoul
        pue: 1.2
        model: H100
        halls:
          - id: a
            in_service: 2026-01-01
            racks:
              - { id: "r[1-2]", nodes: "{factory}-{hall}-{rack}-n[1-2]" }
          - id: b
            planned: true
            model: GB200
            racks:
              - { id: r1, nodes: "b-n[01-04]" }
        meters:
          - { id: main, halls: [a], contract_power: 0.5 MW, source_node: utility }
    allocations:
      - { path: z/sub, members: [{ nodes: "b-n[01-04]" }] }
      - { path: z }
      - path: early
        members:
          - { nodes: seoul-a-r1-n1, until: 2026-06-01 }
      - path: late
        members:
          - { nodes: seoul-a-r1-n1, from: 2026-07-01 }
    maintenance:
      - { from: 2026-03-01, until: 2026-03-02, racks: "seoul/a/r[1-2]" }
    carbon_factors:
      - { from: 2026-01-01, grams_per_kwh: 400 }
      - { from: 2025-01-01, grams_per_kwh: 450.5 }
    """

  static let tree = FleetFile(text: text, path: "f.yaml").tree!
  static let seoul = TimeZoneOffset("Asia/Seoul")!

  static func instant(_ text: String) -> Tick { seoul.tick(parsing: text)! }
  static func node(_ name: String) -> NodeIndex { tree.node(NodeID(name)!)! }

  @Test("positions lead from a node to its rack, hall and factory")
  func places() {
    let tree = Self.tree
    let node = Self.node("seoul-a-r2-n1")
    #expect(tree[tree.rack(of: node)].id == "r2")
    #expect(tree[tree.hall(of: node)].id == "a")
    #expect(tree[tree.factory(of: node)].id == "seoul")
    #expect(tree.model(of: node).key == "H100")
    #expect(tree[node].gpus == 8 && tree[Self.node("b-n03")].gpus == 4)
    #expect(tree.node(NodeID("nobody")!) == nil)
    for (position, rack) in tree.racks.enumerated() {
      #expect(rack.nodes.allSatisfy { tree.nodes[$0].rack.position == position })
    }
    #expect(tree[tree.unassignedFactory].id == "unassigned" && tree[tree.unassignedRack].nodes.isEmpty)
  }

  @Test("a node belongs to whom its dates say, and to nobody in between")
  func memberships() {
    let tree = Self.tree
    let node = Self.node("seoul-a-r1-n1")
    let path = { (text: String) in tree[tree.allocation(of: node, at: Self.instant(text))].path }
    #expect(path("2020-01-01") == "early")
    #expect(path("2026-05-31T23:59:59") == "early")
    #expect(path("2026-06-01") == "unassigned")
    #expect(path("2026-07-01") == "late")
    #expect(path("2100-01-01") == "late")
    let nested = tree.allocation("z/sub")!
    #expect(tree.lineage(of: nested).map { tree[$0].path } == ["z/sub", "z"])
    #expect(
      tree.allocation(of: Self.node("seoul-a-r1-n2"), at: Self.instant("2026-01-01")) == tree.unassignedAllocation)
  }

  @Test("only what is in service and not in maintenance is expected")
  func expected() {
    let count = { (text: String) in Self.tree.expectedGPUs(at: Self.instant(text)).reduce(0, +) }
    #expect(count("2025-12-31T23:59:59") == 0)
    #expect(count("2026-01-01") == 32)
    #expect(count("2026-03-01T12:00") == 0)
    #expect(count("2026-03-02") == 32)
    #expect(Self.tree.isInMaintenance(Self.node("seoul-a-r2-n2"), at: Self.instant("2026-03-01")))
    #expect(!Self.tree.isInMaintenance(Self.node("b-n01"), at: Self.instant("2026-03-01")))
    #expect(
      Self.tree.changeInstants.map { Self.seoul.text(of: $0).prefix(10) }
        == ["2026-01-01", "2026-03-01", "2026-03-02", "2026-06-01", "2026-07-01"])
  }

  @Test("a demonstration switches planned halls on and says so")
  func demonstration() {
    let file = FleetFile(text: Self.text, path: "f.yaml", options: FleetOptions(demoInService: true))
    let tree = file.tree!
    #expect(tree.isDemonstration && !Self.tree.isDemonstration)
    #expect(tree.expectedGPUs(at: Self.instant("2026-01-01")).reduce(0, +) == 48)
    #expect(FleetReport.show(file, now: Self.instant("2026-01-01")).text.contains("demonstration"))
  }

  @Test("meters know their halls, contract and source; factors of carbon their dates")
  func metersAndCarbon() {
    let tree = Self.tree
    let meter = tree[tree.meter(readBy: NodeID("utility")!)!]
    #expect(meter.contract?.milliwatts == 500_000_000)
    #expect(meter.contract?.warnPermille == 900 && meter.contract?.criticalPermille == 970)
    #expect(meter.halls.map { tree[$0].id } == ["a"] && meter.puePermille == 1200)
    #expect(tree.carbonFactor(at: Self.instant("2024-12-31")) == nil)
    #expect(tree.carbonFactor(at: Self.instant("2025-12-31"))?.milligramsPerKilowattHour == 450_500)
    #expect(tree.carbonFactor(at: Self.instant("2026-01-01"))?.milligramsPerKilowattHour == 400_000)
  }

  @Test("check says ok or refused, and its exit code agrees")
  func checkReport() {
    let good = FleetReport.check(FleetFile(text: Self.text, path: "f.yaml"))
    #expect(good == FleetReport.check(FleetFile(text: Self.text, path: "f.yaml")))
    #expect(good.text == "f.yaml: ok, 48 GPUs in 8 nodes\n" && good.exitCode == 0)
    let bad = FleetFile(text: Self.text.replacing("GB200", with: "GB220"), path: "f.yaml")
    #expect(
      FleetReport.check(bad).text == """
        f.yaml:15:16: error: GPU model 'GB220' is unknown; did you mean 'GB200'?
        f.yaml: refused, 1 error

        """)
    #expect(
      FleetReport.check(bad).exitCode == 1 && FleetReport.show(bad, now: Self.instant("2026-01-01")).exitCode == 1)
    #expect(FleetReport.check(bad, format: .json).text.hasPrefix("{\"file\":\"f.yaml\",\"usable\":false,"))
  }

  @Test("show prints counts, planned power and the allocation tree")
  func showReport() {
    let text = FleetReport.show(FleetFile(text: Self.text, path: "f.yaml"), now: Self.instant("2026-02-01")).text
    // 32 H100 of 630 W at 55 % of the node, 16 GB200 of 1 kW at 65 %.
    #expect(text.contains("61.27 kW"))
    let lines = text.split(separator: "\n").map { $0.split(separator: " ").joined(separator: " ") }
    #expect(lines.contains("a 32 32 4 2 H100 36.655 kW 43.985 kW -"))
    #expect(lines.contains("b (planned) 16 0 4 1 GB200 24.615 kW 29.538 kW -"))
    #expect(lines.contains("z/sub - 16 0 24.615 kW z/sub"))
  }
}
