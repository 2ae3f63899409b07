import BongsuModel
import BongsuTestKit
import BongsuWire
import Testing

@testable import BongsuIngest

@Suite("rows before the newest in the live table")
struct EarlierRowsTests {
  private static func node() -> ShardNode {
    ShardNode(id: NodeID("n1") ?? TestFleet.stranger, number: NodeNumber(rawValue: 0))
  }

  /// The row that the table gives for an instant, by its only value; `nil`: none is kept.
  private static func row(_ node: ShardNode, at tick: Int64) -> Int64? {
    if node.liveTick <= tick { return node.row.first }
    return node.earlier.last { $0.tick <= tick }?.values.first
  }

  private static func put(_ tick: Int64, _ node: inout ShardNode) {
    if tick > node.liveTick { node.keep([tick], at: tick, layout: 1) } else { node.miss(tick) }
  }

  @Test("an instant a few ticks ago has the row of then; one further back has none")
  func order() {
    var node = Self.node()
    for tick in stride(from: Int64(1000), through: 9000, by: 1000) { Self.put(tick, &node) }
    #expect(Self.row(node, at: 9500) == 9000)
    #expect(Self.row(node, at: 8999) == 8000)
    #expect(Self.row(node, at: 6000) == 6000)
    #expect(Self.row(node, at: 5999) == nil)
    #expect(node.earlier.count == IngestLimits.earlierRows)
  }

  @Test(
    "rows in any order: what the table gives for an instant is the newest row up to it, or nothing", arguments: 1...20)
  func anyOrder(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var node = Self.node()
    var put: Set<Int64> = []
    var given = 0
    for number in 0..<400 {
      let tick = Int64(number) * 1000 + Int64(Int.random(in: -6...3, using: &random)) * 1000
      guard put.insert(tick).inserted else { continue }
      Self.put(tick, &node)
      for instant in stride(from: node.liveTick - 6000, through: node.liveTick, by: 500) {
        guard let row = Self.row(node, at: instant) else { continue }
        given += 1
        #expect(row == put.filter { $0 <= instant }.max(), "seed \(seed), \(instant) after \(tick)")
      }
    }
    #expect(given > 400, "seed \(seed): the table gave next to nothing")
  }

  @Test("after the layout changed, rows of the old one are not given")
  func forgotten() {
    var node = Self.node()
    for tick in [Int64(1000), 2000, 3000] { Self.put(tick, &node) }
    node.forgetEarlier()
    #expect(Self.row(node, at: 2999) == nil)
    #expect(Self.row(node, at: 3000) == 3000)
  }
}
