import BongsuDevices
import BongsuModel

/// What the time-keeping thread of a ``Sampler`` owns: the shape of rows and the row being put together.
struct SamplingLoop {
  var health = AgentHealth()
  private(set) var row: [Int64] = []
  private(set) var combined: CombinedLayout?
  var reportedConflicts: [SourceConflict] = []

  private let interval: TickInterval
  private var lastBoottimeMilliseconds: Int64?
  private var healthPlaces: [Int] = []
  private var reported: [SourceCondition?]
  private var current: [SourceCondition?]

  init(interval: TickInterval, sourceCount: Int) {
    self.interval = interval
    reported = [SourceCondition?](repeating: nil, count: sourceCount)
    current = reported
  }

  /// Takes note of a tick that is due.
  ///
  /// - Returns: how many ticks have passed without a row since the one before. Counted in time since boot, so that a
  ///   step of the wall clock misses nothing.
  mutating func noteTick(boottimeMilliseconds: Int64) -> Int {
    defer { lastBoottimeMilliseconds = boottimeMilliseconds }
    guard let last = lastBoottimeMilliseconds else { return 0 }
    let step = Int64(interval.milliseconds)
    let missed = max((boottimeMilliseconds - last + step / 2) / step - 1, 0)
    health.missedTicks += missed
    return Int(missed)
  }

  var hasLayout: Bool { combined != nil }

  /// Makes the layout anew from what the sources have.
  mutating func rebuild(_ pollers: [SourcePoller]) {
    let combined = CombinedLayout(
      interval: interval, names: pollers.map(\.name), inventories: pollers.map(\.inventory),
      nodeMetrics: AgentHealth.metrics)
    row = [Int64](repeating: SampleValue.absent.bits, count: combined.layout.width)
    healthPlaces = AgentHealth.metrics.map { metric in
      guard let column = combined.layout.column(of: metric.id) else {
        preconditionFailure("the agent's own columns come first and cannot be left out")
      }
      return combined.layout.offset(of: column)
    }
    self.combined = combined
  }

  /// Puts the row of `tick` together from the answers that are there. Monitor locked.
  mutating func collect(_ pollers: [SourcePoller], tick: Tick, spoolBytes: SampleValue) {
    guard let combined else { preconditionFailure("a layout comes before the first row") }
    for index in row.indices { row[index] = SampleValue.absent.bits }
    for (source, poller) in pollers.enumerated() {
      if poller.hasAnswer(for: tick) {
        poller.withValues { values in
          var row = self.row.mutableSpan
          combined.scatter(source: source, values: values, into: &row)
        }
      } else if poller.isExpected {
        poller.noteDeadline(monotonic: SystemClock.monotonic())
        health.sourceTimeouts += 1
      }
      current[source] = poller.reportedCondition
    }
    for (index, place) in healthPlaces.enumerated() {
      row[place] = health.value(index, spoolBytes: spoolBytes).bits
    }
  }

  /// The condition of source number `source` if it has changed since this was last asked.
  mutating func takeNews(_ source: Int) -> SourceCondition? {
    guard current[source] != reported[source] else { return nil }
    reported[source] = current[source]
    return current[source]
  }
}
