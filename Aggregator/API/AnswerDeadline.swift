/// Runs `body` for at most `seconds`, then cancels it and refuses.
///
/// A body that ignores cancellation is waited for: nothing is left running behind an answered request.
func withAnswerDeadline<Value: Sendable>(
  seconds: Int64 = APILimits.answerSecondsMax, _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
  try await withThrowingTaskGroup(of: Value?.self) { group in
    group.addTask { try await body() }
    group.addTask {
      try await Task.sleep(for: .seconds(seconds))
      return nil
    }
    defer { group.cancelAll() }
    guard let first = try await group.next(), let value = first else {
      throw APIError(
        .timedOut, "no answer within \(seconds) s", nextStep: "ask for less, or look at the aggregator's load")
    }
    return value
  }
}
