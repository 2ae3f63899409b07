import BongsuDevices
import BongsuModel
import BongsuSampling
import BongsuTransport
import BongsuWire
import Synchronization

/// Drives many simulated agents on one thread: samples each at its moment within the tick, takes answers as they come.
///
/// Agents are ordered by the moment at which they send. The thread walks that circle once per interval and sleeps in
/// between on all sockets at once, so its cost grows with what happens and not with what is watched.
final class SimulationThread: @unchecked Sendable {
  // `@unchecked Sendable`: agents and poller are used by the thread that calls `run` alone; the rest is behind mutexes
  // and atomics.
  private let context: SimulationContext
  private let agents: [SimulatedAgent]
  private let interval: TickInterval
  private let isStopping = Atomic<Bool>(false)
  private let published = Mutex(Snapshot())

  /// What the thread shows to others.
  struct Snapshot: Sendable {
    var counts = LoadCounts()
    var agents = 0
    /// Machines that run, and those with a session.
    var running = 0
    var established = 0
    var rowsDurable: UInt64 = 0
    var rowsNumbered: UInt64 = 0
    var spoolBytes = 0
    var latency = AckLatency()
  }

  /// Makes the agents of `plans`, which talk to `endpoint`.
  init(
    plans: [AgentPlan], transport: Context, endpoint: String, interval: TickInterval,
    isVerbose: Bool
  ) throws {
    context = SimulationContext(transport: transport, endpoint: endpoint, isVerbose: isVerbose)
    self.interval = interval
    var agents: [SimulatedAgent] = []
    for plan in plans {
      agents.append(try SimulatedAgent(plan, interval: interval, index: agents.count, context: context))
    }
    self.agents = agents
  }

  /// The figures as of the last turn.
  var snapshot: Snapshot { published.withLock { $0 } }

  /// Asks the thread to end: no more ticks; it waits up to `grace` for acknowledgements first.
  func requestStop() {
    isStopping.store(true, ordering: .relaxed)  // a flag of its own: nothing else is published through it
  }

  /// Works on a run that began at `startedAt` by the boot clock until ``requestStop()``, then until everything sampled is acknowledged or `graceMilliseconds` are over.
  func run(startedAt: Int64, graceMilliseconds: Int64) throws {
    context.startedAt = startedAt
    var poller = try Poller()
    var circle = Circle(order: agents.indices.sorted { agents[$0].sendOffset < agents[$1].sendOffset })
    var stopAt: Int64?
    var publishAt: Int64 = 0
    var publishLatencyAt: Int64 = 0
    while true {
      let reading = ClockReading.now()
      if stopAt == nil, isStopping.load(ordering: .relaxed) {
        stopAt = reading.boottimeMilliseconds + graceMilliseconds
      }
      if let stopAt, reading.boottimeMilliseconds >= stopAt || isDrained { break }
      let wait = serve(&circle, reading, isSampling: stopAt == nil)
      for index in context.newSockets { try agents[index].watch(with: &poller, token: UInt64(index)) }
      context.newSockets.removeAll(keepingCapacity: true)
      if reading.boottimeMilliseconds >= publishAt {
        // A histogram is large; it is shown every few seconds.
        let isLatencyDue = reading.boottimeMilliseconds >= publishLatencyAt
        publish(withLatency: isLatencyDue)
        publishAt = reading.boottimeMilliseconds + 200
        if isLatencyDue { publishLatencyAt = reading.boottimeMilliseconds + 2000 }
      }
      if try poller.wait(timeout: .milliseconds(wait)) > 0 {
        let now = ClockReading.now()
        for event in poller.ready { try agents[Int(event.token)].receive(now) }
      }
    }
    for agent in agents { agent.shutDown() }
    publish(withLatency: true)
  }

  /// Where the walk over the agents stands: agent `order[position]` is due at `tick` plus its offset.
  private struct Circle {
    let order: [Int]
    var position = 0
    var tick: Int64 = .min
  }

  /// Serves the agents whose moment has come.
  ///
  /// - Returns: milliseconds until the next one's, at most 100.
  private func serve(_ circle: inout Circle, _ reading: ClockReading, isSampling: Bool) -> Int64 {
    let now = reading.unixMilliseconds
    let step = Int64(interval.milliseconds)
    // Behind by more than a tick, or the wall clock stepped: go on with the present.
    if circle.tick == .min || abs(now - circle.tick) > 2 * step {
      circle.tick = Tick(unixMilliseconds: now).aligned(to: interval).unixMilliseconds
      circle.position = 0
    }
    while true {
      if circle.position == circle.order.count {
        circle.position = 0
        circle.tick += step
      }
      let agent = agents[circle.order[circle.position]]
      let due = circle.tick + agent.sendOffset
      guard due <= now else { return min(due - now, 100) }
      agent.work(reading, isSampling: isSampling)
      circle.position += 1
    }
  }

  private var isDrained: Bool { agents.allSatisfy { !$0.isRunning || $0.rowsDurable >= $0.rowsNumbered } }

  private func publish(withLatency: Bool) {
    var snapshot = Snapshot()
    snapshot.latency = withLatency ? context.latency : published.withLock { $0.latency }
    snapshot.counts = context.counts
    snapshot.agents = agents.count
    snapshot.rowsNumbered = context.counts.rowsEnded.numbered
    snapshot.rowsDurable = context.counts.rowsEnded.durable
    for agent in agents {
      guard agent.isRunning else { continue }
      snapshot.running += 1
      snapshot.established += agent.isEstablished ? 1 : 0
      snapshot.rowsDurable += agent.rowsDurable
      snapshot.rowsNumbered += agent.rowsNumbered
      snapshot.spoolBytes += agent.spoolBytes
    }
    published.withLock { $0 = snapshot }
  }
}

/// What one simulated agent is.
struct AgentPlan: Sendable {
  let node: NodeID
  let security: SocketSecurity
  let generator: SimulatedNode.Configuration
  var course = NodeCourse()
  /// Of everything but the readings: identity, send moment, back-off.
  let seed: UInt64
}
