internal import BongsuModel
internal import BongsuRollup
internal import BongsuWire

// The bytes of a shard's checkpoint. File, checksum and turns are the store's (Aggregator/Store/FORMAT.md).
//
//     ┌─────────┬───────┬────────┬─────────┬──────────┬──────────────────────────────────────────────┐
//     │ version │ nodes │ node … │ members │ member … │ tick of the first row that energy was        │
//     │  u8 3   │varint │        │ varint  │          │ counted of, signed; the least integer: none  │
//     └─────────┴───────┴────────┴─────────┴──────────┴──────────────────────────────────────────────┘
//
// Node: record (varint) · name · agent version · session (`AggregatorSession.encodeCheckpoint`) · layouts (varint), each as
// its length and its journal entry · live tick · base sequence · base tick · live layout + 1 (0: no row) · the live row
// as length and payload of a block that stands alone · energy as length and `EnergyLedger.state`. Nodes are numbered in
// their order. Version 2 had no energy.
//
// Member: name · GPU model key · first and newest tick, interval, milliwatts, GPUs · tick (0 + 1: none) and milliwatts of
// the last full reading · counters (varint), each key, tick and millijoules.
//
// Each node says as of which record its state is, so that a shard need not stand still while it writes thousands of them:
// at a restart a record is passed over for nodes that have it. Integers are LEB128, signed ones zigzag; texts are a
// varint length and UTF-8.

/// Appends the fields of a checkpoint.
struct CheckpointWriter {
  static let version: UInt8 = 3
  /// The oldest version that can be read.
  static let versionMin: UInt8 = 2

  var bytes: [UInt8] = []

  mutating func add(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest &>>= 7
    }
    bytes.append(UInt8(truncatingIfNeeded: rest))
  }

  mutating func add(count: Int) { add(UInt64(count)) }

  mutating func add(signed value: Int64) { add(UInt64(bitPattern: (value &<< 1) ^ (value &>> 63))) }

  mutating func add(_ text: String) {
    add(count: text.utf8.count)
    bytes.append(contentsOf: text.utf8)
  }

  mutating func add(_ piece: [UInt8]) {
    add(count: piece.count)
    bytes.append(contentsOf: piece)
  }

  mutating func add(_ member: MemberState) {
    add(member.id.name)
    add(member.modelKey ?? "")
    add(signed: member.firstTick.unixMilliseconds)
    add(signed: member.lastTick.unixMilliseconds)
    add(signed: member.intervalMilliseconds)
    add(signed: member.lastMilliwatts)
    add(signed: member.lastGPUMilliwatts)
    add(signed: member.lastGPUs)
    add(optional: member.full?.tick)
    if let full = member.full { add(signed: full.milliwatts) }
    add(count: member.counters.count)
    for counter in member.counters {
      add(counter.key)
      add(optional: counter.tick)
      if counter.tick != nil { add(signed: counter.millijoules) }
    }
  }

  private mutating func add(optional tick: Tick?) {
    bytes.append(tick == nil ? 0 : 1)
    if let tick { add(signed: tick.unixMilliseconds) }
  }
}

/// Why a checkpoint cannot be read: the store's checksum was right, so another release wrote it.
struct CheckpointUnreadable: Error {
  let offset: Int
}

/// Reads the fields of a checkpoint in their order.
struct CheckpointReader {
  let bytes: [UInt8]
  private(set) var offset = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var isAtEnd: Bool { offset == bytes.count }
  private var failure: CheckpointUnreadable { CheckpointUnreadable(offset: offset) }

  mutating func byte() throws(CheckpointUnreadable) -> UInt8 {
    guard offset < bytes.count else { throw failure }
    defer { offset += 1 }
    return bytes[offset]
  }

  mutating func number() throws(CheckpointUnreadable) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      let byte = try byte()
      guard shift < 63 || (shift == 63 && byte <= 1) else { throw failure }
      value |= UInt64(byte & 0x7F) &<< shift
      if byte < 0x80 { return value }
      shift += 7
    }
  }

  mutating func signed() throws(CheckpointUnreadable) -> Int64 {
    let word = try number()
    return Int64(bitPattern: word >> 1) ^ -Int64(bitPattern: word & 1)
  }

  mutating func count(max limit: Int) throws(CheckpointUnreadable) -> Int {
    let value = try number()
    guard value <= UInt64(limit) else { throw failure }
    return Int(value)
  }

  mutating func piece() throws(CheckpointUnreadable) -> [UInt8] {
    let length = try number()
    guard length <= UInt64(bytes.count - offset) else { throw failure }
    let count = Int(length)
    defer { offset += count }
    return Array(bytes[offset..<(offset + count)])
  }

  mutating func text() throws(CheckpointUnreadable) -> String {
    guard let text = String(validating: try piece(), as: UTF8.self) else { throw failure }
    return text
  }

  mutating func node() throws(CheckpointUnreadable) -> NodeID {
    guard let id = NodeID(try text()) else { throw failure }
    return id
  }

  mutating func session(_ number: NodeNumber) throws(CheckpointUnreadable) -> AggregatorSession {
    var end = offset
    let all = bytes
    let span = all.span
    let session: AggregatorSession
    do throws(FrameError) {
      // SAFETY: bytes have no padding.
      session = try AggregatorSession(node: number, decodingCheckpoint: unsafe span.bytes, offset: &end)
    } catch {
      throw failure
    }
    offset = end
    return session
  }

  mutating func layout() throws(CheckpointUnreadable) -> (StreamID, LayoutAnnouncement) {
    let piece = try piece()
    let span = piece.span
    do throws(FrameError) {
      var end = 0
      // SAFETY: bytes have no padding.
      guard case .layout(_, let stream, let layout) = try JournalEntry(decoding: unsafe span.bytes, payloadOffset: &end)
      else { throw FrameError.empty }
      return (stream, layout)
    } catch {
      throw failure
    }
  }

  mutating func member() throws(CheckpointUnreadable) -> MemberState {
    let id = try node()
    let key = try text()
    let first = try tick()
    let last = try tick()
    let interval = try signed()
    let milliwatts = try signed()
    let gpuMilliwatts = try signed()
    let gpus = try signed()
    var full: MemberState.FullReading?
    if try byte() != 0 { full = MemberState.FullReading(tick: try tick(), milliwatts: try signed()) }
    var counters: [MemberState.Counter] = []
    for _ in 0..<(try count(max: Limits.devicesMax)) {
      let key = try number()
      let tick = try byte() != 0 ? try tick() : nil
      counters.append(MemberState.Counter(key: key, tick: tick, millijoules: tick == nil ? 0 : try signed()))
    }
    return MemberState(
      id: id, modelKey: key.isEmpty ? nil : key, firstTick: first, lastTick: last, intervalMilliseconds: interval,
      lastMilliwatts: milliwatts, lastGPUMilliwatts: gpuMilliwatts, lastGPUs: gpus, full: full, counters: counters)
  }

  private mutating func tick() throws(CheckpointUnreadable) -> Tick { Tick(unixMilliseconds: try signed()) }
}
