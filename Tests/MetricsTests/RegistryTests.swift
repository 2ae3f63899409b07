import BongsuMetrics
import Testing

@Suite struct RegistryTests {
  enum Refusal: String, CaseIterable {
    case badFrame = "bad_frame"
    case unknownKey = "unknown_key"
  }

  @Test("a closed set of reasons has a series each from the start, zero ones too")
  func reasons() {
    let registry = MetricRegistry()
    let refusals = registry.counters(
      "bongsu_ingest_refused_total", help: "frames refused", label: "reason", for: Refusal.self)
    refusals[.unknownKey].add(5)
    let text = registry.render(as: .prometheusText)
    #expect(text.contains("bongsu_ingest_refused_total{reason=\"bad_frame\"} 0\n"))
    #expect(text.contains("bongsu_ingest_refused_total{reason=\"unknown_key\"} 5\n"))
  }

  @Test("a reading callback may itself register, and what it registers shows at the next scrape")
  func reentrant() {
    let registry = MetricRegistry()
    let once = Counter()
    registry.gauge("bongsu_test_families", help: "families") { [unowned registry] in
      if once.value == 0 { _ = registry.counter("bongsu_test_calls_total", help: "calls") }
      once.add()
      return 1
    }
    #expect(registry.render(as: .prometheusText).contains("bongsu_test_families 1.0\n"))
    #expect(registry.render(as: .prometheusText).contains("bongsu_test_calls_total 0\n"))
  }

  @Test(
    "a name that breaks the convention stops the process",
    arguments: [
      "ingest_blocks_total", "bongsu_ingest_blocks", "bongsu_Ingest_total", "bongsu__x_total", "bongsu_x_total_",
    ])
  func badNames(name: String) async {
    await #expect(processExitsWith: .failure) { [name] in
      _ = MetricRegistry().counter(name, help: "help")
    }
  }

  @Test("one name with two meanings stops the process")
  func twoMeanings() async {
    await #expect(processExitsWith: .failure) {
      let registry = MetricRegistry()
      _ = registry.counter("bongsu_test_things_total", help: "things", labels: ["a": "1"])
      _ = registry.counter("bongsu_test_things_total", help: "other things", labels: ["a": "2"])
    }
    await #expect(processExitsWith: .failure) {
      let registry = MetricRegistry()
      _ = registry.counter("bongsu_test_things_total", help: "things", labels: ["a": "1"])
      _ = registry.counter("bongsu_test_things_total", help: "things", labels: ["a": "1"])
    }
  }

  @Test("a label that grows without bound stops the process")
  func unboundedLabel() async {
    await #expect(processExitsWith: .failure) {
      let registry = MetricRegistry()
      for number in 0...MetricLimits.seriesPerFamilyMax {
        _ = registry.counter("bongsu_test_things_total", help: "things", labels: ["node": "\(number)"])
      }
    }
  }
}
