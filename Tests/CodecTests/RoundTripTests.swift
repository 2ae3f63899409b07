import BongsuCodec
import BongsuModel
import BongsuTestKit
import Testing

@Suite("Blocks come back as they went in")
struct RoundTripTests {
  @Test("random rows of random layouts come back exactly, whatever is absent, extreme or reset")
  func randomRows() throws {
    var random = SeededRandom(default: 0xC0DEC)
    print("codec round trip seed \(random.seed)")
    var encoder = BlockEncoder()
    var decoder = BlockDecoder()
    for trial in 0..<600 {
      var source = RandomRows(random: random.split())
      let shape = BlockShape(try source.layout())
      let input = source.block(shape.layout)
      let payload = try encode(input, shape, &encoder)
      #expect(payload.count <= shape.payloadBytesMax(rows: input.rows.count / shape.width))
      let output = try decode(payload, shape, base: input.base, ticksSinceBase: input.ticksSinceBase, &decoder)
      #expect(output.rows == input.rows, "trial \(trial), seed \(random.seed)")
      if let offsets = input.tickOffsets { #expect(output.tickOffsets == offsets) }
      if let flags = input.rowFlags { #expect(output.rowFlags == flags) }
      if output.rows != input.rows { break }
    }
  }

  @Test("a GPU that is lost for long costs a session nothing after the first block")
  func lostDevice() throws {
    let shape = BlockShape(try layout(twelveMetrics, gpus: 8))
    var random = SeededRandom(default: 3)
    var encoder = BlockEncoder()
    var decoder = BlockDecoder()
    func row(lost: Int?) -> [Int64] {
      (0..<shape.width).map { $0 % 8 == lost ? absent : Int64.random(in: 1000...1100, using: &random) }
    }
    let complete = row(lost: nil)
    let first = row(lost: 3)
    let payload = try encode(BlockInput(rows: first, base: complete), shape, &encoder)
    #expect(payload[0] & 4 != 0, "the change is announced")
    #expect(try decode(payload, shape, base: complete, &decoder).rows == first)
    let second = row(lost: 3)
    let next = try encode(BlockInput(rows: second, base: first), shape, &encoder)
    #expect(next[0] & 4 == 0, "that it lasts is not")
    #expect(try decode(next, shape, base: first, &decoder).rows == second)
    let back = row(lost: nil)
    let last = try encode(BlockInput(rows: back, base: second), shape, &encoder)
    #expect(try decode(last, shape, base: second, &decoder).rows == back)
  }

  @Test("long blocks stay within the sizes their shape promises", arguments: [1, 8])
  func longBlocks(gpus: Int) throws {
    let shape = BlockShape(try layout([.gpuPower, .gpuEnergy, .gpuXIDEvents], gpus: gpus))
    var random = SeededRandom(default: 11)
    var encoder = BlockEncoder()
    var decoder = BlockDecoder()
    let rows = (0..<(BlockLimits.rowsMax * shape.width)).map { _ in
      Int.random(in: 0..<5, using: &random) == 0
        ? absent : Int64.random(in: -Limits.sampleMagnitudeMax...Limits.sampleMagnitudeMax, using: &random)
    }
    let payload = try encode(BlockInput(rows: rows), shape, &encoder)
    #expect(payload.count <= shape.payloadBytesMax(rows: BlockLimits.rowsMax))
    #expect(try decode(payload, shape, base: nil, &decoder).rows == rows)
  }
}
