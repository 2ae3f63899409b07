import BongsuIngest
import Foundation
import Logging
import ServiceLifecycle
import Synchronization

/// The data plane as a service: runs until a graceful shutdown, then stops its threads in order.
struct IngestService: Service {
  let engine: IngestEngine
  let logger: Logger

  func run() async throws {
    // Replaying takes seconds; meanwhile HTTP answers, and says so.
    let damage = try await Self.onThread("ingest-start") { [engine] in try engine.start() }
    for line in damage { logger.warning("journal: \(line)") }
    logger.info("taking agents", metadata: ["endpoint": "\(engine.endpoints?.joined(separator: " ") ?? "")"])
    try? await gracefulShutdown()
    if try await Self.onThread("ingest-stop", { [engine] in engine.stop() }) {
      logger.info("ingest stopped, everything received is on disk")
    } else {
      logger.warning("ingest stopped; agents keep what is not on disk and send it again")
    }
  }

  /// Lets `body` block a thread of its own instead of one that tasks need.
  static func onThread<Result: Sendable>(
    _ name: String, _ body: @escaping @Sendable () throws -> Result
  ) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
      let thread = Thread { continuation.resume(with: Swift.Result(catching: body)) }
      thread.name = name
      thread.start()
    }
  }
}

/// Ends the process when stored data can no longer be trusted.
final class FailureSignal: Service {
  private let continuation: AsyncStream<String>.Continuation
  private let stream: AsyncStream<String>

  init() {
    (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(1))
  }

  /// Reports the failure. Any thread.
  func fail(_ reason: String) { continuation.yield(reason) }

  func run() async throws {
    try await cancelWhenGracefulShutdown {
      for await reason in self.stream {
        throw StartFailure("the journal failed: \(reason); a restart replays what was acknowledged")
      }
    }
  }
}

/// Once a second: rates for status answers, and the data plane's news into the log.
struct LiveClock: Service {
  let live: LiveAnswers
  let engine: IngestEngine
  let logger: Logger

  func run() async throws {
    await cancelWhenGracefulShutdown {
      while !Task.isCancelled {
        try? await Task.sleep(for: .seconds(1))
        live.noteRates()
        for line in engine.counters.takeNews() { logger.warning("\(line)") }
      }
    }
  }
}
