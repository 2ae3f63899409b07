import BongsuDelivery
import BongsuDevices
import BongsuModel
import BongsuProcess
import BongsuSampling
import Glibc

/// What a running agent answers on its control socket.
///
///     status       one `key<TAB>value` a line
///     pause-gpu    lets go of the GPU drivers, for resets, MIG changes and driver upgrades
///     resume-gpu   takes them up again
///
/// Thread rule: the main thread.
final class AgentControl {
  private let configuration: AgentConfiguration
  private let sampler: Sampler
  private let uplink: Uplink
  /// Names of the sources that hold GPUs.
  private let gpuSources: [String]
  private let log: AgentLog
  private let startedAt = monotonicMilliseconds()
  private var pausedAt: Int64?

  /// How long an answer waits for the drivers to be let go.
  private static let pauseMillisecondsMax: Int64 = 1500

  init(
    _ configuration: AgentConfiguration, sampler: Sampler, uplink: Uplink, gpuSources: [String], log: AgentLog
  ) {
    self.configuration = configuration
    self.sampler = sampler
    self.uplink = uplink
    self.gpuSources = gpuSources
    self.log = log
  }

  /// The answer to one request. The first line is `ok` or `failed`.
  func answer(_ request: String) -> String {
    switch request {
    case "status": "ok\n" + status.map { "\($0.0)\t\($0.1)\n" }.joined()
    case "pause-gpu": pause()
    case "resume-gpu": resume()
    default: "failed\nresult\tunknown request '\(request)', expected status, pause-gpu or resume-gpu\n"
    }
  }

  private func pause() -> String {
    guard !gpuSources.isEmpty else { return "failed\nresult\tthis agent reads no GPUs\n" }
    if pausedAt == nil { log.info("agent", "the GPUs are let go on request; their readings are absent until resumed") }
    pausedAt = pausedAt ?? monotonicMilliseconds()
    for name in gpuSources { _ = sampler.setReleased(true, source: name) }
    let deadline = monotonicMilliseconds() + Self.pauseMillisecondsMax
    while !busy.isEmpty, monotonicMilliseconds() < deadline { usleep(10_000) }
    guard busy.isEmpty else {
      return
        "failed\nresult\ta call into the driver is still under way (\(busy.joined(separator: ", "))); it is let go "
        + "as soon as the call comes back, see bongsu-agent ctl status\n"
    }
    return "ok\nresult\tpaused: the driver is released, readings of GPUs are absent until resume-gpu or a restart\n"
  }

  private func resume() -> String {
    guard !gpuSources.isEmpty else { return "failed\nresult\tthis agent reads no GPUs\n" }
    if pausedAt != nil { log.info("agent", "the GPUs are taken up again on request") }
    pausedAt = nil
    for name in gpuSources { _ = sampler.setReleased(false, source: name) }
    return "ok\nresult\tresumed: the driver is opened again, readings follow within seconds\n"
  }

  /// Sources of GPUs that have not let go yet.
  private var busy: [String] {
    sampler.conditions.filter { gpuSources.contains($0.name) && $0.condition != .released }.map(\.name)
  }

  private var status: [(String, String)] {
    let delivery = uplink.status
    var lines = [
      ("version", Release.version), ("node", configuration.node.name), ("pid", "\(getpid())"),
      ("uptime_seconds", "\((monotonicMilliseconds() - startedAt) / 1000)"),
      ("interval_ms", "\(configuration.interval.milliseconds)"),
      ("config", configuration.settings.file ?? "none"),
      ("session", delivery.connection),
      ("rows_waiting", "\(delivery.rowsWaiting)"),
      ("rows_numbered", "\(delivery.nextSequence &- 1)"),
      ("rows_durable", "\(delivery.durableFloor)"),
      ("spool", configuration.spoolDirectory ?? "none, unsent rows are kept in memory"),
      ("spool_bytes", "\(uplink.spoolByteCount)"),
      ("spool_bytes_max", "\(configuration.spoolBytesMax)"),
      ("gpus", pausedAt.map { "paused for \((monotonicMilliseconds() - $0) / 1000) s" } ?? "read"),
    ]
    for (name, condition) in sampler.conditions { lines.append(("source \(name)", "\(condition.word): \(condition)")) }
    return lines
  }

  /// One line for the service manager.
  var summary: String {
    let delivery = uplink.status
    let troubled = sampler.conditions.filter { $0.condition.word != "available" }
    let sources = troubled.map { "source \($0.name) \($0.condition.word)" }
    return ([delivery.connection] + sources).joined(separator: "; ")
  }
}

/// A clock that never steps, milliseconds.
func monotonicMilliseconds() -> Int64 {
  var time = timespec()
  // SAFETY: the call writes one timespec.
  unsafe clock_gettime(CLOCK_MONOTONIC, &time)
  return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
}
