/// A repeatable source of random numbers: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
///
/// Tests print ``seed`` when they fail; the environment variable `BONGSU_SEED` overrides the seed of every test that
/// takes its generator from ``SeededRandom/init(default:)``, so that one failing run can be repeated.
public struct SeededRandom: RandomNumberGenerator, Sendable {
  /// What the sequence follows from.
  public let seed: UInt64
  private var state: UInt64

  /// The sequence of `seed`.
  public init(seed: UInt64) {
    self.seed = seed
    state = seed
  }

  /// The sequence of `BONGSU_SEED` when the environment has it, else that of `default`.
  public init(default fallback: UInt64) {
    self.init(seed: environment("BONGSU_SEED").flatMap { UInt64($0) } ?? fallback)
  }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  /// A generator of its own for a part of the test, so that changes in one part leave the others' draws alone.
  public mutating func split() -> SeededRandom { SeededRandom(seed: next()) }
}
