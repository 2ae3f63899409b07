import Testing

@testable import bongsu

@Suite struct LiveKeyTests {
  private func keys(_ bytes: [UInt8]...) -> [LiveKey] {
    var decoder = LiveKeyDecoder()
    return bytes.flatMap { decoder.feed($0) }
  }

  @Test(
    "terminals' sequences are keys",
    arguments: [
      ("\u{1B}[A", LiveKey.up), ("\u{1B}OB", .down), ("\u{1B}[1;5C", .right), ("\u{1B}[D", .left),
      ("\u{1B}[5~", .pageUp), ("\u{1B}[6~", .pageDown), ("\u{1B}[H", .home), ("\u{1B}[4~", .end),
      ("\u{1B}[Z", .backTab),
      ("\r", .enter), ("\n", .enter), ("\u{7F}", .backspace), ("\t", .tab), ("\u{3}", .interrupt),
      ("가", .character("가")),
    ])
  func sequences(text: String, key: LiveKey) {
    #expect(keys(Array(text.utf8)) == [key])
    // The same bytes one at a time.
    var decoder = LiveKeyDecoder()
    #expect(text.utf8.flatMap { decoder.feed([$0]) } == [key] && !decoder.isPending)
  }

  @Test("an escape byte alone waits, and is the key after a moment of silence")
  func loneEscape() {
    var decoder = LiveKeyDecoder()
    #expect(decoder.feed([0x1B]).isEmpty && decoder.isPending)
    #expect(decoder.flush() == [.escape] && !decoder.isPending && decoder.flush().isEmpty)
    #expect(keys([0x1B, 0x71]) == [.escape, .character("q")])
  }

  @Test("what is no key is left out and does not swallow what follows")
  func rubbish() {
    #expect(keys(Array("\u{1B}[99~q".utf8)) == [.character("q")])
    #expect(keys([0xFF, 0x80, 0xC3, 0x28, 0x71]) == [.character("("), .character("q")])
    #expect(keys([0x1B, 0x5B] + Array(repeating: 0x31, count: 100) + [0x71]).last == .character("q"))
    #expect(keys([0x01, 0x02, 0x71]) == [.character("q")])
  }

  @Test("a broken character at the end is dropped by silence")
  func brokenCharacter() {
    var decoder = LiveKeyDecoder()
    #expect(decoder.feed([0xEA, 0xB0]).isEmpty && decoder.isPending)
    #expect(decoder.flush().isEmpty && !decoder.isPending)
    #expect(decoder.feed([0x71]) == [.character("q")])
  }
}
