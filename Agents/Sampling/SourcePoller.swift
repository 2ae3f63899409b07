import BongsuDevices
import BongsuModel

/// One source together with the thread that is allowed to wait for it.
///
/// The sampler posts a tick and collects the answer; if none has come by the deadline it goes on without. A call that
/// hangs keeps this thread and nothing else, its late answer is dropped, and the source is asked again once it is back:
///
///     sampler   adopt post(T)              collect(T)   adopt post(T+1)     deadline: absent, "hung"
///     poller              └─ read … done ──┘ [discover]         └─ read ……………………………………… done, dropped
///
/// A look for devices follows the answer of a tick, so that it never delays one; what it finds is adopted at the start of
/// a later tick. A prompt source has no thread: everything happens within the sampler's calls.
///
/// All members are used with the monitor locked, unless they say otherwise.
///
/// `@unchecked Sendable`: `source` belongs to the thread that does the work of `phase`, and `buffer` to the same while
/// it is `reading`; all other state is touched with the monitor locked.
final class SourcePoller: @unchecked Sendable {
  let name: String
  /// What the rows of this source look like; changed by ``adopt()`` alone.
  private(set) var inventory = SourceInventory.empty
  /// Whether the last tick was waited for in vain, and nothing has come back since.
  private(set) var isHung = false

  private let source: any DeviceSource
  private let monitor: Monitor
  private let answered: Monitor.Condition
  private let requested: Monitor.Condition
  private var thread: WorkerThread?

  private var phase = Phase.idle
  private var isStopping = false
  private var buffer: [Int64] = []
  private var answer: Tick?
  private var found: SourceInventory?
  private var condition = SourceCondition.unavailable("its devices have not been looked for yet")
  private var wantsRelease = false
  private var needsDiscovery = true
  private var rediscoverAt: Int64 = 0
  private var rediscoveryDelay = SamplingLimits.rediscoveryNanosecondsMin
  private var discoveringSince: Int64 = 0

  private enum Phase: Hashable {
    case idle
    case reading(Tick)
    case discovering
    case releasing
  }

  /// - Parameter answered: signalled whenever an answer or an inventory has come.
  init(_ source: any DeviceSource, monitor: Monitor, answered: Monitor.Condition) {
    self.source = source
    self.monitor = monitor
    self.answered = answered
    name = source.name
    requested = Monitor.Condition(monitor)
  }

  // MARK: For the sampler

  /// How the source is, including that it hangs.
  var reportedCondition: SourceCondition {
    isHung ? .hung("a call has not come back in time; readings are absent until it does") : condition
  }

  /// Whether work is under way whose end is worth waiting for.
  var isPending: Bool { phase != .idle && !isHung }

  /// Whether a look for devices is under way, or its result has not been adopted.
  var isLookingForDevices: Bool { phase == .discovering || found != nil }

  /// Whether the source's values of `tick` can be taken.
  func hasAnswer(for tick: Tick) -> Bool { answer == tick && phase != .reading(tick) }

  /// Whether values were to be expected for a tick at all.
  var isExpected: Bool { inventory.width > 0 && !wantsRelease }

  /// Takes over what the last look for devices has found.
  ///
  /// - Returns: whether the inventory has changed.
  func adopt() -> Bool {
    guard let found, !isReading else { return false }
    self.found = nil
    guard found != inventory else { return false }
    inventory = found
    buffer = [Int64](repeating: SampleValue.absent.bits, count: found.width)
    answer = nil
    return true
  }

  /// Asks for the row of `tick`, or for a look at the devices where there is nothing to read yet. Does nothing while an
  /// earlier request is under way.
  func post(_ tick: Tick) {
    guard phase == .idle, !wantsRelease, !isStopping else { return }
    if inventory.width > 0 {
      begin(.reading(tick))
    } else if isDiscoveryDue {
      begin(.discovering)
    }
  }

  /// Asks for a look at the devices, ahead of the first tick.
  func postDiscovery() {
    guard phase == .idle, !wantsRelease, !isStopping else { return }
    begin(.discovering)
  }

  /// The values of the answered tick.
  func withValues(_ body: (Span<Int64>) -> Void) {
    precondition(!isReading)
    let buffer = buffer
    body(buffer.span)
  }

  /// Takes note that a tick's deadline has passed. A look for devices may take long before it counts as hanging.
  func noteDeadline(monotonic now: Int64) {
    switch phase {
    case .idle: break
    case .reading: isHung = true
    case .discovering, .releasing: isHung = now - discoveringSince > SamplingLimits.discoveryHangNanoseconds
    }
  }

  /// Lets the source go for maintenance, or takes it up again. Takes effect once a call under way has come back.
  func setReleased(_ released: Bool) {
    guard wantsRelease != released else { return }
    wantsRelease = released
    needsDiscovery = !released
    if phase == .idle { begin(released ? .releasing : .discovering) }
  }

  /// Lets the source go and ends the thread, once a call under way has come back.
  func stop() {
    isStopping = true
    if phase == .idle, thread != nil || !source.mayBlock { begin(.releasing) }
  }

  /// Waits for the thread to end, or leaves it to itself if it hangs in a call. After ``stop()``; monitor not locked.
  func finish(grace: Int64) {
    guard let thread else { return }
    let deadline = SystemClock.monotonic() + grace
    let isIdle = monitor.locked {
      while phase != .idle, answered.wait(until: deadline) {}
      return phase == .idle
    }
    isIdle ? thread.join() : thread.abandon()
  }

  // MARK: Work

  private var isReading: Bool {
    if case .reading = phase { true } else { false }
  }

  private var isDiscoveryDue: Bool {
    if wantsRelease { return false }
    return needsDiscovery || (condition.isWorthRetrying && SystemClock.monotonic() >= rediscoverAt)
  }

  private func begin(_ next: Phase) {
    phase = next
    if case .reading = next {} else { discoveringSince = SystemClock.monotonic() }
    guard source.mayBlock else {
      while phase != .idle { complete(perform(phase)) }
      return
    }
    if thread == nil { thread = WorkerThread(name: "source \(name)") { self.run() } }
    requested.signal()
  }

  /// The thread's body; monitor not locked.
  private func run() {
    while true {
      let phase: Phase? = monitor.locked {
        while self.phase == .idle, !isStopping { requested.wait() }
        return isStopping && self.phase == .idle ? nil : self.phase
      }
      guard let phase else { return }
      let result = perform(phase)
      monitor.locked {
        complete(result)
        answered.signal()
      }
    }
  }

  private struct Result {
    var phase: Phase
    var outcome = ReadOutcome.complete
    var found: SourceInventory?
    var condition: SourceCondition
  }

  /// Calls the source. Monitor locked for prompt sources only.
  private func perform(_ phase: Phase) -> Result {
    switch phase {
    case .idle:
      return Result(phase: phase, condition: source.condition)
    case .reading(let tick):
      var values = buffer.mutableSpan
      let outcome = source.read(tick, into: &values)
      return Result(phase: phase, outcome: outcome, condition: source.condition)
    case .discovering:
      let found = source.discover()
      return Result(phase: phase, found: found, condition: source.condition)
    case .releasing:
      source.release()
      return Result(phase: phase, condition: source.condition)
    }
  }

  /// Publishes what came of a call and chooses what the thread does next.
  private func complete(_ result: Result) {
    let wasHung = isHung
    isHung = false
    condition = result.condition
    switch result.phase {
    case .idle: break
    case .releasing: answer = nil
    case .reading(let tick):
      // An answer that nobody waits for any more must not be taken for that of a later tick.
      answer = wasHung ? nil : tick
      if result.outcome == .layoutChanged { needsDiscovery = true }
    case .discovering:
      found = result.found
      needsDiscovery = false
      let isWell = !condition.isWorthRetrying
      rediscoverAt = SystemClock.monotonic() + rediscoveryDelay
      rediscoveryDelay =
        isWell
        ? SamplingLimits.rediscoveryNanosecondsMin
        : min(rediscoveryDelay * 2, SamplingLimits.rediscoveryNanosecondsMax)
    }
    phase = next(after: result)
  }

  private func next(after result: Result) -> Phase {
    if isStopping { return result.phase == .releasing ? .idle : .releasing }
    if wantsRelease { return condition == .released ? .idle : .releasing }
    guard isDiscoveryDue || condition == .released else { return .idle }
    // What a look has found is adopted first; the next one waits for its time.
    if result.phase == .discovering { return .idle }
    discoveringSince = SystemClock.monotonic()
    return .discovering
  }
}
