import BongsuQuery
import BongsuSeries
import Testing

/// Prometheus 3 leaves the first instant of windows and lookbacks out.
@Suite struct OpenRangeTests {
  private static let series = {
    var series = MemorySeries()
    for minute in 0...10 {
      series.append(LabelSet(metricName: "x", labels: []), timestamp: Int64(minute) * 60_000, value: Double(minute))
    }
    series.append(LabelSet(metricName: "once", labels: []), timestamp: 0, value: 1)
    return series
  }()

  @Test(
    "a window or lookback that begins at a sample has it in 2.42 and not in 3",
    arguments: [
      ("count_over_time(x[5m])", 6.0, 5.0), ("sum_over_time(x[1m])", 9, 5), ("count_over_time(x[5m:1m])", 6, 5),
      ("count_over_time(x[90s])", 2, 2), ("count_over_time(x[4m] offset 1m)", 5, 4),
      ("count_over_time(x[5m] @ 300)", 6, 5), ("count_over_time(x[1m:1m] @ 300)", 2, 1),
    ])
  func windows(expression: String, closed: Double, open: Double) throws {
    for (isOpen, expected) in [(false, closed), (true, open)] {
      var engine = QueryEngine()
      engine.options.opensRangesLeft = isOpen
      guard case .vector(let samples) = try engine.instant(expression, at: 300_000, over: Self.series) else {
        Issue.record("no vector")
        continue
      }
      #expect(samples.map(\.value) == [expected], "\(isOpen)")
    }
  }

  @Test("a sample exactly as old as the lookback is found in 2.42 and not in 3")
  func lookback() throws {
    for isOpen in [false, true] {
      var engine = QueryEngine()
      engine.options.opensRangesLeft = isOpen
      guard case .vector(let at) = try engine.instant("once", at: 300_000, over: Self.series),
        case .vector(let before) = try engine.instant("once", at: 299_999, over: Self.series),
        case .matrix(let window) = try engine.instant("x[5m]", at: 300_000, over: Self.series)
      else { continue }
      #expect(at.count == (isOpen ? 0 : 1) && before.count == 1 && window[0].samples.count == (isOpen ? 5 : 6))
    }
  }
}
