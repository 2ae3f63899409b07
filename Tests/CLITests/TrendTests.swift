import Testing

@testable import bongsu

@Suite struct TrendTests {
  private static let start: Int64 = 1_795_253_400_000

  private func trend(_ values: [(second: Int64, value: Double)]) -> Trend {
    var trend = Trend()
    for (second, value) in values { trend.add(value, unixMilliseconds: Self.start + second * 1000) }
    return trend
  }

  @Test("a rising minute rises from the lowest to the highest bar, each the mean of five seconds")
  func rising() {
    let trend = trend((0..<60).map { ($0, Double($0)) })
    #expect(trend.text(endingAt: Self.start + 59_000) == "▁▁▂▃▃▄▅▆▆▇██")
  }

  @Test("seconds of which nothing is known stay empty, at the end too")
  func gaps() {
    let trend = trend([(0, 1), (5, 2), (20, 3)])
    #expect(trend.text(endingAt: Self.start + 22_000) == "       ▁▅  █")
    #expect(trend.text(endingAt: Self.start + 32_000) == "     ▁▅  █  ")
    #expect(!trend.isOver(at: Self.start + 79_000) && trend.isOver(at: Self.start + 80_000))
  }

  @Test("a move of less than a hundredth is flat, and a tick that comes twice counts once")
  func flat() {
    var trend = trend([(0, 1000), (5, 1009)])
    #expect(trend.text(endingAt: Self.start + 5000).hasSuffix("▄▄"))
    trend.add(5000, unixMilliseconds: Self.start + 5000)
    trend.add(5000, unixMilliseconds: Self.start)
    trend.add(.nan, unixMilliseconds: Self.start + 6000)
    #expect(trend.text(endingAt: Self.start + 5000).hasSuffix("▄▄"))
    #expect(Trend().text(endingAt: Self.start) == String(repeating: " ", count: Trend.columns))
  }
}
