import BongsuFleet
import BongsuModel
import BongsuRollup
import Testing

@testable import BongsuIngest

@Suite("ticks of the last minutes")
struct RecentTicksTests {
  static let start = Tick(unixMilliseconds: 1_800_000_000_000)
  static let plan = RollupPlan(TestFleet.tree)

  static func tick(_ second: Int) -> Tick { start.advanced(by: second, of: .second) }

  /// Closes `seconds` ticks into `collector`; nodes for which `isLate` holds come afterwards.
  static func run(_ collector: TickCollector, seconds: Int, isLate: (NodeID, Int) -> Bool = { _, _ in false }) {
    var shard = ShardRollup(plan, first: start, keepsSketches: false)
    let members = TestFleet.nodes.map { ($0, shard.join($0, layout: TestFleet.layout)) }
    var frame = LeafFrame(tick: start)
    for second in 0..<seconds {
      for (node, member) in members where !isLate(node, second) {
        let row = TestFleet.row(node, tick(second).unixMilliseconds)
        _ = shard.add(member, at: tick(second), row: row.span)
      }
      shard.close(into: &frame)
      collector.deposit(frame)
    }
    for (node, member) in members {
      for second in 0..<seconds where isLate(node, second) {
        let row = TestFleet.row(node, tick(second).unixMilliseconds)
        shard.addLate(member, at: tick(second), row: row.span)
      }
    }
    collector.correct(shard.takeLate())
  }

  @Test("late rows enter the kept ticks, so that they equal those of a run in which nothing was late")
  func corrections() throws {
    let punctual = TickCollector(plan: Self.plan, shardCount: 1)
    Self.run(punctual, seconds: 60)
    let late = TickCollector(plan: Self.plan, shardCount: 1)
    Self.run(late, seconds: 60) { node, second in node == TestFleet.nodes[1] && (20..<50).contains(second) }
    let expected = punctual.recent.ticks(in: Self.tick(0)...Self.tick(59))
    let found = late.recent.ticks(in: Self.tick(0)...Self.tick(59))
    #expect(expected.count == 60 && found.count == 60)
    for (left, right) in zip(expected, found) {
      #expect(left.tick == right.tick)
      for level in RollupLevel.allCases { #expect(left[level] == right[level], "\(level) at \(left.tick)") }
      #expect(left.factoryPower == right.factoryPower && left.meterPower == right.meterPower)
    }
    #expect(punctual.newest?.closed[.rack] == late.newest?.closed[.rack])
  }

  @Test("a correction of the newest tick reaches the newest tick, racks included")
  func correctionOfNewest() throws {
    let late = TickCollector(plan: Self.plan, shardCount: 1)
    Self.run(late, seconds: 10) { node, second in node == TestFleet.nodes[0] && second == 9 }
    let newest = try #require(late.newest?.closed)
    #expect(newest[.nation].field(.reportingNodes, 0) == Int64(TestFleet.nodes.count))
    #expect(newest[.rack].count == Self.plan.groupCount(.rack))
    #expect(late.recent.newest?[.rack] == newest[.rack])
  }

  @Test("only the newest ticks stay, and a question gets those of its range")
  func bounds() throws {
    let collector = TickCollector(plan: Self.plan, shardCount: 1)
    let recent = collector.recent
    #expect(recent.extent == nil && recent.ticks(in: Self.tick(0)...Self.tick(9)).isEmpty)
    let seconds = IngestLimits.recentTicksMax + 25
    Self.run(collector, seconds: seconds)
    #expect(recent.extent == Self.tick(25)...Self.tick(seconds - 1))
    #expect(recent.ticks(in: Self.tick(0)...Self.tick(27)).map(\.tick) == (25...27).map(Self.tick))
    #expect(recent.ticks(in: Self.tick(seconds)...Self.tick(seconds + 9)).isEmpty)
    #expect(recent.ticks(in: Self.tick(40)...Self.tick(40)).allSatisfy { $0[.rack].count == 0 })
    #expect(recent.last(notAfter: Self.tick(9_999))?.tick == Self.tick(seconds - 1))
    #expect(recent.last(notAfter: Self.tick(24)) == nil)
  }

  @Test("a correction waits for the other shards when they have not closed its tick")
  func correctionOfWaitingTick() throws {
    let collector = TickCollector(plan: Self.plan, shardCount: 2)
    var first = ShardRollup(Self.plan, first: Self.start, keepsSketches: false)
    var second = ShardRollup(Self.plan, first: Self.start, keepsSketches: false)
    let node = TestFleet.nodes[0]
    let member = first.join(node, layout: TestFleet.layout)
    var frame = LeafFrame(tick: Self.start)
    first.close(into: &frame)
    collector.deposit(frame)
    first.addLate(member, at: Self.start, row: TestFleet.row(node, Self.start.unixMilliseconds).span)
    collector.correct(first.takeLate())
    #expect(collector.newest == nil)
    second.close(into: &frame)
    collector.deposit(frame)
    #expect(collector.newest?.closed.nation.field(.reportingNodes, 0) == 1)
  }

  @Test("a listener gets every tick while it keeps up, and the newest after it did not")
  func feed() async throws {
    let collector = TickCollector(plan: Self.plan, shardCount: 1)
    let feed = collector.subscribe()
    #expect(collector.listenerCount == 1)
    var iterator = feed.makeAsyncIterator()
    Self.run(collector, seconds: 1)
    #expect(await iterator.next()?.closed.tick == Self.tick(0))
    #expect(feed.skippedCount == 0)
    let busy = TickCollector(plan: Self.plan, shardCount: 1)
    let slow = busy.subscribe()
    Self.run(busy, seconds: 10)
    var slowIterator = slow.makeAsyncIterator()
    #expect(await slowIterator.next()?.closed.tick == Self.tick(9))
    #expect(slow.skippedCount == 9)
  }

  @Test("a listener that ends is forgotten")
  func leaving() async throws {
    let collector = TickCollector(plan: Self.plan, shardCount: 1)
    let task = Task {
      for await _ in collector.subscribe() {}
    }
    while collector.listenerCount == 0 { await Task.yield() }
    task.cancel()
    await task.value
    #expect(collector.listenerCount == 0)
  }
}

extension RecentTicksTests {
  @Test("a question for windows gets those that the kept ticks cover whole, with the numbers of their ticks")
  func windows() throws {
    let collector = TickCollector(plan: Self.plan, shardCount: 1)
    Self.run(collector, seconds: 95)
    let recent = collector.recent
    let series = try #require(
      RollupSeries.all.first { $0.metric == "bongsu_gpu_power_watts" && $0.operation == "sum" })
    let level = TierLevel.rollup(.nation)
    // Ticks 0 to 94 of a minute that began before them, of a whole one, and of one that goes on.
    let extent = try #require(recent.extent(level, .minute))
    #expect(extent == Self.tick(60)...Self.tick(60))
    var answers = 0
    try recent.visit(TierQuestion(level, .minute, in: Self.tick(-900)...Self.tick(900), [series])) { group, course in
      answers += 1
      #expect(group.labels.map(\.value) == ["test"])
      #expect(course.ends == [Self.tick(60).unixMilliseconds])
      let sums = (1...60).flatMap { second in
        TestFleet.nodes.map { TestFleet.row($0, Self.tick(second).unixMilliseconds)[0..<8].reduce(0, +) }
      }
      #expect(abs(course.values[0][0] - Double(sums.reduce(0, +)) / 60 / 1000) < 1e-6)
      return true
    }
    #expect(answers == 1)
    var ticks: [Int64] = []
    try recent.visit(TierQuestion(level, .second, in: Self.tick(90)...Self.tick(900), [series])) { _, course in
      ticks += course.ends
      return true
    }
    #expect(ticks == (90...94).map { Self.tick($0).unixMilliseconds })
    #expect(recent.extent(.rollup(.rack), .tenSeconds) == nil && recent.extent(.node, .minute) == nil)
  }
}
