internal import BongsuModel

extension AggregatorSession {
  /// Takes a frame other than Hello. Frames of connections that are not listened to are answered with a refusal.
  ///
  /// - Throws: ``FrameError`` when the frame cannot be read, for the caller to count; the session goes on, and what the
  ///   frame may have held is sent again by the agent.
  /// - Complexity: O(values) for a block whose numbers follow the last, without allocation in the session.
  public mutating func receive<Host: AggregatorSessionHost & ~Copyable>(
    _ frame: RawSpan, over from: ConnectionID, _ at: AggregatorInstant, _ settings: AggregatorSessionSettings,
    _ host: inout Host
  ) throws(FrameError) {
    guard from == connection, connection != .none else {
      refuse(from, .helloExpected, "", settings, &host)
      return
    }
    switch try FrameType(of: frame) {
    case .block:
      var offset = 0
      let header = try BlockHeader(decoding: frame, payloadOffset: &offset)
      lastHeard = at.monotonicMilliseconds
      take(header, frame.extracting(offset...), at, settings, &host)
    case .gap:
      let gap = try Gap(decoding: frame)
      lastHeard = at.monotonicMilliseconds
      take(gap, at, &host)
    case .layout:
      let layout = try LayoutAnnouncement(decoding: frame)
      lastHeard = at.monotonicMilliseconds
      if let stream { host.announce(layout, of: node, stream) }
    case .heartbeat:
      let heartbeat = try Heartbeat(decoding: frame)
      lastHeard = at.monotonicMilliseconds
      answer(heartbeat, at, &host)
    case .hello, .welcome, .refuse, .ack, .reject:
      throw .unexpectedType(seen: try FrameType(of: frame), expected: .block)
    }
  }

  /// Time has passed: sends the acknowledgement that is due and notices silence. Call it about once a second.
  public mutating func sweep<Host: AggregatorSessionHost & ~Copyable>(
    _ at: AggregatorInstant, _ settings: AggregatorSessionSettings, _ host: inout Host
  ) {
    guard isConnected else { return }
    if at.monotonicMilliseconds - lastHeard >= settings.silenceTimeout {
      refuse(connection, .silent, "", settings, &host)
      host.report(.disconnected, of: node)
      return
    }
    let patience = hasAcknowledged ? settings.ackInterval : 0
    guard ackDueSince != .max, at.monotonicMilliseconds - ackDueSince >= patience else { return }
    acknowledge(at, settings, &host)
  }

  /// Sends what is on disk by now.
  func encodeAck(_ acknowledged: SequenceSet, _ settings: AggregatorSessionSettings, into bytes: inout [UInt8]) {
    Ack(
      creditBlocks: settings.creditBlocks,
      takesOldestOnly: received.ranges.count >= WireLimits.sequenceRangesMax - 1, durable: acknowledged
    ).encode(into: &bytes)
  }

  mutating func acknowledge<Host: AggregatorSessionHost & ~Copyable>(
    _ at: AggregatorInstant, _ settings: AggregatorSessionSettings, _ host: inout Host
  ) {
    let acknowledged = durable(through: at.committedRecord)
    let isComplete = acknowledged == received
    // While the disk takes nothing there is nothing to say; the agent spools.
    guard isComplete || acknowledged.count > acknowledgedCount else { return }
    var bytes: [UInt8] = []
    // The usual Ack has one number and no ranges: one allocation every few seconds.
    bytes.reserveCapacity(32)
    encodeAck(acknowledged, settings, into: &bytes)
    host.send(bytes, over: connection)
    acknowledgedCount = acknowledged.count
    blocksSinceAck = 0
    hasAcknowledged = true
    ackDueSince = isComplete ? .max : at.monotonicMilliseconds
  }

  /// Notes that something awaits acknowledgement, and acknowledges at once when the agent has used half of its credit.
  mutating func owe<Host: AggregatorSessionHost & ~Copyable>(
    _ at: AggregatorInstant, _ settings: AggregatorSessionSettings, _ host: inout Host
  ) {
    if ackDueSince == .max { ackDueSince = at.monotonicMilliseconds }
    blocksSinceAck += 1
    if blocksSinceAck >= settings.creditBlocks / 2 { acknowledge(at, settings, &host) }
  }

  private mutating func answer<Host: AggregatorSessionHost & ~Copyable>(
    _ heartbeat: Heartbeat, _ at: AggregatorInstant, _ host: inout Host
  ) {
    guard !heartbeat.isReply else { return }
    skewMilliseconds = heartbeat.unixMilliseconds &- at.unixMilliseconds
    host.report(.skew(milliseconds: skewMilliseconds), of: node)
    var bytes: [UInt8] = []
    Heartbeat(
      isReply: true, unixMilliseconds: at.unixMilliseconds, boottimeMilliseconds: heartbeat.boottimeMilliseconds
    ).encode(into: &bytes)
    host.send(bytes, over: connection)
  }

  /// Consumes numbers that will never come.
  private mutating func take<Host: AggregatorSessionHost & ~Copyable>(
    _ gap: Gap, _ at: AggregatorInstant, _ host: inout Host
  ) {
    if ackDueSince == .max { ackDueSince = at.monotonicMilliseconds }
    guard let missing = received.firstMissing(gap.firstSequence, gap.lastSequence) else { return }
    let bounds = received.tickBounds(ofMissing: missing.first)
    let first = gap.firstTick?.unixMilliseconds ?? (bounds.above == .min ? nil : bounds.above + 1)
    let last = gap.lastTick?.unixMilliseconds ?? min(bounds.below - 1, at.unixMilliseconds)
    // When the range list is full the gap stays open; the agent says it again.
    guard received.insert(gap.firstSequence, gap.lastSequence) else { return }
    let from = first ?? max(0, last - Self.unknownSpan)
    let ticks = from <= last ? Tick(unixMilliseconds: from)...Tick(unixMilliseconds: last) : nil
    consume(
      JournalGap(
        node: node, sequences: gap.firstSequence...gap.lastSequence, reason: gap.reason, ticks: ticks), at, &host)
  }

  mutating func consume<Host: AggregatorSessionHost & ~Copyable>(
    _ gap: JournalGap, _ at: AggregatorInstant, _ host: inout Host
  ) {
    let record = host.store(.gap(gap))
    wrote(record, committed: at.committedRecord)
    host.report(.gap(gap), of: node)
  }
}
