import BongsuSimulation
import BongsuTestKit
import Testing

@Suite("Simulation")
struct SimulationTests {
  /// How many seeds a run of the tests takes; ops/simulate takes as many as one likes, ten times as fast.
  private static let seeds = 100
  /// Within how many seeds a mistake has to show. Half of them show within ten.
  private static let seedsOfMistake: UInt64 = 300

  @Test("whole lives of agents and aggregator keep every promise", arguments: 0..<10)
  func promises(part: Int) {
    let count = Self.seeds / 10
    let first = environment("BONGSU_SEED").flatMap { UInt64($0) } ?? 1
    for seed in (first + UInt64(part * count))..<(first + UInt64((part + 1) * count)) {
      let outcome = Simulation.run(seed: seed)
      #expect(
        outcome.violations.isEmpty,
        "seed \(seed), \(outcome.faults): \(outcome.violations.first ?? ""); ops/simulate --seed \(seed) --seeds 1 --trace"
      )
    }
  }

  @Test("a seed replays exactly")
  func replay() {
    for seed in [UInt64(3), 64, 146, 292] {
      let first = Simulation.run(seed: seed, keepsTrace: true)
      let second = Simulation.run(seed: seed, keepsTrace: true)
      #expect(first.trace == second.trace && !first.trace.isEmpty, "seed \(seed)")
    }
  }

  @Test("a known mistake is caught", arguments: Mutation.allCases)
  func mistakeIsCaught(mutation: Mutation) {
    let caught = (1...Self.seedsOfMistake).first { !Simulation.run(seed: $0, mutation: mutation).violations.isEmpty }
    #expect(caught != nil, "\(mutation.rawValue) went unnoticed in \(Self.seedsOfMistake) seeds")
  }

  @Test("runs without misfortune store every sample")
  func calm() {
    var calm = 0
    for seed in UInt64(1)...400 where calm < 10 {
      let outcome = Simulation.run(seed: seed)
      guard outcome.faults.isEmpty else { continue }
      calm += 1
      #expect(outcome.stored == outcome.samples && outcome.gaps == 0, "seed \(seed)")
    }
    #expect(calm == 10)
  }
}
