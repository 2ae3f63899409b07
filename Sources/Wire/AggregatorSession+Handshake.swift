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
  private mutating func admit<Host: AggregatorSessionHost & ~Copyable>(
    _ new: Incarnation, over newConnection: ConnectionID, _ settings: AggregatorSessionSettings, _ host: inout Host
  ) -> Bool {
    if let current = incarnation, current != new {
      let alternates = fenced.contains(new)
      if alternates { host.report(.clonedKey(current, new), of: node) }
      if isConnected {
        if alternates {
          refuse(newConnection, .clonedKey, "the other one is connected", settings, &host)
          return false
        }
        refuse(connection, .fenced, "", settings, &host)
        host.report(.fenced(current), of: node)
      }
      fenced.removeAll { $0 == new || $0 == current }
      fenced.insert(current, at: 0)
      if fenced.count > Self.fencedMax { fenced.removeLast() }
    } else if isConnected {
      // The same run has come back before its old connection was seen to be gone.
      host.close(connection)
    }
    incarnation = new
    connection = newConnection
    baseSequence = 0
    return true
  }

  private mutating func welcome<Host: AggregatorSessionHost & ~Copyable>(
    _ hello: Hello, _ at: AggregatorInstant, _ settings: AggregatorSessionSettings, _ host: inout Host
  ) {
    var isOvertaken = false
    if stream != hello.stream {
      replaceStream(by: hello, at, &host)
    } else if received.highest >= hello.nextSequence {
      // The agent is about to give numbers that rows have already: its disk is an older copy of itself.
      isOvertaken = true
    }
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
    blocksSinceAck = 0
    acknowledgedFloor = acknowledged.floor
    ackDueSince = acknowledged == received ? .max : at.monotonicMilliseconds
  }

  /// Goes over to the agent's new numbering. What the old one still had is lost, from the last stored tick to now.
  private mutating func replaceStream<Host: AggregatorSessionHost & ~Copyable>(
    by hello: Hello, _ at: AggregatorInstant, _ host: inout Host
  ) {
    let replaced = stream != nil
    let tickFloor = newestTick == .min ? nil : Tick(unixMilliseconds: newestTick)
    begin(hello.stream, tickFloor: tickFloor)
    var record = host.store(.stream(node, hello.stream, tickFloor: tickFloor))
    if replaced {
      let interval = hello.layouts.first?.layout.interval ?? .second
      let first = tickFloor?.advanced(by: 1, of: interval)
      let last = Tick(unixMilliseconds: at.unixMilliseconds)
      let gap = JournalGap(
        node: node, sequences: nil, reason: .newStream, ticks: first.flatMap { $0 <= last ? $0...last : nil })
      record = host.store(.gap(gap))
      host.report(.gap(gap), of: node)
    }
    lastRecord = record
    markRecord = record
    host.report(.newStream(hello.stream, replaced: replaced), of: node)
  }

  /// Says why a connection gets no session, and ends it.
  mutating func refuse<Host: AggregatorSessionHost & ~Copyable>(
    _ refused: ConnectionID, _ reason: RefuseReason, _ detail: String, _ settings: AggregatorSessionSettings,
    _ host: inout Host
  ) {
    var bytes: [UInt8] = []
    Refuse(
      reason: reason,
      retryAfterMilliseconds: reason == .helloExpected ? 0 : UInt64(settings.retryAfterRefusal), detail: detail
    ).encode(into: &bytes)
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

  /// The transport lost a connection.
  public mutating func connectionLost<Host: AggregatorSessionHost & ~Copyable>(
    _ lost: ConnectionID, _ host: inout Host
  ) {
    guard lost == connection else { return }
    connection = .none
    host.report(.disconnected, of: node)
  }
}
