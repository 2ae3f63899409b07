import BongsuRing
import Testing

@testable import BongsuIngest

@Suite("Journal feed")
struct JournalFeedTests {
  private static let second: Int64 = 1_000_000_000

  /// The numbers of the segments that batches of `bytes` at these seconds belong to.
  private func segments(at seconds: [Int64], bytes: Int, segmentBytesMax: Int = 256 << 20) throws -> [UInt32] {
    var ring = try SPSCRing<Int32>(capacity: JournalFeed.slotCount)
    let slots = (0..<seconds.count).map { _ in JournalBatch() }
    var feed = JournalFeed(
      slots: slots, ring: ring.takeProducer(), nextRecord: 1, segmentBytesMax: segmentBytesMax)
    var segments: [UInt32] = []
    for now in seconds {
      segments.append(feed.segment)
      _ = feed.append(now: now * Self.second) { $0 += [UInt8](repeating: 7, count: bytes) }
      _ = feed.handOver(now: now * Self.second, isForced: true)
    }
    // Whoever reads from its start on needs nothing before.
    #expect(slots.reversed().map(\.startsSegment) == zip([0] + segments, segments).map { $0 != $1 })
    return segments
  }

  @Test("a segment ends when it is large, and when it is old unless it is small")
  func ends() throws {
    #expect(try segments(at: [0, 1, 2, 3], bytes: 600, segmentBytesMax: 1000) == [1, 1, 2, 2])
    #expect(
      try segments(at: [0, 40, 119, 120, 121, 240, 241, 242], bytes: 2 << 20) == [1, 1, 1, 1, 2, 2, 2, 3].map { $0 })
    #expect(try segments(at: [0, 120, 10_000, 20_000], bytes: 1000) == [1, 1, 1, 1])
    // Age counts from the first batch of a segment.
    #expect(try segments(at: [1_000, 1_119, 1_120, 1_240, 1_241], bytes: 5 << 20) == [1, 1, 1, 2, 2])
  }
}
