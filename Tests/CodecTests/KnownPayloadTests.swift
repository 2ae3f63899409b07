import BongsuCodec
import BongsuModel
import BongsuTestKit
import Testing

/// Payloads written out by hand from FORMAT.md, so that the format cannot drift unnoticed.
@Suite("The format is what FORMAT.md draws")
struct KnownPayloadTests {
  private func check(
    _ payload: [UInt8], _ metrics: [MetricID], gpus: Int, base: [Int64]?, rows: [Int64], ticksSinceBase: Int = 1
  ) throws {
    let shape = BlockShape(try layout(metrics, gpus: gpus))
    var decoder = BlockDecoder()
    var encoder = BlockEncoder()
    let decoded = try decode(payload, shape, base: base, ticksSinceBase: ticksSinceBase, &decoder)
    #expect(decoded.rows == rows)
    let written = try encode(BlockInput(rows: rows, base: base, ticksSinceBase: ticksSinceBase), shape, &encoder)
    #expect(written == payload)
  }

  @Test("a row that repeats its base costs its header and the map")
  func unchanged() throws {
    try check([0x11, 0], [.gpuPower, .gpuTemperature], gpus: 2, base: [1, 2, 3, 4], rows: [1, 2, 3, 4])
  }

  @Test("what the base lacks stays absent at no cost")
  func stillAbsent() throws {
    try check([0x11, 0], [.gpuPower], gpus: 2, base: [absent, 2], rows: [absent, 2])
  }

  @Test("dense fields: differences 1, -1, 3, -3 as zigzag 2, 1, 6, 5 in three bits")
  func dense() throws {
    // form 0, width 3; fields from the lowest bit: 010 001 110 101.
    let fields = 2 | 1 << 3 | 6 << 6 | 5 << 9
    try check(
      [0x11, 1, 0x03, UInt8(fields & 255), UInt8(fields >> 8)], [.gpuPower], gpus: 4, base: [100, 100, 100, 100],
      rows: [101, 99, 103, 97])
  }

  @Test("sparse fields: one of eight GPUs grew by 5 tenths of a degree times ten")
  func sparse() throws {
    // form 1, width 4: 50 tenths are 5 in units of ten, zigzag 10. Mask, then the one field.
    let base = [Int64](repeating: 400, count: 8)
    let rows = base.enumerated().map { $0.offset == 6 ? Int64(450) : $0.element }
    try check([0x11, 1, 0x24, 0x40, 0x0A], [.gpuTemperature], gpus: 8, base: base, rows: rows)
  }

  @Test("patched fields: an outlier keeps its upper bits apart")
  func patched() throws {
    // form 2, width 1: position 3 (three bits), upper width 11 (five bits), low bits, upper bits.
    let base = [Int64](repeating: 0, count: 8)
    let rows: [Int64] = [-1, 0, -1, 1000, 0, -1, 0, -1]
    let low: UInt64 = 0b1010_0101
    let bits: UInt64 = 3 | 10 << 3 | low << 8 | (2000 >> 1) << 16
    try check(
      [0x11, 1, 0x41] + (0..<4).map { UInt8(truncatingIfNeeded: bits >> UInt64(8 * $0)) }, [.gpuPower], gpus: 8,
      base: base, rows: rows)
  }

  @Test("energy that follows from power and time costs one byte, also over skipped ticks", arguments: [1, 3])
  func energy(ticks: Int) throws {
    // Power: form 3 (alternate scale, 10), width 16, 20,000 as zigzag 40,000. Energy: form 0, width 0.
    let gain = Int64(ticks) * (500_000 + 700_000) / 2
    try check(
      [0x11, 3, 0x70, 0x40, 0x9C, 0x00], [.gpuPower, .gpuEnergy], gpus: 1, base: [500_000, 9_000_000],
      rows: [700_000, 9_000_000 + gain], ticksSinceBase: ticks)
  }

  @Test("a first row that stands alone: smallest value, then what the others have more")
  func standalone() throws {
    // power: class dense 2, scale 1, offset 100 (zigzag 200, two bytes), fields 0 1 2 3.
    try check([0x10, 1, 0x02, 0x00, 0xC8, 0x01, 0xE4], [.gpuPower], gpus: 4, base: nil, rows: [100, 101, 102, 103])
  }

  @Test("a change of presence: all of a column gone")
  func gone() throws {
    try check([0x15, 0x04, 0x02, 0x00], [.gpuPower], gpus: 2, base: [5, 6], rows: [absent, absent])
  }

  @Test("three rows that skip ticks and carry a flag")
  func annotated() throws {
    let shape = BlockShape(try layout([.gpuPower], gpus: 1))
    var encoder = BlockEncoder()
    var decoder = BlockDecoder()
    let input = BlockInput(rows: [7, 7, 7], base: [7], tickOffsets: [0, 1, 5], rowFlags: [0, 1, 1])
    let payload = try encode(input, shape, &encoder)
    // One gap: one row passed, three ticks skipped; flags: a run of one 0, a run of two 1.
    #expect(payload == [0x17, 3, 0x03, 1, 1, 2, 0, 0, 1, 1, 0])
    let output = try decode(payload, shape, base: [7], &decoder)
    #expect(output.tickOffsets == [0, 1, 5])
    #expect(output.rowFlags == [0, 1, 1])
  }
}
