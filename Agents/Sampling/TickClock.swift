public import BongsuModel

/// Decides when ticks fall, as a pure function of two clocks that are shown to it.
///
/// Ticks are whole intervals of UTC wall time, but the wall clock may step. The clock's own time line is the time since
/// boot plus an anchor, and the anchor follows the wall clock as long as that keeps ticks growing:
///
///     wall clock steps forward     ticks jump with it; nothing was missed
///     … back by less than 0.5 s    the next tick comes that much later
///     … back by more               ticks go on by the time since boot, ahead of the wall clock, until it has caught
///                                  up or ``correct(byNanoseconds:)`` gives a better time: a tick is never used twice
///
/// Rows carry the time since boot beside the tick, from which a peer that knows the true time can tell where they
/// belong.
public struct TickClock: Sendable {
  /// What to do now.
  public enum Decision: Hashable, Sendable {
    /// Nothing for this long.
    case wait(nanoseconds: Int64)
    /// Take the row of `tick`, which was `boottimeMilliseconds` after boot and `lateNanoseconds` ago. `missed` ticks
    /// before it passed without a row.
    case take(Tick, boottimeMilliseconds: Int64, lateNanoseconds: Int64, missed: Int)
  }

  /// Distance between ticks.
  public let interval: TickInterval
  /// How far the wall clock was from the time line when last shown, nanoseconds; not zero only while a backward step is
  /// being bridged.
  public private(set) var heldNanoseconds: Int64 = 0

  private var anchor: Int64?
  private var correction: Int64 = 0
  private var lastTick: Tick?
  private var lastBoottime: Int64 = 0
  private var reportedHold: Int64 = 0

  /// A clock that has not ticked yet; the first tick is the next whole interval.
  public init(interval: TickInterval) {
    self.interval = interval
  }

  /// Takes note of both clocks, nanoseconds since 1970 and since boot, read at the same instant.
  ///
  /// - Returns: by how much the wall clock was found to have stepped, nanoseconds; zero nearly always.
  public mutating func observe(wall: Int64, boottime: Int64) -> Int64 {
    let target = wall + correction - boottime
    guard let current = anchor else {
      anchor = target
      return 0
    }
    let difference = target - current
    if difference < -SamplingLimits.clockStepNanosecondsMin {
      heldNanoseconds = difference
      // Once per step: the clocks drift apart slowly while a step is held, which is no news.
      guard abs(difference - reportedHold) > SamplingLimits.clockStepNanosecondsMin else { return 0 }
      let step = difference - reportedHold
      reportedHold = difference
      return step
    }
    anchor = target
    heldNanoseconds = 0
    let step = difference - reportedHold
    reportedHold = 0
    return abs(step) > SamplingLimits.clockStepNanosecondsMin ? step : 0
  }

  /// What is due at `boottime` nanoseconds after boot, which ``observe(wall:boottime:)`` has been shown.
  public mutating func decide(boottime: Int64) -> Decision {
    let now = boottime + (anchor ?? 0)
    let candidate = Tick(notAfter: now, interval: interval)
    guard let last = lastTick else {
      // The row of a tick describes the whole interval before it, so the first one is still to come.
      lastTick = candidate
      lastBoottime = boottime - (now - candidate.unixNanoseconds)
      return .wait(nanoseconds: candidate.unixNanoseconds + interval.nanoseconds - now)
    }
    guard candidate > last else {
      return .wait(nanoseconds: last.unixNanoseconds + interval.nanoseconds - now)
    }
    let late = now - candidate.unixNanoseconds
    let tickBoottime = boottime - late
    // Counted in time since boot, so that a step of the wall clock misses nothing.
    let passed = (tickBoottime - lastBoottime + interval.nanoseconds / 2) / interval.nanoseconds
    lastTick = candidate
    lastBoottime = tickBoottime
    return .take(
      candidate, boottimeMilliseconds: tickBoottime.flooredDivision(by: 1_000_000), lateNanoseconds: late,
      missed: Int(max(passed - 1, 0)))
  }

  /// Adds `nanoseconds` to the wall clock from now on, replacing an earlier correction: the true time as a peer knows it.
  ///
  /// Ticks may then repeat numbers that earlier rows bear under the wrong time; the caller re-anchors those rows.
  public mutating func correct(byNanoseconds nanoseconds: Int64) {
    correction = nanoseconds
    anchor = nil
    lastTick = nil
    heldNanoseconds = 0
    reportedHold = 0
  }
}
