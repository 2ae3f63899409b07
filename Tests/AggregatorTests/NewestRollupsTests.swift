import BongsuFleet
import BongsuModel
import BongsuRollup
import BongsuSeries
import Testing

@testable import bongsu_aggregator

@Suite("rollups as series")
struct NewestRollupsTests {
  private static let start = Tick(unixMilliseconds: 1_767_225_600_000)
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

  /// Closed ticks of one node with one GPU; `nil` watts: the node sends nothing at that tick.
  private func part(_ watts: [Int64?]) throws -> NewestRollups {
    let plan = RollupPlan(try #require(FleetFile(text: Self.fleet, path: "f.yaml").tree))
    let gpu = Device(scope: .gpu, index: 0, key: "GPU-1", model: "NVIDIA B200")
    let power = try #require(MetricCatalogue.metric(.gpuPower))
    let layout = try RowLayout(interval: .second, columns: [power], devices: [gpu])
    var shard = ShardRollup(plan, first: Self.start, keepsSketches: false)
    var levels = LevelRollup(plan)
    let member = shard.join(try #require(NodeID("n1")), layout: layout)
    var ticks: [ClosedTick] = []
    for (step, watts) in watts.enumerated() {
      let tick = Self.start.advanced(by: step, of: .second)
      if let watts {
        let row = [watts * 1000]
        #expect(shard.add(member, at: tick, row: row.span) == .added)
      }
      var frame = LeafFrame(tick: tick)
      shard.close(into: &frame)
      ticks.append(levels.close([frame]))
    }
    let kept = ticks.map(\.withoutRacks)
    let newest = ticks.last
    return NewestRollups(
      catalogue: RollupCatalogue(plan), newest: { newest },
      recent: { range in kept.filter { range.contains($0.tick) } })
  }

  private func samples(
    _ part: NewestRollups, _ name: String, from: Int = 0, through: Int, step: Int64 = 1000
  ) throws -> [Int64: Double] {
    let selection = SeriesSelection(
      matchers: [LabelMatcher(Label.metricName, equals: name)],
      startMilliseconds: Self.start.advanced(by: from, of: .second).unixMilliseconds,
      endMilliseconds: Self.start.advanced(by: through, of: .second).unixMilliseconds, stepMilliseconds: step)
    var found: [Int64: Double] = [:]
    try part.visit(selection, SeriesFilter(selection.matchers)) { _, buffer in
      for (time, value) in zip(buffer.timestamps, buffer.values) {
        found[(time - Self.start.unixMilliseconds) / 1000] = value
      }
    }
    return found
  }

  private let power = "factory:bongsu_gpu_power_watts:sum"

  @Test("a range is answered tick by tick, and only within its bounds")
  func range() throws {
    let part = try part([100, 200, 300, 400])
    #expect(try samples(part, power, through: 9) == [0: 100, 1: 200, 2: 300, 3: 400])
    #expect(try samples(part, power, from: 1, through: 2) == [1: 200, 2: 300])
    #expect(try samples(part, power, from: 4, through: 9) == [:])
  }

  @Test("an instant is answered by the newest tick that is not after it")
  func instant() throws {
    let part = try part([100, 200, 300])
    #expect(try samples(part, power, through: 9, step: 0) == [2: 300])
    #expect(try samples(part, power, through: 1, step: 0) == [1: 200])
  }

  @Test("a series without a number ends with one stale marker and goes on when it has one again")
  func stale() throws {
    let found = try samples(try part([100, nil, nil, 400]), power, through: 9)
    #expect(found.count == 3 && found[0] == 100 && found[3] == 400)
    #expect(StaleMarker.isStale(try #require(found[1])))
  }

  @Test("racks, which are kept at the newest tick alone, have one sample")
  func racks() throws {
    let name = "rack:bongsu_gpu_power_watts:sum"
    #expect(try samples(try part([100, 200, 300]), name, through: 9) == [2: 300])
  }
}
