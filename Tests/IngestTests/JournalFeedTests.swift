import BongsuRing
import Testing

@testable import BongsuIngest

@Suite("Journal feed")
struct JournalFeedTests {
  private static let second: Int64 = 1_000_000_000

  /// The numbers of the segments that batches of `bytes` at these seconds belong to.
  ///
  /// - Parameter behind: milliseconds of the wall clock behind each full second.
  private func segments(
    at seconds: [Int64], behind: Int64 = 0, bytes: Int, segmentBytesMax: Int = 256 << 20
  ) throws -> [UInt32] {
    var ring = try SPSCRing<Int32>(capacity: JournalFeed.slotCount)
    let slots = (0..<seconds.count).map { _ in JournalBatch() }
    var feed = JournalFeed(
      slots: slots, ring: ring.takeProducer(), nextRecord: 1, segmentBytesMax: segmentBytesMax)
    var segments: [UInt32] = []
    for now in seconds {
      segments.append(feed.segment)
      _ = feed.append(now: now * Self.second) { $0 += [UInt8](repeating: 7, count: bytes) }
      _ = feed.handOver(now: now * Self.second, wall: now * 1000 + behind, isForced: true)
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

  @Test("a segment ends at the turn of a minute unless it is young or small, so that a minute lies in one")
  func turns() throws {
    let seconds: [Int64] = [10, 39, 40, 60, 61, 100, 120, 121]
    for (behind, ends) in [(499, false), (500, true), (999, true), (1000, false)] as [(Int64, Bool)] {
      let expected: [UInt32] = ends ? [1, 1, 1, 1, 2, 2, 2, 3] : [1, 1, 1, 1, 1, 1, 1, 1]
      #expect(try segments(at: seconds, behind: behind, bytes: 2 << 20) == expected, "\(behind)")
    }
    #expect(try segments(at: [31, 60, 61], behind: 600, bytes: 5 << 20) == [1, 1, 1])
    #expect(try segments(at: [30, 60, 61], behind: 600, bytes: 5 << 20) == [1, 1, 2])
    #expect(try segments(at: [10, 60, 61], behind: 600, bytes: 1 << 20) == [1, 1, 1])
  }
}
