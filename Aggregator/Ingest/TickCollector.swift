internal import BongsuFleet
internal import BongsuModel
public import BongsuRollup
internal import Synchronization

/// Puts the closed ticks of all shards together and keeps the newest for whoever asks.
///
/// The shard that delivers the last frame of a tick forms the levels; with one shard that is always the same thread.
///
/// Thread rule: shards deposit from their threads, the control plane reads from any.
final class TickCollector: Sendable {
  private let shardCount: Int
  private let state: Mutex<State>

  private struct State {
    var levels: LevelRollup
    var waiting: [Int64: [LeafFrame]] = [:]
    var energy: EnergyTotals
    var newest: RollupSnapshot?
  }

  init(plan: RollupPlan, shardCount: Int) {
    self.shardCount = shardCount
    state = Mutex(State(levels: LevelRollup(plan), energy: EnergyTotals(plan)))
  }

  /// The newest tick that all shards have closed; `nil` before the first.
  var newest: RollupSnapshot? { state.withLock { $0.newest } }

  /// Takes one shard's frame of a tick. Ticks of one shard come in order.
  func deposit(_ frame: LeafFrame) {
    state.withLock { state in
      let tick = frame.tick.unixMilliseconds
      state.waiting[tick, default: []].append(frame)
      guard let frames = state.waiting[tick], frames.count == shardCount else { return }
      state.waiting[tick] = nil
      let closed = state.levels.close(frames)
      state.energy.add(closed)
      state.newest = RollupSnapshot(closed: closed, energy: state.energy)
    }
  }

  /// Takes one shard's corrections of ticks that are closed already.
  func correct(_ frames: [LeafFrame]) {
    guard !frames.isEmpty else { return }
    state.withLock { state in
      for frame in frames { state.energy.add(state.levels.correction([frame])) }
      if let newest = state.newest { state.newest = RollupSnapshot(closed: newest.closed, energy: state.energy) }
    }
  }
}

/// The totals of one tick on every level, and the energy counted so far.
public struct RollupSnapshot: Sendable {
  public let closed: ClosedTick
  public let energy: EnergyTotals
}

/// GPU energy per group of every level since the aggregator started, millijoules, late rows included.
public struct EnergyTotals: Sendable {
  private var totals: [[Int64]]

  init(_ plan: RollupPlan) {
    totals = RollupLevel.allCases.map { [Int64](repeating: 0, count: plan.groupCount($0)) }
  }

  /// Energy of group number `group` of `level`.
  public func millijoules(_ level: RollupLevel, _ group: Int) -> Int64 { totals[level.rawValue][group] }

  mutating func add(_ closed: ClosedTick) {
    for level in RollupLevel.allCases {
      let table = closed[level]
      for group in totals[level.rawValue].indices {
        totals[level.rawValue][group] &+= table.field(.gpuEnergy, group)
      }
    }
  }
}
