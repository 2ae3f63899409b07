import BongsuFleet
import BongsuTestKit
import Testing

@Suite("Name patterns")
struct NamePatternTests {
  @Test(
    "a pattern stands for its names in order",
    arguments: [
      ("node-1", ["node-1"]),
      ("r[1-3]", ["r1", "r2", "r3"]),
      ("r[008-011]", ["r008", "r009", "r010", "r011"]),
      ("r[8-11]", ["r8", "r9", "r10", "r11"]),
      ("a[1-2]-b[x,03-04]", ["a1-bx", "a1-b03", "a1-b04", "a2-bx", "a2-b03", "a2-b04"]),
      ("a,b[1,2] , c", ["a", "b1", "b2", "c"]),
      ("[0-0]", ["0"]),
      ("r[00-02]", ["r00", "r01", "r02"]),
    ])
  func expands(text: String, names: [String]) throws {
    let pattern = try NamePattern(text)
    #expect(pattern.names == names)
    #expect(pattern.count == names.count)
    #expect(names.allSatisfy { pattern.matches($0) })
  }

  @Test(
    "what stands for no name, or cannot be read, is refused by name",
    arguments: [
      ("", NamePattern.Invalid.empty), ("a,,b", .emptyItem), ("a, ", .emptyItem), ("r[1-2", .unbalancedBracket),
      ("r1-2]", .unbalancedBracket), ("r[[1]]", .unbalancedBracket), ("r[]", .emptyGroup), ("r[1,]", .emptyChoice),
      ("r[a-b]", .notANumber("a-b")), ("r[-3]", .notANumber("-3")), ("r[1-2-3]", .notANumber("1-2-3")),
      ("r[3-1]", .backwardRange("3-1")), ("r[01-100]", .unequalWidths("01-100")),
      ("r[1-9999999999]", .notANumber("1-9999999999")), ("r[0-999999999]", .tooManyNames),
      ("r[1-1000]-n[1-1000]", .tooManyNames), ("[1-999999999][1-999999999][1-999999999]", .tooManyNames),
    ])
  func refuses(text: String, error: NamePattern.Invalid) {
    #expect(throws: error) { try NamePattern(text) }
    #expect(!error.remedy.isEmpty)
  }

  @Test("a pattern as long as its limit is read, one byte more is refused")
  func lengthLimit() throws {
    let longest = String(repeating: "a", count: Limits.patternBytesMax)
    #expect(try NamePattern(longest).count == 1)
    #expect(throws: NamePattern.Invalid.tooLong(bytes: Limits.patternBytesMax + 1)) { try NamePattern(longest + "a") }
  }

  @Test("matching agrees with expanding", arguments: 1...20 as ClosedRange<UInt64>)
  func matchesAgree(seed: UInt64) throws {
    var random = SeededRandom(default: seed)
    let groups = (0..<Int.random(in: 1...3, using: &random)).map { _ in
      let first = Int.random(in: 0...30, using: &random)
      let last = first + Int.random(in: 0...15, using: &random)
      let isPadded = Bool.random(using: &random)
      let ends = [first, last].map { isPadded ? String(String($0 + 1000).dropFirst()) : String($0) }
      return
        "\(["", "r", "n-"].randomElement(using: &random)!)[\(ends[0])-\(ends[1])\(Bool.random(using: &random) ? ",x1" : "")]"
    }
    let pattern = try NamePattern(groups.joined())
    let names = Set(pattern.names)
    #expect(names.allSatisfy { pattern.matches($0) }, "\(pattern), seed \(random.seed)")
    for name in names {
      var letters = Array(name)
      letters[Int.random(in: letters.indices, using: &random)] = "0123456789x-".randomElement(using: &random)!
      let mutant = String(letters)
      #expect(pattern.matches(mutant) == names.contains(mutant), "\(mutant) in \(pattern), seed \(random.seed)")
      #expect(pattern.matches(name + "0") == names.contains(name + "0"))
    }
  }
}
