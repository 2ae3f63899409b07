import BongsuCodec
import BongsuModel
import BongsuRecordLog
import BongsuTestKit
import BongsuWire

/// One run of the aggregator: sessions, live rows, journal and tiers, as the daemon wires them.
final class AggregatorProcess: AggregatorSessionHost {
  unowned let world: World
  let disk: SimulatedDisk
  var sessions: [AggregatorSession] = []
  private var settings = AggregatorSessionSettings()

  private struct Live {
    var row: [Int64] = []
    var tick = Int64.min
    /// Segment of the journal in which the node's last row that others may be based on lies.
    var segment: UInt64 = 0
    var base = JournalBase()
  }

  private struct LayoutKey: Hashable {
    let node: NodeNumber
    let number: Int
  }

  private var live: [Live]
  private var shapes: [LayoutKey: BlockShape] = [:]
  private var writer: LogWriter
  private var decoder = BlockDecoder()
  private var encoder = BlockEncoder()
  private var rows: [Int64] = []
  private var record: [UInt8] = []
  private var currentSegment: UInt64 = 0
  private var committedAt: Int64
  private var checkpointedAt: Int64
  private(set) var raw = RawTier()
  private(set) var windows = WindowTier()
  private var clonesNoticed = 0
  /// A synchronization failed: the process has to end.
  private(set) var isDead = false
  private var lyingDurable: UInt64 = 0
  /// The run that said the last Hello, whatever the session makes of it.
  private var speaker: Incarnation?

  static let logName = "journal"

  /// Starts on what is on disk; throws when the disk does not let it, to be tried again.
  init(world: World, disk: SimulatedDisk) throws {
    self.world = world
    self.disk = disk
    settings.creditBlocks = world.scenario.creditBlocks
    let limits = LogLimits(
      segmentBytes: world.scenario.segmentBytes, recordBytesMax: WireLimits.frameBytesMax,
      batchBytesMax: WireLimits.frameBytesMax + 65_536)
    live = Array(repeating: Live(), count: world.nodeIDs.count)
    sessions = world.nodeIDs.indices.map { AggregatorSession(node: NodeNumber(rawValue: UInt32($0))) }
    committedAt = world.now
    checkpointedAt = world.now
    var applied: UInt64 = 0
    try disk.read(&raw)
    try disk.read(&windows)
    if world.mutation == .tierNumberApart {
      // The number comes from a file of its own, which is written at another time.
      let bytes = try disk.contents(of: "windows.number", byteCountMax: 64) ?? []
      windows.appliedRecord = SimulatedDisk.words(bytes).first ?? windows.appliedRecord
    }
    if let checkpoint = try disk.contents(of: "checkpoint", byteCountMax: 1 << 26) {
      applied = try Self.restore(checkpoint, &sessions)
    }
    let start = min(applied, raw.appliedRecord, windows.appliedRecord)
    let highest = max(applied, raw.appliedRecord, windows.appliedRecord)
    writer = try LogWriter(
      disk: disk, log: Self.logName, limits: limits, nextNumberMin: highest + 1,
      salt: UInt32(truncatingIfNeeded: world.now))
    // What was found may not be on disk yet, and will be called durable.
    try writer.repair()
    if world.mutation == .replayTwiceIntoTier { windows.appliedRecord = start }
    try replay(from: start, checkpoint: applied, limits)
    for index in sessions.indices { sessions[index].setRevoked(whileOffline: world.revoked.contains(index)) }
    if world.mutation == .forgetTickFloor {
      sessions = sessions.indices.map { AggregatorSession(node: NodeNumber(rawValue: UInt32($0))) }
    }
    lyingDurable = writer.nextNumber - 1
  }

  // MARK: Restart

  /// Reads the journal from the segment on that holds the first record wanted, so that based rows find their bases.
  private func replay(from applied: UInt64, checkpoint: UInt64, _ limits: LogLimits) throws {
    var reader = try LogReader(disk: disk, log: Self.logName, limits: limits)
    while let event = try reader.next() {
      switch event {
      case .damage(let damage):
        // A torn tail was never acknowledged; anything else is a record that was.
        guard let lost = damage.lostNumbers, lost.upperBound > applied, !world.tornRecords.contains(lost) else { break }
        if lost.lowerBound <= world.committedEver {
          world.fail("journal damaged before its tail: \(damage)")
        } else {
          world.tornRecords.insert(lost)
        }
      case .record(let record):
        var failure: FrameError?
        reader.withPayload { payload in
          var offset = 0
          do throws(FrameError) {
            let entry = try JournalEntry(decoding: payload, payloadOffset: &offset)
            replay(entry, payload.extracting(offset...), record.number, checkpoint: checkpoint)
          } catch {
            failure = error
          }
        }
        if let failure { world.fail("journal record \(record.number) cannot be read: \(failure)") }
      }
    }
  }

  private func replay(_ entry: JournalEntry, _ payload: RawSpan, _ number: UInt64, checkpoint: UInt64) {
    switch entry {
    case .node: break
    case .layout(let node, _, let announcement): remember(announcement, of: node)
    case .run(let node, _):
      if number > checkpoint { sessions[Int(node.rawValue)].replay(entry) { _ in nil } }
    case .stream(let node, _, _):
      live[Int(node.rawValue)].base.streamChanged()
      if number > checkpoint { sessions[Int(node.rawValue)].replay(entry) { _ in nil } }
    case .gap(let gap):
      if number > checkpoint { sessions[Int(gap.node.rawValue)].replay(entry) { _ in nil } }
      apply(gap, number)
    case .block(let block):
      let node = Int(block.node.rawValue)
      let key = LayoutKey(node: block.node, number: block.header.layoutNumber)
      guard let shape = shapes[key] else {
        // Its layout was in a record that was torn away. The daemon's registry has it; here, what the tiers have not
        // applied by now would be missed at the end.
        guard !world.isTorn(number), !world.tornRecords.contains(where: { $0.upperBound < number }) else { return }
        world.fail("record \(number) names an unknown layout \(block.header.layoutNumber) of node \(node)")
        return
      }
      guard live[node].base.admits(block, interval: shape.layout.interval) else {
        // Its base was in a record that was torn away, so neither was ever acknowledged; the agent sends it again.
        if !world.isTorn(number) { world.fail("record \(number) of node \(node) has lost its base") }
        return
      }
      if number > checkpoint { sessions[node].replay(entry) { _ in shape.layout.interval } }
      var ticks: Int?
      if case .based(_, let distance) = block.header.anchor { ticks = Int(distance) }
      guard decode(block.header, payload, ticksSinceBase: ticks, of: block.node) else {
        world.fail("record \(number) of node \(node) cannot be decoded at restart")
        return
      }
      apply(block, number)
    }
  }

  // MARK: Time

  var committedRecord: UInt64 {
    switch world.mutation {
    case .acknowledgeBeforeSync: writer.nextNumber - 1
    case .retryFailedSync: max(lyingDurable, writer.durableNumber)
    default: writer.durableNumber
    }
  }

  private var instant: AggregatorInstant {
    AggregatorInstant(
      monotonicMilliseconds: world.now, unixMilliseconds: world.now, committedRecord: committedRecord)
  }

  func step() {
    var host = self
    for link in world.network.links { receive(link, &host) }
    if (world.now / 50) % 20 == 0 {
      for index in sessions.indices { sessions[index].sweep(instant, settings, &host) }
    }
    if world.mutation == .checkpointAhead { checkpointIfDue() }
    if world.now - committedAt >= 50 { commit() }
  }

  private func receive(_ link: Link, _ host: inout AggregatorProcess) {
    // A journal that the disk does not take stops the receiver; frames wait in the network.
    while !isDead, writer.stagedBytes < 32_768,
      let bytes = world.network.arrivedAtAggregator(link, now: world.now)
    {
      let node = world.machines[link.machine].node
      // SAFETY: bytes have no padding.
      let frame = unsafe bytes.span.bytes
      if bytes.first.map({ $0 & 0x1F }) == FrameType.hello.rawValue {
        speaker = try? Hello(decoding: frame).incarnation
        let hello = asKnownRun(bytes, node)
        // SAFETY: bytes have no padding.
        unsafe sessions[node].hello(
          hello.span.bytes, over: link.connection, identity: world.nodeIDs[node], instant, settings, &host)
        continue
      }
      storeDuplicate(frame, node)
      do throws(FrameError) {
        try sessions[node].receive(frame, over: link.connection, instant, settings, &host)
      } catch {
        world.note("aggregator passes over a frame of node \(node): \(error)")
      }
      acknowledgeOnReceipt(node)
    }
  }

  func commit() {
    committedAt = world.now
    guard writer.stagedBytes > 0 || world.now - checkpointedAt >= 5000 else { return }
    do throws(LogError) {
      try writer.commit()
      lyingDurable = writer.durableNumber
      world.committedEver = max(world.committedEver, writer.durableNumber)
    } catch {
      world.note("commit: \(error)")
      if error.isFatal {
        if world.mutation == .retryFailedSync { lyingDurable = writer.nextNumber - 1 } else { isDead = true }
      }
      return
    }
    checkpointIfDue()
  }

  /// Writes sessions and tiers, each file on its own, then trims the journal. All records are on disk now.
  private func checkpointIfDue() {
    let isHasty = world.mutation == .checkpointAhead && writer.stagedBytes > 0
    guard world.now - checkpointedAt >= (isHasty ? 500 : 5000) else { return }
    checkpointedAt = world.now
    let through = writer.nextNumber - 1
    if world.mutation == .trimTooMuch { trim(below: through + 1) }
    do throws(DiskError) {
      let old = raw.appliedRecord
      raw.appliedRecord = through
      try disk.write(raw)
      windows.appliedRecord = through
      if world.mutation == .tierNumberApart {
        try disk.replace("windows.number", with: SimulatedDisk.bytes([old]).span)
        try disk.write(windows)
      } else {
        try disk.write(windows)
      }
      try disk.replace("checkpoint", with: checkpoint(through).span)
    } catch {
      // The journal still holds what the files lack.
      world.note("checkpoint: \(error)")
      return
    }
    trim(below: through + 1)
  }

  private func trim(below number: UInt64) {
    do throws(LogError) {
      _ = try writer.trim(below: number)
    } catch {
      world.note("trim: \(error)")
      if error.isFatal { isDead = true }
    }
  }

  private func checkpoint(_ through: UInt64) -> [UInt8] {
    var bytes = SimulatedDisk.bytes([through])
    for session in sessions { session.encodeCheckpoint(into: &bytes) }
    return bytes
  }

  private static func restore(_ bytes: [UInt8], _ sessions: inout [AggregatorSession]) throws -> UInt64 {
    let through = SimulatedDisk.words(Array(bytes.prefix(8)))[0]
    var offset = 8
    for index in sessions.indices {
      // SAFETY: bytes have no padding.
      sessions[index] = unsafe try AggregatorSession(
        node: NodeNumber(rawValue: UInt32(index)), decodingCheckpoint: bytes.span.bytes, offset: &offset)
    }
    return through
  }

  func setRevoked(_ node: Int, _ isRevoked: Bool) {
    var host = self
    sessions[node].setRevoked(isRevoked, settings, &host)
  }

  // MARK: AggregatorSessionHost

  func send(_ frame: borrowing [UInt8], over connection: ConnectionID) {
    guard let link = world.network.links.first(where: { $0.connection == connection }) else { return }
    let bytes = copy frame
    world.note("aggregator sends \(World.describe(bytes)) over \(connection.rawValue)")
    _ = world.network.send(copy frame, over: link, up: false, now: world.now)
  }

  func close(_ connection: ConnectionID) {
    // What was sent before still arrives.
    world.network.links.first { $0.connection == connection }?.isClosed = true
  }

  func layout(_ number: Int, of node: NodeNumber) -> LayoutGeometry? {
    shapes[LayoutKey(node: node, number: number)].map {
      LayoutGeometry(interval: $0.layout.interval, width: $0.width)
    }
  }

  func announce(_ layout: LayoutAnnouncement, of node: NodeNumber, _ stream: StreamID) {
    if shapes[LayoutKey(node: node, number: layout.number)]?.layout != layout.layout {
      remember(layout, of: node)
      // A number means something else in another stream, so the journal is told again.
      layoutsInSegment.remove(LayoutKey(node: node, number: layout.number))
    }
    announcedStream[node] = stream
  }

  private var announcedStream: [NodeNumber: StreamID] = [:]

  private func remember(_ layout: LayoutAnnouncement, of node: NodeNumber) {
    shapes[LayoutKey(node: node, number: layout.number)] = BlockShape(layout.layout)
  }

  func decode(
    _ header: BlockHeader, _ payload: RawSpan, ticksSinceBase: Int?, of node: NodeNumber
  ) -> Bool {
    guard let shape = shapes[LayoutKey(node: node, number: header.layoutNumber)] else { return false }
    let count = header.rowCount * shape.width
    if rows.count < count { rows.append(contentsOf: repeatElement(0, count: count - rows.count)) }
    // Spans of properties would hold all of `self`.
    let base = live[Int(node.rawValue)].row
    var target: [Int64] = []
    swap(&target, &rows)
    defer { swap(&target, &rows) }
    do throws(BlockError) {
      guard try BlockDecoder.inspect(payload).rows == header.rowCount else { return false }
      var span = target.mutableSpan
      if let ticksSinceBase {
        guard base.count == shape.width else { return false }
        return try decoder.decode(
          payload, shape: shape, base: base.span, ticksSinceBase: ticksSinceBase, into: &span) == header.rowCount
      }
      return try decoder.decode(payload, shape: shape, base: nil, into: &span) == header.rowCount
    } catch {
      world.note("decode: \(error)")
      return false
    }
  }

  func store(_ block: AcceptedBlock, _ payload: RawSpan) -> UInt64 {
    let node = Int(block.entry.node.rawValue)
    prepareSegment(block.entry)
    var entry = block.entry
    record.removeAll(keepingCapacity: true)
    let interval = shapes[LayoutKey(node: entry.node, number: entry.header.layoutNumber)]?.layout.interval ?? .second
    if live[node].segment != currentSegment, world.mutation != .noKeyframeInSegment {
      live[node].segment = currentSegment
      live[node].base = JournalBase()
    }
    let isRepacked = !live[node].base.admits(entry, interval: interval)
    if isRepacked {
      entry.header.anchor = .standalone(
        tick: entry.firstTick, boottimeMilliseconds: block.boottimeMilliseconds, boot: nil)
      _ = live[node].base.admits(entry, interval: interval)
    }
    entry.encode(into: &record)
    if isRepacked, let shape = shapes[LayoutKey(node: entry.node, number: entry.header.layoutNumber)] {
      let words = Array(rows.prefix(entry.header.rowCount * shape.width))
      var output: [UInt8] = []
      swap(&output, &record)
      do throws(BlockError) {
        try encoder.encode(rows: words.span, shape: shape, base: nil, appendingTo: &output)
      } catch {
        world.fail("a stored row cannot be packed again: \(error)")
      }
      swap(&output, &record)
    } else {
      for index in 0..<payload.byteCount {
        // SAFETY: index < byteCount, and any byte is a UInt8.
        record.append(unsafe payload.unsafeLoad(fromByteOffset: index, as: UInt8.self))
      }
    }
    let number = stage(JournalEntry.Kind.block)
    apply(entry, number)
    return number
  }

  func store(_ entry: JournalEntry) -> UInt64 {
    if case .gap(let gap) = entry {
      if world.mutation == .forgetGap { return writer.nextNumber - 1 }
      record.removeAll(keepingCapacity: true)
      entry.encode(into: &record)
      let number = stage(.gap)
      apply(gap, number)
      return number
    }
    record.removeAll(keepingCapacity: true)
    entry.encode(into: &record)
    if case .run = entry { return stage(.run) }
    return stage(.stream)
  }

  func report(_ notice: AggregatorNotice, of node: NodeNumber) {
    world.note("aggregator node \(node.rawValue) \(notice)")
    switch notice {
    case .clonedKey: world.cloneAlarms.insert(Int(node.rawValue))
    case .connected: if let speaker { world.connected(speaker, node: Int(node.rawValue)) }
    default: break
    }
  }

  // MARK: Journal

  /// Puts the node's layout in front of its first block in each segment, so that a segment can be read by itself.
  private func prepareSegment(_ block: JournalBlock) {
    noteSegment()
    let key = LayoutKey(node: block.node, number: block.header.layoutNumber)
    guard layoutsInSegment.insert(key).inserted, let layout = shapes[key]?.layout else { return }
    record.removeAll(keepingCapacity: true)
    let announcement = LayoutAnnouncement(number: key.number, layout: layout)
    JournalEntry.layout(key.node, announcedStream[key.node] ?? StreamID(rawValue: 0), announcement)
      .encode(into: &record)
    _ = stage(.layout)
  }

  private var layoutsInSegment: Set<LayoutKey> = []

  private func noteSegment() {
    guard writer.startsSegment, writer.stagedBytes == 0 else { return }
    currentSegment = writer.nextNumber
    layoutsInSegment.removeAll()
  }

  private func stage(_ kind: JournalEntry.Kind) -> UInt64 {
    noteSegment()
    guard let number = writer.stage(record, kind: kind.rawValue) else {
      world.fail("the journal's batch is full although the receiver stops before")
      return 0
    }
    return number
  }

  // MARK: Applying

  private func apply(_ gap: JournalGap, _ number: UInt64) {
    guard number > raw.appliedRecord else { return }
    raw.gaps.append(gap)
  }

  /// Takes the decoded rows that count into the live row and the tiers.
  private func apply(_ block: JournalBlock, _ number: UInt64) {
    let node = Int(block.node.rawValue)
    let key = LayoutKey(node: block.node, number: block.header.layoutNumber)
    guard let shape = shapes[key] else { return }
    let width = shape.width
    let step = Int64(shape.layout.interval.milliseconds)
    block.forEachPart { part in
      for offset in part {
        let tick = block.firstTick.unixMilliseconds + Int64(offset) * step
        let row = rows[(offset * width)..<((offset + 1) * width)]
        if tick > live[node].tick || live[node].row.isEmpty {
          live[node].tick = tick
          live[node].row = Array(row)
        }
        take(row, node, tick, number, isLate: block.header.isLate)
      }
    }
  }

  private func take(_ row: ArraySlice<Int64>, _ node: Int, _ tick: Int64, _ number: UInt64, isLate: Bool) {
    if number > raw.appliedRecord {
      switch world.ledger.check(row, node: node) {
      case .failure(let violation): world.fail(violation.description)
      case .success(let id):
        let other = raw.rows.updateValue(id, forKey: RawTier.Key(node: node, tick: tick))
        if let other { world.fail("node \(node): tick \(tick) has two rows, samples \(other) and \(id)") }
      }
    }
    if number > windows.appliedRecord, !(world.mutation == .lateRowsSkipTier && isLate) {
      windows.add(node: node, tick: tick, row: row)
    }
  }

  // MARK: Mistakes

  private func acknowledgeOnReceipt(_ node: Int) {
    guard world.mutation == .durableOnReceipt, sessions[node].isConnected else { return }
    var bytes: [UInt8] = []
    Ack(creditBlocks: settings.creditBlocks, takesOldestOnly: false, durable: sessions[node].received)
      .encode(into: &bytes)
    send(bytes, over: sessions[node].connection)
  }

  /// The mistake of taking every run of an agent for the one before.
  private func asKnownRun(_ bytes: [UInt8], _ node: Int) -> [UInt8] {
    guard world.mutation == .ignoreRuns, let known = sessions[node].incarnation else { return bytes }
    // SAFETY: bytes have no padding.
    guard var hello = try? unsafe Hello(decoding: bytes.span.bytes) else { return bytes }
    hello.incarnation = known
    var changed: [UInt8] = []
    hello.encode(into: &changed)
    return changed
  }

  private func storeDuplicate(_ frame: RawSpan, _ node: Int) {
    guard world.mutation == .skipDeduplication else { return }
    var offset = 0
    guard let header = try? BlockHeader(decoding: frame, payloadOffset: &offset), header.isLate,
      sessions[node].received.containsAll(header.firstSequence, header.lastSequence),
      case .standalone(let tick, _, _) = header.anchor,
      decode(
        header, frame.extracting(offset...), ticksSinceBase: nil, of: NodeNumber(rawValue: UInt32(node)))
    else { return }
    let entry = JournalBlock(node: NodeNumber(rawValue: UInt32(node)), header: header, firstTick: tick)
    apply(entry, writer.nextNumber)
  }
}
