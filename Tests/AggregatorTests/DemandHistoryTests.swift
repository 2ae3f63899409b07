import BongsuFleet
import BongsuModel
import BongsuRollup
import BongsuTestKit
import Testing

@testable import BongsuStore
@testable import bongsu_aggregator

@Suite("the demand of meters over restarts")
struct DemandHistoryTests {
  /// 2026-01-01T00:00:00Z.
  private static let start: Int64 = 1_767_225_600_000
  private static func fleet(_ clockOffset: Int) -> String {
    """
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
          - { id: lab, pue: 1.25, contract_power: 100 kW, clock_offset_seconds: \(clockOffset) }
    """
  }

  private static let layout: RowLayout? = {
    guard let power = MetricCatalogue.metric(.nodePower) else { return nil }
    return try? RowLayout(interval: .second, columns: [power], devices: [.node])
  }()

  /// Power of the node at a second, mW: up and down, and highest in the first quarter-hour.
  private static func milliwatts(_ second: Int64) -> Int64 {
    5_000_000 + second * 7919 % 3_000_011 + (second <= 900 ? 20_000_000 : 0)
  }

  private static let rows: TierKeeper.RowSource = { selection, body in
    guard let layout, let node = NodeID("n1") else { return RawLosses() }
    let seconds = (1...Int64(7200)).filter { selection.ticks.contains(Tick(unixMilliseconds: start + $0 * 1000)) }
    guard !seconds.isEmpty else { return RawLosses() }
    _ = try body(
      RawRun(
        node: node, layout: layout, columns: [0],
        ticks: seconds.map { Tick(unixMilliseconds: start + $0 * 1000) }, words: seconds.map { milliwatts($0) }))
    return RawLosses()
  }

  /// Closed ticks as they come live, from the first second on.
  private static func live(_ plan: RollupPlan, seconds: Int64) throws -> [ClosedTick] {
    let layout = try #require(layout)
    var shard = ShardRollup(plan, first: Tick(unixMilliseconds: start + 1000), keepsSketches: false)
    var levels = LevelRollup(plan)
    let member = shard.join(try #require(NodeID("n1")), layout: layout)
    return try (1...seconds).map { second in
      let tick = Tick(unixMilliseconds: start + second * 1000)
      try #require(shard.add(member, at: tick, row: [milliwatts(second)].span) == .added)
      var frame = LeafFrame(tick: tick)
      shard.close(into: &frame)
      return levels.close([frame])
    }
  }

  private static func feed(_ plan: RollupPlan) -> AlertFeed {
    AlertFeed(plan: plan, catalogue: RollupCatalogue(plan))
  }

  /// Forms minutes up to the end of `minute`.
  private static func form(_ keeper: TierKeeper, through minute: Int64) throws {
    let end = Tick(unixMilliseconds: start + minute * 60_000)
    while try keeper.work(closedThrough: end, now: end) > 0 {}
  }

  @Test(
    "demand, forecast and peaks after a restart are those of a run without one",
    arguments: [0, 120, 17])
  func restart(clockOffset: Int) throws {
    let plan = RollupPlan(try #require(FleetFile(text: Self.fleet(clockOffset), path: "f.yaml").tree))
    let ticks = try Self.live(plan, seconds: 2400)
    let whole = Self.feed(plan)
    for tick in ticks { whole.take(tick) }
    let want = try #require(whole.outlook(0))

    let folder = try TemporaryDirectory()
    let path = "\(folder.path)/tiers.sqlite"
    do {
      let keeper = TierKeeper(store: try TierStore(path: path), plan: plan, rows: Self.rows)
      try keeper.store.note(
        shard: 0, through: 1, minutes: Set((1...40).map { Self.start + $0 * 60_000 }), now: Tick(unixMilliseconds: 0))
      try Self.form(keeper, through: 33)
    }
    // Killed in the middle of minute 35, back in minute 37.
    let store = try TierStore(path: path)
    let feed = Self.feed(plan)
    let history = DemandHistory(feed: feed, tiers: store, tree: plan.tree)
    try history.restore()
    #expect(feed.outlook(0) == nil, "nothing is known yet of what is drawn now")
    for tick in ticks[2190...2300] { feed.take(tick) }
    #expect(try #require(feed.outlook(0)) != want)
    let keeper = TierKeeper(
      store: store, plan: plan, formed: { minute in try? history.minuteFormed(minute) }, rows: Self.rows)
    try Self.form(keeper, through: 38)
    for tick in ticks[2301...] { feed.take(tick) }
    try Self.form(keeper, through: 39)
    try history.restorePeaks()
    let got = try #require(feed.outlook(0))
    if clockOffset % 10 == 0 {
      #expect(got == want)
    } else {
      // Its quarter-hours are cut to 10 s.
      #expect(got.end == want.end)
      #expect(abs(got.forecastMilliwatts - want.forecastMilliwatts) < want.forecastMilliwatts / 50)
    }
    // Two minutes ahead, the clock has too little of the first quarter-hour to be billed.
    #expect(got.monthPeakMilliwatts > (clockOffset == 120 ? 0 : 20_000_000))
  }

  @Test("a late minute corrects the demand of its quarter-hour")
  func late() throws {
    let plan = RollupPlan(try #require(FleetFile(text: Self.fleet(0), path: "f.yaml").tree))
    let ticks = try Self.live(plan, seconds: 1260)
    let whole = Self.feed(plan)
    for tick in ticks { whole.take(tick) }
    let folder = try TemporaryDirectory()
    let feed = Self.feed(plan)
    let store = try TierStore(path: "\(folder.path)/tiers.sqlite")
    let history = DemandHistory(feed: feed, tiers: store, tree: plan.tree)
    // Minutes 16 and 17 come late.
    for tick in ticks[..<900] + ticks[1020...] { feed.take(tick) }
    #expect(feed.outlook(0)?.averageMilliwatts != whole.outlook(0)?.averageMilliwatts)
    let keeper = TierKeeper(
      store: store, plan: plan, formed: { minute in try? history.minuteFormed(minute) }, rows: Self.rows)
    try keeper.store.note(
      shard: 0, through: 1, minutes: Set((1...21).map { Self.start + $0 * 60_000 }), now: Tick(unixMilliseconds: 0))
    try Self.form(keeper, through: 21)
    #expect(feed.outlook(0) == whole.outlook(0))
  }
}
