import BongsuModel
import BongsuTestKit
import Testing

@testable import BongsuDevices

@Suite("GPUs of the kernel's device tree")
struct SysfsGPUSourceTests {
  private func tick(_ number: Int64) -> Tick { Tick(unixMilliseconds: number * 1000) }

  /// An MI300X as amdgpu shows it, card `number`.
  private func instinct(_ tree: DeviceTree, _ number: Int, watts: Int) throws {
    let device = "class/drm/card\(number)/device"
    try tree.write(
      [
        "vendor": "0x1002", "device": "0x74a1", "unique_id": "0x4f3c98aa000000\(number)",
        "uevent": "DRIVER=amdgpu\nPCI_ID=1002:74A1\nPCI_SLOT_NAME=0000:0\(number):00.0", "gpu_busy_percent": "87",
        "mem_busy_percent": "41", "mem_info_vram_used": "298844160", "mem_info_vram_total": "206141652992",
        "hwmon/hwmon\(number + 3)/name": "amdgpu", "hwmon/hwmon\(number + 3)/power1_average": "\(watts)000000",
        "hwmon/hwmon\(number + 3)/power1_cap": "750000000", "hwmon/hwmon\(number + 3)/temp2_label": "junction",
        "hwmon/hwmon\(number + 3)/temp2_input": "48000", "hwmon/hwmon\(number + 3)/temp3_label": "mem",
        "hwmon/hwmon\(number + 3)/temp3_input": "39500", "hwmon/hwmon\(number + 3)/freq1_label": "sclk",
        "hwmon/hwmon\(number + 3)/freq1_input": "2100000000", "hwmon/hwmon\(number + 3)/freq2_label": "mclk",
        "hwmon/hwmon\(number + 3)/freq2_input": "1300000000",
      ], below: device)
  }

  private func flex(_ tree: DeviceTree, _ number: Int, microjoules: Int64, driver: String = "xe") throws {
    let device = "class/drm/card\(number)/device"
    try tree.write(
      [
        "vendor": "0x8086", "device": "0x56c0", "uevent": "PCI_SLOT_NAME=0000:4\(number):00.0",
        "hwmon/hwmon2/name": driver, "hwmon/hwmon2/energy1_input": "\(microjoules)",
        "hwmon/hwmon2/power1_max": "150000000",
        "hwmon/hwmon2/temp2_label": "pkg", "hwmon/hwmon2/temp2_input": "51000",
        "hwmon/hwmon2/temp3_label": "vram", "hwmon/hwmon2/temp3_input": "47000",
      ], below: device)
  }

  @Test("two AMD GPUs: every reading in its wire unit, keyed by their serials, other makers' cards passed over")
  func amd() throws {
    let tree = try DeviceTree()
    try instinct(tree, 1, watts: 412)
    try instinct(tree, 10, watts: 388)
    try tree.write("class/drm/card0/device/vendor", "0x1a03")
    try tree.write("class/drm/card1-DP-1/status", "disconnected")
    try tree.write("class/drm/renderD128/device/vendor", "0x1002")
    try flex(tree, 4, microjoules: 1)
    let source = SysfsGPUSource(.amd, sysfsRoot: tree.path)
    let inventory = source.discover()
    #expect(source.condition == .available("2 GPUs (AMD GPU 0x74a1)"))
    #expect(inventory.devices.map(\.key) == ["AMD-0x4f3c98aa0000001", "AMD-0x4f3c98aa00000010"])
    let reading = SourceReading(source, inventory, at: tick(0))
    #expect(reading(.gpuPower, 0).reading == 412_000 && reading(.gpuPower, 1).reading == 388_000)
    #expect(reading(.gpuPowerLimit).reading == 750_000)
    #expect(reading(.gpuUtilization).reading == 870 && reading(.gpuMemoryUtilization).reading == 410)
    #expect(reading(.gpuMemoryUsed).reading == 291_840 && reading(.gpuMemoryTotal).reading == 201_310_208)
    #expect(reading(.gpuTemperature).reading == 480 && reading(.gpuMemoryTemperature).reading == 395)
    #expect(reading(.gpuSMClock).reading == 2100 && reading(.gpuMemoryClock).reading == 1300)
    #expect(inventory.offset(of: .gpuPowerInstant) == nil && inventory.offset(of: .gpuEnergy) == nil)
  }

  @Test("a card with instantaneous power alone gives it for both; an edge sensor goes before the hottest point")
  func amdInstant() throws {
    let tree = try DeviceTree()
    try instinct(tree, 0, watts: 1)
    try tree.remove("class/drm/card0/device/hwmon/hwmon3/power1_average")
    try tree.write(
      ["power1_input": "301500000", "temp1_label": "edge", "temp1_input": "44000"],
      below: "class/drm/card0/device/hwmon/hwmon3")
    try tree.write("class/drm/card0/device/product_name", "Instinct MI210")
    try tree.remove("class/drm/card0/device/unique_id")
    let source = SysfsGPUSource(.amd, sysfsRoot: tree.path)
    let inventory = source.discover()
    #expect(inventory.devices.map(\.key) == ["AMD-0000:00:00.0"] && inventory.devices[0].model == "Instinct MI210")
    let reading = SourceReading(source, inventory, at: tick(0))
    #expect(reading(.gpuPower).reading == 301_500 && reading(.gpuPowerInstant).reading == 301_500)
    #expect(reading(.gpuTemperature).reading == 440)
  }

  @Test(
    "Intel's energy becomes power over time; a limit of zero is none; no energy, no device", arguments: ["xe", "i915"])
  func intel(driver: String) throws {
    let tree = try DeviceTree()
    try flex(tree, 0, microjoules: 5_000_000_000, driver: driver)
    try flex(tree, 1, microjoules: 7_000_000_000, driver: driver)
    try tree.write("class/drm/card1/device/hwmon/hwmon2/power1_max", "0")
    try tree.write(["vendor": "0x8086", "device": "0x4680"], below: "class/drm/card2/device")
    var now: Int64 = 0
    let source = SysfsGPUSource(.intel, sysfsRoot: tree.path) { now }
    let inventory = source.discover()
    #expect(inventory.devices.map(\.key) == ["INTEL-0000:40:00.0", "INTEL-0000:41:00.0"])
    let first = SourceReading(source, inventory, at: tick(0))
    #expect(first(.gpuPower).isAbsent && first(.gpuEnergy).reading == 0)
    #expect(first(.gpuPowerLimit, 0).reading == 150_000 && first(.gpuPowerLimit, 1).isAbsent)
    #expect(first(.gpuTemperature).reading == 510 && first(.gpuMemoryTemperature).reading == 470)
    try tree.write("class/drm/card0/device/hwmon/hwmon2/energy1_input", "5240500000")
    now = 2_000_000_000
    let second = SourceReading(source, inventory, at: tick(2))
    #expect(second(.gpuPower, 0).reading == 120_250 && second(.gpuEnergy, 0).reading == 240_500)
    #expect(second(.gpuPower, 1).reading == 0)
    // The driver starts its counter again: never a negative power, and the total goes on.
    try tree.write("class/drm/card0/device/hwmon/hwmon2/energy1_input", "1000000")
    now = 3_000_000_000
    let third = SourceReading(source, inventory, at: tick(3))
    #expect(third(.gpuEnergy, 0).reading == 241_500 && third(.gpuPower, 0).reading == 1000)
  }

  @Test(
    "a file that holds no number is absent, and the rest is read",
    arguments: ["", "garbage", "-5", "99999999999999999999"])
  func garbage(text: String) throws {
    let tree = try DeviceTree()
    try instinct(tree, 0, watts: 300)
    try tree.write("class/drm/card0/device/gpu_busy_percent", text)
    let source = SysfsGPUSource(.amd, sysfsRoot: tree.path)
    let inventory = source.discover()
    let reading = SourceReading(source, inventory, at: tick(0))
    #expect(reading(.gpuUtilization).isAbsent && reading(.gpuPower).reading == 300_000)
  }

  @Test("a file that may not be opened is named, and the rest is read")
  func refused() throws {
    let tree = try DeviceTree()
    try instinct(tree, 0, watts: 300)
    let file = "class/drm/card0/device/hwmon/hwmon3/power1_cap"
    try tree.block(file)
    let source = SysfsGPUSource(.amd, sysfsRoot: tree.path)
    let inventory = source.discover()
    #expect(
      source.condition
        == .degraded(
          "1 GPUs (AMD GPU 0x74a1); cannot read \(tree.path)/\(file): Too many levels of symbolic links"))
    #expect(SourceReading(source, inventory, at: tick(0))(.gpuPower).reading == 300_000)
  }

  @Test("a card that falls away keeps its place with absent readings, its sibling goes on, and it comes back")
  func lostAndBack() throws {
    let tree = try DeviceTree()
    try flex(tree, 0, microjoules: 1_000_000)
    try flex(tree, 1, microjoules: 1_000_000)
    var now: Int64 = 0
    let source = SysfsGPUSource(.intel, sysfsRoot: tree.path) { now }
    let inventory = source.discover()
    _ = SourceReading(source, inventory, at: tick(0))
    // The driver let go of card 0: its open files end, as those of an unbound device do.
    for file in ["energy1_input", "power1_max", "temp2_input", "temp3_input"] {
      try #require(runShell(": > '\(tree.path)/class/drm/card0/device/hwmon/hwmon2/\(file)'") == 0)
    }
    now = 1_000_000_000
    let lost = SourceReading(source, inventory, at: tick(1))
    #expect(lost(.gpuEnergy, 0).isAbsent && lost(.gpuEnergy, 1).reading == 0)
    #expect(
      source.condition
        == .degraded("1 of 2 GPUs do not answer: 0; their readings are absent until they do"))
    try tree.remove("class/drm/card0")
    #expect(source.discover() == inventory && source.condition.word == "degraded")
    try flex(tree, 0, microjoules: 77_000_000)
    #expect(source.discover() == inventory && source.condition.word == "available")
    now = 2_000_000_000
    #expect(SourceReading(source, inventory, at: tick(2))(.gpuEnergy, 0).reading == 0)
  }

  @Test("without cards it says so; released it reads nothing and takes up again")
  func nothing() throws {
    let tree = try DeviceTree()
    let source = SysfsGPUSource(.amd, sysfsRoot: tree.path)
    #expect(source.discover().width == 0)
    #expect(source.condition == .unavailable("the kernel shows no AMD GPU with sensors"))
    try instinct(tree, 0, watts: 250)
    let inventory = source.discover()
    #expect(inventory.devices.count == 1)
    source.release()
    #expect(SourceReading(source, inventory, at: tick(0)).isAllAbsent && source.condition == .released)
    #expect(source.discover() == inventory)
    #expect(SourceReading(source, inventory, at: tick(1))(.gpuPower).reading == 250_000)
  }
}
