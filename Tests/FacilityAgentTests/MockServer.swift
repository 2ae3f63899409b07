import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Synchronization

/// A server whose answers a test decides, by path.
final class MockServer: Sendable {
  struct Answer: Sendable {
    var status = 200
    var body = ""
    var delay: Duration = .zero
  }

  private let answers = Mutex<[String: Answer]>([:])
  private let asked = Mutex<[String]>([])

  /// Paths asked for so far, with their queries.
  var requests: [String] { asked.withLock { $0 } }

  func set(_ path: String, _ answer: Answer) { answers.withLock { $0[path] = answer } }
  func set(_ path: String, _ body: String) { set(path, Answer(body: body)) }

  /// Serves on a free port of the loopback while `body` runs; `body` gets the address.
  func serve<Value: Sendable>(_ body: @escaping @Sendable (String) async throws -> Value) async throws -> Value {
    let (ports, port) = AsyncStream.makeStream(of: Int.self)
    let router = Router()
    router.get("**") { request, _ in await self.answer(request) }
    var logger = Logger(label: "mock")
    logger.logLevel = .critical
    let application = Application(
      router: router, configuration: .init(address: .hostname("127.0.0.1", port: 0)),
      onServerRunning: { channel in port.yield(channel.localAddress?.port ?? 0) }, logger: logger)
    return try await withThrowingTaskGroup(of: Value?.self) { group in
      group.addTask {
        try await application.runService(gracefulShutdownSignals: [])
        return nil
      }
      group.addTask {
        for await port in ports { return try await body("http://127.0.0.1:\(port)") }
        return nil
      }
      defer { group.cancelAll() }
      while let finished = try await group.next() {
        if let finished { return finished }
      }
      throw CancellationError()
    }
  }

  private func answer(_ request: Request) async -> Response {
    asked.withLock { $0.append(request.uri.string) }
    let answer = answers.withLock { $0[request.uri.path] } ?? Answer(status: 404)
    if answer.delay > .zero { try? await Task.sleep(for: answer.delay) }
    return Response(
      status: HTTPResponse.Status(code: answer.status), headers: [.contentType: "text/plain"],
      body: ResponseBody(byteBuffer: ByteBuffer(string: answer.body)))
  }
}
