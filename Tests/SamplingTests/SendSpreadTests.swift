import BongsuModel
import BongsuSampling
import Testing

@Suite("spread of sending")
struct SendSpreadTests {
  @Test(
    "the nodes of a nation send evenly over a tenth of the interval, at most 100 ms",
    arguments: [(100, 10), (1000, 100), (60_000, 100)])
  func even(milliseconds: Int, width: Int) throws {
    let interval = try #require(TickInterval(milliseconds: milliseconds))
    var parts = [Int](repeating: 0, count: 10)
    for rack in 1...325 {
      for place in 1...100 {
        let node = try #require(NodeID("seoul-r\(rack)-n\(place)"))
        let delay = SendSpread.nanoseconds(node: node, interval: interval)
        #expect(delay == SendSpread.nanoseconds(node: node, interval: interval))
        try #require(delay >= 0 && delay < Int64(width) * 1_000_000)
        parts[Int(delay) * 10 / (width * 1_000_000)] += 1
      }
    }
    // 3,250 are to be expected in each part; five times the spread of chance is allowed.
    #expect(parts.allSatisfy { (2_960...3_540).contains($0) }, "\(parts)")
  }
}
