import QueryOracle
import Testing

@testable import BongsuQuery

@Suite("Text of numbers")
struct FloatTextTests {
  @Test("numbers are written with the fewest digits that read back alike, without an exponent")
  func plain() {
    let cases: [(Double, String)] = [
      (0, "0"), (-0.0, "-0"), (1, "1"), (-417.9, "-417.9"), (0.001, "0.001"), (0.0001, "0.0001"),
      (1e-7, "0.0000001"), (123_456_789_012_345, "123456789012345"), (1e15, "1000000000000000"),
      (1e21, "1000000000000000000000"), (0.1 + 0.2, "0.30000000000000004"), (.nan, "NaN"), (.infinity, "+Inf"),
      (-.infinity, "-Inf"), (999_999_999_999_999.9, "999999999999999.9"),
    ]
    for (value, text) in cases { #expect(FloatText.plain(value) == text) }
    var random = SeededRandom(seed: 5)
    for _ in 0..<20_000 {
      let value = Double(bitPattern: .random(in: 0...UInt64.max, using: &random))
      let text = FloatText.plain(value)
      #expect(FloatText.parse(text)?.bitPattern == value.bitPattern || value.isNaN || value.isInfinite, "\(value)")
      #expect(!text.contains("e"))
    }
    for _ in 0..<20_000 {
      let value = Double(Int.random(in: -1_000_000_000_000...1_000_000_000_000, using: &random)) / 1000
      #expect(Double(FloatText.plain(value)) == value)
      #expect(!FloatText.plain(value).hasSuffix(".0"))
    }
  }
}
