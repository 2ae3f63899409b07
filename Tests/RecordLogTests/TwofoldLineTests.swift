import BongsuRecordLog
import Testing

@Suite("A line that is kept twice")
struct TwofoldLineTests {
  @Test("comes back whole, also after any one byte is another")
  func anyByte() throws {
    let line = "mark 2 some-secret"
    let text = Array(TwofoldLine.text(line).utf8)
    let whole = try #require(TwofoldLine.read(String(decoding: text, as: UTF8.self)))
    #expect(whole == (line, true))
    for offset in text.indices {
      for byte in [UInt8(0), 10, 32, 0x41, 0xFF] where text[offset] != byte {
        var bytes = text
        bytes[offset] = byte
        let read = try #require(TwofoldLine.read(String(decoding: bytes, as: UTF8.self)), "byte \(offset) as \(byte)")
        #expect(read == (line, false), "byte \(offset) as \(byte)")
      }
    }
  }

  @Test("is nothing when neither copy holds, or the two differ", arguments: ["", "\n", "x", "mark crc32c 00000000\n"])
  func neither(text: String) {
    #expect(TwofoldLine.read(text) == nil)
    let two = TwofoldLine.text("a").split(separator: "\n")[0] + "\n\n" + TwofoldLine.text("b").split(separator: "\n")[0]
    #expect(TwofoldLine.read(String(two)) == nil)
  }
}
