public import BongsuDevices
public import BongsuModel
import Glibc

/// Takes one row of all sources at every tick and hands it to a sink.
///
/// One thread keeps time; each source that may block has a thread of its own (``SourcePoller``). A tick goes like this:
///
///     wake at T ─► ask all sources ─► wait for answers, at most half an interval ─► put the row together ─► sink
///
/// The row of a tick is complete or has absent values where a source did not answer in time, and it is never late by
/// more than the deadline. Memory is allocated when devices or metrics change, not per tick.
///
/// `@unchecked Sendable`: what the time-keeping thread owns is in `loop`, used by that thread alone after ``start()``;
/// the rest is constant or touched with the monitor locked.
public final class Sampler: @unchecked Sendable {
  private let monitor = Monitor()
  private let wake: Monitor.Condition
  private let pollers: [SourcePoller]
  private let sink: any SampleSink
  private let interval: TickInterval
  private let ticks: any TickSource
  private var loop: SamplingLoop
  private var thread: WorkerThread?
  private var isStopping = false
  private var spoolBytes = SampleValue.absent

  /// Prepares sampling of `sources` at the ticks of `ticks`, which are `interval` apart, into `sink`; nothing is touched
  /// before ``start()``.
  public init(
    _ sources: sending SourceSet, interval: TickInterval, ticks: any TickSource, sink: any SampleSink
  ) {
    let wake = Monitor.Condition(monitor)
    self.wake = wake
    self.interval = interval
    self.ticks = ticks
    self.sink = sink
    let monitor = monitor
    pollers = sources.sources.map { SourcePoller($0, monitor: monitor, answered: wake) }
    loop = SamplingLoop(interval: interval, sourceCount: pollers.count)
  }

  /// Starts the threads. Rows begin at the first whole interval after the sources have been looked at, or after two
  /// seconds without those that take longer.
  ///
  /// - Precondition: called once.
  public func start() {
    precondition(thread == nil, "a sampler is started once")
    thread = WorkerThread(name: "sampler") { self.run() }
  }

  /// Ends sampling and lets the sources go: after the call the sink is not called again. Waits for the tick under way,
  /// and half a second for calls into each source; one that hangs longer is left behind.
  ///
  /// - Precondition: called once, after ``start()``, and not from the sink.
  public func stop() {
    monitor.locked {
      isStopping = true
      wake.signal()
    }
    thread?.join()
    monitor.locked {
      for poller in pollers { poller.stop() }
    }
    for poller in pollers { poller.finish(grace: SamplingLimits.stopGraceNanoseconds) }
  }

  /// Sources by name and how they are now, for a status page.
  public var conditions: [(name: String, condition: SourceCondition)] {
    monitor.locked { pollers.map { ($0.name, $0.reportedCondition) } }
  }

  /// Whether a source has not yet come back from looking for its devices.
  var isLookingForDevices: Bool {
    monitor.locked { pollers.contains(where: \.isLookingForDevices) }
  }

  /// Makes the source called `name` let go of its driver and devices, or take them up again. It happens within a
  /// second unless a call hangs; ``conditions`` tells.
  ///
  /// - Returns: `false` when no source has this name.
  public func setReleased(_ released: Bool, source name: String) -> Bool {
    monitor.locked {
      guard let poller = pollers.first(where: { $0.name == name }) else { return false }
      poller.setReleased(released)
      return true
    }
  }

  /// What the agent's disk spool holds now, for the row; absent until first set.
  public func setSpoolBytes(_ bytes: Int64) {
    monitor.locked { spoolBytes = SampleValue(bytes) }
  }

  // MARK: The time-keeping thread

  private func run() {
    awaitDiscovery()
    while let due = nextTick() {
      sample(due)
    }
    loop.health.close()
  }

  /// Lets all sources look for their devices at once.
  private func awaitDiscovery() {
    let deadline = SystemClock.monotonic() + SamplingLimits.discoveryDeadlineNanoseconds
    monitor.locked {
      for poller in pollers { poller.postDiscovery() }
      while !isStopping, pollers.contains(where: \.isPending), wake.wait(until: deadline) {}
    }
  }

  /// Sleeps until a tick is due.
  ///
  /// - Returns: `nil` when sampling ends.
  private func nextTick() -> DueTick? {
    while true {
      let now = ClockInstant.now
      if let stamp = ticks.dueTick(at: now) {
        let missed = loop.noteTick(boottimeMilliseconds: stamp.boottimeMilliseconds)
        if missed > 0 { sink.report(.missedTicks(missed)) }
        let late = now.boottimeNanoseconds - stamp.boottimeMilliseconds * 1_000_000
        return DueTick(stamp: stamp, lateNanoseconds: max(late, 0))
      }
      // Never longer than one interval, so that a step of the wall clock is noticed.
      let pause = min(max(ticks.nanosecondsToNextTick(at: now), 0), interval.nanoseconds)
      let deadline = SystemClock.monotonic() + pause
      let goesOn = monitor.locked {
        while !isStopping, wake.wait(until: deadline) {}
        return !isStopping
      }
      guard goesOn else { return nil }
    }
  }

  private struct DueTick {
    let stamp: SampleStamp
    let lateNanoseconds: Int64
    var tick: Tick { stamp.tick }
  }

  private func sample(_ due: DueTick) {
    let start = SystemClock.monotonic()
    let deadline = start + SamplingLimits.readDeadlineNanoseconds(interval)
    loop.health.refresh(at: due.tick)
    let hasNewLayout = monitor.locked {
      var hasChanged = !loop.hasLayout
      for poller in pollers where poller.adopt() { hasChanged = true }
      for poller in pollers { poller.post(due.tick) }
      if hasChanged { loop.rebuild(pollers) }
      while !isStopping, pollers.contains(where: { $0.isPending && !$0.hasAnswer(for: due.tick) }) {
        guard wake.wait(until: deadline) else { break }
      }
      loop.collect(pollers, tick: due.tick, spoolBytes: spoolBytes)
      return hasChanged
    }
    if hasNewLayout { announceLayout() }
    loop.health.noteDelay(nanoseconds: due.lateNanoseconds + SystemClock.monotonic() - start)
    for index in pollers.indices {
      guard let condition = loop.takeNews(index) else { continue }
      sink.report(.source(name: pollers[index].name, condition))
    }
    let row = loop.row
    sink.take(due.stamp, values: row.span)
  }

  private func announceLayout() {
    guard let combined = loop.combined else { return }
    for conflict in combined.conflicts where !loop.reportedConflicts.contains(conflict) {
      sink.report(.conflict(conflict))
    }
    loop.reportedConflicts = combined.conflicts
    sink.layoutChanged(combined.layout)
  }
}
