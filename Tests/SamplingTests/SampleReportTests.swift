import BongsuDevices
import BongsuModel
import Foundation
import Testing

@testable import BongsuSampling

@Suite("sample reports")
struct SampleReportTests {
  private static let interval = TickInterval(milliseconds: 100)!

  private func report() throws -> SampleReport {
    let metrics: [MetricID] = [
      .gpuPower, .gpuEnergy, .gpuUtilization, .gpuMemoryUsed, .gpuTemperature, .gpuSMClock, .gpuClockEventReasons,
      .gpuXIDEvents, .nodePower, .agentCPU,
    ]
    let devices = [
      Device(scope: .gpu, index: 0, key: "GPU-a", model: "NVIDIA \"H100\"\n"),
      Device(scope: .gpu, index: 1, key: "GPU-b", model: "NVIDIA H100"), .node,
    ]
    let layout = try RowLayout(
      interval: .second, columns: metrics.compactMap(MetricCatalogue.metric), devices: devices)
    let absent = SampleValue.absent.bits
    return SampleReport(
      layout: layout, stamp: SampleStamp(tick: Tick(unixMilliseconds: 1_795_300_200_123), boottimeMilliseconds: 5),
      values: [
        390_780, absent, 246_852_000, 7, 985, 0, 81_559 * 1024, 1, -35, 420, 1980, 345, 0x24, 0, 0, absent, 6_000_500,
        1_500_000,
      ],
      conditions: [("nvml", .degraded("1 of 2 GPUs do not answer")), ("host", .released)], remarks: ["odd \u{1} thing"])
  }

  @Test("the table shows each metric in the unit people read, devices side by side, absence as a dash")
  func table() throws {
    let expected = """
      source nvml  degraded     1 of 2 GPUs do not answer
      source host  released
      odd \u{1} thing
      tick   2026-11-21T22:30:00.123Z

      gpu                            0    1
      power                W    390.78    -
      energy               kJ  246.852    0
      utilization          %      98.5    0
      memory used          MiB   81559    0.001
      temperature          °C     -3.5   42
      sm clock             MHz    1980  345
      clock event reasons         0x24  0x0
      xid events                     0    -

      node
      power           W    6000.5
      agent cpu       s       1.5

      """
    // Widths follow the contents, so lines are compared by their words.
    func words(_ text: String) -> [[Substring]] { text.split(separator: "\n").map { $0.split(separator: " ") } }
    #expect(words(try report().table()) == words(expected))
    #expect(try report().table().hasSuffix("\n"))
  }

  @Test("columns of the table line up, eight devices to a block")
  func blocks() throws {
    let layout = try RowLayout(
      interval: .second, columns: [MetricID.gpuPower].compactMap(MetricCatalogue.metric),
      devices: (0..<18).map { Device(scope: .gpu, index: $0, key: "GPU-\($0)", model: "") })
    let report = SampleReport(
      layout: layout, stamp: SampleStamp(tick: Tick(unixMilliseconds: 0), boottimeMilliseconds: 0),
      values: (0..<18).map { $0 * 50_505 }, conditions: [], remarks: [])
    let lines = report.table().split(separator: "\n").dropFirst()
    #expect(lines.count == 6)
    for (head, values) in zip(
      lines.enumerated().filter { $0.offset % 2 == 0 }, lines.enumerated().filter { $0.offset % 2 == 1 })
    {
      #expect(head.element.count == values.element.count)
    }
  }

  @Test("JSON is read back as it was meant, with base units exactly and absence as null")
  func json() throws {
    let text = try report().json()
    #expect(text.hasSuffix("}\n") && text.split(separator: "\n").count == 1)
    let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    #expect(object["tick"] as? String == "2026-11-21T22:30:00.123Z")
    #expect(object["unix_ms"] as? Int == 1_795_300_200_123)
    #expect(object["interval_ms"] as? Int == 1000)
    #expect(object["remarks"] as? [String] == ["odd \u{1} thing"])
    let sources = try #require(object["sources"] as? [[String: String]])
    #expect(sources.map { $0["state"] } == ["degraded", "released"])
    let devices = try #require(object["devices"] as? [[String: Any]])
    #expect(devices.map { $0["key"] as? String } == ["GPU-a", "GPU-b", ""])
    #expect(devices[0]["model"] as? String == "NVIDIA \"H100\"\n")
    let first = try #require(devices[0]["metrics"] as? [String: Any])
    #expect(first["bongsu_gpu_power_watts"] as? Double == 390.78)
    #expect(first["bongsu_gpu_energy_joules_total"] as? Int == 246_852)
    #expect(first["bongsu_gpu_utilization_ratio"] as? Double == 0.985)
    #expect(first["bongsu_gpu_memory_used_bytes"] as? Int == 85_520_809_984)
    #expect(first["bongsu_gpu_temperature_celsius"] as? Double == -3.5)
    #expect(first["bongsu_gpu_sm_clock_hertz"] as? Int == 1_980_000_000)
    #expect(first["bongsu_gpu_clock_event_reasons"] as? Int == 36)
    let second = try #require(devices[1]["metrics"] as? [String: Any])
    #expect(second["bongsu_gpu_power_watts"] is NSNull)
    #expect(try #require(devices[2]["metrics"] as? [String: Any])["bongsu_agent_cpu_seconds_total"] as? Double == 1.5)
  }

  @Test(
    "quotients are exact to their places",
    arguments: [
      (Int64(0), Int64(1000), "0"), (1, 1000, "0.001"), (-1, 1000, "-0.001"), (1999, 1000, "1.999"),
      (999_999, 1_000_000, "1"),
      (-1_500_000, 1_000_000, "-1.5"), (4, 1024, "0.004"), (Limits.sampleMagnitudeMax, 1000, "9007199254740.992"),
      (-1, 1_000_000, "0"),
    ])
  func decimals(value: Int64, divisor: Int64, expected: String) {
    #expect(DecimalText.text(value, dividedBy: divisor, places: 3) == expected)
  }

  @Test("instants are written as Foundation writes them")
  func timestamps() {
    let format = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
    for milliseconds: Int64 in stride(from: -9_000_000_000_123, to: 7_000_000_000_000, by: 86_399_999_877) {
      let date = Date(timeIntervalSince1970: Double(milliseconds.flooredDivision(by: 1000)))
      let expected = format.format(date).prefix(19)
      #expect(Timestamp.text(Tick(unixMilliseconds: milliseconds)).hasPrefix(expected))
    }
    #expect(Timestamp.text(Tick(unixMilliseconds: 951_782_400_001)) == "2000-02-29T00:00:00.001Z")
  }

  @Test("a reading of real sources waits for one that is slow to find its devices")
  func take() throws {
    let slow = ScriptedSource(
      "slow",
      .init(devices: [Device(scope: .gpu, index: 0, key: "GPU-s", model: "Slow")], discoveryMilliseconds: 2500))
    let configuration = SimulatedNode.Configuration()
    let simulated = SimulatedSource(configuration, interval: Self.interval)
    let report = SampleReport.take(SourceSet([slow, simulated]), interval: Self.interval)
    #expect(report.layout.devices(in: .gpu).count == 9)
    #expect(report.conditions.map(\.condition.word) == ["available", "available"])
    let column = try #require(report.layout.column(of: .gpuPower))
    #expect(report.value(column: column, device: 0).reading == report.stamp.tick.unixMilliseconds * 10)
    #expect((1..<9).allSatisfy { !report.value(column: column, device: $0).isAbsent })
  }
}
