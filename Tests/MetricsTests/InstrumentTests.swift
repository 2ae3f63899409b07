import BongsuMetrics
import Testing

@Suite struct InstrumentTests {
  @Test("counts from many tasks at once add up")
  func concurrentCounts() async {
    let counter = Counter()
    let gauge = Gauge()
    let histogram = Histogram(bounds: [10, 100])
    await withTaskGroup { group in
      for task in 0..<8 {
        group.addTask {
          for step in 0..<10_000 {
            counter.add(2)
            gauge.add(step.isMultiple(of: 2) ? 3 : -2)
            histogram.observe(UInt64(task * 20))
          }
        }
      }
    }
    #expect(counter.value == 160_000)
    #expect(gauge.value == 40_000)
    #expect(histogram.count == 80_000)
    #expect(histogram.total == UInt64((0..<8).reduce(0) { $0 + $1 * 20 } * 10_000))
  }

  @Test("a counter with one writer counts the same with plain adds and wraps at the end of its range")
  func onlyWriter() {
    let counter = Counter()
    for _ in 0..<1000 { counter.addAsOnlyWriter(3) }
    #expect(counter.value == 3000)
    counter.add(UInt64.max)
    #expect(counter.value == 2999)
  }

  @Test("a high-water mark only rises")
  func highWater() {
    let gauge = Gauge()
    gauge.raise(to: 7)
    gauge.raise(to: 3)
    #expect(gauge.value == 7)
    gauge.set(-1)
    #expect(gauge.value == -1)
  }

  @Test("an observation on a bound belongs to that bucket, one above all of them to the last")
  func bucketEdges() {
    let registry = MetricRegistry()
    let histogram = registry.histogram(
      "bongsu_test_wait_seconds", help: "waiting", unit: .milliseconds, bounds: [1, 10, 1000])
    for value: UInt64 in [0, 1, 2, 10, 11, 1000, 1001, 5_000_000] { histogram.observe(value) }
    let text = registry.render(as: .prometheusText)
    #expect(text.contains("bongsu_test_wait_seconds_bucket{le=\"0.001\"} 2\n"))
    #expect(text.contains("bongsu_test_wait_seconds_bucket{le=\"0.01\"} 4\n"))
    #expect(text.contains("bongsu_test_wait_seconds_bucket{le=\"1.0\"} 6\n"))
    #expect(text.contains("bongsu_test_wait_seconds_bucket{le=\"+Inf\"} 8\n"))
    #expect(text.contains("bongsu_test_wait_seconds_count 8\n"))
    #expect(text.contains("bongsu_test_wait_seconds_sum 5002.025\n"))
  }

  @Test("exponential bounds start where told and multiply")
  func exponentialBounds() {
    #expect(Histogram.exponentialBounds(first: 100, factor: 4, count: 4) == [100, 400, 1600, 6400])
  }
}
