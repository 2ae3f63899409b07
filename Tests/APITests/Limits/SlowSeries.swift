import BongsuSeries
import Foundation
import Synchronization

/// A source that answers, with nothing, when it is opened, at the latest after a minute.
final class SlowSeries: SeriesSource {
  private let isOpen = Mutex(false)
  private let count = Mutex(0)
  private let deadline = ContinuousClock.now + .seconds(60)

  /// How many have asked so far.
  var waiting: Int { count.withLock { $0 } }

  func open() { isOpen.withLock { $0 = true } }

  func visitSeries(_ selection: SeriesSelection, _ visit: (LabelSet, SampleBuffer) throws -> Void) throws {
    count.withLock { $0 += 1 }
    while !isOpen.withLock({ $0 }), ContinuousClock.now < deadline { usleep(2000) }
  }

  func labelSets(
    matchingAnyOf selections: [[LabelMatcher]], from startMilliseconds: Int64, through endMilliseconds: Int64
  ) throws -> [LabelSet] { [] }
}

/// A source that brings one series after the other for as long as somebody takes them, at most for a minute.
final class EndlessSeries: SeriesSource {
  private let counts = Mutex((running: 0, ended: 0))
  private let deadline = ContinuousClock.now + .seconds(60)

  var running: Int { counts.withLock(\.running) }
  /// How many were given up by those who asked.
  var ended: Int { counts.withLock(\.ended) }

  func visitSeries(_ selection: SeriesSelection, _ visit: (LabelSet, SampleBuffer) throws -> Void) throws {
    counts.withLock { $0.running += 1 }
    var wasGivenUp = false
    defer {
      counts.withLock {
        $0.running -= 1
        $0.ended += wasGivenUp ? 1 : 0
      }
    }
    var samples = SampleBuffer()
    samples.append(timestamp: selection.endMilliseconds, value: 1)
    var number = 0
    do {
      while ContinuousClock.now < deadline {
        usleep(1000)
        number += 1
        try visit(LabelSet([Label(name: "__name__", value: "x"), Label(name: "number", value: "\(number)")]), samples)
      }
    } catch {
      wasGivenUp = true
      throw error
    }
  }

  func labelSets(
    matchingAnyOf selections: [[LabelMatcher]], from startMilliseconds: Int64, through endMilliseconds: Int64
  ) throws -> [LabelSet] { [] }
}
