import BongsuModel
import BongsuSampling
import Foundation

/// Ticks that come when the drill says so, as fast as the sampler takes them: a day in the time that its work takes.
///
/// `@unchecked Sendable`: `next` and `isOver` are touched with the condition locked.
final class SteppedTicks: TickSource, @unchecked Sendable {
  private let condition = NSCondition()
  private var next: SampleStamp?
  private var isOver = false

  /// Lets the sampler take the row of `stamp`.
  func grant(_ stamp: SampleStamp) {
    condition.withLock {
      next = stamp
      condition.signal()
    }
  }

  /// Lets go of a sampler that waits for its next tick, so that it can be stopped.
  func end() {
    condition.withLock {
      isOver = true
      condition.signal()
    }
  }

  func dueTick(at instant: ClockInstant) -> SampleStamp? {
    condition.withLock {
      while next == nil, !isOver { condition.wait() }
      defer { next = nil }
      return next
    }
  }

  func nanosecondsToNextTick(at instant: ClockInstant) -> Int64 { 1_000_000 }
}
