internal import BongsuCodec
internal import BongsuMetrics
internal import BongsuModel
internal import BongsuRing
internal import BongsuRollup
internal import BongsuTransport
internal import BongsuWire

/// What the sessions of a shard act upon: live rows, rollup, journal, and the way back to the agents.
///
/// Kept apart from the sessions, so that a session can be changed in place while it calls this.
struct ShardHost: AggregatorSessionHost, ~Copyable {
  var nodes: [ShardNode] = []
  var rollup: ShardRollup
  /// By the nodes' own numbers.
  var energy: EnergyLedger
  var journal: JournalFeed
  /// The way back to each receiver.
  private let replies: [ReplyLane]
  let pool: MessagePool
  let counters: IngestCounters
  /// Monotonic nanoseconds of the event under way.
  var now: Int64 = 0
  /// Wall clock of the event under way, milliseconds.
  var wall: Int64 = 0
  /// Rows decoded last.
  private var rows: [Int64] = []
  var decoder = BlockDecoder()
  var encoder = BlockEncoder()
  var connectedCount = 0
  /// Layouts announced so far, for their versions, and the newest one's shape.
  private var layoutsAnnounced: UInt32 = 0
  private var newestShape: BlockShape?

  init(
    rollup: consuming ShardRollup, journal: consuming JournalFeed, replies: sending [ReplyLane],
    pool: MessagePool, counters: IngestCounters
  ) {
    energy = EnergyLedger(rollup.plan)
    self.rollup = rollup
    self.journal = journal
    self.replies = replies
    self.pool = pool
    self.counters = counters
  }

  // MARK: Frames out

  mutating func send(_ bytes: borrowing [UInt8], over connection: BongsuWire.ConnectionID) {
    let span = bytes.span
    if bytes.first.map({ $0 & 0x1F }) == FrameType.ack.rawValue { counters.acknowledgements.add() }
    // SAFETY: bytes have no padding.
    guard var message = try? unsafe Message(copying: span.bytes), let handle = pool.park(&message) else {
      counters.replyDropped(.wouldBlock)
      return
    }
    push(Reply(kind: .send, connection: connection.routingNumber, message: handle.rawValue), to: connection.receiver)
  }

  mutating func close(_ connection: BongsuWire.ConnectionID) {
    push(Reply(kind: .forget, connection: connection.routingNumber, message: 0), to: connection.receiver)
  }

  /// Cuts a connection whose node is revoked.
  mutating func cut(_ connection: BongsuWire.ConnectionID) {
    push(Reply(kind: .cut, connection: connection.routingNumber, message: 0), to: connection.receiver)
  }

  private func push(_ reply: Reply, to receiver: Int) {
    if replies[receiver].ring.tryPush(reply) { return }
    // The receiver always drains replies, also while a shard's ring is full, so this ends.
    while !replies[receiver].ring.isConsumerGone {
      _ = replies[receiver].ring.waitForSpace(timeout: .milliseconds(10))
      if replies[receiver].ring.tryPush(reply) { return }
    }
    if reply.kind == .send { _ = pool.take(MessageHandle(rawValue: reply.message)) }
  }

  // MARK: Layouts

  mutating func layout(_ number: Int, of node: NodeNumber) -> LayoutGeometry? {
    let index = Int(node.rawValue)
    guard let layout = nodes[index].layoutIndex(number) else { return nil }
    let shape = nodes[index].layouts[layout].shape
    return LayoutGeometry(interval: shape.layout.interval, width: shape.width)
  }

  mutating func announce(_ announcement: LayoutAnnouncement, of node: NodeNumber, _ stream: StreamID) {
    let index = Int(node.rawValue)
    if let known = nodes[index].layoutIndex(announcement.number) {
      guard
        nodes[index].layouts[known].stream != stream
          || nodes[index].layouts[known].announcement.layout != announcement.layout
      else { return }
      nodes[index].layouts.remove(at: known)
    }
    if nodes[index].layouts.count >= WireLimits.layoutsMax { nodes[index].layouts.removeFirst() }
    layoutsAnnounced &+= 1
    let shape = BlockShape(announcement.layout, like: newestShape)
    newestShape = shape
    nodes[index].layouts.append(
      ShardNode.Layout(
        announcement: announcement, stream: stream, shape: shape, version: layoutsAnnounced, journalSegment: 0))
    nodes[index].forgetEarlier()
    // A number with a new meaning makes what was remembered of the old one worthless.
    if nodes[index].liveLayout == announcement.number {
      nodes[index].liveLayout = -1
      nodes[index].journalBase.streamChanged()
    }
    if nodes[index].memberLayout == announcement.number { nodes[index].memberLayout = -1 }
  }

  // MARK: Blocks

  mutating func decode(
    _ header: BongsuWire.BlockHeader, _ payload: RawSpan, ticksSinceBase: Int?, of node: NodeNumber
  ) -> Bool {
    let index = Int(node.rawValue)
    guard let layout = nodes[index].layoutIndex(header.layoutNumber) else { return false }
    let shape = nodes[index].layouts[layout].shape
    // Row and scratch are moved out for the call, since their spans would hold all of `self`.
    var base: [Int64] = []
    swap(&base, &nodes[index].row)
    defer { swap(&base, &nodes[index].row) }
    if ticksSinceBase != nil {
      guard base.count == shape.width, nodes[index].liveLayout == header.layoutNumber else { return false }
    }
    var scratch: [Int64] = []
    swap(&scratch, &rows)
    defer { swap(&scratch, &rows) }
    let words = header.rowCount * shape.width
    if scratch.count < words { scratch.append(contentsOf: repeatElement(0, count: words - scratch.count)) }
    do throws(BlockError) {
      var target = scratch.mutableSpan
      let count =
        if let ticksSinceBase {
          try decoder.decode(
            payload, shape: shape, base: base.span, ticksSinceBase: ticksSinceBase, into: &target)
        } else {
          try decoder.decode(payload, shape: shape, base: nil, into: &target)
        }
      guard count == header.rowCount else { return false }
    } catch {
      return false
    }
    for row in 0..<header.rowCount where decoder.tickOffset(ofRow: row) != row { return false }
    return true
  }

  mutating func store(_ block: AcceptedBlock, _ payload: RawSpan) -> UInt64 {
    let index = Int(block.entry.node.rawValue)
    let record = write(block, payload, index)
    apply(block.entry, index)
    counters.blocks.addAsOnlyWriter()
    return record
  }

  /// Puts a block into the journal. One whose base a reader of the segment cannot have is packed again to stand alone.
  private mutating func write(_ block: AcceptedBlock, _ payload: RawSpan, _ index: Int) -> UInt64 {
    guard let layout = introduce(index, layout: block.entry.header.layoutNumber) else {
      preconditionFailure("a block was accepted whose layout is unknown")
    }
    let interval = nodes[index].layouts[layout].shape.layout.interval
    if nodes[index].journalSegment != journal.segment {
      nodes[index].journalSegment = journal.segment
      nodes[index].journalBase = JournalBase()
    }
    if nodes[index].journalBase.admits(block.entry, interval: interval) {
      return journal.append(now: now) { bytes in
        block.entry.encode(into: &bytes)
        append(payload, to: &bytes)
      }
    }
    var entry = block.entry
    entry.header.anchor = .standalone(
      tick: entry.firstTick, boottimeMilliseconds: block.boottimeMilliseconds, boot: nil)
    let isAdmitted = nodes[index].journalBase.admits(entry, interval: interval)
    assert(isAdmitted, "a block that stands alone needs no base")
    let shape = nodes[index].layouts[layout].shape
    var standalone: [UInt8] = []
    var scratch: [Int64] = []
    swap(&scratch, &rows)
    defer { swap(&scratch, &rows) }
    let words = entry.header.rowCount * shape.width
    do throws(BlockError) {
      let values = scratch.span.extracting(first: words)
      try encoder.encode(rows: values, shape: shape, base: nil, appendingTo: &standalone)
    } catch {
      preconditionFailure("rows that were decoded cannot be packed again: \(error)")
    }
    return journal.append(now: now) { bytes in
      entry.encode(into: &bytes)
      bytes.append(contentsOf: standalone)
    }
  }

  /// Writes the node and a layout into the present segment unless they are there, so that segments stand alone.
  private mutating func introduce(_ index: Int, layout number: Int) -> Int? {
    guard let layout = nodes[index].layoutIndex(number) else { return nil }
    guard nodes[index].layouts[layout].journalSegment != journal.segment else { return layout }
    introduce(index)
    let entry = JournalEntry.layout(
      nodes[index].number, nodes[index].layouts[layout].stream, nodes[index].layouts[layout].announcement)
    _ = journal.append(now: now) { entry.encode(into: &$0) }
    nodes[index].layouts[layout].journalSegment = journal.segment
    return layout
  }

  /// Writes the node's name into the present segment unless it is there: before anything else that concerns it.
  private mutating func introduce(_ index: Int) {
    guard nodes[index].nameSegment != journal.segment else { return }
    nodes[index].nameSegment = journal.segment
    let entry = JournalEntry.node(nodes[index].number, nodes[index].id)
    _ = journal.append(now: now) { entry.encode(into: &$0) }
  }

  /// Applies the rows that count to the rollup and the live table.
  mutating func apply(_ entry: JournalBlock, _ index: Int) {
    guard let layout = nodes[index].layoutIndex(entry.header.layoutNumber) else { return }
    let shape = nodes[index].layouts[layout].shape
    let member = self.member(index, layout: entry.header.layoutNumber, shape)
    energy.adopt(index, nodes[index].id, shape.layout, version: nodes[index].layouts[layout].version)
    var scratch: [Int64] = []
    swap(&scratch, &rows)
    defer { swap(&scratch, &rows) }
    let step = Int64(shape.layout.interval.milliseconds)
    entry.forEachPart { part in
      for row in part {
        let tick = entry.firstTick.unixMilliseconds + Int64(row) * step
        let values = scratch.span.extracting((row * shape.width)..<((row + 1) * shape.width))
        add(member, at: Tick(unixMilliseconds: tick), values)
        energy.add(index, at: Tick(unixMilliseconds: tick), values)
        nodes[index].rows += 1
        if tick > nodes[index].liveTick { keep(row, of: entry, scratch, index) } else { nodes[index].miss(tick) }
      }
      counters.samples.addAsOnlyWriter(UInt64(part.count * shape.width))
    }
  }

  /// Counts the energy of the block decoded last.
  mutating func countEnergy(_ entry: JournalBlock, _ index: Int) {
    guard let layout = nodes[index].layoutIndex(entry.header.layoutNumber) else { return }
    let shape = nodes[index].layouts[layout].shape
    energy.adopt(index, nodes[index].id, shape.layout, version: nodes[index].layouts[layout].version)
    var scratch: [Int64] = []
    swap(&scratch, &rows)
    defer { swap(&scratch, &rows) }
    let step = Int64(shape.layout.interval.milliseconds)
    entry.forEachPart { part in
      for row in part {
        let values = scratch.span.extracting((row * shape.width)..<((row + 1) * shape.width))
        energy.add(index, at: Tick(unixMilliseconds: entry.firstTick.unixMilliseconds + Int64(row) * step), values)
      }
    }
  }

  /// Makes the newest row of the block decoded last the live one, if it is newer.
  mutating func keepNewest(_ entry: JournalBlock, _ index: Int) {
    guard let layout = nodes[index].layoutIndex(entry.header.layoutNumber) else { return }
    let step = Int64(nodes[index].layouts[layout].shape.layout.interval.milliseconds)
    var newest = -1
    entry.forEachPart { part in
      let tick = entry.firstTick.unixMilliseconds + Int64(part.upperBound - 1) * step
      if tick > nodes[index].liveTick { newest = part.upperBound - 1 }
    }
    var scratch: [Int64] = []
    swap(&scratch, &rows)
    defer { swap(&scratch, &rows) }
    keep(newest, of: entry, scratch, index)
    nodes[index].forgetEarlier()
  }

  private mutating func keep(_ row: Int, of entry: JournalBlock, _ scratch: borrowing [Int64], _ index: Int) {
    guard row >= 0, let layout = nodes[index].layoutIndex(entry.header.layoutNumber) else { return }
    let shape = nodes[index].layouts[layout].shape
    let tick = entry.firstTick.unixMilliseconds + Int64(row) * Int64(shape.layout.interval.milliseconds)
    nodes[index].keep(
      scratch[(row * shape.width)..<((row + 1) * shape.width)], at: tick, layout: entry.header.layoutNumber)
  }

  private mutating func member(_ index: Int, layout number: Int, _ shape: BlockShape) -> MemberNumber {
    if let member = nodes[index].member, nodes[index].memberLayout == number { return member }
    let member = rollup.join(nodes[index].id, layout: shape.layout)
    nodes[index].member = member
    nodes[index].memberLayout = number
    return member
  }

  private mutating func add(_ member: MemberNumber, at tick: Tick, _ row: Span<Int64>) {
    switch rollup.add(member, at: tick, row: row) {
    case .added: break
    case .late:
      counters.lateRows.add()
      rollup.addLate(member, at: tick, row: row)
    case .ahead, .duplicate: counters.unrolledRows.add()
    }
  }

  // MARK: Other entries

  mutating func store(_ entry: JournalEntry) -> UInt64 {
    introduce(entry.node)
    if case .stream = entry { nodes[entry.node].journalBase.streamChanged() }
    return journal.append(now: now) { entry.encode(into: &$0) }
  }

  mutating func report(_ notice: AggregatorNotice, of node: NodeNumber) {
    let index = Int(node.rawValue)
    switch notice {
    case .connected(_, let agentVersion, let skew):
      nodes[index].agentVersion = agentVersion
      nodes[index].skewMilliseconds = skew
      setConnected(index, true)
    case .disconnected: setConnected(index, false)
    case .refused(let reason): counters.refuse(RefusalCause(reason))
    case .rejected(let reject): counters.reject(reject.reason)
    case .gap(let gap): count(gap, nodes[index])
    case .duplicates: counters.duplicateBlocks.add()
    case .newStream(_, let replaced):
      // The spooled rows of the old stream are gone; a gap record says which.
      if replaced { counters.say("node \(nodes[index].id) lost its spool and starts a new numbering") }
    case .fenced: counters.say("node \(nodes[index].id): a newer start of its agent took over")
    case .clonedKey:
      // Both machines come back every few seconds; people are told once.
      if !nodes[index].isKeyShared {
        counters.say("node \(nodes[index].id): two machines use its key; revoke it and let each join by itself")
      }
      nodes[index].isKeyShared = true
    case .skew(let milliseconds): nodes[index].skewMilliseconds = milliseconds
    }
  }

  private func count(_ gap: JournalGap, _ node: ShardNode) {
    let step = Int64(node.layouts.last?.shape.layout.interval.milliseconds ?? 1000)
    let span = gap.ticks.map { ($0.upperBound.unixMilliseconds - $0.lowerBound.unixMilliseconds) / step + 1 } ?? 0
    counters.gap(gap.reason, ticks: UInt64(max(0, span)))
  }

  mutating func setConnected(_ index: Int, _ isConnected: Bool) {
    guard nodes[index].isConnected != isConnected else { return }
    nodes[index].isConnected = isConnected
    connectedCount += isConnected ? 1 : -1
    counters.connectedNodes.add(isConnected ? 1 : -1)
  }
}

/// A shard's way back to one receiver. A class, because arrays hold no noncopyable values.
final class ReplyLane {
  var ring: RingProducer<Reply>

  init(_ ring: consuming RingProducer<Reply>) { self.ring = ring }
}

extension BongsuWire.ConnectionID {
  /// The session's name of a peer of a receiver's socket. The upper half, receivers counted from 1, keeps it apart from
  /// "none".
  init(_ number: UInt32, receiver: UInt8) { self.init(rawValue: (UInt64(receiver) + 1) << 32 | UInt64(number)) }

  var routingNumber: UInt32 { UInt32(truncatingIfNeeded: rawValue) }

  var receiver: Int { Int(rawValue >> 32) - 1 }
}

/// Appends the bytes of a span.
private func append(_ payload: RawSpan, to bytes: inout [UInt8]) {
  // SAFETY: only read during the call.
  unsafe payload.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
}

extension JournalEntry {
  /// The node that the entry concerns.
  var number: NodeNumber {
    switch self {
    case .node(let node, _), .layout(let node, _, _), .stream(let node, _, _), .run(let node, _): node
    case .block(let block): block.node
    case .gap(let gap): gap.node
    }
  }

  /// Its position in the shard that writes it.
  fileprivate var node: Int { Int(number.rawValue) }
}
