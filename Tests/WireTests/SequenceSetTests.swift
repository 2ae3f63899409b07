import BongsuTestKit
import Testing

@testable import BongsuWire

@Suite("Sequence sets")
struct SequenceSetTests {
  @Test("a set agrees with a naive set of numbers under random insertions")
  func againstModel() {
    var random = SeededRandom(default: 0x5E7)
    for round in 0..<400 {
      var set = SequenceSet()
      var model: Set<UInt64> = []
      for _ in 0..<60 {
        let first = UInt64.random(in: 1...200, using: &random)
        let last = first + UInt64.random(in: 0...8, using: &random)
        // Ticks grow with numbers: number n has tick 10 n.
        let isInserted = set.insert(first, last, firstTick: Int64(first * 10), lastTick: Int64(last * 10))
        #expect(isInserted)
        model.formUnion(first...last)
        let probe = UInt64.random(in: 1...210, using: &random)
        #expect(set.contains(probe) == model.contains(probe), "round \(round), seed \(random.seed)")
        let end = probe + UInt64.random(in: 0...20, using: &random)
        #expect(set.containsAll(probe, end) == (probe...end).allSatisfy(model.contains))
        let expected = (probe...end).first { !model.contains($0) }
        let found = set.firstMissing(probe, end)
        #expect(found?.first == expected)
        if let found {
          #expect((found.first...found.last).allSatisfy { !model.contains($0) })
          #expect(found.last == end || model.contains(found.last + 1))
          let bounds = set.tickBounds(ofMissing: found.first)
          let below = model.filter { $0 < found.first }.max()
          let above = model.filter { $0 > found.first }.min()
          #expect(bounds.above == below.map { Int64($0 * 10) } ?? .min)
          #expect(bounds.below == above.map { Int64($0 * 10) } ?? .max)
        }
      }
      #expect(set.highest == model.max())
      #expect(SequenceSet(floor: set.floor, floorTick: set.floorTick, ranges: set.ranges) == set)
    }
  }

  @Test("the 65th range is refused and changes nothing; filling the oldest hole goes on")
  func bounded() {
    var set = SequenceSet()
    var isTaken = true
    for index in 0..<64 { isTaken = set.insert(UInt64(index) * 2 + 2, UInt64(index) * 2 + 2) && isTaken }
    #expect(isTaken)
    let full = set
    isTaken = set.insert(1000, 1000)
    #expect(!isTaken)
    #expect(set == full)
    _ = set.insert(1, 1)
    #expect(set.floor == 2)
    isTaken = set.insert(1000, 1000)
    #expect(isTaken)
  }

  @Test("numbers and ticks survive encoding")
  func coding() throws {
    var set = SequenceSet(floor: 7, floorTick: 70)
    _ = set.insert(10, 12, firstTick: 100, lastTick: 120)
    _ = set.insert(20, 20)
    var bytes: [UInt8] = []
    set.encode(into: &bytes)
    var cursor = ByteCursor()
    let decoded = try read(bytes) { record throws(FrameError) in
      let decoded = try SequenceSet(decoding: record, at: &cursor)
      try cursor.end(record)
      return decoded
    }
    #expect(decoded == set)
  }

  @Test("the union holds the numbers of both")
  func union() {
    var set = SequenceSet(floor: 5)
    var other = SequenceSet(floor: 3)
    _ = other.insert(6, 8)
    _ = other.insert(12, 13)
    let isJoined = set.formUnion(other)
    #expect(isJoined)
    #expect(set.floor == 8 && set.ranges.map(\.first) == [12])
  }
}
