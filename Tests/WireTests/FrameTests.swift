import BongsuModel
import BongsuTestKit
import Testing

@testable import BongsuWire

@Suite("Frames")
struct FrameTests {
  private let random = SeededRandom(default: 0xB0_0001)

  @Test("every frame reads back as it was written")
  func roundTrips() throws {
    var samples = FrameSamples(seed: random.seed)
    for _ in 0..<300 {
      var bytes: [UInt8] = []
      let hello = samples.hello()
      hello.encode(into: &bytes)
      #expect(try read(bytes, Hello.init(decoding:)) == hello, "seed \(random.seed)")
      bytes = []
      let welcome = samples.welcome()
      welcome.encode(into: &bytes)
      #expect(try read(bytes, Welcome.init(decoding:)) == welcome)
      bytes = []
      let refuse = samples.refuse()
      refuse.encode(into: &bytes)
      #expect(try read(bytes, Refuse.init(decoding:)) == refuse)
      bytes = []
      let block = samples.block()
      block.encode(into: &bytes)
      let headerBytes = bytes.count
      #expect(headerBytes <= WireLimits.blockHeaderBytesMax)
      bytes.append(0)
      var offset = 0
      #expect(
        try read(bytes) { frame throws(FrameError) in try BlockHeader(decoding: frame, payloadOffset: &offset) }
          == block)
      #expect(offset == headerBytes)
      bytes = []
      let ack = samples.ack()
      ack.encode(into: &bytes)
      #expect(try read(bytes, Ack.init(decoding:)) == ack)
      bytes = []
      let reject = samples.reject()
      reject.encode(into: &bytes)
      #expect(try read(bytes, Reject.init(decoding:)) == reject)
      bytes = []
      let gap = samples.gap()
      gap.encode(into: &bytes)
      #expect(try read(bytes, Gap.init(decoding:)) == gap)
      bytes = []
      let heartbeat = samples.heartbeat()
      heartbeat.encode(into: &bytes)
      #expect(try read(bytes, Heartbeat.init(decoding:)) == heartbeat)
    }
    var bytes: [UInt8] = []
    let layout = LayoutAnnouncement(number: 3, layout: FrameSamples.layout)
    layout.encode(into: &bytes)
    #expect(try read(bytes, LayoutAnnouncement.init(decoding:)) == layout)
  }

  @Test("a live block of one row spends at most nine bytes on its header up to number 2^28")
  func headerBudget() {
    var bytes: [UInt8] = []
    BlockHeader(
      layoutNumber: 3, firstSequence: (1 << 28) - 1, rowCount: 1, anchor: .based(sequenceDistance: 1, ticks: 1),
      isCorrected: false, isLate: false
    ).encode(into: &bytes)
    #expect(bytes.count == 9)
  }

  @Test("a frame cut at any byte is refused, and so is one that goes on", arguments: FrameType.allCases)
  func truncation(type: FrameType) {
    var samples = FrameSamples(seed: random.seed)
    for _ in 0..<2 {
      let bytes = samples.bytes(type)
      // A block's payload goes to the end of its frame, so only a cut in its header shows.
      let shortest = type == .block ? 3 : 1
      for length in 0...(bytes.count - shortest) {
        #expect(throws: FrameError.self, "\(type) cut to \(length), seed \(random.seed)") {
          try decodeAny(Array(bytes.prefix(length)))
        }
      }
      if type != .block {
        #expect(throws: FrameError.trailingBytes(1)) { try decodeAny(bytes + [0]) }
      }
    }
  }

  @Test("other versions, unknown types, empty and oversized frames are refused by name")
  func firstByte() {
    #expect(throws: FrameError.empty) { try decodeAny([]) }
    #expect(throws: FrameError.otherVersion(seen: 2, supported: 1...1)) { try decodeAny([0x41, 0, 0]) }
    #expect(throws: FrameError.otherVersion(seen: 0, supported: 1...1)) { try decodeAny([0x01]) }
    #expect(throws: FrameError.unknownType(0)) { try decodeAny([0x20]) }
    #expect(throws: FrameError.unknownType(31)) { try decodeAny([0x3F]) }
    let large = [UInt8](repeating: 0x26, count: WireLimits.frameBytesMax + 1)
    #expect(throws: FrameError.oversized(bytes: large.count, limit: WireLimits.frameBytesMax)) {
      try decodeAny(large)
    }
  }

  @Test("impossible counts and fields are refused with the value seen and the limit")
  func impossibleValues() {
    // Block: flags, layout, sequence, rows …
    #expect(throws: FrameError.outOfRange(field: .sequence, value: 0, limit: 1)) {
      try decodeAny([0x25, 1, 0, 0, 1, 1, 9])
    }
    #expect(throws: FrameError.outOfRange(field: .baseDistance, value: 5, limit: 4)) {
      try decodeAny([0x25, 1, 0, 5, 5, 1, 9])
    }
    #expect(throws: FrameError.outOfRange(field: .tickDistance, value: 0, limit: 1)) {
      try decodeAny([0x25, 1, 0, 5, 1, 0, 9])
    }
    #expect(throws: FrameError.outOfRange(field: .rowCount, value: 4097, limit: 4096)) {
      try decodeAny([0x25, 4, 0, 5, 0x81, 0x20, 0, 0, 9])
    }
    #expect(throws: FrameError.unknownFlags(0x80)) { try decodeAny([0x25, 0x80, 0, 1, 1, 1, 9]) }
    #expect(throws: FrameError.unknownFlags(17)) { try decodeAny([0x25, 17, 0, 5, 1, 1, 9]) }
    #expect(throws: FrameError.truncated(field: .payload, neededBytes: 1, availableBytes: 0)) {
      try decodeAny([0x25, 1, 0, 5, 1, 1])
    }
    // Ack: flags, credit, floor, ranges: a range must leave a hole before it.
    #expect(throws: FrameError.outOfRange(field: .range, value: 6, limit: Int64(WireLimits.sequenceMax))) {
      try decodeAny([0x26, 0, 30, 5, 1, 1, 0])
    }
    #expect(throws: FrameError.outOfRange(field: .rangeCount, value: 65, limit: 64)) {
      try decodeAny([0x26, 0, 30, 5, 65])
    }
    #expect(throws: FrameError.varintTooLong(field: .credit)) {
      try decodeAny([0x26, 0] + [UInt8](repeating: 0xFF, count: 10) + [0])
    }
    #expect(throws: FrameError.unknownCode(field: .reason, code: 99)) { try decodeAny([0x23, 99, 0, 1, 1, 0]) }
    #expect(throws: FrameError.malformedText(field: .detail)) { try decodeAny([0x23, 1, 0, 1, 1, 1, 0xFF]) }
  }

  /// `BONGSU_FUZZ_INPUTS=1000000 swift test --filter FrameTests/mutations` for a long run.
  @Test("mutated frames of every type are decoded or refused, never more", arguments: FrameType.allCases)
  func mutations(type: FrameType) throws {
    var samples = FrameSamples(seed: random.seed &+ UInt64(type.rawValue))
    var refused = 0
    let count = fuzzInputs ?? 4000
    var bytes = samples.bytes(type)
    for round in 0..<count {
      if round % 50 == 0 { bytes = samples.bytes(type) }
      var mutant = bytes
      for _ in 0..<Int.random(in: 1...4, using: &samples.random) {
        switch Int.random(in: 0..<4, using: &samples.random) {
        case 0:
          mutant[Int.random(in: 1..<max(2, mutant.count), using: &samples.random)] ^= 1 << (samples.random.next() % 8)
        case 1:
          mutant[Int.random(in: 0..<mutant.count, using: &samples.random)] = UInt8(
            truncatingIfNeeded: samples.random.next())
        case 2: mutant.insert(0xFF, at: Int.random(in: 1...mutant.count, using: &samples.random))
        default: if mutant.count > 2 { mutant.remove(at: Int.random(in: 1..<mutant.count, using: &samples.random)) }
        }
      }
      do { try decodeAny(mutant) } catch { refused += 1 }
    }
    #expect(refused > count / 20, "only \(refused) of \(count) mutants of \(type) were refused, seed \(random.seed)")
  }

  @Test("versions are negotiated to the newest that both sides speak")
  func negotiation() {
    #expect(WireVersion.negotiated(offered: 1...1) == 1)
    #expect(WireVersion.negotiated(offered: 1...7) == 1)
    #expect(WireVersion.negotiated(offered: 2...7) == nil)
    #expect(WireVersion.negotiated(offered: 0...0) == nil)
  }

  @Test("error messages say what was seen and what was expected")
  func messages() {
    #expect(
      FrameError.truncated(field: .incarnation, neededBytes: 8, availableBytes: 3).description
        == "frame ends in its incarnation: needs 8 more bytes, got 3")
    #expect(
      FrameError.otherVersion(seen: 2, supported: 1...1).description
        == "frame is of wire version 2, this build reads 1 to 1; upgrade the older side")
  }
}
