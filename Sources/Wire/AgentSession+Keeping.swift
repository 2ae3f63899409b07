internal import BongsuModel

extension AgentSession {
  /// Spools everything in memory once its oldest row has waited too long: one record for the whole outage so far,
  /// rather than one for each row.
  mutating func spillOverdue<Host: AgentSessionHost & ~Copyable>(_ now: Int64, _ host: inout Host) {
    guard let oldest = pending.rows.first, now - oldest.madeAt >= settings.spillAfter else { return }
    spill(&host)
  }

  /// Hands pending rows to the spool, run by run. What cannot be stored stays in memory.
  mutating func spill<Host: AgentSessionHost & ~Copyable>(_ host: inout Host) {
    var losses: [SpoolLoss] = []
    while let row = pending.rows.first {
      guard let shape = shape(row.layoutNumber) else { break }
      let length = pending.runLength(
        from: 0, limit: runRowsMax(shape), interval: interval(row.layoutNumber)
      ) { _ in true }
      collect(0..<length)
      let run = SpooledRun(
        firstSequence: row.sequence, rowCount: length, layoutNumber: row.layoutNumber, first: row.stamp,
        boot: settings.boot)
      let isStored = host.spill(run, rows: scratch, losses: &losses)
      setSpoolFailing(!isStored, &host)
      guard isStored else { break }
      // Rows that wait for nothing but their acknowledgement need not be sent by the drain.
      let isUnsent = pending.rows.prefix(length).contains { $0.state != .sent }
      if isUnsent { sendAgain(fromSpool: run) }
      pending.removeFirst(length)
    }
    for loss in losses { lose(Gap(loss), &host) }
  }

  private mutating func sendAgain(fromSpool run: SpooledRun) {
    drainNext = min(drainNext, run.firstSequence)
    if let sent = sentLive, sent.overlaps(run.firstSequence...run.lastSequence) { sentLive = nil }
  }

  /// Memory is full and the spool takes nothing: the oldest row is given up.
  mutating func dropOldestPending<Host: AgentSessionHost & ~Copyable>(_ host: inout Host) {
    guard let row = pending.rows.first else { return }
    let tick = row.stamp.isProvisional ? nil : row.stamp.tick
    pending.removeFirst(1)
    lose(
      Gap(
        reason: .spoolUnavailable, firstSequence: row.sequence, lastSequence: row.sequence, firstTick: tick,
        lastTick: tick), &host)
  }

  /// Notes a loss, to be told to the aggregator until it acknowledges it.
  mutating func lose<Host: AgentSessionHost & ~Copyable>(_ gap: Gap, _ host: inout Host) {
    guard !durable.containsAll(gap.firstSequence, gap.lastSequence) else { return }
    if gaps.add(gap) { host.report(.lost(gap)) }
  }

  /// Gives to gaps all numbers that are neither acknowledged nor held: they were lost with an earlier run, with the
  /// spool's disk, or were let go of and then lost by the aggregator.
  mutating func accountForMissing<Host: AgentSessionHost & ~Copyable>(_ host: inout Host) {
    var number: UInt64 = 1
    while !gaps.isFull, let hole = nextSequence > 1 ? durable.firstMissing(number, nextSequence - 1) : nil {
      number = hole.last + 1
      var first = hole.first
      while first <= hole.last, !gaps.isFull {
        let held = nextHeld(endingAtOrAfter: first, &host)
        if let held, held.first <= first {
          first = held.last + 1
          continue
        }
        let last = min(hole.last, held.map { $0.first - 1 } ?? hole.last)
        lose(missing(first, last, before: held), &host)
        first = last + 1
      }
    }
  }

  private func missing(_ first: UInt64, _ last: UInt64, before held: (first: UInt64, last: UInt64, tick: Tick?)?) -> Gap
  {
    let isOfEarlierRun = first < firstOfRun
    let next = held?.tick ?? (isOfEarlierRun ? firstStampOfRun?.tick : nil)
    return Gap(
      reason: isOfEarlierRun ? .agentRestart : .released, firstSequence: first, lastSequence: last, firstTick: nil,
      lastTick: clock.anchorMilliseconds == nil ? nil : next?.advanced(by: -1, of: clock.interval))
  }

  /// The held numbers that end at or after `number` and come first, with the final label of their first row.
  private func nextHeld<Host: AgentSessionHost & ~Copyable>(
    endingAtOrAfter number: UInt64, _ host: inout Host
  ) -> (first: UInt64, last: UInt64, tick: Tick?)? {
    var held: (first: UInt64, last: UInt64, tick: Tick?)?
    if let run = host.spooledRun(endingAtOrAfter: number) {
      held = (run.firstSequence, run.lastSequence, run.first.isProvisional ? nil : run.first.tick)
    }
    if let row = pending.rows.first(where: { $0.sequence >= number }), row.sequence < held?.first ?? .max {
      held = (row.sequence, row.sequence, row.stamp.isProvisional ? nil : row.stamp.tick)
    }
    return held
  }

  /// Ends the numbering and starts another: the old one was overtaken by another copy of it, or cannot be kept on disk.
  ///
  /// Rows in memory get new numbers. Spooled rows are given up with one gap: their numbers mean something else by now.
  mutating func startNewStream<Host: AgentSessionHost & ~Copyable>(
    endedBy reason: GapReason, _ reading: ClockReading, _ host: inout Host
  ) {
    let now = Tick(unixMilliseconds: reading.boottimeMilliseconds + clock.offsetMilliseconds)
    var oldest: Tick?
    let spooled = host.spooledRun(endingAtOrAfter: 1)
    if let spooled, !spooled.first.isProvisional { oldest = spooled.first.tick }
    for entry in gaps.entries {
      if let tick = entry.gap.firstTick, tick < oldest ?? now { oldest = tick }
    }
    // Losses of the old numbering that were not acknowledged are told again as one.
    let isLosing = spooled != nil || gaps.count > 0
    host.resetSpool()
    gaps.removeAll()
    durable = SequenceSet()
    let first: UInt64 = isLosing ? 2 : 1
    pending.renumber(from: first)
    nextSequence = first + UInt64(pending.count)
    firstOfRun = first
    var anchors = state.anchors
    if let anchor = clock.anchorMilliseconds, state.anchor(of: settings.boot) == nil {
      anchors.insert(BootAnchor(boot: settings.boot, offsetMilliseconds: anchor), at: 0)
    }
    state = AgentState(
      stream: StreamID(rawValue: random.next()), leaseEnd: nextSequence + settings.leaseRows, anchors: anchors)
    // Should this fail, the disk still names the old stream, which a later run finds overtaken in turn.
    if !host.store(state) { setSpoolFailing(true, &host) }
    host.report(.newStream(state.stream))
    if isLosing {
      lose(
        Gap(
          reason: reason, firstSequence: 1, lastSequence: 1, firstTick: oldest,
          lastTick: clock.anchorMilliseconds == nil ? nil : max(now, oldest ?? now)), &host)
    }
    if phase == .established { end(.connectionLost, reading.boottimeMilliseconds, &host) }
  }
}

extension Gap {
  /// The gap that a loss of the spool becomes.
  init(_ loss: SpoolLoss) {
    self.init(
      reason: loss.reason, firstSequence: loss.sequences.lowerBound, lastSequence: loss.sequences.upperBound,
      firstTick: loss.ticks?.lowerBound, lastTick: loss.ticks?.upperBound)
  }
}
