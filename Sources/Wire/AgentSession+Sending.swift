internal import BongsuCodec
internal import BongsuModel

extension AgentSession {
  /// Sends what may be sent: losses, then live rows, then rows to be sent again.
  mutating func pump<Host: AgentSessionHost & ~Copyable>(_ reading: ClockReading, _ host: inout Host) {
    guard phase == .established else { return }
    let now = reading.boottimeMilliseconds
    sendGaps(now, &host)
    if !takesOldestOnly { sendLive(now, &host) }
    drain(now, &host)
  }

  private mutating func sendGaps<Host: AgentSessionHost & ~Copyable>(_ now: Int64, _ host: inout Host) {
    for index in gaps.entries.indices {
      if let sentAt = gaps.entries[index].sentAt, now - sentAt < OutgoingGaps.resendAfter { continue }
      frame.removeAll(keepingCapacity: true)
      gaps.entries[index].gap.encode(into: &frame)
      guard host.send(frame) else { return }
      lastSent = now
      gaps.setSent(at: now, index)
    }
  }

  // MARK: Live

  private mutating func sendLive<Host: AgentSessionHost & ~Copyable>(_ now: Int64, _ host: inout Host) {
    guard let first = pending.rows.firstIndex(where: { $0.state == .unsent }) else { return }
    for index in first..<pending.count where pending.rows[index].state == .unsent {
      guard inFlight.count < credit, sendLive(at: index, now, &host) else { return }
    }
  }

  /// Sends one row as a live block, based on the one before where that is possible.
  private mutating func sendLive<Host: AgentSessionHost & ~Copyable>(
    at index: Int, _ now: Int64, _ host: inout Host
  ) -> Bool {
    let row = pending.rows[index]
    guard let shape = shape(row.layoutNumber), announce(row.layoutNumber, now, &host) else { return false }
    let basis = basis(for: row)
    var header = BlockHeader(
      layoutNumber: row.layoutNumber, firstSequence: row.sequence, rowCount: 1,
      anchor: .standalone(
        tick: row.stamp.tick, boottimeMilliseconds: row.stamp.boottimeMilliseconds, boot: nil),
      isCorrected: row.stamp.isCorrected, isLate: false)
    if let basis { header.anchor = .based(sequenceDistance: basis.distance, ticks: basis.ticks) }
    frame.removeAll(keepingCapacity: true)
    header.encode(into: &frame)
    appendPayload(row.words, shape, ticksSinceBase: basis?.ticks)
    guard host.send(frame) else { return false }
    lastSent = now
    pending.setState(.sent, at: index)
    inFlight.append(InFlight(first: row.sequence, last: row.sequence, isLate: false))
    // Rows that went to the spool unsent leave a hole, behind which the range begins anew.
    let follows = sentLive?.upperBound == row.sequence - 1
    sentLive = (follows ? sentLive?.lowerBound ?? row.sequence : row.sequence)...row.sequence
    blocksSinceKeyframe = basis == nil ? 1 : blocksSinceKeyframe + 1
    base.removeAll(keepingCapacity: true)
    base.append(contentsOf: row.words)
    baseRow = (row.sequence, row.stamp, row.layoutNumber)
    return true
  }

  /// Appends rows as a payload to the frame, packed against the base when its distance is given.
  private mutating func appendPayload(_ rows: [Int64], _ shape: BlockShape, ticksSinceBase: UInt64?) {
    // Spans of a property would hold all of `self`, so the buffers are held by local names for the time of the call.
    let base = base
    var output: [UInt8] = []
    swap(&output, &frame)
    do throws(BlockError) {
      if let ticksSinceBase {
        try encoder.encode(
          rows: rows.span, shape: shape, base: base.span, ticksSinceBase: Int(ticksSinceBase), appendingTo: &output)
      } else {
        try encoder.encode(rows: rows.span, shape: shape, base: nil, appendingTo: &output)
      }
    } catch {
      // Rows are checked where they are made, so this is a bug of the codec or of the caller.
      preconditionFailure("\(rows.count) values of a layout of \(shape.width) cannot be encoded: \(error)")
    }
    swap(&output, &frame)
  }

  /// How far back the base of `row` lies, `nil` when it must stand alone.
  private func basis(for row: PendingRows.Row) -> (distance: UInt64, ticks: UInt64)? {
    guard let baseRow, blocksSinceKeyframe < settings.keyframeBlocks, baseRow.layoutNumber == row.layoutNumber,
      baseRow.sequence < row.sequence
    else { return nil }
    let step = Int64(interval(row.layoutNumber).milliseconds)
    let distance = row.stamp.tick.unixMilliseconds - baseRow.stamp.tick.unixMilliseconds
    guard distance > 0, distance % step == 0, distance / step <= Int64(WireLimits.tickDistanceMax),
      row.sequence - baseRow.sequence <= WireLimits.baseDistanceMax
    else { return nil }
    // The receiver takes the base's clock offset over. A wall clock that is being slewed moves it by a little at each
    // tick, which the next keyframe tells.
    let offset = row.stamp.tick.unixMilliseconds - row.stamp.boottimeMilliseconds
    let baseOffset = baseRow.stamp.tick.unixMilliseconds - baseRow.stamp.boottimeMilliseconds
    guard abs(offset - baseOffset) < 1000 else { return nil }
    return (row.sequence - baseRow.sequence, UInt64(distance / step))
  }

  /// Announces a layout before its first block of the session.
  private mutating func announce<Host: AgentSessionHost & ~Copyable>(
    _ number: Int, _ now: Int64, _ host: inout Host
  ) -> Bool {
    guard !announced.contains(number) else { return true }
    guard let layout = layouts.first(where: { $0.number == number }) else { return false }
    frame.removeAll(keepingCapacity: true)
    layout.encode(into: &frame)
    guard host.send(frame) else { return false }
    lastSent = now
    if announced.count == WireLimits.layoutsMax { announced.removeFirst() }
    announced.append(number)
    return true
  }

  // MARK: Late

  /// Sends spooled rows and rows to be sent again, oldest first, within the budget of time and half of the credit.
  private mutating func drain<Host: AgentSessionHost & ~Copyable>(_ now: Int64, _ host: inout Host) {
    let step = Int64(clock.interval.milliseconds)
    let burst = Int64(WireLimits.blockRowsMax)
    let earned = (now - drainBudgetAt) * settings.drainTicksPerTick / step
    // Time that is too short to earn one row is not lost.
    if earned > 0 {
      drainBudget = min(burst, drainBudget + earned)
      drainBudgetAt = now
    }
    while drainBudget > 0, maySendLate {
      guard let sent = sendNextSpooled(now, &host) ?? sendNextLate(now, &host) else { return }
      if sent < 0 { return }
      drainBudget -= Int64(sent)
    }
  }

  /// Live rows may use all of the credit, late ones half of it.
  private var maySendLate: Bool {
    let late = inFlight.count(where: \.isLate)
    return takesOldestOnly ? late < 1 : late < credit / 2 && inFlight.count < credit
  }

  /// Sends the next spooled run. Returns its rows, 0 when it was skipped, -1 when the transport is full, `nil` when
  /// there is none.
  private mutating func sendNextSpooled<Host: AgentSessionHost & ~Copyable>(
    _ now: Int64, _ host: inout Host
  ) -> Int? {
    guard let run = host.spooledRun(endingAtOrAfter: drainNext) else { return nil }
    if durable.containsAll(run.firstSequence, run.lastSequence)
      || sentLive.map({ $0.contains(run.firstSequence) && $0.contains(run.lastSequence) }) == true
      || gaps.covers(run.firstSequence)
    {
      drainNext = run.lastSequence + 1
      return 0
    }
    guard let stamp = finalStamp(of: run) else {
      drainNext = run.lastSequence + 1
      lose(
        Gap(
          reason: .notAnchored, firstSequence: run.firstSequence, lastSequence: run.lastSequence, firstTick: nil,
          lastTick: nil), &host)
      sendGaps(now, &host)
      return 0
    }
    guard announce(run.layoutNumber, now, &host) else { return -1 }
    frame.removeAll(keepingCapacity: true)
    BlockHeader(
      layoutNumber: run.layoutNumber, firstSequence: run.firstSequence, rowCount: run.rowCount,
      anchor: .standalone(
        tick: stamp.tick, boottimeMilliseconds: stamp.boottimeMilliseconds,
        boot: run.boot == settings.boot ? nil : run.boot),
      isCorrected: stamp.isCorrected, isLate: true
    ).encode(into: &frame)
    guard host.readSpooled(run, appendingTo: &frame), frame.count <= WireLimits.frameBytesMax else {
      drainNext = run.lastSequence + 1
      lose(
        Gap(
          reason: .spoolDamaged, firstSequence: run.firstSequence, lastSequence: run.lastSequence,
          firstTick: stamp.tick, lastTick: stamp.tick.advanced(by: run.rowCount - 1, of: interval(run.layoutNumber))),
        &host)
      sendGaps(now, &host)
      return 0
    }
    guard host.send(frame) else { return -1 }
    lastSent = now
    drainNext = run.lastSequence + 1
    inFlight.append(InFlight(first: run.firstSequence, last: run.lastSequence, isLate: true))
    return run.rowCount
  }

  /// The label under which a spooled run is sent, `nil` when its clock cannot be related to real time.
  private func finalStamp(of run: SpooledRun) -> TickStamp? {
    guard run.first.isProvisional else { return run.first }
    let anchor = run.boot == settings.boot ? clock.anchorMilliseconds : state.anchor(of: run.boot)
    if let anchor { return run.first.anchored(at: anchor, interval: interval(run.layoutNumber)) }
    // No aggregator was ever reached in that boot. Its clock is believed as long as it names times that can be.
    guard let serverOffset else { return nil }
    let latest = serverOffset + lastSent + TickClock.toleranceMilliseconds
    let last = run.lastTick(interval(run.layoutNumber))
    guard run.first.tick >= oldestTick, last.unixMilliseconds <= latest else { return nil }
    return run.first
  }

  /// Sends the next rows of memory that must stand alone; returns as ``sendNextSpooled(_:_:)`` does.
  private mutating func sendNextLate<Host: AgentSessionHost & ~Copyable>(
    _ now: Int64, _ host: inout Host
  ) -> Int? {
    guard let index = pending.rows.firstIndex(where: { $0.state == .late }) else { return nil }
    let row = pending.rows[index]
    guard let shape = shape(row.layoutNumber), announce(row.layoutNumber, now, &host) else { return -1 }
    let length = pending.runLength(
      from: index, limit: runRowsMax(shape), interval: interval(row.layoutNumber)
    ) { $0.state == .late }
    collect(index..<(index + length))
    frame.removeAll(keepingCapacity: true)
    BlockHeader(
      layoutNumber: row.layoutNumber, firstSequence: row.sequence, rowCount: length,
      anchor: .standalone(
        tick: row.stamp.tick, boottimeMilliseconds: row.stamp.boottimeMilliseconds, boot: nil),
      isCorrected: row.stamp.isCorrected, isLate: true
    ).encode(into: &frame)
    appendPayload(scratch, shape, ticksSinceBase: nil)
    guard host.send(frame) else { return -1 }
    lastSent = now
    for sent in index..<(index + length) { pending.setState(.sent, at: sent) }
    inFlight.append(InFlight(first: row.sequence, last: row.sequence + UInt64(length) - 1, isLate: true))
    return length
  }

  /// Puts the words of pending rows one after the other.
  mutating func collect(_ range: Range<Int>) {
    scratch.removeAll(keepingCapacity: true)
    for index in range { scratch.append(contentsOf: pending.rows[index].words) }
  }

  /// Rows of one run, so that even rows that cannot be predicted fit into a frame.
  func runRowsMax(_ shape: BlockShape) -> Int {
    var rows = max(1, min(WireLimits.blockRowsMax, WireLimits.blockWordsMax / max(1, shape.width)))
    while rows > 1, shape.payloadBytesMax(rows: rows) > WireLimits.payloadBytesMax { rows /= 2 }
    return rows
  }
}
