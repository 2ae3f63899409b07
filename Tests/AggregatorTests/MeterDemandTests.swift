import BongsuFleet
import BongsuModel
import BongsuRollup
import BongsuSeries
import Synchronization
import Testing

@testable import bongsu_aggregator

@Suite("the demand of meters as series")
struct MeterDemandTests {
  /// 2026-01-01T00:00:00Z.
  private static let start: Int64 = 1_767_225_600_000
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
        meters:
          - { id: main, halls: [a], pue: 1.25, contract_power: 10 kW }
      - id: works
        halls:
          - id: b
            in_service: 2020-01-01
            model: B200
            racks: [{ id: r1, nodes: n2 }]
        meters:
          - { id: side, halls: [b], pue: 1 }
    """
  private static let forecast = "meter:bongsu_demand_watts:forecast15m"

  private final class Clock: Sendable {
    let tick = Mutex<Tick?>(nil)
  }

  /// What the alarms take in, tick by tick.
  private final class World: Sendable {
    let feed: AlertFeed
    let part: MeterDemand
    private let ticks: [ClosedTick]
    private let closed = Clock()

    /// Closed ticks of the first seconds in which the first node draws a kilowatt more each second, the other nothing.
    init(seconds: Int) throws {
      let plan = RollupPlan(try #require(FleetFile(text: fleet, path: "f.yaml").tree))
      let catalogue = RollupCatalogue(plan)
      let power = try #require(MetricCatalogue.metric(.nodePower))
      let layout = try RowLayout(interval: .second, columns: [power], devices: [.node])
      var shard = ShardRollup(plan, first: Tick(unixMilliseconds: start + 1000), keepsSketches: false)
      var levels = LevelRollup(plan)
      let member = shard.join(try #require(NodeID("n1")), layout: layout)
      ticks = try (1...Int64(seconds)).map { second in
        let tick = Tick(unixMilliseconds: start + second * 1000)
        try #require(shard.add(member, at: tick, row: [second * 1_000_000].span) == .added)
        var frame = LeafFrame(tick: tick)
        shard.close(into: &frame)
        return levels.close([frame])
      }
      let feed = AlertFeed(plan: plan, catalogue: catalogue)
      self.feed = feed
      part = MeterDemand(
        catalogue: catalogue, newest: { [closed] in closed.tick.withLock { $0 } }, outlook: { feed.outlook($0) },
        course: { feed.course(of: $0, in: $1) })
    }

    /// Takes the ticks of some seconds.
    func take(_ seconds: ClosedRange<Int>) {
      for second in seconds {
        feed.take(ticks[second - 1])
        closed.tick.withLock { $0 = ticks[second - 1].tick }
      }
    }

    func samples(
      _ matchers: [LabelMatcher], from: Int = 0, through: Int, isInstant: Bool = false
    ) throws -> [String: [Int: Double]] {
      let selection = SeriesSelection(
        matchers: matchers, startMilliseconds: start + Int64(from) * 1000,
        endMilliseconds: start + Int64(through) * 1000, stepMilliseconds: isInstant ? 0 : 1000)
      var found: [String: [Int: Double]] = [:]
      try part.visit(selection, SeriesFilter(selection.matchers)) { labels, buffer in
        for (time, value) in zip(buffer.timestamps, buffer.values) {
          found["\(labels.metricName) \(labels["meter"])", default: [:]][Int(time - start) / 1000] = value
        }
      }
      return found
    }

    func samples(_ name: String, from: Int = 0, through: Int, isInstant: Bool = false) throws -> [Int: Double] {
      try samples(
        [LabelMatcher(Label.metricName, equals: name), LabelMatcher("meter", equals: "main")], from: from,
        through: through, isInstant: isInstant)["\(name) main"] ?? [:]
    }
  }

  /// What the forecast is after the tick of a second, W: power times 1.25, which rose by a kilowatt each second.
  private static func expected(_ second: Int) -> Double {
    let soFar = (1...second).reduce(0) { $0 + $1 * 1000 }
    return Double(soFar + second * 1000 * (900 - second)) * 1.25 / 900
  }

  @Test("a range is answered tick by tick, and only within its bounds")
  func range() throws {
    let world = try World(seconds: 30)
    world.take(1...30)
    for (from, through, seconds) in [(0, 99, 1...30), (7, 12, 7...12), (30, 30, 30...30)] {
      let found = try world.samples(Self.forecast, from: from, through: through)
      #expect(found.keys.sorted() == Array(seconds))
      for (second, value) in found { #expect(abs(value - Self.expected(second)) < 0.01, "at \(second) s") }
    }
    #expect(try world.samples(Self.forecast, from: 31, through: 99).isEmpty)
    #expect(try world.samples(Self.forecast, from: 20, through: 10).isEmpty)
    #expect(try World(seconds: 1).samples(Self.forecast, through: 99).isEmpty, "before the first tick")
  }

  @Test("every series of the demand has its course, those of a contract where there is one")
  func names() throws {
    let world = try World(seconds: 5)
    world.take(1...5)
    for series in DemandSeries.allCases {
      let found = try world.samples(series.rawValue, through: 99)
      #expect(found.keys.sorted() == [1, 2, 3, 4, 5], "\(series)")
      #expect(world.part.canHold(name: series.rawValue))
    }
    #expect(try world.samples(DemandSeries.contract.rawValue, through: 3)[2] == 10_000)
    let headroom = try world.samples(DemandSeries.headroom.rawValue, through: 99)
    #expect(abs(try #require(headroom[4]) - (10_000 - Self.expected(4))) < 0.01)
    #expect(!world.part.canHold(name: "meter:bongsu_facility_power_watts:sum"))
    let all = try world.samples([LabelMatcher("nation", equals: "test")], through: 99)
    #expect(all.keys.contains("\(Self.forecast) main"))
    #expect(!all.keys.contains("\(DemandSeries.contract.rawValue) side"), "it has no contract")
  }

  @Test("an instant is answered by the newest tick, or by the kept one that is not after it")
  func instant() throws {
    let world = try World(seconds: 20)
    world.take(1...20)
    for (through, second) in [(99, 20), (20, 20), (11, 11)] {
      let found = try world.samples(Self.forecast, through: through, isInstant: true)
      #expect(Array(found.keys) == [second])
      #expect(abs(try #require(found[second]) - Self.expected(second)) < 0.01)
    }
    #expect(try world.samples(Self.forecast, from: 21, through: 99, isInstant: true).isEmpty)
  }

  @Test("seconds that were not taken are a gap, not values")
  func gap() throws {
    let world = try World(seconds: 20)
    world.take(1...5)
    world.take(15...20)
    #expect(try world.samples(Self.forecast, through: 99).keys.sorted() == [1, 2, 3, 4, 5, 15, 16, 17, 18, 19, 20])
  }

  @Test("a series that has no number any more ends with one stale marker, and goes on with the next number")
  func stale() throws {
    let plan = RollupPlan(try #require(FleetFile(text: Self.fleet, path: "f.yaml").tree))
    let world = try World(seconds: 2)
    world.take(1...2)
    let known = try #require(world.feed.outlook(0))
    let part = MeterDemand(
      catalogue: RollupCatalogue(plan), newest: { Tick(unixMilliseconds: Self.start + 5000) }, outlook: { _ in known },
      course: { _, _ in
        [known, nil, nil, known].enumerated().map {
          (Tick(unixMilliseconds: Self.start + Int64($0.offset) * 1000), $0.element)
        }
      })
    let selection = SeriesSelection(
      matchers: [LabelMatcher(Label.metricName, equals: Self.forecast), LabelMatcher("meter", equals: "main")],
      startMilliseconds: Self.start, endMilliseconds: Self.start + 9000, stepMilliseconds: 1000)
    var found: [Int64: Double] = [:]
    try part.visit(selection, SeriesFilter(selection.matchers)) { _, buffer in
      for (time, value) in zip(buffer.timestamps, buffer.values) { found[(time - Self.start) / 1000] = value }
    }
    #expect(found.keys.sorted() == [0, 1, 3, 5])
    #expect(StaleMarker.isStale(try #require(found[1])))
    #expect(found.values.filter { StaleMarker.isStale($0) }.count == 1)
  }

  @Test("what exists is told for times that only the course reaches, and not for others")
  func listed() throws {
    let world = try World(seconds: 20)
    world.take(1...20)
    func names(_ span: ClosedRange<Int64>) throws -> Set<String> {
      var names: Set<String> = []
      try world.part.addLabelValues(
        of: Label.metricName, SeriesFilter([]), Self.start + span.lowerBound...Self.start + span.upperBound, to: &names)
      return names
    }
    #expect(try names(2000...4000) == Set(DemandSeries.allCases.map(\.rawValue)))
    #expect(try names(20_000...90_000) == Set(DemandSeries.allCases.map(\.rawValue)))
    #expect(try names(-9000...0).isEmpty)
    #expect(try names(21_000...90_000).isEmpty)
  }
}
