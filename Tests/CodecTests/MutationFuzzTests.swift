import BongsuCodec
import BongsuModel
import BongsuTestKit
import Testing

/// Valid payloads, damaged. `BONGSU_FUZZ_INPUTS` sets how many (20,000 when unset); run a million of them with
///
///     BONGSU_FUZZ_INPUTS=1000000 ASAN_OPTIONS=detect_leaks=0 swift test --sanitize=address --filter MutationFuzzTests
@Suite("Damaged payloads")
struct MutationFuzzTests {
  private struct Specimen {
    let shape: BlockShape
    let input: BlockInput
    let payload: [UInt8]
  }

  @Test("a damaged payload is refused or decodes to readings within limits, and nothing beyond its rows is touched")
  func mutations() throws {
    let count = fuzzInputs ?? 20_000
    var random = SeededRandom(default: 0xF022)
    print("mutation fuzz: \(count) payloads, seed \(random.seed)")
    let specimens = try makeSpecimens(&random)
    var decoder = BlockDecoder()
    var refusals: [String: Int] = [:]
    var accepted = 0
    for _ in 0..<count {
      guard let specimen = specimens.randomElement(using: &random) else { return }
      let other = specimens.randomElement(using: &random)?.payload ?? []
      let payload = mutate(specimen.payload, other, &random)
      do {
        try decodeGuarded(payload, specimen, &decoder)
        accepted += 1
      } catch let error as BlockError {
        refusals[String(String(describing: error).prefix { !$0.isNumber }), default: 0] += 1
      }
    }
    print("accepted \(accepted), refused \(count - accepted):")
    for (reason, times) in refusals.sorted(by: { $0.value > $1.value }).prefix(24) { print("  \(times)  \(reason)") }
    #expect(refusals.count >= 6, "the damage reaches many different checks")
    #expect(accepted < count)
  }

  private func makeSpecimens(_ random: inout SeededRandom) throws -> [Specimen] {
    var encoder = BlockEncoder()
    var specimens: [Specimen] = []
    while specimens.count < 300 {
      // Damage to a compressed body mostly ends in LZ4, so most stay plain.
      encoder.isCompressing = specimens.count % 4 == 0
      var source = RandomRows(random: random.split())
      let shape = BlockShape(try source.layout())
      let input = source.block(shape.layout)
      guard input.rows.count <= 1500 else { continue }
      let payload = try encode(input, shape, &encoder)
      specimens.append(Specimen(shape: shape, input: input, payload: payload))
    }
    return specimens
  }

  private func mutate(_ payload: [UInt8], _ other: [UInt8], _ random: inout SeededRandom) -> [UInt8] {
    var bytes = payload
    for _ in 0..<Int.random(in: 1...3, using: &random) {
      let position = bytes.isEmpty ? 0 : Int.random(in: 0..<bytes.count, using: &random)
      // Most of the format's decisions stand near the start.
      let early = bytes.isEmpty ? 0 : Int.random(in: 0..<min(bytes.count, 12), using: &random)
      switch Int.random(in: 0..<9, using: &random) {
      case 0: bytes.removeLast(bytes.count - position)
      case 1 where !bytes.isEmpty: bytes[position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      case 2 where !bytes.isEmpty: bytes[early] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      case 3 where !bytes.isEmpty: bytes[early] = UInt8.random(in: 0...255, using: &random)
      case 4 where !bytes.isEmpty: bytes[position] = [0, 0x7F, 0x80, 0xFF].randomElement(using: &random) ?? 0
      case 5: bytes.insert(UInt8.random(in: 0...255, using: &random), at: position)
      case 6: bytes = Array(bytes[..<position]) + other.suffix(max(0, other.count - position))
      case 7: bytes.append(contentsOf: other.prefix(Int.random(in: 0...40, using: &random)))
      default: if !bytes.isEmpty { bytes[0] ^= 1 << UInt8.random(in: 0..<4, using: &random) }
      }
    }
    return bytes
  }

  private func decodeGuarded(_ payload: [UInt8], _ specimen: Specimen, _ decoder: inout BlockDecoder) throws {
    let shape = specimen.shape
    try payload.withBytes { span in
      let summary = try BlockDecoder.inspect(span)
      let values = summary.rows * shape.width
      let guardWords = 8
      let room = min(values, 1 << 17)
      var rows = [Int64](repeating: 0x5A5A, count: room + guardWords)
      var target = rows.mutableSpan
      let count: Int
      if let base = specimen.input.base {
        count = try decoder.decode(span, shape: shape, base: base.span, into: &target)
      } else {
        count = try decoder.decode(span, shape: shape, base: nil, into: &target)
      }
      #expect(count == summary.rows)
      for value in rows[..<values] where value != absent && value.magnitude > UInt64(Limits.sampleMagnitudeMax) {
        Issue.record("decoded \(value)")
      }
      #expect(rows[values...].allSatisfy { $0 == 0x5A5A })
      for row in 1..<max(count, 1) { #expect(decoder.tickOffset(ofRow: row) > decoder.tickOffset(ofRow: row - 1)) }
    }
  }
}
