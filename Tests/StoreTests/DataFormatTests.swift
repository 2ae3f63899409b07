import BongsuRecordLog
import BongsuTestKit
import Foundation
import Testing

@testable import BongsuStore

@Suite("The description of a data directory")
struct DataFormatTests {
  private func prepared(_ text: String?, shards: Int = 1, journals: Int = 0) throws -> (text: String, said: [String]) {
    let folder = try TemporaryDirectory()
    let path = "\(folder.path)/format"
    if let text { try text.write(toFile: path, atomically: false, encoding: .utf8) }
    for shard in 0..<journals {
      let directory = "\(folder.path)/journal/shard-\(shard)"
      try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
      try "x".write(toFile: "\(directory)/journal-0000000000000001.log", atomically: false, encoding: .utf8)
    }
    var said: [String] = []
    try DataFormat.prepare(folder.path, shards: shards) { said.append($0) }
    return (try String(contentsOfFile: path, encoding: .utf8), said)
  }

  @Test("a new directory gets one, an earlier release's is brought up to date, both without a word")
  func written() throws {
    #expect(try prepared(nil) == (DataFormat.text(shards: 1), []))
    #expect(try prepared("bongsu-data 1 shards 4\n", shards: 4) == (DataFormat.text(shards: 4), []))
    #expect(try prepared(DataFormat.text(shards: 2), shards: 2) == (DataFormat.text(shards: 2), []))
  }

  @Test("any damaged byte is mended from the other copy and said, and never makes another number of shards")
  func flipped() throws {
    let text = Array(DataFormat.text(shards: 1).utf8)
    for offset in text.indices {
      var bytes = text
      bytes[offset] ^= 1 << UInt8(offset % 7)
      let (after, said) = try prepared(String(decoding: bytes, as: UTF8.self), journals: 1)
      #expect(after == String(decoding: text, as: UTF8.self) && said.count == 1, "byte \(offset): \(said)")
    }
  }

  @Test("a later release's directory is refused with what to do, whichever of its formats is later")
  func newer() throws {
    let present = DataFormat.text(shards: 1).split(separator: "\n")[0].components(separatedBy: " crc32c ")[0]
    for (what, now) in DataFormat.files {
      let line = present.replacingOccurrences(of: " \(what) \(now)", with: " \(what) \(now + 1)")
      #expect {
        _ = try prepared(TwofoldLine.text(line))
      } throws: { error in
        let text = "\(error)"
        return text.contains("later release") && text.contains(what) && text.contains("install that release again")
          && text.contains("restore a backup")
      }
    }
    for line in ["bongsu-data 3 shards 1", present + " vectors 1"] {
      #expect(throws: DataFormat.Refusal.self, "\(line)") { _ = try prepared(TwofoldLine.text(line)) }
    }
    #expect(throws: DataFormat.Refusal.self) { _ = try prepared("bongsu-data 3 shards 1\n") }
  }

  @Test("another number of shards is refused with the right one, also when only the journals tell it")
  func shards() throws {
    #expect(throws: DataFormat.Refusal.self) { _ = try prepared(DataFormat.text(shards: 2)) }
    #expect(throws: DataFormat.Refusal.self) { _ = try prepared("ruin", shards: 1, journals: 3) }
    #expect(try prepared("ruin", shards: 3, journals: 3).said.count == 1)
  }
}
