import BongsuModel
import BongsuRollup
import Testing

@Suite("Series of the rollup")
struct RollupSeriesTests {
  @Test("names are unique and follow level:metric:operation")
  func names() {
    let names = RollupLevel.allCases.flatMap { level in RollupSeries.all.map { $0.name(level) } }
    #expect(Set(names).count == names.count)
    #expect(names.allSatisfy { $0.split(separator: ":").count == 3 })
    for name in [
      "factory:bongsu_gpu_power_watts:sum", "allocation:bongsu_gpu_utilization_ratio:avg",
      "nation:bongsu_gpus:expected", "hall:bongsu_gpus:reporting", "rack:bongsu_gpus:busy",
      "nation:bongsu_coverage:ratio", "factory:bongsu_power_estimated_watts:sum",
      "factory:bongsu_power_total_watts:sum", "factory_allocation:bongsu_gpu_power_watts:sum",
      "nation:bongsu_gpu_power_watts:total_max", "hall:bongsu_gpu_power_watts:p99",
    ] {
      #expect(names.contains(name))
    }
    #expect(!names.contains("nation:bongsu_gpu_temperature_celsius:sum"))
  }

  @Test("values come out in base units, and nothing is said where nobody reported")
  func values() throws {
    let (closed, naive, plan) = LevelSumTests.run(seed: 3, ticks: 61, shards: 1)
    var cascade = RollupCascade(.nation)
    let windows = closed.flatMap { cascade.add($0) }
    let tick = closed[60]
    let value = { (name: String, level: RollupLevel, group: Int) -> Double? in
      RollupSeries.all.first { $0.name(level) == name }!.value(tick, level, group)
    }
    let power = naive.gauge(.gpuPower, naive.entries.filter { $0.tick == tick.tick })
    #expect(value("nation:bongsu_gpu_power_watts:sum", .nation, 0) == Double(power.sum) / 1000)
    #expect(value("nation:bongsu_gpu_power_watts:max", .nation, 0) == Double(power.max!) / 1000)
    #expect(value("nation:bongsu_gpu_sm_clock_hertz:avg", .nation, 0) == nil)
    #expect(value("nation:bongsu_gpus:reporting", .nation, 0) == Double(tick.nation.field(.reportingGPUs, 0)))
    let minute = try #require(windows.first { $0.length == .minute && $0.ticks == 60 })
    let mean = RollupSeries.all.first { $0.name(.nation) == "nation:bongsu_gpu_power_watts:sum" }!
    let all = naive.gauge(.gpuPower, naive.entries.filter { WindowLength.minute.end(of: $0.tick) == minute.end })
    #expect(mean.value(minute, 0) == Double(all.sum) / 60 / 1000)
    for group in 0..<plan.groupCount(.factory) {
      for series in RollupSeries.all where series.source == .coverage {
        let isExpected = tick[.factory].field(.expectedGPUs, group) > 0
        #expect((series.value(tick, .factory, group) != nil) == isExpected)
      }
    }
  }
}
