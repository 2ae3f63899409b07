internal import Synchronization

/// Counts requests that are being worked on, so that a flood is refused at the door instead of filling memory.
///
/// Thread rule: any thread.
final class RequestSlots: Sendable {
  private let taken = Atomic<Int>(0)
  private let limit: Int

  init(limit: Int) {
    self.limit = limit
  }

  /// Runs `body` in a slot; refuses with `busy` when all are taken.
  func run<Value>(_ body: () async throws -> Value) async throws -> Value {
    // Relaxed: the number guards itself and publishes nothing.
    let before = taken.wrappingAdd(1, ordering: .relaxed).oldValue
    defer { taken.wrappingSubtract(1, ordering: .relaxed) }
    guard before < limit else {
      throw APIError(.busy, "\(limit) requests are being worked on already", nextStep: "ask again in a second")
    }
    return try await body()
  }
}
