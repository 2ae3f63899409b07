import BongsuCodec
import BongsuModel
import BongsuTestKit
import Testing

/// Payloads as an attacker or a damaged disk would hand them over. Each refusal is named and carries its numbers.
@Suite("Hostile payloads are refused by name")
struct HostilePayloadTests {
  private let shape: BlockShape
  private let base: [Int64]

  init() throws {
    shape = BlockShape(try layout([.gpuPower, .gpuPCIeTransmit, .gpuTemperature], gpus: 8))
    base = Array(repeating: 500, count: shape.width)
  }

  private func refusal(_ payload: [UInt8], base: [Int64]? = nil, ticksSinceBase: Int = 1) -> BlockError? {
    var decoder = BlockDecoder()
    do {
      _ = try decode(payload, shape, base: base, ticksSinceBase: ticksSinceBase, &decoder)
      return nil
    } catch {
      return error as? BlockError
    }
  }

  @Test("an empty payload and every cut of a valid one")
  func truncation() throws {
    #expect(refusal([]) == .truncated(neededBits: 8, availableBits: 0))
    var random = SeededRandom(default: 7)
    var encoder = BlockEncoder()
    for rows in [1, 3, 40] {
      let values = (0..<(rows * shape.width)).map { _ in Int64.random(in: 0...1_000_000, using: &random) }
      for base in [nil, base] {
        let payload = try encode(BlockInput(rows: values, base: base), shape, &encoder)
        for length in 0..<payload.count {
          #expect(refusal(Array(payload[..<length]), base: base) != nil, "cut to \(length) of \(payload.count)")
        }
        #expect(refusal(payload, base: base) == nil)
        #expect(refusal(payload + [0], base: base) != nil)
      }
    }
  }

  @Test("bytes behind the last field")
  func trailing() throws {
    var encoder = BlockEncoder()
    let payload = try encode(BlockInput(rows: base, base: base), shape, &encoder)
    #expect(payload == [0x11, 0])
    #expect(refusal(payload + [1, 2, 3], base: base) == .trailing(bytes: 3))
  }

  @Test("other versions", arguments: [UInt8(0), 2, 7, 15])
  func versions(version: UInt8) {
    #expect(refusal([version << 4 | 1, 0], base: base) == .unsupportedVersion(Int(version), supported: 1))
  }

  @Test(
    "impossible row counts",
    arguments: [
      ([0], 0), ([1], 1), ([0x81, 0x40], 8193), ([0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1], Int.max),
    ] as [([UInt8], Int)])
  func rowCounts(count: [UInt8], value: Int) {
    #expect(refusal([0x13] + count + [0], base: base) == .outOfRange(field: .rows, value: value, limit: 8192))
  }

  @Test("more values than a block may have")
  func values() throws {
    let wide = BlockShape(try layout(MetricCatalogue.all.map(\.id), gpus: 72))
    var decoder = BlockDecoder()
    #expect(throws: BlockError.outOfRange(field: .values, value: 8192 * wide.width, limit: BlockLimits.valuesMax)) {
      _ = try decode([0x12, 0x80, 0x40, 0], wide, base: nil, &decoder)
    }
  }

  @Test("integers that do not end")
  func endlessIntegers() {
    let endless = [UInt8](repeating: 0xFF, count: 40)
    #expect(refusal([0x12] + endless) == .integerTooLong(field: .rows))
    #expect(refusal([0x18] + endless) == .integerTooLong(field: .bodyBytes))
    #expect(refusal([0x10, 1, 0, 0] + endless) == .integerTooLong(field: .offset))
  }

  @Test("a base that is not there, or of another layout")
  func bases() {
    #expect(refusal([0x11, 0]) == .baseMissing)
    #expect(refusal([0x11, 0], base: [1, 2]) == .wrongLength(field: .base, count: 2, expected: 24))
    #expect(
      refusal([0x11, 0], base: base, ticksSinceBase: -1)
        == .outOfRange(field: .tickDistance, value: -1, limit: BlockLimits.tickSpanMax))
  }

  @Test("bits this version leaves zero")
  func reservedBits() {
    #expect(refusal([0x11, 0xF8], base: base) == .reservedBits(field: .activeColumns, value: 0xF8))
    #expect(refusal([0x15, 0x08, 0], base: base) == .reservedBits(field: .annotations, value: 8))
    #expect(refusal([0x15, 0, 0], base: base) == .reservedBits(field: .annotations, value: 0))
    #expect(refusal([0x11, 1, 0xE0, 0xFF], base: base) == .reservedBits(field: .columnHeader, value: 0xFF))
  }

  @Test("an lz4 bomb is refused before anything is allocated for it")
  func bomb() {
    let limit = shape.payloadBytesMax(rows: 1)
    let huge: [UInt8] = [0x18, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 0x1F, 0, 1, 0, 0xFF, 0xFF, 0xFF]
    #expect(refusal(huge) == .bodyTooLarge(bytes: 0x7_FFFF_FFFF, limit: limit))
    // A run that decodes to more than it says.
    let long: [UInt8] = [0x18, 16, 0x1F, 0, 1, 0, 0xFF, 0xFF, 0x00, 0x50, 0, 0, 0, 0, 0]
    #expect(refusal(long) == .compressionDamaged(compressedBytes: 13, bodyBytes: 16))
    #expect(refusal([0x18, 4]) == .compressionDamaged(compressedBytes: 0, bodyBytes: 4))
  }

  @Test("a payload longer than any block of its rows")
  func oversized() {
    let limit = shape.payloadBytesMax(rows: 1)
    #expect(
      refusal([0x11] + Array(repeating: 0, count: limit + 1), base: base)
        == .bodyTooLarge(bytes: limit + 1, limit: limit))
  }

  @Test("readings beyond the magnitude limit, and the word for absence")
  func magnitudes() throws {
    // Power alone, dense in 56-bit fields, all ones: a zigzag difference of -2^55.
    let wide: [UInt8] = [0x11, 1, 31] + Array(repeating: 0xFF, count: 56)
    #expect(refusal(wide, base: base) == .valueTooLarge(column: 0, value: 500 - 1 << 55))
    // A base at the limit is fine, one step further is not.
    let edge = Array(repeating: Limits.sampleMagnitudeMax, count: shape.width)
    #expect(refusal([0x11, 1, 1] + [0], base: edge) == nil)
    #expect(
      refusal([0x11, 1, 2] + [2, 0], base: edge)
        == .valueTooLarge(column: 0, value: Limits.sampleMagnitudeMax + 1))
  }

  @Test("an outlier at a position its group does not have")
  func outlier() throws {
    let odd = BlockShape(try layout([.gpuPower], gpus: 5))
    var decoder = BlockDecoder()
    // Patched, no low bits: position 7 of 5, then an upper width of one bit.
    #expect(throws: BlockError.outOfRange(field: .outlierPosition, value: 7, limit: 4)) {
      _ = try decode([0x11, 1, 0x40, 0x0F, 1], odd, base: [0, 0, 0, 0, 0], &decoder)
    }
  }

  @Test("output that is too small")
  func smallOutput() throws {
    var decoder = BlockDecoder()
    var encoder = BlockEncoder()
    var rows: [Int64] = [0]
    var bytes = [UInt8](repeating: 0, count: 1)
    let payload: [UInt8] = [0x10, 0]
    #expect(throws: BlockError.outputTooSmall(needed: 24, available: 1)) {
      try payload.withBytes { span in
        var target = rows.mutableSpan
        _ = try decoder.decode(span, shape: shape, base: nil, into: &target)
      }
    }
    #expect(throws: BlockError.outputTooSmall(needed: 2, available: 1)) {
      var target = bytes.mutableSpan
      // SAFETY: bytes without padding.
      var raw = unsafe target.mutableBytes
      _ = try encoder.encode(rows: base.span, shape: shape, base: base.span, into: &raw)
    }
  }

  @Test("rows the encoder must not write")
  func encoderInput() throws {
    var encoder = BlockEncoder()
    func refusal(_ input: BlockInput) -> BlockError? {
      do {
        _ = try encode(input, shape, &encoder)
        return nil
      } catch {
        return error as? BlockError
      }
    }
    #expect(refusal(BlockInput(rows: [1, 2, 3])) == .wrongLength(field: .values, count: 3, expected: 24))
    #expect(refusal(BlockInput(rows: [])) == .wrongLength(field: .values, count: 0, expected: 24))
    var large = base
    large[9] = Limits.sampleMagnitudeMax + 1
    #expect(refusal(BlockInput(rows: large)) == .valueTooLarge(column: 1, value: large[9]))
    let two = base + base
    #expect(
      refusal(BlockInput(rows: two, tickOffsets: [0, 0]))
        == .outOfRange(field: .ticks, value: 0, limit: BlockLimits.tickSpanMax))
    #expect(refusal(BlockInput(rows: two, tickOffsets: [0])) == .wrongLength(field: .ticks, count: 1, expected: 2))
    #expect(refusal(BlockInput(rows: two, rowFlags: [0])) == .wrongLength(field: .flags, count: 1, expected: 2))
  }
}
