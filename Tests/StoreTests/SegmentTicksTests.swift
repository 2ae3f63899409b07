import BongsuModel
import BongsuRecordLog
import BongsuTestKit
import Foundation
import Testing

@testable import BongsuStore

@Suite("Segment ticks")
struct SegmentTicksTests {
  /// A follower that tells of segments, beside the files that it writes.
  private struct Following: ~Copyable {
    let segments = SegmentTicks()
    private var follower: HistoryFollower

    init(_ journal: RawJournal) throws {
      follower = try HistoryFollower(
        shard: 0, journal: PosixDisk(path: journal.journals[0]),
        history: History(path: "\(journal.directory)/history.sqlite"),
        tiers: TierStore(path: "\(journal.directory)/tiers.sqlite"), segments: segments)
    }

    mutating func advance(_ journal: RawJournal) throws {
      try follower.advance(through: journal.committed[0], now: RawJournal.tick(0))
    }
  }

  private static func selection(_ first: Int, _ last: Int) -> RawSelection {
    RawSelection(ticks: RawJournal.tick(first)...RawJournal.tick(last))
  }

  @Test(
    "whatever is asked for: passing segments over changes no answer, with late rows and packing between",
    arguments: [1, 2, 3])
  func equality(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let directory = try TemporaryDirectory()
    let journal = try RawJournal(directory.path)
    let keeper = try journal.keeper()
    var following = try Following(journal)
    var number = 3_400
    var passedOver = 0
    for round in 0..<24 {
      for _ in 0..<Int.random(in: 5...60, using: &random) {
        number += 1
        for node in 0..<4 where Int.random(in: 0..<20, using: &random) > 0 { try journal.put(node, number) }
      }
      if Int.random(in: 0..<4, using: &random) == 0 {
        let first = max(1, number - Int.random(in: 0..<600, using: &random))
        try journal.put(Int.random(in: 0..<4, using: &random), first...min(number, first + 9))
      }
      try journal.commit()
      // It is behind at times, and is begun anew at times.
      if round == 12 { following = try Following(journal) }
      if Int.random(in: 0..<3, using: &random) > 0 { try following.advance(journal) }
      if Int.random(in: 0..<8, using: &random) == 0 {
        try keeper.advance(through: journal.committed, now: RawJournal.tick(number).unixMilliseconds)
      }
      for _ in 0..<3 {
        let first = number - Int.random(in: 0..<500, using: &random)
        let selection = Self.selection(first, first + Int.random(in: 0..<90, using: &random))
        let found = try RawReading(journal.history(keeper, segments: following.segments), selection)
        let expected = try RawReading(journal.history(keeper), selection)
        #expect(found.rows == expected.rows, "seed \(seed) at \(number): \(selection)")
        #expect(found.losses == expected.losses)
        passedOver +=
          journal.segments[0].filter { segment in
            following.segments.misses(selection.ticks, shard: 0, segment: segment.firstNumber)
          }.count
      }
    }
    #expect(passedOver > 20)
    #expect(journal.said.all == [])
  }

  @Test("a segment in which something cannot be read is never passed over, so that its loss is told")
  func damage() throws {
    let directory = try TemporaryDirectory()
    let journal = try RawJournal(directory.path)
    for number in 1...600 {
      for node in 0..<4 { try journal.put(node, number) }
      if number % 10 == 0 { try journal.commit() }
    }
    let segments = journal.segments[0].map(\.firstNumber)
    try #require(segments.count > 4)
    let broken = segments[1]
    let path = try #require(
      try FileManager.default.contentsOfDirectory(atPath: journal.journals[0]).sorted().dropFirst().first)
    let file = "\(journal.journals[0])/\(path)"
    var bytes = try Data(contentsOf: URL(fileURLWithPath: file))
    bytes[bytes.count / 2] ^= 0x40
    try bytes.write(to: URL(fileURLWithPath: file))
    var following = try Following(journal)
    try following.advance(journal)
    let late = Self.selection(590, 600).ticks
    #expect(!following.segments.misses(late, shard: 0, segment: broken))
    #expect(following.segments.misses(late, shard: 0, segment: segments[0]))
    #expect(following.segments.misses(late, shard: 0, segment: segments[2]))
    // Of the newest nothing is known, since it goes on.
    #expect(!following.segments.misses(Self.selection(1, 2).ticks, shard: 0, segment: segments.last ?? 0))
    let keeper = try journal.keeper()
    let selection = Self.selection(590, 600)
    let found = try RawReading(journal.history(keeper, segments: following.segments), selection)
    #expect(found.rows.count == 4)
    #expect(!found.losses.damage.isEmpty)
  }
}
