import BongsuFleet
import BongsuModel
import BongsuRollup
import BongsuTestKit
import Testing

@Suite("Windows of the rollup")
struct WindowTests {
  @Test("every window of every level equals a recomputation from the rows", arguments: [5, 6] as [UInt64])
  func equalsNaive(seed: UInt64) {
    let seed = SeededRandom(default: seed).seed
    // From 14:58:20 on, so that a minute, a quarter-hour and an hour end on the way.
    let (closed, naive, plan) = LevelSumTests.run(seed: seed, ticks: 140, shards: 2)
    for level in [RollupLevel.rack, .factory, .nation, .allocation] {
      var cascade = RollupCascade(level)
      var windows: [WindowTable] = []
      for tick in closed { windows += cascade.add(tick) }
      #expect(windows.map(\.length).filter { $0 == .minute }.count == 3, "the start alone, and two whole minutes")
      for window in windows {
        let ticks = closed.filter { window.length.end(of: $0.tick) == window.end }
        #expect(window.ticks == Int64(ticks.count))
        for group in 0..<plan.groupCount(level) {
          var mismatch: String?
          for metric in [MetricID.gpuPower, .gpuUtilization, .gpuTemperatureMargin, .nodePower] {
            let entries = naive.entries.filter {
              window.length.end(of: $0.tick) == window.end && naive.contains(level, group, $0, plan)
            }
            let want = naive.gauge(metric, entries)
            let totals = ticks.compactMap { tick -> Int64? in
              let at = naive.gauge(metric, entries.filter { $0.tick == tick.tick })
              return at.count > 0 ? at.sum : nil
            }
            let got = window.gauge(metric, group)!
            let isEqual =
              got.samples.sum == want.sum && got.samples.count == want.count && got.samples.min == want.min
              && got.samples.max == want.max && got.ticks == Int64(totals.count) && got.totalMin == totals.min()
              && got.totalMax == totals.max()
            if !isEqual { mismatch = "metric \(metric.rawValue): \(got) is not \(want), totals \(totals)" }
          }
          let powers = ticks.map { $0[level].totalMilliwatts(group) }
          let power = window.power(.total, group)
          if power.ticks == Int64(ticks.count) && (power.sum != powers.reduce(0, +) || power.max != powers.max()) {
            mismatch = "power \(power) is not that of \(powers)"
          }
          if let mismatch { Issue.record("\(level) \(group) to \(window.end), seed \(seed): \(mismatch)") }
        }
      }
    }
  }

  @Test("a tick on a window's end belongs to the window that ends there")
  func ends() {
    let hour = Tick(unixMilliseconds: 1_767_225_600_000)
    for length in WindowLength.allCases {
      #expect(length.end(of: hour) == hour)
      #expect(
        length.end(of: hour.advanced(by: 1, of: .second)).unixMilliseconds == hour.unixMilliseconds
          + length.milliseconds)
    }
  }

  @Test("merging minutes in any order gives the hour that ticks give")
  func mergesInAnyOrder() {
    let seed = SeededRandom(default: 8).seed
    let (closed, _, plan) = LevelSumTests.run(seed: seed, ticks: 121, shards: 1)
    var random = SeededRandom(seed: seed)
    let end = WindowLength.hour.end(of: closed[1].tick)
    let inHour = closed.dropFirst()
    var direct = WindowTable(.hall, .hour, end: end, count: plan.groupCount(.hall))
    for tick in inHour { direct.fold(tick) }
    let minutes = Set(inHour.map { WindowLength.minute.end(of: $0.tick) }).map { minuteEnd in
      var minute = WindowTable(.hall, .minute, end: minuteEnd, count: plan.groupCount(.hall))
      for tick in inHour where WindowLength.minute.end(of: tick.tick) == minuteEnd { minute.fold(tick) }
      return minute
    }
    for _ in 0..<5 {
      var merged = WindowTable(.hall, .hour, end: end, count: plan.groupCount(.hall))
      for minute in minutes.shuffled(using: &random) { merged.merge(minute) }
      #expect(merged == direct, "seed \(seed)")
    }
    let stored = WindowTable(
      .hall, .hour, end: end, count: direct.count, ticks: direct.ticks, words: direct.words)
    #expect(stored == direct)
    #expect(
      WindowTable(.hall, .hour, end: end, count: direct.count, ticks: 1, words: Array(direct.words.dropLast())) == nil)
  }
}

extension WindowTests {
  @Test("a node's minutes from its rows equal a recomputation", arguments: [41, 42] as [UInt64])
  func nodeMinutes(seed: UInt64) throws {
    let seed = SeededRandom(default: seed).seed
    let (_, naive, plan) = LevelSumTests.run(seed: seed, ticks: 150, shards: 1)
    for name in SmallFleet.nodeNames {
      let id = NodeID(name)!
      let entries = naive.entries.filter { $0.node == id }
      var folder = NodeFolder(plan.tree, node: plan.tree.node(id), layout: entries[0].layout)
      var windows: [WindowTable] = []
      for entry in entries {
        if let ended = folder.add(entry.row.span, at: entry.tick, isExpected: true) { windows.append(ended) }
      }
      if let last = folder.finish() { windows.append(last) }
      #expect(windows.count == 4, "\(name), seed \(seed)")
      for window in windows {
        let inWindow = entries.filter { WindowLength.minute.end(of: $0.tick) == window.end }
        #expect(window.ticks == Int64(inWindow.count))
        #expect(window.field(.reportingGPUs, 0).sum == naive.reportingGPUs(inWindow))
        for metric in [MetricID.gpuPower, .gpuUtilization, .modulePower, .nodePower] {
          let want = naive.gauge(metric, inWindow)
          let got = window.gauge(metric, 0)!.samples
          #expect(got.sum == want.sum && got.count == want.count && got.min == want.min && got.max == want.max)
        }
      }
      guard let counter = entries[0].layout.column(of: .gpuEnergy) else { continue }
      // After the first row, which is integrated, energy is what the counters say.
      let first = entries[0].row[entries[0].layout.range(of: counter)]
      let last = entries[entries.count - 1].row[entries[0].layout.range(of: counter)]
      guard !(first + last).contains(SampleValue.absent.bits) else { continue }
      let powers = naive.readings(.gpuPower, entries[0]).filter { $0 != SampleValue.absent.bits }
      let total = windows.reduce(0) { $0 + $1.field(.gpuEnergy, 0).sum }
      #expect(total == zip(first, last).reduce(0) { $0 + $1.1 - $1.0 } + powers.reduce(0, +), "\(name), seed \(seed)")
    }
  }
}
