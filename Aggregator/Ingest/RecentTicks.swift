public import BongsuModel
public import BongsuRollup
internal import BongsuThreads

/// The ticks of the last minutes on every level, so that questions about now need no disk. Late rows are in them.
///
/// Racks are kept of the newest tick only: they are most of a tick's memory. Bounded by ``IngestLimits/recentTicksMax``
/// seconds and ``IngestLimits/recentTickBytesMax`` bytes, of which the oldest go first; the newest always stays.
///
/// Thread rule: from any thread. Answers share memory with what is kept, and copy nothing.
public final class RecentTicks: Sendable {
  private let state = ThreadLock(State())
  private let ticksMax: Int

  fileprivate struct State {
    /// Ascending.
    var ticks: [ClosedTick] = []
    /// The newest tick, with its racks.
    var newest: ClosedTick?
    var bytes = 0
  }

  /// Ticks that are `interval` apart.
  init(interval: TickInterval = .second) {
    ticksMax = IngestLimits.recentTicksMax * max(1, 1000 / Int(interval.milliseconds))
  }

  /// The newest tick, racks included; `nil` before the first.
  public var newest: ClosedTick? { state.withLock { $0.newest } }

  /// Oldest and newest tick that are kept; `nil` before the first.
  public var extent: ClosedRange<Tick>? {
    state.withLock { state in
      guard let first = state.ticks.first, let last = state.ticks.last else { return nil }
      return first.tick...last.tick
    }
  }

  /// The kept ticks in `range`, ascending and without racks. Ticks that are missing in between were never closed.
  public func ticks(in range: ClosedRange<Tick>) -> [ClosedTick] {
    state.withLock { state in
      let first = state.firstIndex(from: range.lowerBound)
      let end = state.firstIndex(after: range.upperBound)
      return first < end ? Array(state.ticks[first..<end]) : []
    }
  }

  /// The newest kept tick that is not after `tick`, without racks.
  public func last(notAfter tick: Tick) -> ClosedTick? {
    state.withLock { state in
      let end = state.firstIndex(after: tick)
      return end > 0 ? state.ticks[end - 1] : nil
    }
  }

  func add(_ closed: ClosedTick) {
    let slim = closed.withoutRacks
    state.withLock { state in
      // Ticks come in order; a clock that was set back does not rewrite what was closed.
      guard closed.tick > state.ticks.last?.tick ?? Tick(unixMilliseconds: .min) else { return }
      state.newest = closed
      state.ticks.append(slim)
      state.bytes += slim.byteCount
      var excess = 0
      while state.ticks.count - excess > 1,
        state.ticks.count - excess > ticksMax || state.bytes > IngestLimits.recentTickBytesMax
      {
        state.bytes -= state.ticks[excess].byteCount
        excess += 1
      }
      state.ticks.removeFirst(excess)
    }
  }

  /// Adds late rows to a tick that is kept; those of older ticks concern the disk only.
  func correct(_ correction: ClosedTick) {
    state.withLock { state in
      let index = state.firstIndex(from: correction.tick)
      guard index < state.ticks.count, state.ticks[index].tick == correction.tick else { return }
      state.ticks[index].apply(correction)
      if state.newest?.tick == correction.tick { state.newest?.apply(correction) }
    }
  }

  /// `closed` with the corrections that came since, when it is the newest.
  func newest(_ closed: ClosedTick) -> ClosedTick {
    state.withLock { state in
      if let newest = state.newest, newest.tick == closed.tick { return newest }
      return closed
    }
  }
}

extension RecentTicks.State {
  /// Position of the first tick from `tick` on, and of the first one after it.
  fileprivate func firstIndex(from tick: Tick) -> Int { firstIndex { $0 >= tick } }
  fileprivate func firstIndex(after tick: Tick) -> Int { firstIndex { $0 > tick } }

  private func firstIndex(where isPast: (Tick) -> Bool) -> Int {
    var low = 0
    var high = ticks.count
    while low < high {
      let middle = (low + high) / 2
      if isPast(ticks[middle].tick) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
