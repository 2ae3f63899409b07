import BongsuTestKit
import Foundation

/// A real Prometheus over blocks made from given series, on a loopback port, for the time of a test.
public final class PrometheusServer {
  public static let serverPath = "/usr/bin/prometheus"
  public static let toolPath = "/usr/bin/promtool"

  /// Whether both programs are there; tests that need them say so when they are skipped.
  public static var isInstalled: Bool {
    FileManager.default.isExecutableFile(atPath: serverPath) && FileManager.default.isExecutableFile(atPath: toolPath)
  }

  /// Asks it.
  public let client: PrometheusClient

  private let folder: URL
  private let process = Process()

  /// Imports the samples (in OpenMetrics text) and starts the server; returns when it is ready.
  public init(openMetrics: String) throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("bongsu-differential-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let input = folder.appendingPathComponent("samples.txt")
    try openMetrics.write(to: input, atomically: true, encoding: .utf8)
    let data = folder.appendingPathComponent("data").path
    try Self.run(Self.toolPath, ["tsdb", "create-blocks-from", "openmetrics", input.path, data])
    let configuration = folder.appendingPathComponent("prometheus.yml")
    try "global: {evaluation_interval: 1m}\n".write(to: configuration, atomically: true, encoding: .utf8)
    let port = freePort()
    client = PrometheusClient(address: "http://127.0.0.1:\(port)")
    process.executableURL = URL(fileURLWithPath: Self.serverPath)
    process.arguments = [
      "--config.file=\(configuration.path)", "--storage.tsdb.path=\(data)", "--storage.tsdb.retention.time=100y",
      "--web.listen-address=127.0.0.1:\(port)", "--log.level=error",
    ]
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    for _ in 0..<300 {
      if let (status, _) = try? client.get("/-/ready", [:]), status == 200 { return }
      usleep(100_000)
    }
    stop()
    throw PrometheusClient.Failure(description: "prometheus was not ready after 30 s")
  }

  public func stop() {
    if process.isRunning {
      process.terminate()
      process.waitUntilExit()
    }
    try? FileManager.default.removeItem(at: folder)
  }

  private static func run(_ program: String, _ arguments: [String]) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw PrometheusClient.Failure(description: "\(program) \(arguments) ended with \(process.terminationStatus)")
    }
  }
}
