import BongsuMetrics
import Testing

@Suite struct ExpositionTests {
  /// One metric of every kind, with awkward help and labels.
  static func sample() -> MetricRegistry {
    let registry = MetricRegistry()
    registry.counter("bongsu_ingest_blocks_total", help: "blocks accepted", labels: ["shard": "0"]).add(41)
    registry.counter("bongsu_ingest_blocks_total", help: "blocks accepted", labels: ["shard": "1"]).add(1)
    registry.counter("bongsu_ingest_received_bytes_total", help: "bytes of frames", unit: .bytes)
      .add(9_007_199_254_740_993)
    registry.gauge("bongsu_ring_used_ratio", help: "fill \"level\" of the ring,\nback\\slash", unit: .permille).set(125)
    registry.gauge("bongsu_store_free_bytes", help: "space left", unit: .bytes) { .nan }
    registry.counter("bongsu_process_cpu_seconds_total", help: "processor time", unit: .nanoseconds) { 1_500_000_000 }
    registry.histogram(
      "bongsu_journal_commit_duration_seconds", help: "time of a commit", unit: .nanoseconds,
      bounds: Histogram.latencyNanosecondBounds
    ).observe(3_000_000)
    registry.info("bongsu_build_info", help: "release", labels: ["version": "1.0 \"초판\"\n"])
    return registry
  }

  @Test("OpenMetrics text names families without suffixes, tells units, and ends with EOF")
  func openMetrics() {
    let text = Self.sample().render(as: .openMetrics)
    #expect(text.hasSuffix("\n# EOF\n"))
    #expect(
      text.contains(
        """
        # HELP bongsu_ingest_blocks blocks accepted
        # TYPE bongsu_ingest_blocks counter
        bongsu_ingest_blocks_total{shard="0"} 41
        bongsu_ingest_blocks_total{shard="1"} 1

        """))
    #expect(
      text.contains("# UNIT bongsu_ingest_received_bytes bytes\nbongsu_ingest_received_bytes_total 9007199254740993\n"))
    #expect(text.contains("# HELP bongsu_ring_used_ratio fill \\\"level\\\" of the ring,\\nback\\\\slash\n"))
    #expect(text.contains("bongsu_ring_used_ratio 0.125\n"))
    #expect(text.contains("bongsu_store_free_bytes NaN\n"))
    #expect(text.contains("# TYPE bongsu_build info\nbongsu_build_info{version=\"1.0 \\\"초판\\\"\\n\"} 1\n"))
  }

  @Test("classic text keeps the full names and knows no unit lines")
  func classic() {
    let text = Self.sample().render(as: .prometheusText)
    #expect(!text.contains("# EOF") && !text.contains("# UNIT"))
    #expect(text.contains("# TYPE bongsu_ingest_blocks_total counter\n"))
    #expect(text.contains("# HELP bongsu_ring_used_ratio fill \"level\" of the ring,\\nback\\\\slash\n"))
    #expect(text.contains("# TYPE bongsu_build_info gauge\n"))
    #expect(text.contains("bongsu_process_cpu_seconds_total 1.5\n"))
  }

  @Test("an empty registry is an empty, complete text")
  func empty() {
    #expect(MetricRegistry().render(as: .openMetrics) == "# EOF\n")
    #expect(MetricRegistry().render(as: .prometheusText).isEmpty)
  }

  @Test(
    "the format follows the Accept header",
    arguments: [
      (nil, ExpositionFormat.prometheusText), ("", .prometheusText), ("*/*", .prometheusText),
      ("text/plain;version=0.0.4", .prometheusText), ("application/openmetrics-text", .openMetrics),
      // What Prometheus 2.42 sends.
      (
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
          + "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", .openMetrics
      ),
      ("application/openmetrics-text;q=0.2, text/plain;q=0.9", .prometheusText),
      ("text/plain;q=0.9, APPLICATION/OpenMetrics-Text ; Version=1.0.0 ; Q=0.9", .openMetrics),
      ("application/openmetrics-text;version=2.0.0", .prometheusText),
      ("application/openmetrics-text;q=0", .prometheusText), ("application/openmetrics-text;q=x", .prometheusText),
      ("text/html", .prometheusText), (";;;,,,q=", .prometheusText),
    ] as [(String?, ExpositionFormat)])
  func negotiation(accept: String?, expected: ExpositionFormat) {
    #expect(ExpositionFormat.negotiated(accept: accept) == expected)
  }
}
