import BongsuFleet
import BongsuModel
import BongsuRollup
import Testing

@Suite("Closing of ticks")
struct WatermarkTests {
  /// A shard with `count` strangers, all of which delivered the tick before the start.
  final class Shard {
    var rollup: ShardRollup
    var members: [MemberNumber] = []
    let layout: RowLayout
    var frame = LeafFrame(tick: SmallFleet.start)

    init(_ count: Int, interval: TickInterval = .second, nodeInterval: TickInterval? = nil) {
      layout = .node(gpus: 1, interval: nodeInterval ?? interval)
      rollup = ShardRollup(
        RollupPlan(SmallFleet.tree), interval: interval, first: SmallFleet.start, keepsSketches: false)
      members = (0..<count).map { rollup.join(NodeID("stray-\($0)")!, layout: layout) }
    }

    func deliver(_ members: Range<Int>, _ step: Int) {
      let tick = SmallFleet.start.advanced(by: step, of: rollup.interval)
      let row = [Int64](repeating: 1000, count: layout.width)
      for member in members { _ = rollup.add(self.members[member], at: tick, row: row.span) }
    }

    func close() { rollup.close(into: &frame) }

    func isClosable(atMilliseconds offset: Int64) -> Bool {
      rollup.isClosable(now: Tick(unixMilliseconds: SmallFleet.start.unixMilliseconds + offset))
    }
  }

  @Test("a tick is closed as soon as every live member has delivered it")
  func everyMember() {
    let shard = Shard(100)
    shard.deliver(0..<100, 0)
    #expect(shard.isClosable(atMilliseconds: 0))
    shard.close()
    #expect(!shard.isClosable(atMilliseconds: 1000))
    shard.deliver(0..<98, 1)
    #expect(!shard.isClosable(atMilliseconds: 1050))
    shard.deliver(98..<100, 1)
    #expect(shard.isClosable(atMilliseconds: 1050))
  }

  @Test("99 % are enough 100 ms later, 98 % are not")
  func quorum() {
    let shard = Shard(100)
    shard.deliver(0..<100, 0)
    shard.close()
    shard.deliver(0..<98, 1)
    #expect(!shard.isClosable(atMilliseconds: 1100))
    #expect(!shard.isClosable(atMilliseconds: 1300))
    shard.deliver(98..<99, 1)
    #expect(!shard.isClosable(atMilliseconds: 1400))
    #expect(!shard.isClosable(atMilliseconds: 1499))
    #expect(shard.rollup.watermark.deadline.unixMilliseconds == SmallFleet.start.unixMilliseconds + 1500)
    #expect(shard.isClosable(atMilliseconds: 1500))
  }

  @Test("one interval after the tick nobody is waited for")
  func deadline() {
    let shard = Shard(10)
    shard.deliver(0..<10, 0)
    shard.close()
    shard.deliver(0..<5, 1)
    #expect(!shard.isClosable(atMilliseconds: 1999))
    #expect(shard.isClosable(atMilliseconds: 2000))
    #expect(Shard(0).rollup.watermark.deadline.unixMilliseconds == SmallFleet.start.unixMilliseconds + 1000)
  }

  @Test("a member is waited for until it has been silent for three ticks")
  func silentMember() {
    let shard = Shard(10)
    shard.deliver(0..<10, 0)
    shard.close()
    for step in 1...3 {
      shard.deliver(0..<9, step)
      #expect(!shard.isClosable(atMilliseconds: Int64(step) * 1000 + 10), "tick \(step)")
      shard.close()
    }
    shard.deliver(0..<9, 4)
    #expect(shard.isClosable(atMilliseconds: 4010))
    #expect(shard.rollup.watermark.liveMembers == 9)
    shard.deliver(9..<10, 4)
    #expect(shard.rollup.watermark.liveMembers == 10)
    shard.close()
    #expect(shard.rollup.watermark.pendingMembers == 10)
  }

  @Test("members that always come after the others are too late once at most, and then waited for")
  func stragglers() {
    let shard = Shard(50)
    var late: [Int] = []
    for step in 0..<5 {
      let row = [Int64](repeating: 1000, count: shard.layout.width)
      let tick = SmallFleet.start.advanced(by: step, of: .second)
      for member in 0..<50 {
        if shard.rollup.add(shard.members[member], at: tick, row: row.span) == .late { late.append(step) }
        // Asked after each row, as a server with little to do would.
        if shard.isClosable(atMilliseconds: Int64(step) * 1000 + Int64(member)) { shard.close() }
      }
    }
    #expect(late.allSatisfy { $0 == 0 }, "late at \(Set(late).sorted())")
    #expect(shard.rollup.watermark.liveMembers == 50)
  }

  @Test("rows of a spool, hours old, make nobody live")
  func spool() {
    let shard = Shard(2)
    shard.deliver(0..<1, 7200)
    shard.deliver(0..<1, 0)
    shard.close()
    #expect(shard.rollup.watermark.liveMembers == 1)
    shard.deliver(1..<2, -7200)
    #expect(shard.rollup.watermark.liveMembers == 1)
    shard.deliver(1..<2, -1)
    #expect(shard.rollup.watermark.liveMembers == 2 && shard.rollup.watermark.pendingMembers == 2)
  }

  @Test("a row ahead of the open tick counts as delivery of it")
  func ahead() {
    let shard = Shard(2)
    shard.deliver(0..<2, 0)
    shard.close()
    shard.deliver(0..<1, 1)
    shard.deliver(1..<2, 2)
    #expect(shard.isClosable(atMilliseconds: 1000))
    shard.close()
    #expect(shard.rollup.watermark.pendingMembers == 1)
  }

  @Test("rows of closed ticks are late, of the far future ahead, of a counted tick duplicates")
  func outcomes() {
    let shard = Shard(1)
    let row = [Int64](repeating: 1, count: shard.layout.width)
    let outcome = { (step: Int) in
      shard.rollup.add(
        shard.members[0], at: SmallFleet.start.advanced(by: step, of: .second), row: row.span)
    }
    #expect(outcome(-1) == .late)
    #expect(outcome(0) == .added)
    #expect(outcome(0) == .duplicate)
    #expect(outcome(2) == .added)
    #expect(outcome(1) == .added)
    #expect(outcome(1) == .duplicate)
    #expect(outcome(600) == .ahead)
    shard.close()
    #expect(outcome(0) == .late)
  }

  @Test("a node that samples every ten seconds is waited for only when its row is due")
  func slowMember() {
    let shard = Shard(1, nodeInterval: TickInterval(milliseconds: 10_000)!)
    shard.deliver(0..<1, 0)
    for step in 0..<10 {
      #expect(shard.isClosable(atMilliseconds: Int64(step) * 1000), "tick \(step)")
      shard.close()
      #expect(shard.rollup.watermark.pendingMembers == (step == 9 ? 1 : 0))
    }
  }
}
