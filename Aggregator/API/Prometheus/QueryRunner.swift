internal import BongsuQuery
internal import Foundation
internal import Glibc
internal import NIOCore
internal import Synchronization

/// Runs queries on threads of their own: they compute without suspending, and neither those who serve requests nor
/// those who take in samples may wait for them.
///
/// Dispatch's concurrent queues would not do: they share as many threads as there are cores with Swift's tasks, so that
/// two long queries on two cores would stop every answer, health checks included.
final class QueryRunner: Sendable {
  private let running = Atomic<Int>(0)

  /// Runs `body`; a cancelled task, and an asker that hangs up, cancel what it was given. Refuses when
  /// ``APILimits/queriesMax`` run already.
  func run<Value: Sendable>(
    for connection: any Channel, _ body: @escaping @Sendable (QueryCancellation) throws -> Value
  ) async throws -> Value {
    // Relaxed: the number guards itself and publishes nothing.
    let before = running.wrappingAdd(1, ordering: .relaxed).oldValue
    defer { running.wrappingSubtract(1, ordering: .relaxed) }
    guard before < APILimits.queriesMax else {
      throw PrometheusError(.unavailable, "\(before) queries are running already; ask again later")
    }
    let cancellation = QueryCancellation()
    guard let hangUp = await HangUp.of(connection) else { throw QueryError.cancelled }
    let watch = hangUp.watch { cancellation.cancel() }
    defer { hangUp.forget(watch) }
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        // A thread takes some ten microseconds to make; a pool of as many as may be needed would mostly wait.
        let thread = Thread {
          Self.giveWay()
          continuation.resume(with: Result { try body(cancellation) })
        }
        thread.name = "query"
        thread.start()
      }
    } onCancel: {
      cancellation.cancel()
    }
  }

  /// Lets everything else go first: on Linux the niceness is a thread's own. It fails for nobody, since it only rises.
  private static func giveWay() {
    setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, niceness)
  }

  private static let niceness: Int32 = 5
}
