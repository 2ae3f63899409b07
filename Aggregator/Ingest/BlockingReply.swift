internal import BongsuThreads
internal import Dispatch

/// An answer that another thread waits for. One put, one wait.
final class BlockingReply<Answer: Sendable>: Sendable {
  private let answer = ThreadLock<Answer?>(nil)
  private let arrived = DispatchSemaphore(value: 0)

  func put(_ answer: Answer) {
    self.answer.withLock { $0 = answer }
    arrived.signal()
  }

  /// Blocks until the answer is there; `nil` when it was not in time.
  func wait(milliseconds: Int) -> Answer? {
    guard arrived.wait(timeout: .now() + .milliseconds(milliseconds)) == .success else { return nil }
    return answer.withLock { $0 }
  }
}
