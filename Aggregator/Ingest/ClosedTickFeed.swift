internal import Synchronization

/// Every tick that closes, one after the other, for one listener.
///
///     for await snapshot in engine.closedTicks() { evaluate(snapshot.closed) }
///
/// At most one tick waits: a listener that takes longer than an interval goes on with the newest and skips those in
/// between, which ``skippedCount`` tells. Leaving the loop, or cancelling its task, ends the subscription.
public struct ClosedTickFeed: AsyncSequence, Sendable {
  let stream: AsyncStream<RollupSnapshot>
  let listener: TickListener

  /// Ticks that were passed over so far because the listener was busy.
  public var skippedCount: UInt64 { listener.skipped.load(ordering: .relaxed) }

  public struct AsyncIterator: AsyncIteratorProtocol {
    var base: AsyncStream<RollupSnapshot>.AsyncIterator

    /// The newest tick that was not given yet, waiting for it; `nil` once the task is cancelled.
    public mutating func next() async -> RollupSnapshot? { await base.next() }
  }

  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(base: stream.makeAsyncIterator()) }
}

/// The collector's end of a feed.
final class TickListener: Sendable {
  private let continuation: AsyncStream<RollupSnapshot>.Continuation
  let skipped = Atomic<UInt64>(0)

  init(continuation: AsyncStream<RollupSnapshot>.Continuation) { self.continuation = continuation }

  func tell(_ snapshot: RollupSnapshot) {
    if case .dropped = continuation.yield(snapshot) {
      skipped.add(1, ordering: .relaxed)  // a count of its own: nothing else is published through it
    }
  }
}
