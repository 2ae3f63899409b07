import BongsuDevices
import BongsuFleet
import BongsuModel

/// What the nodes of a factory work on: jobs of many nodes each, which step together, in the shares of a mix.
///
/// Jobs are cut from all nodes of the factory in file order, so that a node's job does not depend on how many of them are
/// simulated. Training jobs span up to 512 nodes, thousands of GPUs.
struct JobMix {
  /// The work of one node.
  struct Work: Hashable, Sendable {
    var workload: SimulatedWorkload
    /// Tells the job from all others.
    var job: UInt64
  }

  private var work: [NodeIndex: Work] = [:]

  /// Gives every node of `tree` its job.
  ///
  /// - Throws: ``ScenarioUnusable`` when a mix names no factory.
  init(_ mixes: [Scenario.FactoryMix], path: String, tree: FleetTree, seed: UInt64) throws(ScenarioUnusable) {
    var mixOfFactory: [FactoryIndex: Scenario.FactoryMix] = [:]
    var others = Scenario.FactoryMix()
    var findings: [String] = []
    for mix in mixes {
      if mix.factory == "*" {
        others = mix
        continue
      }
      do throws(ScenarioPlan.Unresolved) {
        mixOfFactory[try ScenarioPlan.factory(mix.factory, tree)] = mix
      } catch {
        findings.append("\(path):\(mix.line): error: \(error.problem); \(error.remedy)")
      }
    }
    guard findings.isEmpty else { throw ScenarioUnusable(findings: findings) }
    var nodesOfFactory: [FactoryIndex: [NodeIndex]] = [:]
    for position in tree.nodes.indices {
      let node = NodeIndex(position)
      nodesOfFactory[tree.factory(of: node), default: []].append(node)
    }
    for (factory, nodes) in nodesOfFactory {
      assign(
        nodes, mixOfFactory[factory] ?? others, seed: ScenarioPlan.mixed(seed, UInt64(factory.position) | 1 << 40))
    }
  }

  /// What `node` works on.
  func work(of node: NodeIndex) -> Work { work[node] ?? Work(workload: .mixed, job: UInt64(node.position)) }

  /// Cuts `nodes` into jobs, each of the kind that lacks most of its share.
  private mutating func assign(_ nodes: [NodeIndex], _ mix: Scenario.FactoryMix, seed: UInt64) {
    let shares: [(workload: SimulatedWorkload, permille: Int)] = [
      (.training, mix.trainingPermille), (.inference, mix.inferencePermille), (.idle, mix.idlePermille),
    ]
    var given = [0, 0, 0]
    var stream = SeedStream(state: seed)
    var next = 0
    while next < nodes.count {
      // Missing nodes of each kind, were all nodes given out by the shares, in thousandths.
      let missing = shares.indices.map { shares[$0].permille * nodes.count - given[$0] * 1000 }
      let kind = missing.indices.max { missing[$0] < missing[$1] } ?? 0
      let wanted = Self.size(shares[kind].workload, mix, &stream)
      let size = min(max(1, min(wanted, (missing[kind] + 999) / 1000)), nodes.count - next)
      let job = stream.next()
      for node in nodes[next..<next + size] { work[node] = Work(workload: shares[kind].workload, job: job) }
      given[kind] += size
      next += size
    }
  }

  private static func size(_ workload: SimulatedWorkload, _ mix: Scenario.FactoryMix, _ stream: inout SeedStream) -> Int
  {
    let roll = stream.next()
    switch workload {
    case .training: return mix.jobNodes ?? [8, 32, 64, 128, 256, 512][Int(roll % 6)]
    case .inference: return 4 << Int(roll % 4)
    case .idle, .mixed: return 8 << Int(roll % 3)
    }
  }
}
