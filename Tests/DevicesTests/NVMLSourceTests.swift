import BongsuDevices
import BongsuModel
import BongsuTestKit
import Glibc
import Testing

@Suite("NVML source")
struct NVMLSourceTests {
  private static let start: Int64 = 1_790_000_000_000

  private func tick(_ number: Int64) -> Tick { Tick(unixMilliseconds: Self.start + number * 1000) }

  /// Freezes the stand-in's time at a tick.
  private func freeze(_ fake: FakeNVML, at number: Int64) {
    fake.set("freeze_us", (Self.start + number * 1000) * 1000)
  }

  @Test("readings of eight idle H100 come in wire units, as captured")
  func idle() throws {
    let fake = try FakeNVML()
    freeze(fake, at: 0)
    let source = NVMLSource(library: fake.path, interval: .second)
    let inventory = source.discover()
    #expect(source.condition == .available("8 GPUs (NVIDIA H100 80GB HBM3), driver 580.105.08"))
    #expect(inventory.devices.filter { $0.scope == .gpu }.count == 8)
    #expect(inventory.devices[3].key == "GPU-00000000-0000-4000-8000-000000000004")
    #expect(inventory.devices.allSatisfy { $0.scope != .module })
    freeze(fake, at: 1)
    let reading = SourceReading(source, inventory, at: tick(1))
    for gpu in 0..<8 {
      let power = try #require(reading(.gpuPower, gpu).reading)
      #expect((68_000...71_000).contains(power))
      let lowest = try #require(reading(.gpuPowerMin, gpu).reading)
      let highest = try #require(reading(.gpuPowerMax, gpu).reading)
      #expect(lowest <= power && power <= highest && lowest < highest)
      #expect(reading(.gpuPowerLimit, gpu).reading == 700_000)
      #expect(reading(.gpuUtilization, gpu).reading == 0)
      #expect(reading(.gpuMemoryTotal, gpu).reading == Int64(81_559 * 1024))
      #expect(reading(.gpuMemoryUsed, gpu).reading == 4096)
      #expect(reading(.gpuTemperature, gpu).reading == Int64(29 + gpu % 4) * 10)
      #expect(reading(.gpuMemoryTemperature, gpu).reading == Int64(37 + gpu % 3) * 10)
      #expect(reading(.gpuTemperatureMargin, gpu).reading == Int64(58 - gpu % 4) * 10)
      #expect(reading(.gpuSMClock, gpu).reading == 345)
      #expect(reading(.gpuMemoryClock, gpu).reading == 2619)
      #expect(reading(.gpuClockEventReasons, gpu).reading == 1)
      #expect(reading(.gpuECCUncorrected, gpu).reading == 0)
      #expect(reading(.gpuXIDEvents, gpu).reading == 0 && reading(.gpuXIDLast, gpu).reading == 0)
      #expect(reading(.gpuPCIeTransmit, gpu).reading == 0)
    }
  }

  /// A Python with NVIDIA's binding: `BONGSU_NVML_PYTHON`, else python3.
  private static let python: String? = {
    let candidate = environment("BONGSU_NVML_PYTHON") ?? "python3"
    return runShell("'\(candidate)' -c 'import pynvml' >/dev/null 2>&1") == 0 ? candidate : nil
  }()

  @Test(
    "every reading equals what NVIDIA's own binding reads from the same library",
    .enabled(if: python != nil, "no Python with nvidia-ml-py; set BONGSU_NVML_PYTHON to one"),
    arguments: [("h100", 0), ("b200", 1), ("gb200", 2), ("a100", 3)])
  func binding(profile: String, number: Int64) throws {
    let fake = try FakeNVML(try #require(FakeNVML.Profile(rawValue: number)))
    let python = try #require(Self.python)
    fake.set("mig", 1, gpu: 2)
    freeze(fake, at: 0)
    let source = NVMLSource(library: fake.path, interval: .second)
    let inventory = source.discover()
    freeze(fake, at: 1)
    let reading = SourceReading(source, inventory, at: tick(1))
    let folder = fake.path.split(separator: "/").dropLast().joined(separator: "/")
    let output = try #require(
      shellOutput(
        "LD_LIBRARY_PATH=/\(folder) FAKE_NVML_PROFILE=\(profile) FAKE_NVML_MIG=2 "
          + "FAKE_NVML_FREEZE_US=\((Self.start + 1000) * 1000) '\(python)' '\(FakeNVML.sources)/compare.py' "
          + "\(Self.start * 1000)"))
    let lines = output.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
    #expect(lines.count >= 4 * 19)
    var compared = 0
    for line in lines where line[1].hasPrefix("bongsu_") {
      let metric = try #require(MetricCatalogue.metric(named: line[1]))
      let devices = inventory.devices.filter { $0.scope == metric.scope }
      let place = try #require(devices.firstIndex { $0.key.hasSuffix(line[0]) }, "\(line)")
      let expected = line[2] == "absent" ? SampleValue.absent : SampleValue(try #require(Int64(line[2])))
      #expect(reading(metric.id, place) == expected, "\(line)")
      compared += 1
    }
    #expect(compared == lines.count { $0[1].hasPrefix("bongsu_") })
    #expect(inventory.devices.count { $0.scope == .module } == (profile == "gb200" ? 2 : 0))
    // What is counted link by link is the same sum, and an error reaches both with its number.
    fake.set("link_bytes", 1)
    let again = NVMLSource(library: fake.path, interval: .second)
    let byLink = again.discover()
    fake.set("xid", 79, gpu: 1)
    let events = wait(for: again, byLink) { $0(.gpuXIDEvents, 1).reading == 1 }
    for line in lines where line[1].hasPrefix("by-link-") {
      let metric: MetricID = line[1] == "by-link-transmit" ? .gpuNVLinkTransmit : .gpuNVLinkReceive
      let place = try #require(byLink.devices.firstIndex { $0.key == line[0] })
      #expect(events(metric, place).reading == Int64(line[2]), "\(line)")
    }
    #expect(lines.contains(["xid", "1", "79"]) && events(.gpuXIDLast, 1).reading == 79)
  }

  /// Reads once a tick until `condition` holds, at most for some seconds.
  private func wait(
    for source: NVMLSource, _ inventory: SourceInventory, from first: Int64 = 1, _ condition: (SourceReading) -> Bool
  ) -> SourceReading {
    var number = first
    while true {
      let reading = SourceReading(source, inventory, at: tick(number))
      if condition(reading) || number - first > 400 { return reading }
      number += 1
      usleep(10_000)
    }
  }

  @Test("without the library it says so in one line, delivers nothing, and finds the GPUs when it appears")
  func missing() throws {
    let fake = try FakeNVML()
    let late = fake.path + "-late.so"
    let source = NVMLSource(library: late, interval: .second)
    #expect(source.discover().width == 0)
    guard case .unavailable(let line) = source.condition else {
      Issue.record("condition is \(source.condition)")
      return
    }
    #expect(line.hasPrefix("no NVIDIA driver library: ") && line.contains("-late.so") && !line.contains("\n"))
    #expect(SourceReading(source, .empty, at: tick(0)).outcome == .complete)
    #expect(runShell("cp '\(fake.path)' '\(late)'") == 0)
    #expect(source.discover().devices.count == 8)
    #expect(source.condition.word == "available")
  }

  @Test("a library that is not NVIDIA's is refused by what it lacks")
  func foreign() {
    let source = NVMLSource(library: "libm.so.6", interval: .second)
    #expect(source.discover().width == 0)
    #expect(
      source.condition.description.hasPrefix("libm.so.6 is not NVIDIA's management library: it lacks nvmlInit_v2"))
  }

  @Test("a driver that is not loaded is waited for")
  func noDriver() throws {
    let fake = try FakeNVML()
    fake.set("driver_code", 9)
    let source = NVMLSource(library: fake.path, interval: .second)
    #expect(source.discover().width == 0)
    #expect(source.condition == .unavailable("the NVIDIA driver is not loaded; waiting for it"))
    fake.set("driver_code", 0)
    #expect(source.discover().devices.count == 8)
  }

  @Test("a lost GPU keeps its place with absent readings, its siblings go on, and it comes back")
  func lostAndBack() throws {
    let fake = try FakeNVML()
    let source = NVMLSource(library: fake.path, interval: .second)
    let inventory = source.discover()
    fake.set("lost", 1, gpu: 3)
    let lost = SourceReading(source, inventory, at: tick(1))
    for metric in inventory.columns { #expect(lost(metric.id, 3).isAbsent) }
    #expect(!lost(.gpuPower, 2).isAbsent && !lost(.gpuPower, 4).isAbsent)
    #expect(
      source.condition
        == .degraded(
          "1 of 8 GPUs do not answer: 3 (NVML code 15, GPU is lost); their readings are absent until they do"))
    // Looking again while it is lost changes nothing, however often.
    for _ in 0..<9 { #expect(source.discover() == inventory) }
    #expect(source.condition.word == "degraded")
    let still = SourceReading(source, inventory, at: tick(2))
    #expect(still(.gpuPower, 3).isAbsent && still(.gpuEnergy, 4).reading != nil)
    fake.set("lost", 0, gpu: 3)
    #expect(source.discover() == inventory)
    #expect(source.condition.word == "available")
    #expect(!SourceReading(source, inventory, at: tick(3))(.gpuPower, 3).isAbsent)
  }

  @Test("a driver that is unloaded and loaded again leaves the layout alone; counters start again")
  func driverReload() throws {
    let fake = try FakeNVML()
    let source = NVMLSource(library: fake.path, interval: .second)
    let inventory = source.discover()
    let before = SourceReading(source, inventory, at: tick(1))
    #expect(!before(.gpuPower).isAbsent)
    fake.set("driver_code", 9)
    let during = SourceReading(source, inventory, at: tick(2))
    #expect(during.isAllAbsent && during.outcome == .layoutChanged)
    #expect(source.discover() == inventory)
    #expect(source.condition == .unavailable("the NVIDIA driver is not loaded; waiting for it"))
    #expect(SourceReading(source, inventory, at: tick(3)).isAllAbsent)
    fake.set("reload", 1)
    fake.set("driver_code", 0)
    #expect(source.discover() == inventory)
    #expect(!SourceReading(source, inventory, at: tick(4))(.gpuPower, 7).isAbsent)
  }

  @Test("a session that ends beneath the agent is opened anew")
  func sessionEnds() throws {
    let fake = try FakeNVML()
    let source = NVMLSource(library: fake.path, interval: .second)
    let inventory = source.discover()
    fake.set("reload", 1)
    #expect(SourceReading(source, inventory, at: tick(1)).outcome == .layoutChanged)
    #expect(source.discover() == inventory)
    #expect(!SourceReading(source, inventory, at: tick(2))(.gpuPower).isAbsent)
  }

  @Test("a driver of 2020 gives what it has; the rest has no column")
  func oldDriver() throws {
    let fake = try FakeNVML(isOld: true)
    freeze(fake, at: 0)
    let source = NVMLSource(library: fake.path, interval: .second)
    let inventory = source.discover()
    freeze(fake, at: 1)
    let reading = SourceReading(source, inventory, at: tick(1))
    #expect(reading(.gpuPower).reading != nil)
    #expect(reading(.gpuEnergy).reading != nil)
    #expect(reading(.gpuTemperature).reading == 290)
    #expect(reading(.gpuMemoryUsed).reading == Int64((480 + 4) * 1024))
    for metric in [MetricID.gpuPowerInstant, .gpuTemperatureMargin, .gpuPCIeTransmit, .gpuXIDEvents, .gpuXIDLast] {
      #expect(inventory.offset(of: metric) == nil)
    }
  }

  @Test("a partitioned GPU has no utilization, keeps its own key, and returns to normal within a minute")
  func partitioned() throws {
    let fake = try FakeNVML(gpus: 2)
    let source = NVMLSource(library: fake.path, interval: .second)
    let inventory = source.discover()
    #expect(!SourceReading(source, inventory, at: tick(0))(.gpuUtilization, 1).isAbsent)
    fake.set("mig", 1, gpu: 1)
    let split = SourceReading(source, inventory, at: tick(1))
    #expect(split(.gpuUtilization, 1).isAbsent && !split(.gpuUtilization, 0).isAbsent)
    #expect(!split(.gpuPower, 1).isAbsent)
    fake.set("mig", 0, gpu: 1)
    #expect(SourceReading(source, inventory, at: tick(2))(.gpuUtilization, 1).isAbsent)
    _ = SourceReading(source, inventory, at: tick(61))
    #expect(!SourceReading(source, inventory, at: tick(62))(.gpuUtilization, 1).isAbsent)
    #expect(source.discover() == inventory)
  }

  @Test("the power of a superchip board is counted once however many GPUs report it")
  func boards() throws {
    let fake = try FakeNVML(.gb200)
    let source = NVMLSource(library: fake.path, interval: .second)
    let inventory = source.discover()
    let boards = inventory.devices.filter { $0.scope == .module }
    #expect(
      boards.map(\.key) == ["MODULE-1821325191344-5-1650000000001", "MODULE-1821325191344-5-1650000000002"])
    #expect(
      source.condition
        == .available("4 GPUs (NVIDIA GB200), driver 580.105.08, chassis 1821325191344 slot 9 tray 5"))
    let reading = SourceReading(source, inventory, at: tick(1))
    #expect(reading(.modulePower, 0).reading == 463_500)
    #expect(reading(.modulePower, 1).reading == 466_600)
    // One of a board's GPUs is enough.
    fake.set("lost", 1, gpu: 0)
    let half = SourceReading(source, inventory, at: tick(2))
    #expect(half(.modulePower, 0).reading == 463_500)
    #expect(half(.gpuPower, 0).isAbsent)
    #expect(source.discover() == inventory)
  }

  @Test("a chip without a driver's average gets the mean of the driver's own samples")
  func ringMean() throws {
    let fake = try FakeNVML(.a100)
    freeze(fake, at: 0)
    let source = NVMLSource(library: fake.path, interval: .second)
    let inventory = source.discover()
    freeze(fake, at: 1)
    let reading = SourceReading(source, inventory, at: tick(1))
    let power = try #require(reading(.gpuPower).reading)
    let instant = try #require(reading(.gpuPowerInstant).reading)
    let lowest = try #require(reading(.gpuPowerMin).reading)
    let highest = try #require(reading(.gpuPowerMax).reading)
    #expect(lowest < power && power < highest && power != instant)
    #expect(abs(power - 55_200) < 150)
  }

  @Test("samples of ticks that were not read do not count for a later tick's extremes")
  func ringAfterGap() throws {
    let fake = try FakeNVML(gpus: 1)
    freeze(fake, at: 0)
    let source = NVMLSource(library: fake.path, interval: .second)
    let inventory = source.discover()
    fake.set("busy", 1)
    freeze(fake, at: 1)
    _ = SourceReading(source, inventory, at: tick(1))
    fake.set("busy", 0)
    // Two seconds later the ring still holds 2.4 s; only the last one belongs to this tick.
    freeze(fake, at: 3)
    let reading = SourceReading(source, inventory, at: tick(3))
    #expect(try #require(reading(.gpuPowerMax).reading) < 100_000)
    // Nothing new: no extremes, and no error.
    let same = SourceReading(source, inventory, at: tick(4))
    #expect(same(.gpuPowerMax).isAbsent && same(.gpuPowerMin).isAbsent && !same(.gpuPower).isAbsent)
  }

  @Test("at ten seconds and more the mean comes from the energy counter")
  func energyMean() throws {
    let interval = try #require(TickInterval(milliseconds: 10_000))
    let fake = try FakeNVML(gpus: 1)
    let source = NVMLSource(library: fake.path, interval: interval)
    freeze(fake, at: 0)
    let inventory = source.discover()
    let first = SourceReading(source, inventory, at: tick(0))
    #expect(!first(.gpuPower).isAbsent)
    let before = try #require(first(.gpuEnergy).reading)
    fake.set("energy", 654_321)
    let second = SourceReading(source, inventory, at: tick(10))
    #expect(second(.gpuEnergy).reading == before + 654_321)
    #expect(second(.gpuPower).reading == 65_432)
    // After a missed tick the difference is not this tick's; the driver's own mean stands in.
    fake.set("energy", 1_000_000)
    #expect(SourceReading(source, inventory, at: tick(30))(.gpuPower) == first(.gpuPower))
  }

  @Test("PCIe counters grow from zero over wraps of 32 bits", arguments: [false, true])
  func pcieWraps(isNarrow: Bool) throws {
    let fake = try FakeNVML(gpus: 1)
    fake.set("pcie_narrow", isNarrow ? 1 : 0)
    let source = NVMLSource(library: fake.path, interval: .second)
    let inventory = source.discover()
    var expected: Int64 = 0
    for number in 1...5 {
      fake.set("pcie", 3_000_000_000)
      expected += 3_000_000_000
      let reading = SourceReading(source, inventory, at: tick(Int64(number)))
      #expect(reading(.gpuPCIeTransmit).reading == expected / 1024)
      #expect(reading(.gpuPCIeReceive).reading == expected / 1024)
    }
  }

  @Test("a power brake is told at the instant of the sample and between two, once, and a reload of the driver is none")
  func powerBrake() throws {
    let fake = try FakeNVML(gpus: 2)
    fake.set("brake", 5_000_000, gpu: 0)
    let source = NVMLSource(library: fake.path, interval: .second)
    let inventory = source.discover()
    var number: Int64 = 0
    func reasons() -> [Int64?] {
      number += 1
      let reading = SourceReading(source, inventory, at: tick(number))
      return (0..<2).map { reading(.gpuClockEventReasons, $0).reading }
    }
    #expect(reasons() == [0x1, 0x1], "what was before the first reading is no news")
    fake.set("brake", 1, gpu: 1)
    #expect(reasons() == [0x1, 0x81])
    #expect(reasons() == [0x1, 0x1])
    fake.set("brake_now", 1, gpu: 0)
    fake.set("busy", 1, gpu: 1)
    #expect(reasons() == [0x81, 0x4])
    fake.set("brake", 700_000_000, gpu: 0)
    fake.set("brake_now", 0, gpu: 0)
    #expect(reasons() == [0x81, 0x4], "it ended within the second")
    fake.set("driver_code", 9)
    #expect(reasons() == [nil, nil])
    fake.set("reload", 1)
    fake.set("driver_code", 0)
    #expect(source.discover() == inventory)
    #expect(reasons() == [0x1, 0x4])
    #expect(reasons() == [0x1, 0x4])
  }

  @Test("a driver without the brake's time gives the mask as it is")
  func noBrakeTime() throws {
    let fake = try FakeNVML(isOld: true, gpus: 1)
    let source = NVMLSource(library: fake.path, interval: .second)
    let inventory = source.discover()
    fake.set("brake", 5_000_000)
    #expect(SourceReading(source, inventory, at: tick(1))(.gpuClockEventReasons, 0).reading == 0x1)
    fake.set("brake", 5_000_000)
    fake.set("brake_now", 1)
    #expect(SourceReading(source, inventory, at: tick(2))(.gpuClockEventReasons, 0).reading == 0x81)
    fake.set("brake_now", 0)
    #expect(SourceReading(source, inventory, at: tick(3))(.gpuClockEventReasons, 0).reading == 0x1)
  }

  @Test("XID and memory errors are counted per GPU, also over a lost GPU's return")
  func errors() throws {
    let fake = try FakeNVML(gpus: 3)
    let source = NVMLSource(library: fake.path, interval: .second)
    let inventory = source.discover()
    fake.set("xid", 48, gpu: 1)
    fake.set("xid", 63, gpu: 1)
    fake.set("xid", 79, gpu: 2)
    fake.set("ecc", 5, gpu: 1)
    func counts(_ reading: SourceReading) -> [Int64?] { (0..<3).map { reading(.gpuXIDEvents, $0).reading } }
    func numbers(_ reading: SourceReading) -> [Int64?] { (0..<3).map { reading(.gpuXIDLast, $0).reading } }
    let reading = wait(for: source, inventory) { counts($0) == [0, 2, 1] }
    #expect(counts(reading) == [0, 2, 1] && numbers(reading) == [0, 63, 79])
    #expect((0..<3).map { reading(.gpuECCUncorrected, $0).reading } == [0, 5, 0])
    // The GPU falls off the bus, which ends every wait for events, and comes back: others are reported meanwhile.
    fake.set("xid", 79, gpu: 2)
    fake.set("lost", 1, gpu: 2)
    let lost = wait(for: source, inventory, from: 500) { counts($0)[1] == 2 && $0(.gpuPower, 2).isAbsent }
    #expect(counts(lost) == [0, 2, nil])
    #expect(source.discover() == inventory)
    fake.set("xid", 31, gpu: 0)
    #expect(counts(wait(for: source, inventory, from: 1000) { counts($0)[0] == 1 }) == [1, 2, nil])
    fake.set("lost", 0, gpu: 2)
    #expect(source.discover() == inventory)
    fake.set("xid", 95, gpu: 2)
    let after = wait(for: source, inventory, from: 1500) { counts($0) == [1, 2, 3] }
    #expect(counts(after) == [1, 2, 3] && numbers(after) == [31, 63, 95])
  }

  @Test("a wait for events that hangs takes no reading with it, and the driver is let go all the same")
  func hangingEvents() throws {
    let fake = try FakeNVML(gpus: 2)
    let source = NVMLSource(library: fake.path, interval: .second)
    let inventory = source.discover()
    fake.set("event_hang_ms", 4000)
    usleep(20_000)
    let began = ContinuousClock.now
    for number in 1...20 { #expect(!SourceReading(source, inventory, at: tick(Int64(number)))(.gpuPower, 1).isAbsent) }
    source.release()
    #expect(fake.sessions == 0)
    #expect(ContinuousClock.now - began < .seconds(3))
    // A new session counts on, beside the thread that is still in the old call.
    fake.set("event_hang_ms", 0)
    #expect(source.discover() == inventory)
    fake.set("xid", 43, gpu: 1)
    #expect(wait(for: source, inventory, from: 100) { $0(.gpuXIDEvents, 1).reading == 1 }(.gpuXIDLast, 1).reading == 43)
  }

  @Test("NVLinks that count one by one are added up; while one of them does not answer the sum is absent")
  func links() throws {
    let fake = try FakeNVML(.b200, gpus: 2)
    fake.set("link_bytes", 1)
    // Down from the start, it is none of this GPU's links.
    fake.set("link_down", 17)
    freeze(fake, at: 0)
    let source = NVMLSource(library: fake.path, interval: .second)
    let inventory = source.discover()
    func sum(field: Int64, gpu: Int64) -> Int64 {
      (0..<17).reduce(0) { $0 + field * 10_000 + gpu * 2000 + $1 } / 1024
    }
    let reading = SourceReading(source, inventory, at: tick(1))
    for gpu in 0..<2 {
      #expect(reading(.gpuNVLinkTransmit, gpu).reading == sum(field: 202, gpu: Int64(gpu)))
      #expect(reading(.gpuNVLinkReceive, gpu).reading == sum(field: 204, gpu: Int64(gpu)))
    }
    fake.set("link_down", 4)
    let broken = SourceReading(source, inventory, at: tick(2))
    #expect(broken(.gpuNVLinkTransmit).isAbsent && broken(.gpuNVLinkReceive).isAbsent && !broken(.gpuPower).isAbsent)
    fake.set("link_down", -1)
    #expect(SourceReading(source, inventory, at: tick(3))(.gpuNVLinkTransmit).reading == sum(field: 202, gpu: 0))
  }

  @Test("released, it holds no session and reads nothing; looked for, it is back")
  func released() throws {
    let fake = try FakeNVML()
    let source = NVMLSource(library: fake.path, interval: .second)
    let inventory = source.discover()
    #expect(fake.sessions == 1)
    source.release()
    #expect(fake.sessions == 0)
    #expect(source.condition == .released)
    #expect(SourceReading(source, inventory, at: tick(1)).isAllAbsent)
    #expect(source.discover() == inventory)
    #expect(!SourceReading(source, inventory, at: tick(2))(.gpuPower).isAbsent)
  }
}
