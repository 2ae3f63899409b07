import BongsuTestKit

/// What goes wrong in one run. Everything follows from the seed.
///
/// A run draws a few kinds of misfortune, not all: runs without a kind check the stronger promise that nothing it could
/// excuse happens.
public struct Scenario: Sendable {
  /// Kinds of misfortune.
  public enum Fault: String, CaseIterable, Sendable {
    /// Connections break, with what is on the way lost or late.
    case reset
    /// Nothing passes for a while, in one direction or both.
    case partition
    /// Single frames arrive as garbage or not at all.
    case mangled
    /// Agents are killed and start again.
    case agentKill
    /// Nodes lose power, boot anew; what was not synchronized is gone.
    case nodePower
    /// The aggregator is killed.
    case aggregatorKill
    /// The aggregator's machine stops in the middle of a change on disk.
    case aggregatorPower
    /// The aggregator's disk is full or fails for a while.
    case aggregatorDisk
    /// Spools cannot be written for a while.
    case agentDisk
    /// Spool directories vanish, or come back as an older copy.
    case spoolLost
    /// Wall clocks step, or are wrong at boot.
    case clock
    /// A second machine runs with a copy of a node's key, and perhaps of its spool.
    case clone
    /// Keys are revoked and given back.
    case revoke
    /// Devices come and go, so that layouts change.
    case layout
    /// The spool is too small for the outages.
    case smallSpool
    /// An agent's delivery is stuck for a while, so that rows are dropped before they are numbered.
    case stuckDelivery
  }

  public let seed: UInt64
  /// The kinds drawn.
  public var faults: Set<Fault>
  public var nodes: Int
  /// How long things go wrong, milliseconds.
  public var chaosMilliseconds: Int64
  public var intervalMilliseconds: Int
  /// Time between two misfortunes, on average.
  public var faultEveryMilliseconds: Int64
  public var leaseRows: UInt64
  public var pendingRowsMax: Int
  public var creditBlocks: Int
  /// Bytes of a journal segment.
  public var segmentBytes: Int

  /// The scenario of a seed.
  public init(seed: UInt64) {
    self.seed = seed
    var random = SeededRandom(seed: seed ^ 0xB0_2650)
    faults = []
    let wanted = Int.random(in: 0...5, using: &random)
    for _ in 0..<wanted { faults.insert(Fault.allCases.randomElement(using: &random) ?? .reset) }
    nodes = Int.random(in: 1...4, using: &random)
    chaosMilliseconds = Int64.random(in: 20...90, using: &random) * 1000
    intervalMilliseconds = [1000, 1000, 500, 2000].randomElement(using: &random) ?? 1000
    faultEveryMilliseconds = Int64.random(in: 2...12, using: &random) * 1000
    leaseRows = [8, 16, 64, 1 << 16].randomElement(using: &random) ?? 16
    pendingRowsMax = [8, 16, 128].randomElement(using: &random) ?? 128
    creditBlocks = [30, 32, 64].randomElement(using: &random) ?? 64
    segmentBytes = [2 << 10, 4 << 10, 64 << 10].randomElement(using: &random) ?? (4 << 10)
  }
}
