import BongsuModel
import BongsuTestKit
import Glibc
import Testing

@testable import BongsuDevices

@Suite("host source")
struct HostSourceTests {
  /// A small device tree.
  private struct Tree {
    let folder: TemporaryDirectory

    init() throws { folder = try TemporaryDirectory() }

    func write(_ path: String, _ text: String) throws {
      let full = "\(folder.path)/\(path)"
      let parent = full.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
      try #require(runShell("mkdir -p '\(parent)' && printf '%s\\n' '\(text)' > '\(full)'") == 0)
    }

    func zone(_ name: String, _ kind: String, _ microjoules: Int64, range: Int64 = 262_143_328_850) throws {
      try write("class/powercap/\(name)/name", kind)
      try write("class/powercap/\(name)/energy_uj", "\(microjoules)")
      try write("class/powercap/\(name)/max_energy_range_uj", "\(range)")
    }
  }

  private func tick(_ number: Int64) -> Tick { Tick(unixMilliseconds: number * 1000) }

  @Test("processor energy adds up the packages, over wraps; power is its difference over time")
  func powercap() throws {
    let tree = try Tree()
    try tree.zone("intel-rapl:0", "package-0", 1_000_000)
    try tree.zone("intel-rapl:0:0", "core", 5)
    try tree.zone("intel-rapl:0:1", "dram", 100)
    try tree.zone("intel-rapl:1", "package-1", 262_143_000_000)
    try tree.zone("intel-rapl:2", "psys", 7)
    try tree.zone("intel-rapl-mmio:0", "package-0", 9)
    var now: Int64 = 0
    let source = HostSource(sysfsRoot: tree.folder.path) { now }
    let inventory = source.discover()
    #expect(inventory.columns.map(\.id) == [.nodeCPUEnergy, .nodeDRAMEnergy, .nodeCPUPower])
    #expect(
      source.condition
        == .available("energy of 2 processor packages, energy of their memory; no machine power"))
    let first = SourceReading(source, inventory, at: tick(0))
    #expect(first(.nodeCPUEnergy).reading == 0 && first(.nodeCPUPower).isAbsent)
    // Package 0 draws 150 J, package 1 wraps and draws 50.32885 J, within a second.
    try tree.zone("intel-rapl:0", "package-0", 151_000_000)
    try tree.zone("intel-rapl:1", "package-1", 50_000_000)
    try tree.zone("intel-rapl:0:1", "dram", 20_000_100)
    now = 1_000_000_000
    let second = SourceReading(source, inventory, at: tick(1))
    #expect(second(.nodeCPUEnergy).reading == 200_328)
    #expect(second(.nodeCPUPower).reading == 200_329)
    #expect(second(.nodeDRAMEnergy).reading == 20_000)
    // A package that cannot be read makes the sum absent, not smaller.
    try tree.write("class/powercap/intel-rapl:1/energy_uj", "broken")
    now = 2_000_000_000
    #expect(SourceReading(source, inventory, at: tick(2)).values.dropLast(2).allSatisfy { $0 == Int64.min })
    #expect(SourceReading(source, inventory, at: tick(2))(.nodeCPUPower).isAbsent)
  }

  @Test("power sensors: the machine's meter, Grace processors summed, its board left to the GPU driver")
  func hwmon() throws {
    let tree = try Tree()
    try tree.write("class/hwmon/hwmon0/name", "nvme")
    try tree.write("class/hwmon/hwmon1/name", "power_meter")
    try tree.write("class/hwmon/hwmon1/power1_average", "7123456789")
    for (number, purpose, microwatts) in [
      (2, "CPU Power Socket 0", 140_000_500), (3, "CPU Power Socket 1", 150_000_700),
      (4, "Module Power Socket 0", 467_000_000), (5, "SysIO Power Socket 0", 20_000_000),
    ] {
      try tree.write("class/hwmon/hwmon\(number)/name", "power_meter")
      try tree.write("class/hwmon/hwmon\(number)/device/power1_oem_info", purpose)
      try tree.write("class/hwmon/hwmon\(number)/power1_average", "\(microwatts)")
    }
    let source = HostSource(sysfsRoot: tree.folder.path)
    let inventory = source.discover()
    #expect(inventory.columns.map(\.id) == [.nodePower, .nodeCPUPower])
    #expect(source.condition == .available("machine power, power of 2 processors"))
    let reading = SourceReading(source, inventory, at: tick(0))
    #expect(reading(.nodePower).reading == 7_123_456)
    #expect(reading(.nodeCPUPower).reading == 290_001)
  }

  @Test("a machine without sensors says which are missing, and sensors that appear are found")
  func nothing() throws {
    let tree = try Tree()
    let source = HostSource(sysfsRoot: tree.folder.path)
    #expect(source.discover().width == 0)
    #expect(source.condition == .unavailable("the kernel shows neither machine power nor processor energy"))
    try tree.zone("intel-rapl:0", "package-0", 1)
    #expect(source.discover().width == 2)
    #expect(source.condition.word == "available")
  }

  @Test("a sensor that cannot be opened is named, and the others are read")
  func unreadable() throws {
    let tree = try Tree()
    try tree.zone("intel-rapl:0", "package-0", 1)
    try tree.write("class/hwmon/hwmon1/name", "power_meter")
    let file = "\(tree.folder.path)/class/hwmon/hwmon1/power1_average"
    #expect(runShell("ln -s power1_average '\(file)'") == 0)
    let source = HostSource(sysfsRoot: tree.folder.path)
    let inventory = source.discover()
    #expect(
      source.condition
        == .degraded("energy of 1 processor packages; cannot read \(file): Too many levels of symbolic links"))
    #expect(SourceReading(source, inventory, at: tick(0))(.nodeCPUEnergy).reading == 0)
  }

  @Test(
    "energy that only root may read says so and what helps", .enabled(if: getuid() != 0, "root may read everything"))
  func permission() throws {
    let tree = try Tree()
    try tree.zone("intel-rapl:0", "package-0", 1)
    #expect(runShell("chmod 000 '\(tree.folder.path)/class/powercap/intel-rapl:0/energy_uj'") == 0)
    let source = HostSource(sysfsRoot: tree.folder.path)
    #expect(source.discover().width == 0)
    #expect(
      source.condition.description.hasSuffix(
        "Permission denied; let the agent's group read it, as the udev rule of the package does, or give the agent "
          + "CAP_DAC_READ_SEARCH"))
  }

  @Test("released, it reads nothing; looked for, it goes on with its counts")
  func released() throws {
    let tree = try Tree()
    try tree.zone("intel-rapl:0", "package-0", 1_000_000)
    let source = HostSource(sysfsRoot: tree.folder.path)
    let inventory = source.discover()
    _ = SourceReading(source, inventory, at: tick(0))
    try tree.zone("intel-rapl:0", "package-0", 3_000_000)
    #expect(SourceReading(source, inventory, at: tick(1))(.nodeCPUEnergy).reading == 2000)
    source.release()
    #expect(SourceReading(source, inventory, at: tick(2)).isAllAbsent)
    #expect(source.discover() == inventory)
    #expect(try #require(SourceReading(source, inventory, at: tick(3))(.nodeCPUEnergy).reading) >= 2000)
  }
}
