import BongsuFleet
import BongsuModel
import BongsuSeries
import BongsuStore
import BongsuTestKit
import Testing

@testable import bongsu_aggregator

@Suite("Series out of stored rows")
struct NodeSeriesBuilderTests {
  private static let fleet = """
    version: 1
    nation: test
    time_zone: UTC
    factories:
      - id: f
        halls:
          - { id: h, in_service: 2020-01-01, model: B200, racks: [{ id: r, nodes: n1 }] }
    """
  private static let node = NodeID("n1")!

  private static func layout(gpus: Int) throws -> RowLayout {
    let devices = (0..<gpus).map { Device(scope: .gpu, index: UInt16($0), key: "GPU-\($0)", model: "B200") }
    let columns = [MetricID.gpuPower, .gpuUtilization, .nodePower].map { MetricCatalogue.metric($0)! }
    return try RowLayout(interval: .second, columns: columns, devices: devices + [.node])
  }

  /// What a series has to be: a sample for each reading, a marker where it ends.
  private struct Expected: Equatable {
    var times: [Int64] = []
    var bits: [UInt64] = []

    mutating func add(_ time: Int64, _ value: Double) {
      times.append(time)
      bits.append(value.bitPattern)
    }
  }

  @Test(
    "readings become samples, absences none, and markers stand where a series ends",
    arguments: 1...40 as ClosedRange<UInt64>)
  func equality(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let labels = SeriesLabels(tree: try #require(FleetFile(text: Self.fleet, path: "f.yaml").tree))
    var builder = NodeSeriesBuilder()
    var expected: [LabelSet: Expected] = [:]
    var open: Set<LabelSet> = []
    var tick = Int64(1_795_000_000_000)
    for _ in 0..<Int.random(in: 1...4, using: &random) {
      let layout = try Self.layout(gpus: Int.random(in: 1...3, using: &random))
      let known = LiveNodeLabels(Self.node, layout, version: 0, at: Tick(unixMilliseconds: tick), labels)
      let isGappy = Bool.random(using: &random)
      var ticks: [Tick] = []
      for _ in 0..<Int.random(in: 1...30, using: &random) {
        tick += isGappy ? [1000, 1000, 3000, 4000, 9000][Int.random(in: 0..<5, using: &random)] : 1000
        ticks.append(Tick(unixMilliseconds: tick))
      }
      let absences = Bool.random(using: &random) ? 0 : 4
      let columns = Bool.random(using: &random) ? [0, 1, 2] : [1]
      var words: [Int64] = []
      var present: Set<LabelSet> = []
      let used = Int.random(in: 0..<ticks.count, using: &random)..<ticks.count
      for column in columns {
        let metric = layout.columns[column]
        for device in known.devices(metric.scope) {
          let set = device.named(metric.name)
          present.insert(set)
          for index in ticks.indices {
            let isAbsent = Int.random(in: 0..<10, using: &random) < absences
            let reading = isAbsent ? Int64.min : Int64.random(in: 0...1_000_000, using: &random)
            words.append(reading)
            guard used.contains(index), !isAbsent else { continue }
            let time = ticks[index].unixMilliseconds
            if open.contains(set), let last = expected[set]?.times.last, time - last > 3000 {
              expected[set]?.add(last + 3001, StaleMarker.value)
            }
            expected[set, default: Expected()].add(time, metric.unit.exposed(reading))
            open.insert(set)
          }
        }
      }
      // What this stretch has no place for ends at its start.
      let start = ticks[used.lowerBound].unixMilliseconds
      for set in open.subtracting(present) {
        let last = try #require(expected[set]?.times.last)
        if min(start, last + 3001) > last { expected[set]?.add(min(start, last + 3001), StaleMarker.value) }
        open.remove(set)
      }
      let run = RawRun(node: Self.node, layout: layout, columns: columns, ticks: ticks, words: words)
      builder.add(run, used, known, wantsColumn: { _ in true }, wantsDevice: { _ in true })
    }
    builder.finish(at: tick + 5000)
    for set in open {
      let last = try #require(expected[set]?.times.last)
      if last + 3001 <= tick + 5000 { expected[set]?.add(last + 3001, StaleMarker.value) }
    }
    var found: [LabelSet: Expected] = [:]
    for (set, buffer) in zip(builder.sets, builder.buffers) where !buffer.isEmpty {
      found[set] = Expected(times: buffer.timestamps, bits: buffer.values.map(\.bitPattern))
    }
    #expect(found == expected)
  }
}
