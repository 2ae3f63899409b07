import BongsuFleet
import BongsuModel
import BongsuRollup
import BongsuSeries
import BongsuTestKit
import Testing

@testable import BongsuStore
@testable import bongsu_aggregator

@Suite("rollups of hours as series")
struct TieredRollupsTests {
  /// 2026-01-01T00:00:00Z.
  private static let start: Int64 = 1_767_225_600_000
  private static let minutes: Int64 = 135
  private static let interval: Int64 = 10_000
  private static let fleet = """
    version: 1
    nation: test
    time_zone: UTC
    factories:
      - id: lab
        halls:
          - id: a
            in_service: 2020-01-01
            model: B200
            racks: [{ id: r1, nodes: n1 }]
    allocations:
      - { path: owner, members: [{ nodes: n1 }] }
    """

  /// What the node's GPU took in the ten seconds that end with `tick`, W.
  private static func watts(_ tick: Int64) -> Int64 { 100 + (tick - start) / interval * 7 % 601 }

  /// Rows of one node for hours: a reading each ten seconds, which counts for each of them.
  private static let rows: TierKeeper.RowSource = { selection, body in
    let gpu = Device(scope: .gpu, index: 0, key: "GPU-1", model: "NVIDIA B200")
    guard let power = MetricCatalogue.metric(.gpuPower), let node = NodeID("n1"),
      let length = TickInterval(milliseconds: Int(interval)),
      let layout = try? RowLayout(interval: length, columns: [power], devices: [gpu])
    else { return RawLosses() }
    let ticks = stride(from: start + interval, through: start + minutes * 60_000, by: Int(interval))
      .map { Tick(unixMilliseconds: $0) }.filter { selection.ticks.contains($0) }
    guard !ticks.isEmpty else { return RawLosses() }
    let words = ticks.map { watts($0.unixMilliseconds) * 1000 }
    _ = try body(RawRun(node: node, layout: layout, columns: [0], ticks: ticks, words: words))
    return RawLosses()
  }

  /// The total at each second, as it is made of the rows: a slow node's reading counts until the next one.
  private static func expected(_ second: Int64) -> Double {
    Double(watts((second - start) / interval * interval + start))
  }

  private let plan: RollupPlan
  private let folder: TemporaryDirectory

  init() throws {
    plan = RollupPlan(try #require(FleetFile(text: Self.fleet, path: "f.yaml").tree))
    folder = try TemporaryDirectory()
    let keeper = TierKeeper(store: try TierStore(path: "\(folder.path)/tiers.sqlite"), plan: plan, rows: Self.rows)
    let ends = (1...Self.minutes).map { Self.start + $0 * 60_000 }
    try keeper.store.note(shard: 0, through: 1, minutes: Set(ends), now: Tick(unixMilliseconds: 0))
    let end = Tick(unixMilliseconds: Self.start + Self.minutes * 60_000)
    while try keeper.work(closedThrough: end, now: end) > 0 {}
  }

  /// As a start finds it: nothing but the file.
  private func part() throws -> TieredRollups {
    let catalogue = RollupCatalogue(plan)
    return TieredRollups(
      newest: NewestRollups(catalogue: catalogue, newest: { nil }, recent: { _ in [] }),
      tiers: try TierStore(path: "\(folder.path)/tiers.sqlite"), oldestRecent: { nil })
  }

  private func samples(
    _ name: String, from: Int64 = 0, through: Int64, step: Int64, range: Int64 = 0
  ) throws -> (found: [Int64: Double], infos: [String]) {
    let annotations = SeriesAnnotations()
    var selection = SeriesSelection(
      matchers: [LabelMatcher(Label.metricName, equals: name)], startMilliseconds: Self.start + from * 1000,
      endMilliseconds: Self.start + through * 1000, stepMilliseconds: step * 1000)
    selection.rangeMilliseconds = range * 1000
    selection.annotations = annotations
    var found: [Int64: Double] = [:]
    try part().visit(selection, SeriesFilter(selection.matchers)) { _, buffer in
      for (time, value) in zip(buffer.timestamps, buffer.values) where !StaleMarker.isStale(value) {
        found[(time - Self.start) / 1000] = value
      }
    }
    return (found, annotations.infos)
  }

  private func mean(_ seconds: ClosedRange<Int64>) -> Double {
    let values = seconds.map { Self.expected(Self.start + $0 * 1000) }
    return values.reduce(0, +) / Double(values.count)
  }

  @Test(
    "a factory's power over hours comes after a restart from the coarsest tier that fits the step",
    arguments: [(60, "1 min"), (900, "15 min"), (3600, "1 h")] as [(Int64, String)])
  func instant(step: Int64, title: String) throws {
    let (found, infos) = try samples(
      "factory:bongsu_gpu_power_watts:sum", from: step, through: 7200, step: step)
    #expect(infos == ["factory rollups are read from windows of \(title)"])
    var checked = 0
    for end in stride(from: step, through: 7200, by: Int64.Stride(step)) {
      // The first reading is ten seconds after the beginning.
      let first = max(end - step + 1, 10)
      let value = try #require(found[end], "at \(end) s")
      #expect(abs(value - mean(first...end)) < 1e-6, "at \(end) s")
      checked += 1
    }
    #expect(checked == 7200 / step)
  }

  @Test("a range function reads single ticks")
  func range() throws {
    let (found, infos) = try samples(
      "allocation:bongsu_gpu_power_watts:sum", from: 3600, through: 3900, step: 60, range: 300)
    #expect(infos == ["allocation rollups are read from single ticks of 1 s"])
    #expect(found.count == 301)
    for (second, value) in found { #expect(value == Self.expected(Self.start + second * 1000), "at \(second) s") }
  }

  @Test("a question that begins before history does is answered from what there is, no coarser than asked for")
  func before() throws {
    let (found, infos) = try samples("factory:bongsu_gpu_power_watts:sum", from: -600, through: 600, step: 60)
    #expect(infos == ["factory rollups are read from windows of 1 min"])
    #expect(found.keys.sorted() == (1...10).map { $0 * 60 })
  }

  @Test("single nodes can be asked for from a minute up, and what was never there is not there")
  func nodes() throws {
    let (found, infos) = try samples("node:bongsu_gpu_power_watts:max", from: 60, through: 600, step: 60)
    #expect(infos == ["node rollups are read from windows of 1 min"])
    #expect(found.count == 10)
    #expect(try samples("factory:bongsu_gpu_power_watts:sum", from: -7200, through: -60, step: 60).found.isEmpty)
    #expect(try samples("factory:bongsu_gpu_temperature_celsius:avg", through: 600, step: 60).found.isEmpty)
  }
}
