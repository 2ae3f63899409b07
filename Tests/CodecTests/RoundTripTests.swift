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
}
