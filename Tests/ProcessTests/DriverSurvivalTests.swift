import BongsuTestKit
import Foundation
import Testing

/// The agent's process while the driver of its GPUs misbehaves. The machine is changed through a file that the stand-in
/// for the driver's library reads.
@Suite("an agent's process and its driver")
struct DriverSurvivalTests {
  /// The stand-in as another process loads it, and the file that changes it.
  private final class Machine {
    let library: FakeNVML
    let folder: TemporaryDirectory
    private var control: String { "\(folder.path)/control" }

    init(driver: String = "") throws {
      library = try FakeNVML(driver: driver)
      folder = try TemporaryDirectory()
      try Data().write(to: URL(fileURLWithPath: control))
    }

    func set(_ what: String, _ value: Int, gpu: Int = 0) throws {
      let file = try FileHandle(forWritingTo: URL(fileURLWithPath: control))
      try file.seekToEnd()
      try file.write(contentsOf: Data("\(what) \(gpu) \(value)\n".utf8))
      try file.close()
    }

    func environment(gpus: Int) -> [String: String] {
      ["FAKE_NVML_CONTROL": control, "FAKE_NVML_GPUS": "\(gpus)"]
    }
  }

  private func condition(_ site: Site) async throws -> String {
    let status = try await site.status()
    return status.first { $0.key.hasPrefix("source nvml") }?.value as? String ?? ""
  }

  @Test("a driver call that hangs for thirty seconds delays no row, is said once, and readings come back after it")
  func hang() async throws {
    let site = try Site()
    let machine = try Machine()
    let agent = try site.agent(
      ["--source", "nvml:\(machine.library.path)", "--state", "\(site.folder.path)/state"],
      environment: machine.environment(gpus: 1))
    #expect(try await eventually(within: 120) { DrillRows(site.log).rows.count { $0.power != nil } >= 3 })
    try machine.set("hang_ms", 30_000)
    #expect(try await eventually(within: 120) { DrillRows(site.log).rows.last?.power == nil })
    let began = ContinuousClock.now
    // The call that is under way keeps its length.
    try machine.set("hang_ms", 0)
    #expect(try await condition(site).hasPrefix("hung: "))
    let isBack = try await eventually(within: 120) { DrillRows(site.log).rows.last?.power != nil }
    #expect(isBack && ContinuousClock.now - began > .seconds(25))
    let rows = DrillRows(site.log)
    #expect(rows.rows.count { $0.power == nil } >= 25)
    #expect(rows.isComplete(agent))
    #expect(agent.errors.components(separatedBy: " hung").count == 2, "\(agent.errors)")
    agent.terminate()
    #expect(try await agent.ended(within: 15)?.status == 0)
  }

  @Test(
    "an agent that starts before the driver is installed finds its GPUs once it is there, and says each change once")
  func appearsLater() async throws {
    let site = try Site()
    let machine = try Machine()
    let late = "\(machine.folder.path)/libnvidia-ml.so.1"
    let agent = try site.agent(["--source", "nvml:\(late)"], environment: machine.environment(gpus: 8))
    #expect(try await eventually(within: 120) { DrillRows(site.log).rows.count >= 3 })
    #expect(DrillRows(site.log).rows.allSatisfy { $0.power == nil })
    // The library comes before its driver is loaded, as installers leave it for a while.
    try machine.set("driver_code", 9)
    try FileManager.default.copyItem(atPath: machine.library.path, toPath: late)
    #expect(try await eventually(within: 120) { agent.errors.contains("the NVIDIA driver is not loaded") })
    try machine.set("driver_code", 0)
    #expect(try await eventually(within: 120) { DrillRows(site.log).rows.last?.power != nil })
    let lines = agent.errors.split(separator: "\n").filter { $0.contains(late) }
    #expect(lines.count == 3, "\(agent.errors)")
    #expect(DrillRows(site.log).isComplete(agent))
  }

  @Test("a GPU that is partitioned, lost, back and whole again costs no row, and each change is said once")
  func partitionedAndLost() async throws {
    let site = try Site()
    let machine = try Machine()
    let agent = try site.agent(
      ["--source", "nvml:\(machine.library.path)", "--state", "\(site.folder.path)/state"],
      environment: machine.environment(gpus: 2))
    func last(_ condition: @escaping (DrillRows.Row) -> Bool, within seconds: Double = 40) async throws -> Bool {
      try await eventually(within: seconds) { DrillRows(site.log).rows.last.map(condition) ?? false }
    }
    #expect(try await last { $0.power != nil && $0.utilization != nil })
    try machine.set("mig", 1)
    // What its instances use is not what the board uses; the board's power is still its own.
    #expect(try await last { $0.power != nil && $0.utilization == nil })
    try machine.set("lost", 1)
    #expect(try await last { $0.power == nil })
    #expect(try await eventually(within: 120) { try await condition(site).contains("1 of 2 GPUs do not answer") })
    try machine.set("lost", 0)
    #expect(try await last { $0.power != nil })
    try machine.set("mig", 0)
    // Whether a GPU is partitioned is asked once a minute.
    #expect(try await last({ $0.power != nil && $0.utilization != nil }, within: 150), "\(agent.errors)")
    #expect(DrillRows(site.log).isComplete(agent))
    let said = agent.errors.split(separator: "\n").filter { $0.contains("source nvml") }
    #expect(said.count == 3, "\(agent.errors)")
    agent.terminate()
    #expect(try await agent.ended(within: 30)?.status == 0)
  }

  @Test("a library that is replaced while it runs is closed when it no longer fits, and the new one is opened")
  func replaced() async throws {
    let site = try Site()
    let machine = try Machine()
    let next = try FakeNVML(driver: "590.44.01")
    let installed = "\(machine.folder.path)/libnvidia-ml.so.1"
    try FileManager.default.copyItem(atPath: machine.library.path, toPath: installed)
    let agent = try site.agent(
      ["--source", "nvml:\(installed)", "--state", "\(site.folder.path)/state"],
      environment: machine.environment(gpus: 2))
    #expect(try await eventually(within: 120) { DrillRows(site.log).rows.count { $0.power != nil } >= 2 })
    #expect(try await condition(site).hasSuffix("driver 580.105.08"))
    // As a package manager does it: a new file takes the name, and the old one lives as long as it is open.
    try FileManager.default.copyItem(atPath: next.path, toPath: installed + ".new")
    #expect(runShell("mv '\(installed).new' '\(installed)'") == 0)
    let rows = DrillRows(site.log).rows.count
    #expect(try await eventually(within: 120) { DrillRows(site.log).rows.count >= rows + 2 })
    #expect(DrillRows(site.log).rows.last?.power != nil, "the old library serves on")
    try machine.set("driver_code", 18)
    #expect(try await eventually(within: 120) { DrillRows(site.log).rows.last?.power == nil })
    try machine.set("driver_code", 0)
    #expect(try await eventually(within: 120) { DrillRows(site.log).rows.last?.power != nil })
    #expect(try await condition(site).hasSuffix("driver 590.44.01"))
    let maps = try String(contentsOfFile: "/proc/\(agent.processID)/maps", encoding: .utf8)
    #expect(maps.contains(installed) && !maps.contains("\(installed) (deleted)"))
    #expect(DrillRows(site.log).isComplete(agent))
  }
}
