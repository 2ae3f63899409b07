public import BongsuDevices
public import BongsuModel

/// One reading of a set of sources, for people and programs: what `bongsu-agent sample` prints.
public struct SampleReport: Sendable {
  /// The shape of the row.
  public let layout: RowLayout
  /// When it was taken.
  public let stamp: SampleStamp
  /// Its values.
  public let values: [Int64]
  /// The sources by name and how they were.
  public let conditions: [(name: String, condition: SourceCondition)]
  /// What else was said meanwhile, one line each.
  public let remarks: [String]

  /// Puts together what a sampler has delivered.
  public init(
    layout: RowLayout, stamp: SampleStamp, values: [Int64],
    conditions: [(name: String, condition: SourceCondition)], remarks: [String]
  ) {
    self.layout = layout
    self.stamp = stamp
    self.values = values
    self.conditions = conditions
    self.remarks = remarks
  }

  /// Reads `sources` at two ticks and reports the second: some readings describe the time since the tick before.
  ///
  /// Takes two to three intervals and the time the sources need to look for their devices, at most ten seconds.
  public static func take(_ sources: sending SourceSet, interval: TickInterval) -> SampleReport {
    let sink = SecondRow()
    let sampler = Sampler(sources, interval: interval, ticks: WallTickSource(interval: interval), sink: sink)
    sampler.start()
    sink.wait(until: SystemClock.monotonic() + SamplingLimits.reportDiscoveryNanoseconds) {
      sampler.isLookingForDevices
    }
    let conditions = sampler.conditions
    sampler.stop()
    return sink.report(conditions)
  }

  /// The value of `device` (number within its scope) in column number `column`.
  func value(column: Int, device: Int) -> SampleValue {
    SampleValue(bits: values[layout.offset(of: column) + device])
  }
}

/// A sink that waits for the second row of one layout.
private final class SecondRow: SampleSink {
  private struct State {
    var layout: RowLayout?
    var row: (layout: RowLayout, stamp: SampleStamp, values: [Int64])?
    /// Rows since the layout was last changed.
    var rows = 0
    var remarks: [String] = []
  }

  private let monitor = Monitor()
  private let arrived: Monitor.Condition
  private let state = Guarded(State())

  init() { arrived = Monitor.Condition(monitor) }

  func layoutChanged(_ layout: RowLayout) {
    state.withLock { state in
      state.layout = layout
      state.rows = 0
    }
  }

  func take(_ stamp: SampleStamp, values: Span<Int64>) {
    var copy: [Int64] = []
    copy.reserveCapacity(values.count)
    for index in values.indices { copy.append(values[index]) }
    monitor.locked {
      state.withLock { [copy] state in
        guard let layout = state.layout else { return }
        state.rows += 1
        state.row = (layout, stamp, copy)
      }
      arrived.signal()
    }
  }

  func report(_ event: SamplingEvent) {
    // Conditions are reported as a whole; missed ticks of a single reading are no news.
    guard case .conflict(let conflict) = event else { return }
    state.withLock { $0.remarks.append(conflict.description) }
  }

  /// Waits for two rows, and until `deadline` for sources that are still looking for devices.
  func wait(until deadline: Int64, isLooking: () -> Bool) {
    while true {
      // Asked outside the lock, which the sampler's thread takes while it holds its own.
      let mayEnd = !isLooking() || SystemClock.monotonic() > deadline
      let ends = monitor.locked { () -> Bool in
        let rows = state.withLock { $0.rows }
        if rows >= 2, mayEnd { return true }
        _ = arrived.wait(until: SystemClock.monotonic() + 100_000_000)
        return false
      }
      if ends { return }
    }
  }

  func report(_ conditions: [(name: String, condition: SourceCondition)]) -> SampleReport {
    state.withLock { state in
      guard let row = state.row else { preconditionFailure("two rows have arrived") }
      return SampleReport(
        layout: row.layout, stamp: row.stamp, values: row.values, conditions: conditions, remarks: state.remarks)
    }
  }
}
