internal import BongsuCodec
public import BongsuModel

/// The agent's side of delivery: numbers rows, sends them, keeps them until they are acknowledged, spools them when that
/// takes too long, and accounts for every one that is lost.
///
/// What it promises, given a host that keeps its own contract:
/// - A row is forgotten only when the aggregator has acknowledged its number, or a gap takes its place.
/// - A number is used for one row, also across restarts: numbers are leased from the disk state before they are used.
/// - Live rows go first, in order; the spool follows, oldest first, at a bounded rate and with half of the credit.
/// - Every number below the next is, at each Welcome, either acknowledged, held, or given to a gap. So the aggregator's
///   floor never waits for a number that does not come, whatever was lost on either side.
/// - Nothing is written to disk while acknowledgements arrive within ``AgentSessionSettings/spillAfter``.
///
/// How a session goes:
///
///     offline ──connect, Hello──▶ greeting ──Welcome──▶ established ──┐
///        ▲                          │ no answer, Refuse                │ lost, silent, Refuse
///        └──────── back-off ◀───────┴──────────────────────────────────┘
///
/// A plain value without I/O, clocks or randomness of its own: events are its methods, effects go to the host. Used by
/// one thread at a time. Allocates when buffers grow, not in steady work.
public struct AgentSession: ~Copyable {
  /// Where the connection stands.
  enum Phase: Equatable {
    case offline(retryAt: Int64)
    case greeting(since: Int64)
    case established
  }

  /// A block on its way.
  struct InFlight {
    var first: UInt64
    var last: UInt64
    var isLate: Bool
  }

  let settings: AgentSessionSettings
  /// Decides the ticks. Public so that the sampling loop asks it; it changes when the aggregator answers.
  public private(set) var clock: TickClock
  /// What is on disk, or should be.
  public internal(set) var state: AgentState
  /// The number that the next row gets.
  public internal(set) var nextSequence: UInt64
  /// Numbers the aggregator has acknowledged.
  public internal(set) var durable = SequenceSet()

  var phase: Phase
  var pending = PendingRows()
  var layouts: [LayoutAnnouncement]
  var shapes: [BlockShape]
  var currentLayout: Int
  var encoder = BlockEncoder()
  var random: SplitMix64

  // This session.
  var announced: [Int] = []
  var inFlight: [InFlight] = []
  var credit = 0
  var takesOldestOnly = false
  /// Highest number sent live, and the row sent with it: the base of the next live block. Empty: a keyframe is due.
  var base: [Int64] = []
  var baseRow: (sequence: UInt64, stamp: TickStamp, layoutNumber: Int)?
  var blocksSinceKeyframe = 0
  /// Numbers that this session has sent live without a hole, the latest: the spool need not send them again.
  var sentLive: ClosedRange<UInt64>?
  /// Spooled numbers below were sent in this session.
  var drainNext: UInt64 = 1
  var drainBudget: Int64 = 0
  var drainBudgetAt: Int64 = 0
  var oldestTick = Limits.tickRange.lowerBound
  var serverOffset: Int64?

  // Accounting.
  var gaps = OutgoingGaps()
  /// The first number given in this run of the agent; what is missing below was lost with an earlier run.
  var firstOfRun: UInt64
  var firstStampOfRun: TickStamp?

  // Timers, by the boot clock.
  var lastHeard: Int64 = 0
  var lastSent: Int64 = 0
  var lastClockQuestion: Int64 = 0
  var failures = 0
  var isSpoolFailing = false
  var frame: [UInt8] = []
  var scratch: [Int64] = []

  /// A session that starts offline and connects on the first ``advance(_:_:)``.
  ///
  /// - Parameters:
  ///   - state: what an earlier run stored; a new stream when there is nothing, or nothing good.
  ///   - layouts: the layouts that spooled runs name.
  ///   - layout: the shape of the rows to come. It gets a number of its own unless an equal one has one.
  ///   - lastTick: the highest final label in the spool.
  ///   - seed: of the random numbers that spread reconnections and name new streams.
  public init<Host: AgentSessionHost & ~Copyable>(
    settings: AgentSessionSettings, state: AgentState, layouts: [LayoutAnnouncement], layout: RowLayout,
    lastTick: Tick?, reading: ClockReading, seed: UInt64, host: inout Host
  ) {
    self.settings = settings
    self.state = state
    self.layouts = layouts
    shapes = layouts.map { BlockShape($0.layout) }
    currentLayout = 0
    nextSequence = state.leaseEnd
    firstOfRun = state.leaseEnd
    random = SplitMix64(state: seed)
    phase = .offline(retryAt: reading.boottimeMilliseconds)
    clock = TickClock(
      interval: layout.interval, reading: reading, anchor: state.anchor(of: settings.boot), lastTick: lastTick)
    use(layout, &host)
    extendLease(&host)
  }

  /// Whether the aggregator has welcomed this session.
  public var isEstablished: Bool { phase == .established }
  /// Rows that are in memory alone.
  public var pendingRowCount: Int { pending.count }
  /// Losses that the aggregator has not acknowledged yet.
  public var unacknowledgedGapCount: Int { gaps.count }

  /// The tick to sample now, `nil` when none is due; see ``TickClock/dueTick(_:)``.
  public mutating func dueTick(_ reading: ClockReading) -> TickStamp? { clock.dueTick(reading) }

  /// Changes the shape of the rows from the next one on.
  public mutating func change<Host: AgentSessionHost & ~Copyable>(layout: RowLayout, _ host: inout Host) {
    clock.change(interval: layout.interval)
    use(layout, &host)
  }

  /// Takes the row of a tick: numbers it and sends it if it may. `row` has the width of the current layout.
  public mutating func sample<Host: AgentSessionHost & ~Copyable>(
    _ stamp: TickStamp, row: Span<Int64>, _ reading: ClockReading, _ host: inout Host
  ) {
    precondition(row.count == layouts[currentLayout].layout.width, "row of \(row.count) values for another layout")
    var stamp = stamp
    if stamp.isProvisional, let anchor = clock.anchorMilliseconds {
      stamp = stamp.anchored(at: anchor, interval: layouts[currentLayout].layout.interval)
    }
    ensureNumbers(reading, &host)
    if pending.count >= settings.pendingRowsMax { spill(&host) }
    if pending.count >= settings.pendingRowsMax { dropOldestPending(&host) }
    if firstStampOfRun == nil { firstStampOfRun = stamp }
    pending.append(
      row, sequence: nextSequence, stamp: stamp, layout: layouts[currentLayout].number,
      madeAt: reading.boottimeMilliseconds)
    nextSequence += 1
    pump(reading, &host)
  }

  /// Takes note of `count` rows that were sampled and lost before they came here: they get numbers like any other, and a
  /// gap record takes their place. `first` and `last` are the stamps of the first and last of them.
  public mutating func lose<Host: AgentSessionHost & ~Copyable>(
    sampled count: Int, from first: TickStamp, through last: TickStamp, _ reading: ClockReading, _ host: inout Host
  ) {
    var left = UInt64(max(0, count))
    if firstStampOfRun == nil, left > 0 { firstStampOfRun = first }
    while left > 0 {
      ensureNumbers(reading, &host)
      let numbers = min(left, state.leaseEnd - nextSequence, WireLimits.gapCountMax)
      left -= numbers
      nextSequence += numbers
      lose(
        Gap(
          reason: .agentBusy, firstSequence: nextSequence - numbers, lastSequence: nextSequence - 1,
          firstTick: finalTick(first), lastTick: finalTick(last)), &host)
    }
    pump(reading, &host)
  }

  /// The final label of a stamp of this boot; `nil` while it is not known.
  private func finalTick(_ stamp: TickStamp) -> Tick? {
    guard stamp.isProvisional else { return stamp.tick }
    return clock.anchorMilliseconds.map { stamp.anchored(at: $0, interval: clock.interval).tick }
  }

  /// Makes sure that there is a number to give: extends the lease in time, or begins another stream where the disk takes
  /// nothing.
  private mutating func ensureNumbers<Host: AgentSessionHost & ~Copyable>(
    _ reading: ClockReading, _ host: inout Host
  ) {
    if nextSequence + settings.leaseRows / 2 >= state.leaseEnd { extendLease(&host) }
    if nextSequence >= state.leaseEnd { startNewStream(endedBy: .spoolUnavailable, reading, &host) }
  }

  /// Time has passed. Call it at least every second, and after ``millisecondsToNextEvent(_:)``.
  public mutating func advance<Host: AgentSessionHost & ~Copyable>(_ reading: ClockReading, _ host: inout Host) {
    let now = reading.boottimeMilliseconds
    switch phase {
    case .offline(let retryAt):
      if now >= retryAt { greet(reading, &host) }
    case .greeting(let since):
      if now - since >= settings.welcomeTimeout {
        end(.noWelcome(afterMilliseconds: now - since), now, &host)
      }
    case .established:
      if now - lastHeard >= settings.silenceTimeout {
        end(.silence(milliseconds: now - lastHeard), now, &host)
      } else {
        keepAlive(reading, &host)
        pump(reading, &host)
      }
    }
    spillOverdue(now, &host)
  }

  /// The transport lost the connection.
  public mutating func connectionLost<Host: AgentSessionHost & ~Copyable>(
    _ reading: ClockReading, _ host: inout Host
  ) {
    if case .offline = phase { return }
    end(.connectionLost, reading.boottimeMilliseconds, &host)
  }

  /// Takes a frame of the aggregator. Frames that cannot be read are reported and passed over.
  public mutating func receive<Host: AgentSessionHost & ~Copyable>(
    _ frame: RawSpan, _ reading: ClockReading, _ host: inout Host
  ) {
    if case .offline = phase { return }
    do throws(FrameError) {
      try take(frame, reading, &host)
      lastHeard = reading.boottimeMilliseconds
    } catch {
      host.report(.malformedFrame(error))
    }
  }

  /// Ends the run in order: spools what is not acknowledged and stores the exact next number, so that the next run
  /// goes on without a gap.
  public mutating func shutDown<Host: AgentSessionHost & ~Copyable>(_ host: inout Host) {
    spill(&host)
    state.leaseEnd = nextSequence
    _ = host.store(state)
    host.disconnect()
  }

  /// Compares clocks and fixes the anchor of this boot the first time.
  mutating func compareClocks<Host: AgentSessionHost & ~Copyable>(
    server: Int64, sentAt: Int64, _ reading: ClockReading, _ host: inout Host
  ) {
    let wasCorrected = clock.isCorrected
    let isFirst = clock.compare(
      serverUnixMilliseconds: server, sentBoottimeMilliseconds: sentAt, reading: reading)
    serverOffset = server - reading.boottimeMilliseconds
    if isFirst, let anchor = clock.anchorMilliseconds {
      state.remember(BootAnchor(boot: settings.boot, offsetMilliseconds: anchor))
      _ = host.store(state)
      let layouts = layouts
      pending.anchor(at: anchor) { number in
        layouts.first { $0.number == number }?.layout.interval ?? .second
      }
      if let first = firstStampOfRun, first.isProvisional {
        firstStampOfRun = first.anchored(at: anchor, interval: clock.interval)
      }
    }
    if clock.isCorrected != wasCorrected {
      host.report(.clockCorrected(clock.isCorrected, skewMilliseconds: clock.skewMilliseconds ?? 0))
    }
  }

  /// Never samples a tick again that the aggregator has.
  mutating func avoidTicks(through tick: Tick) { clock.avoid(through: tick) }

  /// Makes `layout` the current one, under the number it has or the next free one.
  private mutating func use<Host: AgentSessionHost & ~Copyable>(_ layout: RowLayout, _ host: inout Host) {
    if let known = layouts.firstIndex(where: { $0.layout == layout }) {
      currentLayout = known
      return
    }
    forgetUnusedLayouts(&host)
    let number = (layouts.map(\.number).max() ?? -1) + 1
    let announcement = LayoutAnnouncement(number: number, layout: layout)
    layouts.append(announcement)
    shapes.append(BlockShape(layout))
    currentLayout = layouts.count - 1
    if !host.store(announcement) { setSpoolFailing(true, &host) }
  }

  /// Keeps devices that come and go from piling up layouts. Only while nothing is spooled: spooled runs name layouts.
  private mutating func forgetUnusedLayouts<Host: AgentSessionHost & ~Copyable>(_ host: inout Host) {
    guard layouts.count >= WireLimits.layoutsMax, host.spooledRun(endingAtOrAfter: 1) == nil else { return }
    let used = Set(pending.rows.map(\.layoutNumber))
    let current = layouts[currentLayout].number
    // The newest stays in any case, so that its number is not given again.
    layouts = layouts.enumerated().filter { index, layout in
      index == layouts.count - 1 || layout.number == current || used.contains(layout.number)
    }.map(\.element)
    shapes = layouts.map { BlockShape($0.layout) }
    currentLayout = layouts.firstIndex { $0.number == current } ?? layouts.count - 1
  }

  mutating func extendLease<Host: AgentSessionHost & ~Copyable>(_ host: inout Host) {
    var extended = state
    extended.leaseEnd = nextSequence + settings.leaseRows
    if host.store(extended) { state = extended }
  }

  mutating func setSpoolFailing<Host: AgentSessionHost & ~Copyable>(_ isFailing: Bool, _ host: inout Host) {
    guard isFailing != isSpoolFailing else { return }
    isSpoolFailing = isFailing
    host.report(.spoolFailing(isFailing))
  }

  func shape(_ number: Int) -> BlockShape? {
    layouts.firstIndex { $0.number == number }.map { shapes[$0] }
  }

  func interval(_ number: Int) -> TickInterval {
    layouts.first { $0.number == number }?.layout.interval ?? clock.interval
  }
}

/// SplitMix64, for spreading in time and for naming streams; not for secrets.
struct SplitMix64 {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  /// A number from 0 to `bound`, `bound` included.
  mutating func upTo(_ bound: Int64) -> Int64 { Int64(next() % UInt64(bound + 1)) }
}
