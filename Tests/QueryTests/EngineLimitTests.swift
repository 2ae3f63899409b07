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

  @Test("an answer of too many samples is refused while it is put together")
  func refusesLargeAnswers() throws {
    let series = manySeries(20, samples: 100)
    var options = QueryEngine.Options()
    options.samplesMax = 2000
    #expect(failure(options, "m", series) == nil)
    #expect(failure(options, "sum(m)", series) == nil)
    options.samplesMax = 1999
    let tooMany = QueryError.tooLarge("query processing would load too many samples into memory in query execution")
    #expect(failure(options, "m", series) == tooMany)
    #expect(failure(options, "abs(m)", series) == tooMany)
    #expect(failure(options, "sum(m)", series) == nil)
    #expect(throws: tooMany) { try QueryEngine(options: options).instant("m[100s]", at: 99_000, over: series) }
    #expect(throws: Never.self) { try QueryEngine(options: options).instant("m[98s]", at: 99_000, over: series) }
  }

  @Test("what is refused repeats no more than a thousand bytes of it, whole characters")
  func shortErrors() {
    for source in [
      String(repeating: "é", count: 100_000), "x{a=\"1\"} " + String(repeating: "y", count: 200_000),
      "x{a=~\"" + String(repeating: "(", count: 200_000) + "\"}", String(repeating: "f", count: 200_000) + "()",
      "sum by (" + String(repeating: "a,", count: 100_000) + "1) (x)",
    ] {
      do throws(ParseFailure) {
        _ = try Parser.parse(source)
        Issue.record("\(source.prefix(20)) was taken")
      } catch {
        #expect(error.message.utf8.count <= QueryLimits.messageBytesMax + 3 && !error.message.contains("\u{FFFD}"))
      }
    }
  }

  @Test("many labels in one clause, and many matchers, are read in time that grows with their number")
  func manyLabels() throws {
    let names = (0..<10_000).map { "l\($0)" }
    let clause = names.joined(separator: ",")
    #expect(throws: ParseFailure.self) { try Parser.parse("a * on(\(clause)) group_left(\(clause)) b") }
    _ = try Parser.parse("a * on(\(clause)) group_left(x) b")
    let matchers = names.map { "\($0)=\"\"" }.joined(separator: ",")
    let absent = try QueryEngine().instant("absent(x{\(matchers)})", at: 0, over: MemorySeries())
    guard case .vector(let samples) = absent, samples.count == 1 else {
      Issue.record("\(absent)")
      return
    }
    #expect(samples[0].labels == .empty)
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
