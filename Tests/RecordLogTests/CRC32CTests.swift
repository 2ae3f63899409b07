import BongsuTestKit
import Testing

@testable import BongsuRecordLog

@Suite("CRC32C")
struct CRC32CTests {
  @Test("the checksums of RFC 3720 appendix B.4 come out")
  func publishedVectors() {
    #expect(checksum(Array("123456789".utf8)) == 0xE306_9283)
    #expect(checksum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
    #expect(checksum([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
    #expect(checksum(Array(0..<32)) == 0x46DD_794E)
    #expect(checksum([]) == 0)
  }

  @Test("instruction and tables agree for every length and split")
  func implementationsAgree() {
    var random = SeededRandom(default: 1)
    for count in 0..<200 {
      let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
      var byTables = CRC32C(seed: 7)
      unsafe byTables.updateByTables(bytes.span.bytes)
      var inParts = CRC32C(seed: 7)
      let split = Int.random(in: 0...count, using: &random)
      inParts.update(bytes.span.extracting(first: split))
      inParts.update(bytes.span.extracting(split..<count))
      #expect(byTables.value == inParts.value, "length \(count), split \(split), seed \(random.seed)")
    }
  }

  @Test("another seed gives another checksum of the same bytes")
  func seedsDiffer() {
    var one = CRC32C(seed: 1)
    var two = CRC32C(seed: 2)
    one.update([1, 2, 3].span)
    two.update([1, 2, 3].span)
    #expect(one.value != two.value)
  }

  private func checksum(_ bytes: [UInt8]) -> UInt32 {
    var checksum = CRC32C()
    checksum.update(bytes.span)
    return checksum.value
  }
}
