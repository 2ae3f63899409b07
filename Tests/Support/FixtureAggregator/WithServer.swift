public import BongsuAPI
public import BongsuMetrics
internal import Logging

/// Serves `sources` on an ephemeral loopback port while `body` runs, and stops before returning.
public func withServer<Value: Sendable>(
  _ sources: APISources, token: String? = nil, metrics: MetricRegistry = MetricRegistry(),
  configure: (inout APIConfiguration) -> Void = { _ in },
  _ body: @escaping @Sendable (_ port: Int) async throws -> Value
) async throws -> Value {
  let (ports, port) = AsyncStream.makeStream(of: Int.self)
  var logger = Logger(label: "bongsu.test")
  logger.logLevel = .critical
  var configuration = APIConfiguration(port: 0, adminToken: token, version: "test")
  configure(&configuration)
  let service = try BongsuService(
    configuration: configuration, sources: sources, metrics: metrics,
    logger: logger, onListening: { port.yield($0) })
  return try await withThrowingTaskGroup(of: Value?.self) { group in
    group.addTask {
      try await service.run()
      return nil
    }
    group.addTask {
      for await port in ports { return try await body(port) }
      return nil
    }
    defer { group.cancelAll() }
    while let finished = try await group.next() {
      if let finished { return finished }
    }
    throw ServerEnded()
  }
}

/// The server stopped before the body of a test had its answer.
public struct ServerEnded: Error {}
