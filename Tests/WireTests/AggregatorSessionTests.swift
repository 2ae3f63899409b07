import BongsuModel
import BongsuTestKit
import Testing

@testable import BongsuWire

/// The aggregator's session on lists: frames sent, records stored. Payloads are not decoded.
final class AggregatorBench: AggregatorSessionHost {
  var sent: [(connection: ConnectionID, bytes: [UInt8])] = []
  var closed: [ConnectionID] = []
  var entries: [JournalEntry] = []
  var notices: [AggregatorNotice] = []
  var decodes = true
  var knowsLayouts = true

  func send(_ frame: borrowing [UInt8], over connection: ConnectionID) { sent.append((connection, copy frame)) }
  func close(_ connection: ConnectionID) { closed.append(connection) }
  func layout(_ number: Int, of node: NodeNumber) -> LayoutGeometry? {
    knowsLayouts ? LayoutGeometry(interval: .second, width: 4) : nil
  }
  func announce(_ layout: LayoutAnnouncement, of node: NodeNumber, _ stream: StreamID) {}
  func decode(_ header: BlockHeader, _ payload: RawSpan, ticksSinceBase: Int?, of node: NodeNumber) -> Bool { decodes }
  func store(_ block: AcceptedBlock, _ payload: RawSpan) -> UInt64 { store(.block(block.entry)) }
  func store(_ entry: JournalEntry) -> UInt64 {
    entries.append(entry)
    return UInt64(entries.count)
  }
  func report(_ notice: AggregatorNotice, of node: NodeNumber) { notices.append(notice) }

  var acks: [Ack] { sent.compactMap { try? read($0.bytes, Ack.init(decoding:)) } }
  var rejects: [Reject] { sent.compactMap { try? read($0.bytes, Reject.init(decoding:)) } }
  var refusals: [RefuseReason] { sent.compactMap { try? read($0.bytes, Refuse.init(decoding:)).reason } }
  var welcomes: [Welcome] { sent.compactMap { try? read($0.bytes, Welcome.init(decoding:)) } }
  /// Numbers of the rows stored, in order.
  var stored: [UInt64] {
    entries.flatMap { entry -> [UInt64] in
      guard case .block(let block) = entry else { return [] }
      var numbers: [UInt64] = []
      block.forEachPart { part in numbers += part.map { block.header.firstSequence + UInt64($0) } }
      return numbers
    }
  }
  var gaps: [JournalGap] { entries.compactMap { if case .gap(let gap) = $0 { gap } else { nil } } }
}

struct AggregatorRig {
  static let origin: Int64 = 1_800_000_000_000
  let bench = AggregatorBench()
  var session = AggregatorSession(node: NodeNumber(rawValue: 1))
  var settings = AggregatorSessionSettings()
  var now: Int64 = 1_000_000
  /// Records on disk; `nil`: all.
  var committed: UInt64?

  var instant: AggregatorInstant {
    AggregatorInstant(
      monotonicMilliseconds: now, unixMilliseconds: Self.origin + now,
      committedRecord: committed ?? UInt64(bench.entries.count))
  }

  mutating func hello(
    _ connection: UInt64, run: UInt64 = 1, stream: UInt64 = 7, firstOfRun: UInt64 = 1, next: UInt64 = 1_000_000,
    node: String = "n1"
  ) {
    var bytes: [UInt8] = []
    Hello(
      node: NodeID(node)!, stream: StreamID(rawValue: stream), incarnation: Incarnation(rawValue: run),
      boot: BootID(rawValue: 3), anchor: ClockReading(unixMilliseconds: Self.origin + now, boottimeMilliseconds: now),
      firstSequenceOfRun: firstOfRun, nextSequence: next, agentVersion: "test", layouts: []
    ).encode(into: &bytes)
    var host = bench
    // SAFETY: bytes have no padding.
    unsafe session.hello(
      bytes.span.bytes, over: ConnectionID(rawValue: connection), identity: NodeID("n1")!, instant, settings, &host)
  }

  mutating func receive(_ bytes: [UInt8], over connection: UInt64 = 1) throws(FrameError) {
    var host = bench
    // SAFETY: bytes have no padding.
    try unsafe session.receive(
      bytes.span.bytes, over: ConnectionID(rawValue: connection), instant, settings, &host)
  }

  /// A late block whose number n has the tick of second n after the origin.
  mutating func late(_ first: UInt64, _ count: Int = 1, shift: Int64 = 0, over connection: UInt64 = 1)
    throws(FrameError)
  {
    try block(
      first, count,
      .standalone(
        tick: Tick(unixMilliseconds: Self.origin + Int64(first) * 1000 + shift), boottimeMilliseconds: 5, boot: nil),
      isLate: true, over: connection)
  }

  mutating func live(_ sequence: UInt64, basedOn distance: UInt64? = nil) throws(FrameError) {
    try block(
      sequence, 1,
      distance.map { .based(sequenceDistance: $0, ticks: $0) }
        ?? .standalone(
          tick: Tick(unixMilliseconds: Self.origin + Int64(sequence) * 1000), boottimeMilliseconds: 5, boot: nil),
      isLate: false, over: 1)
  }

  private mutating func block(
    _ first: UInt64, _ count: Int, _ anchor: BlockHeader.Anchor, isLate: Bool, over connection: UInt64
  ) throws(FrameError) {
    var bytes: [UInt8] = []
    BlockHeader(
      layoutNumber: 0, firstSequence: first, rowCount: count, anchor: anchor, isCorrected: false, isLate: isLate
    ).encode(into: &bytes)
    try receive(bytes + [1], over: connection)
  }

  mutating func sweep(after milliseconds: Int64) {
    now += milliseconds
    var host = bench
    session.sweep(instant, settings, &host)
  }
}

@Suite("The aggregator's session")
struct AggregatorSessionTests {
  @Test("each number is stored once, whatever overlaps and repeats")
  func storedOnce() throws {
    var random = SeededRandom(default: 0xA66)
    for _ in 0..<50 {
      var rig = AggregatorRig()
      rig.hello(1)
      for _ in 0..<60 {
        try rig.late(UInt64.random(in: 1...120, using: &random), Int.random(in: 1...12, using: &random))
      }
      #expect(Set(rig.bench.stored).count == rig.bench.stored.count, "seed \(random.seed)")
      #expect(Set(rig.bench.stored).allSatisfy(rig.session.received.contains))
      #expect(rig.session.received.count == UInt64(rig.bench.stored.count))
    }
  }

  @Test("only what is on disk is acknowledged, after the interval or half of the credit")
  func acknowledgement() throws {
    var rig = AggregatorRig()
    rig.hello(1)
    rig.committed = 2
    try rig.live(1)
    rig.sweep(after: 3000)
    #expect(rig.bench.acks.isEmpty, "record 3 is not on disk")
    rig.committed = 3
    rig.sweep(after: 3000)
    #expect(rig.bench.acks.map(\.durable.floor) == [1])
    rig.committed = nil
    for number in 2...UInt64(rig.settings.creditBlocks / 2) + 1 { try rig.live(number, basedOn: 1) }
    #expect(rig.bench.acks.count == 2)
    rig.sweep(after: 3000)
    #expect(rig.bench.acks.last?.durable.floor == UInt64(rig.settings.creditBlocks / 2) + 1)
    rig.sweep(after: 3000)
    #expect(rig.bench.acks.count <= 3, "nothing new is not acknowledged again")
  }

  @Test("live rows beyond a hole are acknowledged while new ones keep coming")
  func acknowledgementBeyondHole() throws {
    var rig = AggregatorRig()
    rig.hello(1)
    for number in UInt64(10)...20 {
      rig.committed = UInt64(rig.bench.entries.count)
      try rig.live(number, basedOn: number == 10 ? nil : 1)
      rig.sweep(after: 1000)
    }
    #expect(rig.bench.acks.count >= 2)
    #expect(rig.bench.acks.last?.durable.floor == 0)
    #expect((rig.bench.acks.last?.durable.ranges.first?.last ?? 0) >= 17)
  }

  @Test("a block on another base than the live row is rejected and its number stays open")
  func baseMissing() throws {
    var rig = AggregatorRig()
    rig.hello(1)
    try rig.live(1)
    try rig.live(3, basedOn: 1)
    #expect(rig.bench.rejects.map(\.reason) == [.baseMissing])
    #expect(!rig.session.received.contains(3))
    try rig.late(3)
    try rig.live(4, basedOn: 1)
    #expect(rig.bench.rejects.count == 2, "a late row that became the live row is no base")
    try rig.live(5)
    try rig.live(6, basedOn: 1)
    #expect(rig.bench.rejects.count == 2)
    #expect(rig.bench.stored == [1, 3, 5, 6])
  }

  @Test("a tick is stored once per node, also under other numbers and in a new stream")
  func tickTaken() throws {
    var rig = AggregatorRig()
    rig.hello(1)
    try rig.late(1, 10)
    try rig.late(11, 5, shift: -3000)
    // Numbers 11 to 13 lie at the ticks of 8 to 10; 14 and 15 are new.
    #expect(rig.bench.stored == Array(1...10) + [14, 15])
    #expect(rig.bench.gaps.map(\.reason) == [.tickTaken])
    #expect(rig.bench.gaps.first?.sequences == 11...13)
    rig.hello(2, run: 2, stream: 8)
    try rig.late(5, 12, over: 2)
    let stored = rig.bench.stored.suffix(4)
    #expect(Array(stored) == [13, 14, 15, 16], "ticks up to 12 are taken")
  }

  @Test("ticks ahead of the clock, too old, off the grid and payloads that do not decode consume their numbers")
  func finalRejections() throws {
    var rig = AggregatorRig()
    rig.hello(1)
    rig.now = 1_000_000
    try rig.late(1, shift: 2_000_000)
    try rig.late(2, shift: -40 * 86_400_000)
    try rig.late(3, shift: 1)
    rig.bench.decodes = false
    try rig.late(4)
    #expect(rig.bench.rejects.map(\.reason) == [.tickInFuture, .tickTooOld, .undecodable, .undecodable])
    #expect(rig.session.received.floor == 4)
    #expect(rig.bench.gaps.count == 4 && rig.bench.stored.isEmpty)
    rig.bench.knowsLayouts = false
    try rig.late(5)
    #expect(rig.bench.rejects.last?.reason == .unknownLayout && rig.session.received.floor == 4)
  }

  @Test("a gap consumes the missing numbers and finds its ticks between the rows around it")
  func gaps() throws {
    var rig = AggregatorRig()
    rig.hello(1)
    try rig.late(1, 3)
    try rig.late(8)
    var bytes: [UInt8] = []
    Gap(reason: .agentRestart, firstSequence: 1, lastSequence: 7, firstTick: nil, lastTick: nil).encode(into: &bytes)
    try rig.receive(bytes)
    #expect(rig.session.received.floor == 8)
    let ticks = rig.bench.gaps.first?.ticks
    #expect(ticks?.lowerBound.unixMilliseconds == AggregatorRig.origin + 3001)
    #expect(ticks?.upperBound.unixMilliseconds == AggregatorRig.origin + 7999)
    try rig.receive(bytes)
    #expect(rig.bench.gaps.count == 1, "told twice, recorded once")
  }

  @Test("a newer run fences the older, whose frames are refused; runs that alternate raise the alarm by name")
  func fencing() throws {
    var rig = AggregatorRig()
    rig.hello(1, run: 1)
    rig.hello(2, run: 2, firstOfRun: 100)
    #expect(rig.bench.refusals == [.fenced] && rig.bench.closed == [ConnectionID(rawValue: 1)])
    try rig.late(1, over: 1)
    #expect(rig.bench.refusals.last == .helloExpected && rig.bench.stored.isEmpty)
    rig.hello(3, run: 1)
    #expect(rig.bench.refusals.last == .fenced)
    #expect(!rig.bench.notices.contains { if case .clonedKey = $0 { true } else { false } }, "it may be a late frame")
    rig.hello(4, run: 1)
    #expect(rig.bench.refusals.last == .clonedKey)
    let waits = rig.bench.sent.compactMap { try? read($0.bytes, Refuse.init(decoding:)) }.filter {
      $0.reason == .fenced || $0.reason == .clonedKey
    }.map(\.retryAfterMilliseconds)
    #expect(waits == [5000, 5000, 60_000], "a machine that lives is known by its second return, within half a minute")
    #expect(rig.bench.notices.contains(.clonedKey(Incarnation(rawValue: 2), Incarnation(rawValue: 1))))
    try rig.late(1, over: 2)
    #expect(rig.bench.stored == [1], "the run that holds the session goes on undisturbed")
  }

  @Test("a run that begins at used numbers, or returns after another, has to start a new stream, each time it asks")
  func sharedNumbers() throws {
    var rig = AggregatorRig()
    rig.hello(1, run: 1)
    try rig.late(1, 20)
    rig.hello(2, run: 2, firstOfRun: 15)
    #expect(rig.bench.welcomes.last?.requiresNewStream == true)
    rig.hello(3, run: 2, firstOfRun: 15)
    #expect(rig.bench.welcomes.last?.requiresNewStream == true)
    rig.hello(4, run: 2, stream: 9, next: 1)
    #expect(rig.bench.welcomes.last?.requiresNewStream == false)
    #expect(rig.bench.gaps.last?.reason == .newStream)
  }

  @Test("wrong names, other versions, garbage and revoked keys are refused by reason")
  func refusals() throws {
    var rig = AggregatorRig()
    rig.hello(1, node: "n2")
    var host = rig.bench
    // SAFETY: bytes have no padding.
    unsafe rig.session.hello(
      ([0x41, 2, 2] as [UInt8]).span.bytes, over: ConnectionID(rawValue: 2), identity: NodeID("n1")!, rig.instant,
      rig.settings, &host)
    unsafe rig.session.hello(
      ([0x21, 1] as [UInt8]).span.bytes, over: ConnectionID(rawValue: 3), identity: NodeID("n1")!, rig.instant,
      rig.settings, &host)
    rig.hello(4)
    rig.session.setRevoked(true, rig.settings, &host)
    rig.hello(5)
    #expect(rig.bench.refusals == [.nodeMismatch, .unsupportedVersion, .malformedHello, .revoked, .revoked])
    #expect(!rig.session.isConnected)
    rig.session.setRevoked(false, rig.settings, &host)
    rig.hello(6)
    #expect(throws: FrameError.unknownType(31)) { try rig.receive([0x3F], over: 6) }
    #expect(rig.session.isConnected, "a frame that cannot be read does not end the session")
  }

  @Test("more than 64 open ranges are refused until the oldest hole is filled")
  func rangesFull() throws {
    var rig = AggregatorRig()
    rig.hello(1)
    for index in UInt64(1)...64 { try rig.late(index * 2) }
    try rig.late(200)
    #expect(rig.bench.rejects.map(\.reason) == [.rangesFull])
    #expect(!rig.session.received.contains(200))
    rig.sweep(after: 3000)
    #expect(rig.bench.acks.last?.takesOldestOnly == true)
    try rig.late(1)
    try rig.late(200)
    #expect(rig.session.received.contains(200))
  }

  @Test("checkpoint and replay arrive at the same numbers, runs and ticks")
  func restart() throws {
    var rig = AggregatorRig()
    rig.hello(1)
    try rig.late(1, 5)
    var bytes: [UInt8] = []
    rig.session.encodeCheckpoint(into: &bytes)
    let before = rig.bench.entries.count
    rig.hello(2, run: 2, firstOfRun: 50)
    try rig.late(8, 3, over: 2)
    var offset = 0
    // SAFETY: bytes have no padding.
    var restored = try unsafe AggregatorSession(
      node: NodeNumber(rawValue: 1), decodingCheckpoint: bytes.span.bytes, offset: &offset)
    #expect(offset == bytes.count)
    for entry in rig.bench.entries[before...] { restored.replay(entry) { _ in .second } }
    #expect(restored.received == rig.session.received && restored.newestTick == rig.session.newestTick)
    #expect(restored.incarnation == rig.session.incarnation && restored.fenced == rig.session.fenced)
    var replayed = AggregatorSession(node: NodeNumber(rawValue: 1))
    for entry in rig.bench.entries { replayed.replay(entry) { _ in .second } }
    #expect(replayed.received == rig.session.received && replayed.fenced == rig.session.fenced)
  }

  @Test("the state of a node is small")
  func size() {
    #expect(MemoryLayout<AggregatorSession>.size <= 320)
  }
}
