import BongsuModel
import BongsuWire

/// libFuzzer's entry: the first byte picks the decoder, the rest is the frame, record or checkpoint. Whatever comes must be
/// refused with a `FrameError` or be a frame that is encoded to bytes which are decoded to the same frame again.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  guard count >= 1, let start = unsafe start else { return 0 }
  // SAFETY: the fuzzer hands over `count` readable bytes that outlive the call.
  let bytes = unsafe RawSpan(_unsafeStart: start, byteCount: count)
  // SAFETY: any byte is a UInt8, and there is at least one.
  let choice = unsafe bytes.unsafeLoad(fromByteOffset: 0, as: UInt8.self)
  let frame = bytes.extracting(1..<count)
  do throws(FrameError) {
    try check(frame, choice)
  } catch {
    // Refused by name.
    if "\(error)".isEmpty { fatalError("a refusal without words") }
  }
  return 0
}

private func check(_ frame: RawSpan, _ choice: UInt8) throws(FrameError) {
  _ = try? FrameType(of: frame)
  switch choice % 12 {
  case 0: try survives(try Hello(decoding: frame), { $0.encode(into: &$1) }, Hello.init(decoding:))
  case 1: try survives(try Welcome(decoding: frame), { $0.encode(into: &$1) }, Welcome.init(decoding:))
  case 2: try survives(try Refuse(decoding: frame), { $0.encode(into: &$1) }, Refuse.init(decoding:))
  case 3: try survives(try Ack(decoding: frame), { $0.encode(into: &$1) }, Ack.init(decoding:))
  case 4: try survives(try Reject(decoding: frame), { $0.encode(into: &$1) }, Reject.init(decoding:))
  case 5: try survives(try Gap(decoding: frame), { $0.encode(into: &$1) }, Gap.init(decoding:))
  case 6: try survives(try Heartbeat(decoding: frame), { $0.encode(into: &$1) }, Heartbeat.init(decoding:))
  case 7:
    try survives(
      try LayoutAnnouncement(decoding: frame), { $0.encode(into: &$1) }, LayoutAnnouncement.init(decoding:))
  case 8:
    var offset = 0
    let header = try BlockHeader(decoding: frame, payloadOffset: &offset)
    guard offset <= frame.byteCount else { fatalError("the payload begins at \(offset) of \(frame.byteCount)") }
    try survives(
      header, { $0.encode(into: &$1) },
      { bytes throws(FrameError) in
        var offset = 0
        return try BlockHeader(decoding: bytes, payloadOffset: &offset)
      })
  case 9:
    var offset = 0
    _ = try JournalEntry(decoding: frame, payloadOffset: &offset)
    guard offset <= frame.byteCount else { fatalError("the payload begins at \(offset) of \(frame.byteCount)") }
  case 10:
    var offset = 0
    let session = try AggregatorSession(
      node: NodeNumber(rawValue: 1), decodingCheckpoint: frame, offset: &offset)
    var bytes: [UInt8] = []
    session.encodeCheckpoint(into: &bytes)
  default: play(frame)
  }
}

private func survives<Frame: Hashable>(
  _ frame: Frame, _ encode: (Frame, inout [UInt8]) -> Void, _ decode: (RawSpan) throws(FrameError) -> Frame
) throws(FrameError) {
  var bytes: [UInt8] = []
  encode(frame, &bytes)
  // SAFETY: bytes without padding; the span is used in this statement only.
  guard try unsafe decode(bytes.span.bytes) == frame else { fatalError("\(frame) does not survive a round trip") }
}

/// Frames one after the other, each behind its length, into an aggregator's session that has been greeted.
private func play(_ frames: RawSpan) {
  var session = AggregatorSession(node: NodeNumber(rawValue: 1))
  var host = Bench()
  let settings = AggregatorSessionSettings()
  var at = AggregatorInstant(
    monotonicMilliseconds: 1_000_000, unixMilliseconds: 1_800_000_000_000, committedRecord: 0)
  var offset = 0
  var number: UInt64 = 1
  while offset < frames.byteCount {
    // SAFETY: any byte is a UInt8, and the offset lies within.
    let length = Int(unsafe frames.unsafeLoad(fromByteOffset: offset, as: UInt8.self))
    let end = min(frames.byteCount, offset + 1 + length)
    let frame = frames.extracting(offset + 1..<end)
    offset = end
    at.monotonicMilliseconds += 100
    at.unixMilliseconds += 100
    at.committedRecord = host.records
    if (try? FrameType(of: frame)) == .hello {
      number += 1
      session.hello(
        frame, over: ConnectionID(rawValue: number), identity: NodeID("n1")!, at, settings, &host)
    } else {
      try? session.receive(frame, over: session.connection, at, settings, &host)
    }
    session.sweep(at, settings, &host)
  }
}

private struct Bench: AggregatorSessionHost {
  var records: UInt64 = 0

  mutating func send(_ frame: borrowing [UInt8], over connection: ConnectionID) {}
  mutating func close(_ connection: ConnectionID) {}
  func layout(_ number: Int, of node: NodeNumber) -> LayoutGeometry? { LayoutGeometry(interval: .second, width: 4) }
  mutating func announce(_ layout: LayoutAnnouncement, of node: NodeNumber, _ stream: StreamID) {}
  mutating func decode(
    _ header: BlockHeader, _ payload: RawSpan, ticksSinceBase: Int?, of node: NodeNumber
  ) -> Bool { payload.byteCount % 2 == 0 }
  mutating func store(_ block: AcceptedBlock, _ payload: RawSpan) -> UInt64 { next() }
  mutating func store(_ entry: JournalEntry) -> UInt64 { next() }
  mutating func report(_ notice: AggregatorNotice, of node: NodeNumber) {}

  private mutating func next() -> UInt64 {
    records += 1
    return records
  }
}
