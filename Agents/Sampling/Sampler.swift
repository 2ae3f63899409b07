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
  private var loop: SamplingLoop
  private var thread: WorkerThread?
  private var isStopping = false
  private var spoolBytes = SampleValue.absent
  private var newCorrection: Int64?

  /// Prepares sampling of `sources` at `interval` into `sink`; nothing is touched before ``start()``.
  public init(_ sources: sending SourceSet, interval: TickInterval, sink: any SampleSink) {
    let wake = Monitor.Condition(monitor)
    self.wake = wake
    self.interval = interval
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

  /// Ends sampling: after the call the sink is not called again. Waits for the tick under way, and half a second for
  /// calls into sources; one that hangs longer is left behind.
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

  /// Adds `milliseconds` to the wall clock from the next tick on (see ``TickClock/correct(byNanoseconds:)``).
  public func correctClock(byMilliseconds milliseconds: Int64) {
    monitor.locked {
      newCorrection = milliseconds * 1_000_000
      wake.signal()
    }
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
      let correction = monitor.locked { () -> Int64? in
        defer { newCorrection = nil }
        return newCorrection
      }
      if let correction { loop.clock.correct(byNanoseconds: correction) }
      let boottime = SystemClock.boottime()
      let step = loop.clock.observe(wall: SystemClock.wall(), boottime: boottime)
      if step != 0 { sink.report(.clockStepped(milliseconds: step / 1_000_000)) }
      switch loop.clock.decide(boottime: boottime) {
      case .take(let tick, let boottimeMilliseconds, let late, let missed):
        if missed > 0 {
          loop.health.missedTicks += Int64(missed)
          sink.report(.missedTicks(missed))
        }
        return DueTick(tick: tick, boottimeMilliseconds: boottimeMilliseconds, lateNanoseconds: late)
      case .wait(let nanoseconds):
        let deadline = SystemClock.monotonic() + nanoseconds
        let goesOn = monitor.locked {
          while !isStopping, newCorrection == nil, wake.wait(until: deadline) {}
          return !isStopping
        }
        guard goesOn else { return nil }
      }
    }
  }

  private struct DueTick {
    let tick: Tick
    let boottimeMilliseconds: Int64
    let lateNanoseconds: Int64
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
    sink.take(due.tick, boottimeMilliseconds: due.boottimeMilliseconds, values: row.span)
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
