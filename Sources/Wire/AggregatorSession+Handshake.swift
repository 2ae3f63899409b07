public import BongsuModel

extension AggregatorSession {
  /// Takes the first frame of a connection.
  ///
  /// - Parameter identity: the node that the connection's key belongs to.
  public mutating func hello<Host: AggregatorSessionHost & ~Copyable>(
    _ frame: RawSpan, over new: ConnectionID, identity: NodeID, _ at: AggregatorInstant,
    _ settings: AggregatorSessionSettings, _ host: inout Host
  ) {
    let hello: Hello
    do throws(FrameError) {
      hello = try Hello(decoding: frame)
    } catch {
      if case .otherVersion = error {
        refuse(new, .unsupportedVersion, "\(error)", settings, &host)
      } else {
        refuse(new, .malformedHello, "\(error)", settings, &host)
      }
      return
    }
    guard WireVersion.negotiated(offered: hello.versions) != nil else {
      let offered = "agent offers \(hello.versions.lowerBound) to \(hello.versions.upperBound)"
      refuse(new, .unsupportedVersion, offered, settings, &host)
      return
    }
    guard hello.node == identity else {
      refuse(new, .nodeMismatch, "key of \(identity), hello says \(hello.node)", settings, &host)
      return
    }
    guard !isRevoked else {
      refuse(new, .revoked, "key of \(identity)", settings, &host)
      return
    }
    guard admit(hello.incarnation, over: new, settings, &host) else { return }
    lastHeard = at.monotonicMilliseconds
    skewMilliseconds = hello.anchor.unixMilliseconds &- at.unixMilliseconds
    host.report(
      .connected(hello.incarnation, agentVersion: hello.agentVersion, skewMilliseconds: skewMilliseconds), of: node)
    welcome(hello, at, settings, &host)
  }

  /// Decides between the run of the agent that speaks and the one that wants to.
  ///
  /// One return of a replaced run may be a late frame of a process that is gone; the second is a machine that lives.
  private mutating func admit<Host: AggregatorSessionHost & ~Copyable>(
    _ new: Incarnation, over newConnection: ConnectionID, _ settings: AggregatorSessionSettings, _ host: inout Host
  ) -> Bool {
    if let current = incarnation, current != new {
      let alternates = fenced.contains(new)
      if alternates {
        alternations = min(alternations, 254) + 1
        if alternations >= 2 { host.report(.clonedKey(current, new), of: node) }
      }
      if isConnected {
        if alternates {
          refuse(newConnection, alternations >= 2 ? .clonedKey : .fenced, "", settings, &host)
          return false
        }
        refuse(connection, .fenced, "", settings, &host)
        host.report(.fenced(current), of: node)
      }
    } else if isConnected {
      // The same run has come back before its old connection was seen to be gone.
      host.close(connection)
    }
    connection = newConnection
    baseSequence = 0
    return true
  }

  private mutating func welcome<Host: AggregatorSessionHost & ~Copyable>(
    _ hello: Hello, _ at: AggregatorInstant, _ settings: AggregatorSessionSettings, _ host: inout Host
  ) {
    // Two ways of sharing a numbering: a run that had been replaced is back, and the one that replaced it has used the
    // same numbers; or a run began at numbers that are used already, since its disk is an older copy of itself.
    let unused = incarnation == hello.incarnation ? hello.nextSequence : hello.firstSequenceOfRun
    let isReturning = fenced.contains(hello.incarnation)
    let isOvertaken = stream == hello.stream && (isReturning || received.highest >= unused)
    if !isOvertaken, incarnation != hello.incarnation {
      let isRestart = incarnation != nil
      follow(hello.incarnation)
      wrote(host.store(.run(node, hello.incarnation)), committed: at.committedRecord)
      if isRestart, stream == hello.stream { recordGap(.agentRestart, hello, at, &host) }
    }
    if stream != hello.stream { replaceStream(by: hello, at, &host) }
    for layout in hello.layouts { host.announce(layout, of: node, hello.stream) }
    let acknowledged = durable(through: at.committedRecord)
    let oldest = max(0, at.unixMilliseconds - settings.retention)
    var bytes: [UInt8] = []
    Welcome(
      requiresNewStream: isOvertaken, stream: hello.stream, serverUnixMilliseconds: at.unixMilliseconds,
      echoedBoottimeMilliseconds: hello.anchor.boottimeMilliseconds, creditBlocks: settings.creditBlocks,
      ackIntervalMilliseconds: Int(settings.ackInterval), oldestTick: Tick(unixMilliseconds: oldest),
      newestTick: newestTick == .min ? nil : Tick(unixMilliseconds: newestTick), durable: acknowledged
    ).encode(into: &bytes)
    host.send(bytes, over: connection)
    if isOvertaken {
      // The run is not followed before it comes back with a stream of its own, so that it is told again if need be.
      connection = .none
      return
    }
    blocksSinceAck = 0
    hasAcknowledged = false
    acknowledgedCount = acknowledged.count
    ackDueSince = acknowledged == received ? .max : at.monotonicMilliseconds
  }

  /// Goes over to the agent's new numbering. What the old one still had is lost.
  private mutating func replaceStream<Host: AggregatorSessionHost & ~Copyable>(
    by hello: Hello, _ at: AggregatorInstant, _ host: inout Host
  ) {
    let replaced = stream != nil
    if replaced { recordGap(.newStream, hello, at, &host) }
    let tickFloor = newestTick == .min ? nil : Tick(unixMilliseconds: newestTick)
    begin(hello.stream, tickFloor: tickFloor)
    let record = host.store(.stream(node, hello.stream, tickFloor: tickFloor))
    lastRecord = record
    markRecord = record
    host.report(.newStream(hello.stream, replaced: replaced), of: node)
  }

  /// Records that rows may be missing: from the first number that is missing, or the last row that is stored, to now. Rows
  /// that come later from a spool count before it.
  private mutating func recordGap<Host: AggregatorSessionHost & ~Copyable>(
    _ reason: GapReason, _ hello: Hello, _ at: AggregatorInstant, _ host: inout Host
  ) {
    // What is missing below a stored row has an older tick than that row.
    let hasHoles = reason == .newStream && !received.ranges.isEmpty
    let above = hasHoles ? received.floorTick : newestTick
    var first = Tick(unixMilliseconds: above &+ 1)
    if above == .min { first = Tick(unixMilliseconds: at.unixMilliseconds - Self.unknownSpan) }
    let last = Tick(unixMilliseconds: at.unixMilliseconds)
    guard first <= last else { return }
    let gap = JournalGap(
      node: node, sequences: nil, reason: reason, ticks: max(first, Tick(unixMilliseconds: 0))...last)
    wrote(host.store(.gap(gap)), committed: at.committedRecord)
    host.report(.gap(gap), of: node)
  }

  /// Says why a connection gets no session, and ends it.
  mutating func refuse<Host: AggregatorSessionHost & ~Copyable>(
    _ refused: ConnectionID, _ reason: RefuseReason, _ detail: String, _ settings: AggregatorSessionSettings,
    _ host: inout Host
  ) {
    var bytes: [UInt8] = []
    let wait: Int64 =
      switch reason {
      case .helloExpected: 0
      // A run that was replaced and lives is to be told from a late frame soon: by its second return.
      case .fenced: settings.retryAfterFenced
      default: settings.retryAfterRefusal
      }
    Refuse(reason: reason, retryAfterMilliseconds: UInt64(wait), detail: detail).encode(into: &bytes)
    host.send(bytes, over: refused)
    host.close(refused)
    host.report(.refused(reason), of: node)
    if refused == connection { connection = .none }
  }

  /// The node's key is revoked, or enrolled again.
  public mutating func setRevoked<Host: AggregatorSessionHost & ~Copyable>(
    _ isRevoked: Bool, _ settings: AggregatorSessionSettings, _ host: inout Host
  ) {
    self.isRevoked = isRevoked
    if isRevoked, isConnected { refuse(connection, .revoked, "", settings, &host) }
  }

  /// What the registry says of the node's key when the process starts, before any connection.
  public mutating func setRevoked(whileOffline isRevoked: Bool) { self.isRevoked = isRevoked }

  /// The transport lost a connection.
  public mutating func connectionLost<Host: AggregatorSessionHost & ~Copyable>(
    _ lost: ConnectionID, _ host: inout Host
  ) {
    guard lost == connection else { return }
    connection = .none
    host.report(.disconnected, of: node)
  }
}
