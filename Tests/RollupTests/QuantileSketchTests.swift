import BongsuFleet
import BongsuModel
import BongsuTestKit
import Testing

@testable import BongsuRollup

@Suite("Quantile sketches")
struct QuantileSketchTests {
  static let ranks = [0, 0.01, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1]

  /// Largest relative error of a sketch over the nearest-rank quantiles of `readings`.
  static func worstError(_ readings: [Int64]) -> Double {
    var sketch = QuantileSketch()
    for reading in readings { sketch.add(reading) }
    return worstError(sketch, readings)
  }

  static func worstError(_ sketch: QuantileSketch, _ readings: [Int64]) -> Double {
    let sorted = readings.sorted()
    return ranks.map { rank in
      let index = max(1, Int((rank * Double(sorted.count)).rounded(.up))) - 1
      let exact = Double(sorted[index])
      guard let got = sketch.quantile(rank) else { return Double.infinity }
      return exact == 0 ? abs(got) : abs(got - exact) / abs(exact)
    }.max()!
  }

  @Test("every value is within 1 % of the middle of its bucket, and buckets are ordered")
  func scale() {
    var last = -1
    var value: Int64 = 0
    while value < 1 << 53 {
      let bucket = QuantileScale.bucket(of: value)
      let middle = QuantileScale.middle(of: bucket)
      let isClose = abs(middle - Double(value)) <= Double(value) * 0.01
      let isInside = QuantileScale.lowerBound(of: bucket) <= value && value < QuantileScale.lowerBound(of: bucket + 1)
      guard isClose, isInside, bucket >= last else {
        Issue.record("value \(value) is in bucket \(bucket) with the middle \(middle)")
        return
      }
      last = bucket
      value += max(1, value / 1013)
    }
    for value in 0..<Int64(128) { #expect(QuantileScale.bucket(of: value) == Int(value)) }
  }

  @Test("quantiles of random readings are within 1 % of the exact ones", arguments: [1, 2, 3, 4, 5] as [UInt64])
  func random(seed: UInt64) {
    var random = SeededRandom(default: seed)
    for bits in [3, 8, 14, 24, 40] {
      let readings = (0..<5000).map { _ in
        Int64.random(in: 0..<1 << Int64(bits), using: &random) >> Int64.random(in: 0...2, using: &random)
      }
      #expect(Self.worstError(readings) <= 0.01, "\(bits) bits, seed \(random.seed)")
    }
    let margins = (0..<5000).map { _ in Int64.random(in: -900...900, using: &random) }
    #expect(Self.worstError(margins) <= 0.01, "seed \(random.seed)")
  }

  @Test("merged sketches equal the sketch of all readings, in any order")
  func merges() {
    var random = SeededRandom(default: 9)
    let parts = (0..<20).map { part in
      (0..<100).map { _ in Int64.random(in: -50...(1 << Int64(part)), using: &random) }
    }
    var whole = QuantileSketch()
    for reading in parts.joined() { whole.add(reading) }
    for _ in 0..<5 {
      var merged = QuantileSketch()
      for part in parts.shuffled(using: &random) {
        var sketch = QuantileSketch()
        for reading in part { sketch.add(reading) }
        merged.merge(sketch)
      }
      #expect(merged.count == whole.count)
      #expect(Self.ranks.map { merged.quantile($0) } == Self.ranks.map { whole.quantile($0) }, "seed \(random.seed)")
    }
  }

  @Test(
    "quantiles of every recorded quantity are within 1 % of the exact ones",
    .enabled(if: RecordedData.isPresent, "needs the recordings of BONGSU_SHARED_DATA"), arguments: RecordedData.files)
  func recorded(file: String) throws {
    let traces = try RecordedTrace.read(file)
    var readings: [String: [Int64]] = [:]
    for trace in traces {
      for sample in trace.series.joined() {
        for (metric, value) in zip(trace.metrics, sample.thousandths) {
          if let value { readings[metric, default: []].append(value) }
        }
      }
    }
    #expect(!readings.isEmpty)
    for (metric, values) in readings {
      #expect(Self.worstError(values) <= 0.01, "\(metric) of \(file)")
    }
  }

  @Test("a sketch without readings has no quantile")
  func empty() {
    #expect(QuantileSketch().quantile(0.5) == nil)
    var sketch = QuantileSketch()
    sketch.merge(QuantileSketch())
    #expect(sketch.quantile(0.5) == nil && sketch.count == 0)
  }

  @Test("the rollup's sketches are within 1 % of exact quantiles at every level that keeps them")
  func levels() {
    var source = RandomNodes(seed: SeededRandom(default: 31).seed)
    let plan = RollupPlan(SmallFleet.tree)
    var shard = ShardRollup(plan, first: SmallFleet.start.advanced(by: 1, of: .second))
    let members = source.nodes.map { shard.join($0.id, layout: $0.layout) }
    var naive = NaiveRollup(tree: SmallFleet.tree)
    var frames: [SketchFrame] = []
    for step in 1...60 {
      let tick = SmallFleet.start.advanced(by: step, of: .second)
      for index in source.nodes.indices {
        let row = source.row(of: index)
        // Some rows come late and go into the same minute.
        let entry = NaiveRollup.Entry(
          node: source.nodes[index].id, layout: source.nodes[index].layout, tick: tick, row: row)
        naive.entries.append(entry)
        guard (index + step) % 7 != 0 else { continue }
        _ = shard.add(members[index], at: tick, row: row.span)
      }
      var frame = LeafFrame(tick: tick)
      shard.close(into: &frame)
      if let sketches = shard.takeSketches(endingWith: tick) { frames.append(sketches) }
    }
    #expect(frames.count == 1)
    for (index, entry) in naive.entries.enumerated() {
      let node = index % members.count
      let step = index / members.count + 1
      if (node + step) % 7 == 0 { shard.addLate(members[node], at: entry.tick, row: entry.row.span) }
    }
    frames += shard.takeLateSketches()
    let sketches = LevelSketches(plan, frames, minuteEnd: frames[0].minuteEnd)
    for level in LevelSketches.levels {
      for group in 0..<plan.groupCount(level) {
        let entries = naive.entries.filter { naive.contains(level, group, $0, plan) }
        for metric in [MetricID.gpuPower, .gpuUtilization, .gpuMemoryUsed, .gpuTemperatureMargin, .nodePower] {
          let readings = entries.flatMap { naive.readings(metric, $0) }.filter { $0 != SampleValue.absent.bits }
          let sketch = sketches.sketch(level, group, slot: RolledMetric.slot(of: metric)!)
          #expect(sketch?.count ?? 0 == Int64(readings.count), "\(level) \(group) metric \(metric.rawValue)")
          if let sketch, !readings.isEmpty { #expect(Self.worstError(sketch, readings) <= 0.01) }
        }
      }
    }
  }
}
