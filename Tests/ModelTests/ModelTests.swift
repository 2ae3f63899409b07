import BongsuModel
import Testing

@Suite("The model")
struct ModelTests {
  @Test("every metric has its own number and name, and its name ends in its base unit")
  func catalogueIsConsistent() {
    let all = MetricCatalogue.all
    #expect(Set(all.map(\.id)).count == all.count)
    #expect(Set(all.map(\.name)).count == all.count)
    #expect(all.map(\.id) == all.map(\.id).sorted())
    for metric in all {
      let stem = metric.name.hasSuffix("_total") ? String(metric.name.dropLast(6)) : metric.name
      #expect(metric.kind == .counter || !metric.name.hasSuffix("_total"), "\(metric.name)")
      #expect(metric.kind != .counter || metric.name.hasSuffix("_total"), "\(metric.name)")
      #expect(stem.hasSuffix(metric.unit.exposedUnit), "\(metric.name)")
      #expect(MetricCatalogue.metric(metric.id) == metric)
      #expect(MetricCatalogue.metric(named: metric.name) == metric)
    }
  }

  @Test("a wire reading becomes the nearest double of its exposed value")
  func exposedValues() {
    #expect(WireUnit.milliwatt.exposed(390_780) == 390.78)
    #expect(WireUnit.decicelsius.exposed(-5) == -0.5)
    #expect(WireUnit.megahertz.exposed(1980) == 1.98e9)
    #expect(WireUnit.kibibyte.exposed(3) == 3072)
    #expect(WireUnit.permille.exposed(1000) == 1)
  }

  @Test("absence is not zero and survives the word it is stored in")
  func absence() {
    #expect(SampleValue.absent.isAbsent)
    #expect(SampleValue.absent.reading == nil)
    #expect(SampleValue(0).reading == 0)
    #expect(SampleValue(bits: SampleValue.absent.bits).isAbsent)
  }

  @Test(
    "readings beyond the largest magnitude are refused, not wrapped",
    arguments: [Int64.max, Int64.min, Limits.sampleMagnitudeMax + 1, -Limits.sampleMagnitudeMax - 1])
  func magnitude(reading: Int64) {
    #expect(SampleValue(exactly: reading) == nil)
    #expect(SampleValue(reading).isAbsent)
    #expect(SampleValue(exactly: Limits.sampleMagnitudeMax)?.reading == Limits.sampleMagnitudeMax)
  }

  @Test("ticks align downwards, also before 1970")
  func alignment() throws {
    #expect(Tick(unixMilliseconds: 1999).aligned(to: .second).unixMilliseconds == 1000)
    #expect(Tick(unixMilliseconds: 2000).aligned(to: .second).unixMilliseconds == 2000)
    #expect(Tick(unixMilliseconds: -1).aligned(to: .second).unixMilliseconds == -1000)
    let tenth = try #require(TickInterval(milliseconds: 100))
    #expect(Tick(notAfter: 1_234_567_890, interval: tenth).unixMilliseconds == 1200)
    #expect(Tick(unixMilliseconds: 1000).advanced(by: -3, of: tenth).unixMilliseconds == 700)
  }

  @Test("only intervals that tile whole seconds exist", arguments: [0, -1, 19, 30, 300, 1500, 60_001])
  func refusedIntervals(milliseconds: Int) {
    #expect(TickInterval(milliseconds: milliseconds) == nil)
  }

  @Test("intervals from 20 ms to a minute exist", arguments: [20, 50, 100, 125, 200, 250, 500, 1000, 2000, 60_000])
  func acceptedIntervals(milliseconds: Int) {
    #expect(TickInterval(milliseconds: milliseconds)?.milliseconds == Int32(milliseconds))
  }

  @Test("node names are safe in files, labels and shells")
  func nodeNames() {
    #expect(NodeID("r001-n07.sejong_a") != nil)
    for bad in ["", "-a", ".a", "a b", "a/b", "a\u{0}", "노드", String(repeating: "a", count: 64)] {
      #expect(NodeID(bad) == nil, "\(bad)")
    }
  }

  @Test("driver names map to models, and a GB200 is not a B200")
  func driverNames() {
    #expect(GPUModel.model(driverName: "NVIDIA H100 80GB HBM3")?.key == "H100")
    #expect(GPUModel.model(driverName: "NVIDIA B200")?.key == "B200")
    #expect(GPUModel.model(driverName: "NVIDIA GB200")?.key == "GB200")
    #expect(GPUModel.model(driverName: "NVIDIA RTX PRO 6000 Blackwell Server Edition")?.key == "RTXPRO6000")
    #expect(GPUModel.model(driverName: "NVIDIA GeForce GTX 1080") == nil)
  }
}

@Suite("Row layouts")
struct RowLayoutTests {
  static func gpus(_ count: Int) -> [Device] {
    (0..<count).map { Device(scope: .gpu, index: UInt16($0), key: "GPU-\($0)", model: "NVIDIA B200") }
  }

  @Test("columns lie one after the other, each as wide as its scope has devices")
  func offsets() throws {
    let power = try #require(MetricCatalogue.metric(.gpuPower))
    let energy = try #require(MetricCatalogue.metric(.gpuEnergy))
    let node = try #require(MetricCatalogue.metric(.nodePower))
    let module = try #require(MetricCatalogue.metric(.modulePower))
    let layout = try RowLayout(
      interval: .second, columns: [power, module, node, energy], devices: [.node] + Self.gpus(8))
    #expect(layout.width == 17)
    #expect(layout.range(of: 0) == 0..<8)
    #expect(layout.range(of: 1) == 8..<8)
    #expect(layout.range(of: 2) == 8..<9)
    #expect(layout.range(of: 3) == 9..<17)
    #expect(layout.column(of: .gpuEnergy) == 3)
    #expect(layout.column(of: .gpuXIDEvents) == nil)
  }

  @Test("duplicate columns and devices are refused by name")
  func duplicates() throws {
    let power = try #require(MetricCatalogue.metric(.gpuPower))
    #expect(throws: RowLayout.Invalid.duplicateColumn(.gpuPower)) {
      try RowLayout(interval: .second, columns: [power, power], devices: Self.gpus(1))
    }
    #expect(throws: RowLayout.Invalid.self) {
      try RowLayout(interval: .second, columns: [power], devices: Self.gpus(1) + Self.gpus(1))
    }
    #expect(throws: RowLayout.Invalid.noColumns) {
      try RowLayout(interval: .second, columns: [], devices: Self.gpus(1))
    }
    #expect(throws: RowLayout.Invalid.tooManyDevices(145)) {
      try RowLayout(interval: .second, columns: [power], devices: Self.gpus(145))
    }
  }
}
