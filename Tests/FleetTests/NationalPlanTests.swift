import BongsuFleet
import BongsuModel
import Testing

@Suite("The national plan")
struct NationalPlanTests {
  private static let path = String(#filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" })

  static let korea = FleetFile(path: path + "/ops/fleets/korea.yaml")

  @Test("korea.yaml is free of errors and warnings")
  func isClean() {
    #expect(Self.korea.findings.map(\.description) == [])
  }

  @Test("five holders are granted exactly 260,000 GPUs, and each has as many in racks")
  func grantsAddUp() throws {
    let tree = try Self.korea.usableTree()
    let holders = tree.allocations.filter { $0.depth == 1 && $0.isInPlan }
    #expect(holders.map(\.path).sorted() == ["hyundai", "msit", "naver", "samsung", "sk"])
    #expect(holders.compactMap(\.grantedGPUs).reduce(0, +) == 260_000)
    #expect(tree.planGPUs == 260_000)

    var placed: [String: Int] = [:]
    let now = Tick(unixMilliseconds: 1_790_000_000_000)
    for node in tree.nodes.indices {
      let allocation = tree.allocation(of: NodeIndex(node), at: now)
      for level in tree.lineage(of: allocation) { placed[tree[level].path, default: 0] += tree.nodes[node].gpus }
    }
    for allocation in tree.allocations where allocation.path != FleetTree.unassignedID {
      #expect(placed[allocation.path] == allocation.grantedGPUs, "\(allocation.path)")
    }
  }

  @Test("the first batch stands at three hosts as the ministry awarded it")
  func firstBatch() throws {
    let tree = try Self.korea.usableTree()
    let gpus = { (path: String) in tree.allocation(path).flatMap { tree[$0].grantedGPUs } }
    #expect(gpus("msit/naver-hosted") == 3056)
    #expect(gpus("msit/nhn-hosted") == 7656)
    #expect(gpus("msit/kakao-hosted") == 2424)
    let batchTotal = 13_136
    let inService = tree.expectedGPUs(at: Tick(unixMilliseconds: 1_790_000_000_000))
    #expect(inService.reduce(0) { $0 + Int($1) } == batchTotal)
  }

  @Test("the example of a single machine is free of findings and expects its GPUs")
  func singleNode() throws {
    let file = FleetFile(path: Self.path + "/ops/fleets/single-node.yaml")
    #expect(file.findings.map(\.description) == [])
    let tree = try file.usableTree()
    #expect(tree.expectedGPUs(at: Tick(unixMilliseconds: 1_790_000_000_000)) == [8])
    #expect(tree[tree.allocation(of: NodeIndex(0), at: Tick(unixMilliseconds: 1_790_000_000_000))].path == "research")
  }
}
