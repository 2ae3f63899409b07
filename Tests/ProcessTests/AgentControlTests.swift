import BongsuTestKit
import Foundation
import Testing

/// `bongsu-agent ctl`, reading settings again, and what the service manager hears, of real processes.
@Suite("a running agent and its operator")
struct AgentControlTests {
  private func control(_ request: String, _ state: String, _ more: [String] = []) async throws -> Ended {
    try await run("bongsu-agent", ["ctl", request, "--state", state] + more)
  }

  private func status(_ state: String) async throws -> [String: Any] {
    let ended = try await control("status", state, ["--format", "json"])
    return (try JSONSerialization.jsonObject(with: Data(ended.output.utf8)) as? [String: Any]) ?? [:]
  }

  @Test("paused, the driver is released within a second and status says why readings are absent; resumed, they return")
  func pause() async throws {
    let library = try FakeNVML(.h100)
    let folder = try TemporaryDirectory()
    let agent = try RunningProgram(
      "bongsu-agent",
      [
        "--node", "node-1", "--aggregator", "127.0.0.1:\(freePort())", "--source", "nvml:\(library.path)", "--state",
        folder.path,
      ])
    let source = "source nvml:\(library.path)"
    let isRead = try await eventually(within: 120) {
      (try? await status(folder.path)[source] as? String)?.hasPrefix("available: 8 GPUs") == true
    }
    try #require(isRead, "\(agent.errors)")
    #expect(isMapped(library.path, agent))
    let mode = try FileManager.default.attributesOfItem(atPath: "\(folder.path)/control")[.posixPermissions] as? Int
    #expect(mode == 0o660)
    let began = ContinuousClock.now
    let paused = try await control("pause-gpu", folder.path)
    #expect(paused.status == 0 && paused.output.hasPrefix("paused: "), "\(paused.errors)")
    // The answer comes once the driver is let go; the rest is what a busy machine takes to run the command.
    #expect(ContinuousClock.now - began < .seconds(20))
    #expect(!isMapped(library.path, agent), "the library is closed")
    let now = try await status(folder.path)
    #expect(now[source] as? String == "released: released for maintenance")
    #expect((now["gpus"] as? String)?.hasPrefix("paused for ") == true)
    #expect(agent.errors.contains("the GPUs are let go on request"))
    let resumed = try await control("resume-gpu", folder.path)
    #expect(resumed.status == 0)
    let isBack = try await eventually(within: 120) {
      (try? await status(folder.path)[source] as? String)?.hasPrefix("available: ") == true
    }
    #expect(isBack && isMapped(library.path, agent))
    agent.terminate()
    #expect(try await agent.ended(within: 15)?.status == 0)
    #expect(!FileManager.default.fileExists(atPath: "\(folder.path)/control"))
  }

  /// Whether the process has `library` in its memory.
  private func isMapped(_ library: String, _ agent: RunningProgram) -> Bool {
    (try? String(contentsOfFile: "/proc/\(agent.processID)/maps", encoding: .utf8))?.contains(library) ?? false
  }

  @Test("without a running agent, or with a request that is none, the command says what to do")
  func nobody() async throws {
    let folder = try TemporaryDirectory()
    let none = try await control("status", folder.path)
    #expect(none.status == 1 && none.errors.contains("no running agent: there is no \(folder.path)/control"))
    // What a killed agent leaves behind.
    let left = try RunningProgram(
      "bongsu-agent",
      ["--node", "n", "--aggregator", "127.0.0.1:1", "--source", "simulated:gpus=1", "--state", folder.path])
    #expect(try await eventually(within: 120) { FileManager.default.fileExists(atPath: "\(folder.path)/control") })
    left.send(SIGKILL)
    _ = try await left.ended(within: 10)
    let dead = try await control("status", folder.path)
    #expect(dead.status == 1 && dead.errors.contains("cannot reach the agent at \(folder.path)/control"))
    for arguments in [["ctl"], ["ctl", "reset"], ["ctl", "status", "status"], ["ctl", "status", "--format", "xml"]] {
      #expect(try await run("bongsu-agent", arguments).status == 2)
    }
    // The next agent takes the place; a second one at the same time does not, and runs all the same.
    let arguments = [
      "--node", "n", "--aggregator", "127.0.0.1:1", "--source", "simulated:gpus=1", "--state", folder.path,
    ]
    let next = try RunningProgram("bongsu-agent", arguments)
    #expect(
      try await eventually(within: 120) { (try? await status(folder.path)["pid"] as? Int) == Int(next.processID) })
    let second = try RunningProgram("bongsu-agent", arguments)
    #expect(try await eventually(within: 120) { second.errors.contains("belongs to another running agent") })
    #expect(second.isRunning)
    let unknown = try await control("pause-gpu", folder.path)
    #expect(unknown.status == 1 && unknown.errors.contains("this agent reads no GPUs"))
  }

  @Test("settings are read again at SIGHUP: what can change changes, what cannot is named, errors change nothing")
  func reload() async throws {
    let folder = try TemporaryDirectory()
    let file = "\(folder.path)/agent.conf"
    func write(_ text: String) throws {
      try ("node = r1\nstate = \(folder.path)\nsource = simulated:gpus=1\n" + text).write(
        toFile: file, atomically: true, encoding: .utf8)
    }
    let (first, second) = (freePort(), freePort())
    try write("aggregator = 127.0.0.1:\(first)\n")
    let notify = "\(folder.path)/notify"
    let listener = try DatagramListener(notify)
    let agent = try RunningProgram(
      "bongsu-agent", ["--config", file], environment: ["NOTIFY_SOCKET": notify, "WATCHDOG_USEC": "1000000"])
    #expect(try await eventually(within: 120) { listener.heard().contains("READY=1") })
    #expect(try await eventually(within: 120) { listener.heard().components(separatedBy: "WATCHDOG=1").count > 4 })
    try write("aggregator = 127.0.0.1:\(second)\ninterval = 2s\nlog-level = debug\n")
    agent.send(SIGHUP)
    #expect(try await eventually(within: 120) { listener.heard().contains("RELOADING=1") })
    let isSaid = try await eventually(within: 120) {
      agent.errors.contains("aggregator is 127.0.0.1:\(second) now")
        && agent.errors.contains("interval has changed (\(file):5); it takes a restart")
        && agent.errors.contains("log-level is debug now")
    }
    #expect(isSaid, "\(agent.errors)")
    #expect(try await eventually(within: 120) { agent.errors.contains("127.0.0.1:\(second)") })
    try write("interval = 3\n")
    agent.send(SIGHUP)
    #expect(
      try await eventually(within: 120) {
        agent.errors.contains("the settings are left as they were: \(file):4: interval is '3'")
      }, "\(agent.errors)")
    #expect(agent.isRunning)
    agent.terminate()
    #expect(try await agent.ended(within: 15)?.status == 0)
    #expect(listener.heard().contains("STOPPING=1"))
  }

  @Test("the aggregator reads its file, tells its manager when agents can come, and reads the file again at SIGHUP")
  func aggregator() async throws {
    let folder = try TemporaryDirectory()
    let file = "\(folder.path)/aggregator.conf"
    let ports = (freePort(), freePort())
    func write(_ more: String) throws {
      let text = """
        fleet = \(repository)/ops/fleets/single-node.yaml
        data = \(folder.path)/data
        listen = 127.0.0.1:\(ports.0)
        http = 127.0.0.1:\(ports.1)
        """
      try (text + "\n" + more).write(toFile: file, atomically: true, encoding: .utf8)
    }
    try write("log-level = info\n")
    let checked = try await run("bongsu-aggregator", ["--config", file, "--check-config"])
    #expect(checked.status == 0 && checked.output.contains("the settings can be used"), "\(checked.errors)")
    try write("lag-level = info\nshards = two\n")
    let refused = try await run("bongsu-aggregator", ["--config", file, "--check-config"])
    #expect(refused.status != 0 && refused.errors.contains("\(file):5: unknown key 'lag-level'"), "\(refused.errors)")
    try write("log-level = info\n")
    let notify = "\(folder.path)/notify"
    let listener = try DatagramListener(notify)
    let aggregator = try RunningProgram(
      "bongsu-aggregator", ["--config", file], environment: ["NOTIFY_SOCKET": notify, "WATCHDOG_USEC": "1000000"])
    #expect(try await eventually(within: 120) { listener.heard().contains("READY=1\nSTATUS=taking agents at") })
    try write("log-level = warning\nconnections-max = 7\n")
    aggregator.send(SIGHUP)
    let isSaid = try await eventually(within: 120) {
      aggregator.errors.contains("connections-max has changed (\(file):6); it takes a restart")
        && aggregator.errors.contains("log-level is warning now")
    }
    #expect(isSaid, "\(aggregator.errors)")
    aggregator.terminate()
    #expect(try await aggregator.ended(within: 15)?.status == 0)
    #expect(listener.heard().contains("WATCHDOG=1") && listener.heard().contains("STOPPING=1"))
  }
}

/// What a service manager hears.
final class DatagramListener: @unchecked Sendable {
  // `@unchecked Sendable`: one test uses it, one call at a time.
  private let descriptor: Int32
  private var text = ""

  init(_ path: String) throws {
    descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { place in
      for (index, byte) in path.utf8.enumerated() { unsafe place[index] = byte }
    }
    let code = unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    try #require(code == 0, "cannot bind \(path)")
  }

  deinit { close(descriptor) }

  /// Everything so far.
  func heard() -> String {
    var bytes = [UInt8](repeating: 0, count: 1024)
    while true {
      let count = unsafe recv(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
      guard count > 0 else { return text }
      text += String(decoding: bytes[..<count], as: UTF8.self)
    }
  }
}
