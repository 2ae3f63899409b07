import BongsuDevices
import BongsuFleet
import BongsuModel
import Testing

/// What the shipped rule RackPowerHigh compares: a rack's IT power, scaled from its GPUs, and `warn_at` of its rating.
@Suite("Ratings of racks in the national plan")
struct RackRatingTests {
  private static let korea: FleetFile = {
    let root = #filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" }
    return FleetFile(path: root + "/ops/fleets/korea.yaml")
  }()

  /// A rack with its nodes, and the power at which it warns.
  private struct Rated {
    let name: String
    let nodes: [NodeIndex]
    let warnMilliwatts: Int64
  }

  private func rated(_ tree: FleetTree) -> [Rated] {
    tree.racks.compactMap { rack in
      guard let limit = rack.powerLimit, !rack.nodes.isEmpty else { return nil }
      let nodes = rack.nodes.map { NodeIndex($0) }
      return Rated(
        name: tree[nodes[0]].id.description, nodes: nodes,
        warnMilliwatts: limit.milliwatts / 1000 * Int64(limit.warnPermille))
    }
  }

  @Test("no rack warns when every GPU in it draws all that its power limit allows")
  func headroom() throws {
    let tree = try Self.korea.usableTree()
    let racks = rated(tree)
    #expect(racks.count == tree.racks.count { !$0.nodes.isEmpty }, "a rack without a rating is not watched")
    for rack in racks {
      let full = rack.nodes.reduce(Int64(0)) { sum, node in
        let model = tree.model(of: node)
        return sum + model.estimatedNodeMilliwatts(gpuMilliwatts: Int64(tree[node].gpus * model.powerLimitWatts) * 1000)
      }
      #expect(
        full < rack.warnMilliwatts, "rack of \(rack.name): \(full / 1000) W, warns at \(rack.warnMilliwatts / 1000)")
    }
  }

  @Test("a day of the simulated nation at training brings no rack of any kind to its warning")
  func simulatedDay() throws {
    let tree = try Self.korea.usableTree()
    // One rack of each kind is enough: kinds differ in model, nodes and rating, their racks in seeds alone.
    var kinds: [[Int64]: Rated] = [:]
    for rack in rated(tree) {
      let model = tree.model(of: rack.nodes[0])
      kinds[[Int64(model.powerLimitWatts), Int64(rack.nodes.count), rack.warnMilliwatts]] = rack
    }
    var fullKinds = 0
    for rack in kinds.values {
      var highest: Int64 = 0
      var nodes = rack.nodes.map { node in
        var configuration = SimulatedNode.Configuration(
          model: tree.model(of: node), seed: UInt64(node.position), jobSeed: 7, workload: .training)
        configuration.gpuCount = tree[node].gpus
        configuration.hasMeter = true
        return SimulatedNode(configuration)
      }
      for step in Int64(0)..<288 {
        var watts: Int64 = 0
        for index in nodes.indices {
          var row = [Int64](repeating: 0, count: nodes[index].width)
          var span = row.mutableSpan
          nodes[index].fill(
            Tick(unixMilliseconds: 1_800_000_000_000 + step * 300_000), interval: .second, into: &span)
          watts += row[row.count - 1]
        }
        highest = max(highest, watts)
      }
      #expect(highest < rack.warnMilliwatts, "rack of \(rack.name)")
      if highest > rack.warnMilliwatts / 10 * 8 { fullKinds += 1 }
    }
    // That it could have been otherwise: racks of every model came near their warning.
    #expect(fullKinds >= 7, "only \(fullKinds) of \(kinds.count) kinds came near")
  }
}
