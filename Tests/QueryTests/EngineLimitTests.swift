import BongsuQuery
import BongsuSeries
import Testing

@Suite("Engine limits")
struct EngineLimitTests {
  private func manySeries(_ count: Int, samples: Int) -> MemorySeries {
    var series = MemorySeries()
    for index in 0..<count {
      let labels = LabelSet(metricName: "m", labels: [Label(name: "i", value: "\(index)")])
      for sample in 0..<samples { series.append(labels, timestamp: Int64(sample) * 1000, value: Double(index)) }
    }
    return series
  }

  private func failure(_ options: QueryEngine.Options, _ query: String, _ series: MemorySeries) -> QueryError? {
    do {
      _ = try QueryEngine(options: options).range(query, from: 0, through: 99_000, step: 1000, over: series)
      return nil
    } catch { return error as? QueryError }
  }

  @Test("a query over too many series, samples or steps is refused with the limit named")
  func refusesTooMuch() {
    let series = manySeries(20, samples: 100)
    var options = QueryEngine.Options()
    options.seriesMax = 19
    #expect(failure(options, "m", series)?.description.contains("more than 19 series") == true)
    options.seriesMax = 20
    #expect(failure(options, "m", series) == nil)
    options.samplesMax = 1999
    #expect(
      failure(options, "m + m", series)
        == .tooLarge("query processing would load too many samples into memory in query execution"))
    options.stepsMax = 99
    #expect(failure(options, "m", series)?.description.hasPrefix("exceeded maximum resolution of 99 points") == true)
  }

  @Test("a query ends when it is cancelled or its time is over")
  func endsEarly() {
    let series = manySeries(200, samples: 100)
    var options = QueryEngine.Options()
    let cancellation = QueryCancellation()
    cancellation.cancel()
    options.cancellation = cancellation
    #expect(failure(options, "sum(m)", series) == .cancelled)
    options.cancellation = nil
    options.timeout = .zero
    #expect(failure(options, "sum(m)", series) == .timeout(.zero))
  }

  @Test("a subquery with an absurd number of points is refused before it is evaluated")
  func refusesAbsurdSubqueries() {
    let taken = ContinuousClock().measure {
      #expect(failure(QueryEngine.Options(), "max_over_time(m[200y:1ms])", manySeries(1, samples: 1)) != nil)
    }
    #expect(taken < .seconds(1))
  }

  @Test("ranges that run backwards or do not move are refused")
  func refusesBadRanges() {
    let engine = QueryEngine()
    #expect(throws: QueryError.self) { try engine.range("m", from: 1, through: 0, step: 1, over: MemorySeries()) }
    #expect(throws: QueryError.self) { try engine.range("m", from: 0, through: 1, step: 0, over: MemorySeries()) }
    #expect(throws: QueryError.self) { try engine.range("m[5m]", from: 0, through: 1, step: 1, over: MemorySeries()) }
    #expect(throws: QueryError.self) {
      try engine.range("m", from: Int64.min, through: Int64.max, step: 1, over: MemorySeries())
    }
  }
}
