import BongsuDelivery
import BongsuEnrolment
import BongsuModel
import BongsuSampling
import BongsuSpool
import BongsuTransport
import BongsuWire
import Glibc
import Synchronization

/// The thread that delivers: takes rows from the sampler's queue, runs the session, owns the socket and the spool.
///
/// Thread rule: ``run()`` on its own thread; ``requestStop()`` and the ``TickSource`` side from any other. The session is
/// behind a mutex because its clock decides the sampler's ticks; nothing else of it is touched from outside.
final class Uplink: TickSource, @unchecked Sendable {
  // `@unchecked Sendable`: the session is used with the lock held, host and poller by the running thread alone.
  static let queueToken: UInt64 = 0
  static let socketToken: UInt64 = 1
  static let monitorToken: UInt64 = 2

  private let lock = Mutex<Void>(())
  private var session: AgentSession
  private var host: AgentHost
  private let queue: RowQueue
  private let log: AgentLog
  private let isStopping = Atomic<Bool>(false)
  private let spoolBytes = Atomic<Int64>(0)
  /// When the sampler and this thread last came by, seconds of the monotonic clock.
  private let sampledAt = Atomic<Int>(monotonicSeconds())
  private let turnedAt = Atomic<Int>(monotonicSeconds())
  private let published = Mutex(UplinkStatus())
  /// Other places to deliver to, until the thread has taken them.
  private let newEndpoints = Mutex<[HostPort]?>(nil)
  private var values: [Int64] = []

  init(_ configuration: AgentConfiguration, context: Context, spool: consuming Spool, queue: RowQueue, log: AgentLog)
    throws
  {
    self.queue = queue
    self.log = log
    let settings = AgentSessionSettings(
      node: configuration.node, incarnation: Incarnation(rawValue: UInt64.random(in: 1...(.max))), boot: .current(),
      agentVersion: Release.version)
    let state = spool.state ?? AgentState(stream: StreamID(rawValue: UInt64.random(in: 1...(.max))), leaseEnd: 1)
    let layouts = spool.layouts
    let lastTick = spool.lastTick
    // Rows have another shape as soon as the sources have been looked at; this one gives the session its clock.
    let layout = try RowLayout(
      interval: configuration.interval, columns: [MetricID.agentResidentMemory].compactMap(MetricCatalogue.metric),
      devices: [.node])
    host = AgentHost(
      context: context, endpoints: configuration.endpoints, security: configuration.security, spool: spool, log: log)
    session = AgentSession(
      settings: settings, state: state, layouts: layouts, layout: layout, lastTick: lastTick, reading: .now(),
      seed: UInt64.random(in: 1...(.max)), host: &host)
    host.sayNotices()
  }

  /// Asks the thread to end: what is not acknowledged goes to the spool. Any thread.
  func requestStop() { isStopping.store(true, ordering: .relaxed) }

  /// Bytes in the spool, as of the last turn. Any thread.
  var spoolByteCount: Int64 { spoolBytes.load(ordering: .relaxed) }

  /// How delivery goes, as of the last turn. Any thread.
  var status: UplinkStatus { published.withLock { $0 } }

  /// Delivers to `endpoints` from the next connection on; the present one is given up. Any thread.
  func change(endpoints: [HostPort]) { newEndpoints.withLock { $0 = endpoints } }

  /// Seconds since the slower of sampler and uplink last showed signs of life. Any thread.
  var secondsStuck: Int {
    let last = min(sampledAt.load(ordering: .relaxed), turnedAt.load(ordering: .relaxed))
    return monotonicSeconds() - last
  }

  // MARK: Ticks

  func dueTick(at instant: ClockInstant) -> SampleStamp? {
    sampledAt.store(monotonicSeconds(), ordering: .relaxed)  // nothing else is published through it
    return lock.withLock { _ in session.dueTick(ClockReading(instant)) }.map { SampleStamp($0) }
  }

  func nanosecondsToNextTick(at instant: ClockInstant) -> Int64 {
    lock.withLock { _ in session.clock.millisecondsToNextTick(ClockReading(instant)) } * 1_000_000
  }

  // MARK: The thread

  /// Works until ``requestStop()``.
  func run() {
    do {
      var poller = try Poller()
      try poller.add(descriptor: queue.wakeDescriptor, token: Self.queueToken)
      while !isStopping.load(ordering: .relaxed) {
        try turn(&poller)
      }
    } catch {
      log.error("uplink", "the transport failed: \(error)")
    }
    lock.withLock { _ in
      takeRows()
      session.shutDown(&host)
    }
    host.sayNotices()
  }

  private func turn(_ poller: inout Poller) throws(TransportError) {
    let wait: Duration = .milliseconds(500)
    _ = try poller.wait(timeout: wait)
    turnedAt.store(monotonicSeconds(), ordering: .relaxed)  // nothing else is published through it
    if let endpoints = newEndpoints.withLock({ $0.take() }) {
      host.change(endpoints: endpoints)
      lock.withLock { _ in session.connectionLost(.now(), &host) }
    }
    var isLost = false
    for event in poller.ready where event.token == Self.monitorToken {
      if try host.takeLoss() { isLost = true }
    }
    lock.withLock { _ in
      if isLost { session.connectionLost(.now(), &host) }
      takeRows()
    }
    while let message = try host.receive() {
      lock.withLock { _ in message.withBytes { session.receive($0, .now(), &host) } }
    }
    lock.withLock { _ in session.advance(.now(), &host) }
    spoolBytes.store(host.spool.byteCount, ordering: .relaxed)
    publish()
    if host.isSocketNew { try host.watch(with: &poller, socket: Self.socketToken, monitor: Self.monitorToken) }
  }

  private func publish() {
    let now = lock.withLock { _ in
      (session.isEstablished, session.pendingRowCount, session.nextSequence, session.durable.floor)
    }
    published.withLock { status in
      status.isConnected = now.0
      status.rowsWaiting = now.1
      status.nextSequence = now.2
      status.durableFloor = now.3
      if status.connection != host.connection { status.connection = host.connection }
    }
  }

  /// Gives the session what the sampler has put into the queue. Lock held.
  private func takeRows() {
    while let item = queue.next(&values) {
      switch item {
      case .layout(let layout): session.change(layout: layout, &host)
      case .row(let stamp): session.sample(TickStamp(stamp), row: values.span, .now(), &host)
      case .lost(let first, let last, let count):
        log.error(
          "uplink",
          "\(count) rows from tick \(first.tick.unixMilliseconds) to \(last.tick.unixMilliseconds) were dropped: "
            + "the disk or the network thread is stuck")
        session.lose(sampled: count, from: TickStamp(first), through: TickStamp(last), .now(), &host)
      }
    }
  }
}

/// How delivery goes.
struct UplinkStatus: Sendable {
  var isConnected = false
  /// To whom the connection stands, or why there is none.
  var connection = "not connected yet"
  /// Rows in memory that are not acknowledged.
  var rowsWaiting = 0
  /// The number that the next row gets, and the number up to which all rows are on the aggregator's disk or accounted for.
  var nextSequence: UInt64 = 0
  var durableFloor: UInt64 = 0
}

private func monotonicSeconds() -> Int {
  var time = timespec()
  // SAFETY: the call writes one timespec.
  unsafe clock_gettime(CLOCK_MONOTONIC, &time)
  return time.tv_sec
}

extension ClockReading {
  init(_ instant: ClockInstant) {
    self.init(
      unixMilliseconds: instant.wallNanoseconds / 1_000_000,
      boottimeMilliseconds: instant.boottimeNanoseconds / 1_000_000)
  }
}

// The session's stamp travels through sampling with its two flags in one byte.

extension SampleStamp {
  fileprivate init(_ stamp: TickStamp) {
    self.init(
      tick: stamp.tick, boottimeMilliseconds: stamp.boottimeMilliseconds,
      flags: (stamp.isProvisional ? 1 : 0) | (stamp.isCorrected ? 2 : 0))
  }
}

extension TickStamp {
  fileprivate init(_ stamp: SampleStamp) {
    self.init(
      tick: stamp.tick, boottimeMilliseconds: stamp.boottimeMilliseconds, isProvisional: stamp.flags & 1 != 0,
      isCorrected: stamp.flags & 2 != 0)
  }
}
