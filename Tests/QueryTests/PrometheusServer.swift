import BongsuQuery
import BongsuSeries
import Foundation
import Glibc

#if canImport(FoundationNetworking)
  import FoundationNetworking
#endif

/// A real Prometheus over blocks made from given series, on a loopback port, for the time of a test.
final class PrometheusServer {
  static let serverPath = "/usr/bin/prometheus"
  static let toolPath = "/usr/bin/promtool"

  /// Whether both programs are there; tests that need them say so when they are skipped.
  static var isInstalled: Bool {
    FileManager.default.isExecutableFile(atPath: serverPath) && FileManager.default.isExecutableFile(atPath: toolPath)
  }

  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  private let folder: URL
  private let process = Process()
  private let address: String

  /// Imports the samples (in OpenMetrics text) and starts the server; returns when it is ready.
  init(openMetrics: String) throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("bongsu-differential-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let input = folder.appendingPathComponent("samples.txt")
    try openMetrics.write(to: input, atomically: true, encoding: .utf8)
    let data = folder.appendingPathComponent("data").path
    try Self.run(Self.toolPath, ["tsdb", "create-blocks-from", "openmetrics", input.path, data])
    let configuration = folder.appendingPathComponent("prometheus.yml")
    try "global: {evaluation_interval: 1m}\n".write(to: configuration, atomically: true, encoding: .utf8)
    let port = try Self.freePort()
    address = "http://127.0.0.1:\(port)"
    process.executableURL = URL(fileURLWithPath: Self.serverPath)
    process.arguments = [
      "--config.file=\(configuration.path)", "--storage.tsdb.path=\(data)", "--storage.tsdb.retention.time=100y",
      "--web.listen-address=127.0.0.1:\(port)", "--log.level=error",
    ]
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    for _ in 0..<300 {
      if let (status, _) = try? get("/-/ready", [:]), status == 200 { return }
      usleep(100_000)
    }
    stop()
    throw Failure(description: "prometheus was not ready after 30 s")
  }

  func stop() {
    if process.isRunning {
      process.terminate()
      process.waitUntilExit()
    }
    try? FileManager.default.removeItem(at: folder)
  }

  /// The answer to a range query: series by their labels, or the error's text.
  func range(_ query: String, start: Int64, end: Int64, step: Int64) throws -> Result<
    [LabelSet: [Int64: Double]], Failure
  > {
    let (_, data) = try get(
      "/api/v1/query_range",
      ["query": query, "start": seconds(start), "end": seconds(end), "step": seconds(step)])
    guard let answer = try JSONSerialization.jsonObject(with: data) as? [String: Any] else {
      throw Failure(description: "no JSON object")
    }
    if answer["status"] as? String == "error" {
      return .failure(Failure(description: answer["error"] as? String ?? "?"))
    }
    let payload = answer["data"] as? [String: Any]
    var found: [LabelSet: [Int64: Double]] = [:]
    for entry in payload?["result"] as? [[String: Any]] ?? [] {
      let metric = entry["metric"] as? [String: String] ?? [:]
      var points: [Int64: Double] = [:]
      for point in entry["values"] as? [[Any]] ?? [] {
        guard let time = point[0] as? Double, let text = point[1] as? String else { continue }
        points[Int64((time * 1000).rounded())] = FloatText.parse(text)
      }
      found[LabelSet(metric.map { Label(name: $0.key, value: $0.value) })] = points
    }
    return .success(found)
  }

  /// The answer of `format_query`.
  func format(_ query: String) throws -> String? {
    let (_, data) = try get("/api/v1/format_query", ["query": query])
    let answer = try JSONSerialization.jsonObject(with: data) as? [String: Any]
    return answer?["data"] as? String
  }

  private func seconds(_ milliseconds: Int64) -> String { FloatText.plain(Double(milliseconds) / 1000) }

  private func get(_ path: String, _ parameters: [String: String]) throws -> (Int, Data) {
    var components = URLComponents(string: address + path)
    components?.queryItems = parameters.map { URLQueryItem(name: $0.key, value: $0.value) }
    // A plus sign is left alone by URLComponents, and means a space to the server.
    let query = components?.percentEncodedQuery?.replacingOccurrences(of: "+", with: "%2B")
    components?.percentEncodedQuery = query
    guard let url = components?.url else { throw Failure(description: "no address for \(path)") }
    let answer = Answer()
    let task = URLSession.shared.dataTask(with: url) { data, response, error in
      answer.set(data: data, status: (response as? HTTPURLResponse)?.statusCode, error: error)
    }
    task.resume()
    return try answer.wait()
  }

  /// Hands the answer of a request to the thread that waits for it.
  private final class Answer: @unchecked Sendable {
    // `semaphore` orders the one write before the one read of `result`.
    private let semaphore = DispatchSemaphore(value: 0)
    private var result: Result<(Int, Data), Failure> = .failure(Failure(description: "no answer"))

    func set(data: Data?, status: Int?, error: (any Error)?) {
      if let data, let status {
        result = .success((status, data))
      } else {
        result = .failure(Failure(description: "\(error.map { "\($0)" } ?? "no data")"))
      }
      semaphore.signal()
    }

    func wait() throws -> (Int, Data) {
      guard semaphore.wait(timeout: .now() + 30) == .success else { throw Failure(description: "no answer in 30 s") }
      return try result.get()
    }
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
      throw Failure(description: "\(program) \(arguments) ended with \(process.terminationStatus)")
    }
  }

  /// A port nobody listens on at this moment.
  private static func freePort() throws -> UInt16 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    // SAFETY: both calls get the address and size of a sockaddr_in that lives across them.
    let outcome = unsafe withUnsafeMutablePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
        unsafe bind(descriptor, generic, length) == 0 && getsockname(descriptor, generic, &length) == 0
      }
    }
    guard outcome else { throw Failure(description: "no free port") }
    return UInt16(bigEndian: address.sin_port)
  }
}
