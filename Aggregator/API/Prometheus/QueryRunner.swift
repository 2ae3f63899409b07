internal import BongsuQuery
internal import Dispatch
internal import Synchronization

/// Runs queries on threads of their own: they compute without suspending, and the threads that serve requests must not
/// wait for them.
final class QueryRunner: Sendable {
  private let queue = DispatchQueue(label: "bongsu.query", attributes: .concurrent)
  private let running = Atomic<Int>(0)

  /// Runs `body`; a cancelled task cancels what it was given. Refuses when ``APILimits/queriesMax`` run already.
  func run<Value: Sendable>(
    _ body: @escaping @Sendable (QueryCancellation) throws -> Value
  ) async throws -> Value {
    // Relaxed: the number guards itself and publishes nothing.
    let before = running.wrappingAdd(1, ordering: .relaxed).oldValue
    defer { running.wrappingSubtract(1, ordering: .relaxed) }
    guard before < APILimits.queriesMax else {
      throw PrometheusError(.unavailable, "\(before) queries are running already; ask again later")
    }
    let cancellation = QueryCancellation()
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        queue.async { continuation.resume(with: Result { try body(cancellation) }) }
      }
    } onCancel: {
      cancellation.cancel()
    }
  }
}
