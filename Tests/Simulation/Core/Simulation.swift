/// Runs whole lives of agents and an aggregator from a seed.
public enum Simulation {
  /// What came of a run.
  public struct Outcome: Sendable {
    public let seed: UInt64
    public let faults: [String]
    public let samples: Int
    public let stored: Int
    public let gaps: Int
    /// Empty when every promise was kept.
    public let violations: [String]
    public let trace: [String]
  }

  /// Runs the scenario of `seed`, with a known mistake if one is given.
  public static func run(seed: UInt64, mutation: Mutation? = nil, keepsTrace: Bool = false) -> Outcome {
    let scenario = Scenario(seed: seed)
    let world = World(scenario, mutation: mutation, keepsTrace: keepsTrace)
    world.run()
    return Outcome(
      seed: seed, faults: scenario.faults.map(\.rawValue).sorted(), samples: world.ledger.samples.count,
      stored: world.aggregator?.raw.rows.count ?? 0, gaps: world.aggregator?.raw.gaps.count ?? 0,
      violations: world.violations, trace: world.trace)
  }
}
