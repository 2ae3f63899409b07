internal import BongsuModel

extension AgentSession {
  /// Opens a connection and says Hello.
  mutating func greet<Host: AgentSessionHost & ~Copyable>(_ reading: ClockReading, _ host: inout Host) {
    let now = reading.boottimeMilliseconds
    host.connect()
    phase = .greeting(since: now)
    lastHeard = now
    announced = [layouts[currentLayout].number]
    let hello = Hello(
      node: settings.node, stream: state.stream, incarnation: settings.incarnation, boot: settings.boot,
      anchor: reading, firstSequenceOfRun: firstOfRun, nextSequence: nextSequence, agentVersion: settings.agentVersion,
      layouts: [layouts[currentLayout]])
    frame.removeAll(keepingCapacity: true)
    hello.encode(into: &frame)
    _ = host.send(frame)
    lastSent = now
  }

  /// Gives up the connection and comes back after a random part of the back-off.
  mutating func end<Host: AgentSessionHost & ~Copyable>(
    _ reason: Disconnection, _ now: Int64, _ host: inout Host
  ) {
    host.disconnect()
    pending.sessionEnded()
    gaps.sessionEnded()
    inFlight.removeAll(keepingCapacity: true)
    forgetBase()
    sentLive = nil
    drainNext = 1
    takesOldestOnly = false
    failures = min(failures + 1, 16)
    // Full jitter spreads a nation of agents over the whole window, whatever made them reconnect at once.
    var wait = random.upTo(min(settings.reconnectMax, settings.reconnectBase << Int64(min(failures - 1, 8))))
    if case .refused(let refuse) = reason {
      wait += Int64(min(refuse.retryAfterMilliseconds, WireLimits.durationMillisecondsMax))
    }
    phase = .offline(retryAt: now + wait)
    host.report(.disconnected(reason, retryAfterMilliseconds: wait))
  }

  /// Takes a frame of the aggregator.
  mutating func take<Host: AgentSessionHost & ~Copyable>(
    _ bytes: RawSpan, _ reading: ClockReading, _ host: inout Host
  ) throws(FrameError) {
    let now = reading.boottimeMilliseconds
    switch try FrameType(of: bytes) {
    case .welcome: take(try Welcome(decoding: bytes), reading, &host)
    case .refuse: end(.refused(try Refuse(decoding: bytes)), now, &host)
    case .ack:
      let ack = try Ack(decoding: bytes)
      guard phase == .established else { return }
      take(ack, &host)
      pump(reading, &host)
    case .reject:
      let reject = try Reject(decoding: bytes)
      guard phase == .established else { return }
      take(reject, &host)
      pump(reading, &host)
    case .heartbeat:
      let heartbeat = try Heartbeat(decoding: bytes)
      guard heartbeat.isReply, phase == .established else { return }
      compareClocks(
        server: heartbeat.unixMilliseconds, sentAt: heartbeat.boottimeMilliseconds, reading, &host)
    case .hello, .layout, .block, .gap:
      // These travel the other way; a peer that sends them is not an aggregator of ours.
      throw .unexpectedType(seen: try FrameType(of: bytes), expected: .ack)
    }
  }

  private mutating func take<Host: AgentSessionHost & ~Copyable>(
    _ welcome: Welcome, _ reading: ClockReading, _ host: inout Host
  ) {
    guard case .greeting = phase, welcome.stream == state.stream else { return }
    phase = .established
    failures = 0
    credit = welcome.creditBlocks
    oldestTick = welcome.oldestTick
    drainBudgetAt = reading.boottimeMilliseconds
    lastClockQuestion = reading.boottimeMilliseconds
    compareClocks(
      server: welcome.serverUnixMilliseconds, sentAt: welcome.echoedBoottimeMilliseconds, reading, &host)
    if let newest = welcome.newestTick { avoidTicks(through: newest) }
    host.report(.welcomed(skewMilliseconds: clock.skewMilliseconds))
    if welcome.requiresNewStream {
      startNewStream(endedBy: .newStream, reading, &host)
      return
    }
    durable = welcome.durable
    releaseDurable(&host)
    // Rows at ticks that the aggregator has already may be refused. They go out by themselves, so that no live block
    // is based on one.
    if let newest = welcome.newestTick { pending.sendAlone(through: newest) }
    accountForMissing(&host)
    pump(reading, &host)
  }

  private mutating func take<Host: AgentSessionHost & ~Copyable>(_ ack: Ack, _ host: inout Host) {
    credit = ack.creditBlocks
    takesOldestOnly = ack.takesOldestOnly
    durable = ack.durable
    releaseDurable(&host)
    resendPassedOver()
    if gaps.count == 0 { accountForMissing(&host) }
  }

  private mutating func releaseDurable<Host: AgentSessionHost & ~Copyable>(_ host: inout Host) {
    pending.release(durable)
    gaps.release(durable)
    host.release(durable)
  }

  /// The aggregator stores what it takes in the order in which it comes. So when a block is acknowledged, blocks that
  /// were sent before it and are not acknowledged were not taken, and go out again.
  private mutating func resendPassedOver() {
    guard let newest = inFlight.lastIndex(where: { durable.containsAll($0.first, $0.last) }) else { return }
    for block in inFlight[..<newest] where !durable.containsAll(block.first, block.last) {
      sendAgain(block.first, block.last)
    }
    inFlight.removeFirst(newest + 1)
    if inFlight.isEmpty { inFlight.removeAll(keepingCapacity: true) }
  }

  /// Puts numbers back among those to be sent, standing alone.
  mutating func sendAgain(_ first: UInt64, _ last: UInt64) {
    guard !pending.sendAgain(first, last) else { return }
    drainNext = min(drainNext, first)
    sentLive = nil
  }

  private mutating func take<Host: AgentSessionHost & ~Copyable>(_ reject: Reject, _ host: inout Host) {
    host.report(.rejected(reject))
    forgetBase()
    // A final rejection consumes the numbers; they are acknowledged once its gap record is on disk.
    guard !reject.reason.isFinal else { return }
    inFlight.removeAll { $0.first >= reject.firstSequence && $0.last <= reject.lastSequence }
    sendAgain(reject.firstSequence, reject.lastSequence)
    switch reject.reason {
    case .unknownLayout: announced.removeAll()
    case .rangesFull: takesOldestOnly = true
    case .baseMissing, .undecodable, .tickInFuture, .tickTooOld, .tickTaken: break
    }
  }

  /// Sends a heartbeat when nothing else was sent for a while, and when the clocks should be compared again.
  mutating func keepAlive<Host: AgentSessionHost & ~Copyable>(_ reading: ClockReading, _ host: inout Host) {
    let now = reading.boottimeMilliseconds
    let isQuiet = now - lastSent >= settings.heartbeatInterval || now - lastHeard >= settings.heartbeatInterval
    guard isQuiet || now - lastClockQuestion >= settings.clockInterval else { return }
    guard now - lastClockQuestion >= settings.heartbeatInterval else { return }
    lastClockQuestion = now
    frame.removeAll(keepingCapacity: true)
    Heartbeat(isReply: false, unixMilliseconds: reading.unixMilliseconds, boottimeMilliseconds: now)
      .encode(into: &frame)
    if host.send(frame) { lastSent = now }
  }

  /// The next live block stands alone.
  mutating func forgetBase() {
    baseRow = nil
    blocksSinceKeyframe = 0
  }
}
