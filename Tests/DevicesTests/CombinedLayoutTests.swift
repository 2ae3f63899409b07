import BongsuModel
import Testing

@testable import BongsuDevices

@Suite("combined layouts")
struct CombinedLayoutTests {
  private func gpu(_ index: UInt16, _ key: String) -> Device {
    Device(scope: .gpu, index: index, key: key, model: "Test")
  }

  private func combine(_ inventories: [SourceInventory], nodeMetrics: [MetricID] = [.agentCPU]) -> CombinedLayout {
    CombinedLayout(
      interval: .second, names: inventories.indices.map { "s\($0)" }, inventories: inventories,
      nodeMetrics: nodeMetrics.compactMap(MetricCatalogue.metric))
  }

  private func row(_ combined: CombinedLayout, _ inventories: [SourceInventory]) -> [Int64] {
    var row = [Int64](repeating: SampleValue.absent.bits, count: combined.layout.width)
    for (source, inventory) in inventories.enumerated() {
      let values = (0..<Int64(inventory.width)).map { Int64(source + 1) * 1000 + $0 }
      var span = row.mutableSpan
      combined.scatter(source: source, values: values.span, into: &span)
    }
    return row
  }

  @Test("values of several sources come to their columns and devices; what a source lacks stays absent")
  func places() throws {
    let inventories = [
      SourceInventory(metrics: [.gpuPower, .gpuEnergy], devices: [gpu(0, "a"), gpu(1, "b")]),
      SourceInventory(metrics: [.nodePower], devices: []),
      SourceInventory(metrics: [.gpuTemperature, .gpuPower], devices: [gpu(0, "c")]),
    ]
    let combined = combine(inventories)
    #expect(combined.conflicts.isEmpty)
    #expect(combined.layout.columns.map(\.id) == [.gpuPower, .gpuEnergy, .gpuTemperature, .nodePower, .agentCPU])
    #expect(combined.layout.devices(in: .gpu).map(\.key) == ["a", "b", "c"])
    #expect(combined.layout.devices(in: .gpu).map(\.index) == [0, 1, 2])
    let absent = SampleValue.absent.bits
    #expect(
      row(combined, inventories) == [
        1000, 1001, 3001, 1002, 1003, absent, absent, absent, 3000, 2000, absent,
      ])
  }

  @Test("a device that two sources name, and a metric of the node that two deliver, belong to the first")
  func conflicts() {
    let inventories = [
      SourceInventory(metrics: [.gpuPower, .nodePower], devices: [gpu(0, "a")]),
      SourceInventory(metrics: [.gpuPower, .nodePower, .agentCPU], devices: [gpu(5, "a"), gpu(6, "b")]),
    ]
    let combined = combine(inventories)
    #expect(
      combined.conflicts.map(\.description) == [
        "bongsu_node_power_watts is read by source s0; source s1 delivers it as well and is not used for it",
        "bongsu_agent_cpu_seconds_total is read by source agent; source s1 delivers it as well and is not used for it",
        "device a is read by source s0; source s1 names it as well and is not used for it",
      ])
    #expect(combined.layout.devices(in: .gpu).map(\.index) == [0, 6])
    #expect(row(combined, inventories) == [1000, 2001, 1001, SampleValue.absent.bits])
  }

  @Test("more devices than a row holds are left out and said, with the rest in place")
  func tooManyDevices() {
    let devices = (0..<200).map { gpu(UInt16($0), "gpu\($0)") }
    let inventories = [SourceInventory(metrics: [.gpuPower], devices: devices)]
    let combined = combine(inventories)
    #expect(combined.layout.devices.count == Limits.devicesMax)
    #expect(combined.conflicts == [.tooMany(what: "devices", droppedFrom: "s0", limit: Limits.devicesMax)])
    let row = row(combined, inventories)
    #expect(row.dropLast() == (0..<143).map { 1000 + Int64($0) }[...])
  }

  @Test("a metric whose number means something else is left out")
  func foreignMetric() {
    let odd = Metric(id: .gpuPower, name: "other", unit: .count, kind: .counter, scope: .gpu, help: "")
    let inventories = [
      SourceInventory(metrics: [.gpuPower], devices: [gpu(0, "a")]),
      SourceInventory(columns: [odd], devices: [gpu(1, "b")]),
    ]
    let combined = combine(inventories)
    #expect(combined.conflicts == [.meaning(name: "other", droppedFrom: "s1")])
    #expect(row(combined, inventories) == [1000, SampleValue.absent.bits, SampleValue.absent.bits])
  }

  @Test("without any source the agent's own columns make the row")
  func alone() {
    #expect(combine([]).layout.width == 1)
  }
}

@Suite("device rosters")
struct DeviceRosterTests {
  private func gpu(_ index: UInt16, _ key: String) -> Device {
    Device(scope: .gpu, index: index, key: key, model: "")
  }

  @Test("a device that is not found keeps its place, also when the driver's numbers close up behind it")
  func lost() {
    var roster = DeviceRoster()
    #expect(roster.update(found: [gpu(0, "a"), gpu(1, "b"), gpu(2, "c")]) == [0, 1, 2])
    #expect(roster.update(found: [gpu(0, "a"), gpu(1, "c")]) == [0, nil, 1])
    #expect(roster.devices.map(\.key) == ["a", "b", "c"])
    #expect(roster.devices.map(\.index) == [0, 1, 2])
    #expect(roster.update(found: [gpu(0, "a"), gpu(1, "b"), gpu(2, "c")]) == [0, 1, 2])
  }

  @Test("an exchanged board takes the place of the one it replaces")
  func exchanged() {
    var roster = DeviceRoster()
    _ = roster.update(found: [gpu(0, "a"), gpu(1, "b"), gpu(2, "c")])
    #expect(roster.update(found: [gpu(0, "a"), gpu(1, "new"), gpu(2, "c")]) == [0, 1, 2])
    #expect(roster.devices.map(\.key) == ["a", "new", "c"])
  }

  @Test("a further device gets a place of its own")
  func added() {
    var roster = DeviceRoster()
    _ = roster.update(found: [gpu(0, "a")])
    #expect(roster.update(found: [gpu(0, "b"), gpu(1, "a")]) == [1, 0])
    #expect(roster.devices.map(\.index) == [0, 1])
    #expect(roster.devices.map(\.key) == ["a", "b"])
  }
}

@Suite("counter extension")
struct CounterExtensionTests {
  @Test("a counter starts at zero, grows over wraps of a known range and restarts of an unknown one")
  func grows() {
    var counter = CounterExtension()
    #expect(counter.add(900, range: 1000) == 0)
    #expect(counter.add(950, range: 1000) == 50)
    #expect(counter.add(20, range: 1000) == 120)
    #expect(counter.add(20, range: 1000) == 120)
    #expect(counter.add(5) == 125)
    counter.pause()
    #expect(counter.add(1_000_000) == 125)
    #expect(counter.add(1_000_001) == 126)
  }
}
