import BongsuQuery
import BongsuSeries
import Foundation
import QueryOracle
import Testing

import let BongsuTestKit.fuzzInputs

@Suite("Parser fuzzing")
struct ParserFuzzTests {
  private static let seed = UInt64(ProcessInfo.processInfo.environment["BONGSU_SEED"] ?? "") ?? 91
  /// A million for the long run; a few thousand every time.
  private static let inputs = fuzzInputs ?? 5000

  private static let fragments = [
    "(", ")", "[", "]", "{", "}", ",", "+", "-", "^", "==", "=~", "!", "=", "by", "on", "ignoring", "group_left",
    "bool",
    "offset", "@", "start()", "end", "5m", "1e3", "0x", ".5", "\"s\"", "'", "`", "\\", "\"\\x4", "sum", "topk", "foo",
    "rate",
    "inf", "NaN", ":", "#", "\n", "1y2w", "[5m:", "[:1m]", "{a=", "a=~\"(\"", "é", "\u{0}", "日本", "label_replace(", "x",
  ]

  @Test("whatever the input, the parser answers or refuses, and what it accepts it prints and accepts again")
  func neverTraps() throws {
    print("parser fuzzing: seed \(Self.seed), \(Self.inputs) inputs")
    var random = SeededRandom(seed: Self.seed)
    var queries = RandomQuery(seed: Self.seed)
    var accepted = 0
    for _ in 0..<Self.inputs {
      var bytes: [UInt8]
      if random.chance(0.6) {
        bytes = Array(queries.next().utf8)
      } else {
        bytes = (0..<Int.random(in: 1...12, using: &random)).flatMap { _ in Array(random.pick(Self.fragments).utf8) }
      }
      for _ in 0..<Int.random(in: 0...3, using: &random) { mutate(&bytes, &random) }
      let source = String(decoding: bytes, as: UTF8.self)
      guard let expression = try? Parser.parse(source) else { continue }
      accepted += 1
      guard let again = try? Parser.parse(expression.description) else {
        Issue.record("accepted \(source.debugDescription), but not its printed form \(expression.description)")
        continue
      }
      // Infinity prints with its sign, which then stands before the power it is the base of: `+(Inf ^ x)`.
      var text = again.description
      while text.contains("++Inf") { text = text.replacing("++Inf", with: "+Inf") }
      #expect(text == expression.description)
    }
    #expect(accepted > Self.inputs / 20)
  }

  private func mutate(_ bytes: inout [UInt8], _ random: inout SeededRandom) {
    let place = Int.random(in: 0...bytes.count, using: &random)
    switch Int.random(in: 0..<5, using: &random) {
    case 0: bytes.insert(UInt8.random(in: 0...255, using: &random), at: place)
    case 1: bytes.insert(contentsOf: Array(random.pick(Self.fragments).utf8), at: place)
    case 2: bytes.removeLast(bytes.count - place)
    case 3: if place < bytes.count { bytes[place] = UInt8.random(in: 0...255, using: &random) }
    default:
      let end = min(bytes.count, place + Int.random(in: 0...6, using: &random))
      bytes.removeSubrange(place..<end)
    }
  }
}
