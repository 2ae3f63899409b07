internal import BongsuFleet
internal import BongsuModel
public import BongsuRollup
internal import BongsuThreads
internal import Synchronization

/// Puts the closed ticks of all shards together, keeps the recent ones for whoever asks, and tells who listens.
///
/// The shard that delivers the last frame of a tick forms the levels; with one shard that is always the same thread.
///
/// Thread rule: shards deposit from their threads, the control plane reads and subscribes from any.
final class TickCollector: Sendable {
  private let shardCount: Int
  private let state: ThreadLock<State>
  /// The ticks of the last minutes.
  let recent: RecentTicks
  /// Who is told of closed ticks. A lock of its own: nothing is held while listeners are woken.
  private let listeners = ThreadLock<[Int: TickListener]>([:])
  private let listenerNumber = Atomic(0)

  private struct Waiting {
    var frames: [LeafFrame] = []
    var shards = 0
  }

  private struct State {
    var levels: LevelRollup
    var waiting: [Int64: Waiting] = [:]
    /// What the shards have told last, and its sum.
    var sums: [EnergyLedger.Sums?]
    var energy: EnergyTotals
    var newest: RollupSnapshot?
  }

  init(plan: RollupPlan, interval: TickInterval = .second, shardCount: Int) {
    self.shardCount = shardCount
    state = ThreadLock(
      State(
        levels: LevelRollup(plan, interval: interval), sums: Array(repeating: nil, count: shardCount),
        energy: EnergyTotals(plan)))
    recent = RecentTicks(interval: interval)
  }

  /// The newest tick that all shards have closed; `nil` before the first.
  var newest: RollupSnapshot? { state.withLock { $0.newest } }

  /// Takes one shard's frame of a tick. Ticks of one shard come in order.
  func deposit(_ frame: LeafFrame) {
    let snapshot = state.withLock { state -> RollupSnapshot? in
      let tick = frame.tick.unixMilliseconds
      state.waiting[tick, default: Waiting()].frames.append(frame)
      state.waiting[tick]?.shards += 1
      guard let waiting = state.waiting[tick], waiting.shards == shardCount else { return nil }
      state.waiting[tick] = nil
      let closed = state.levels.close(waiting.frames)
      let snapshot = RollupSnapshot(closed: closed, energy: state.energy)
      state.newest = snapshot
      recent.add(closed)
      return snapshot
    }
    if let snapshot { tell(snapshot) }
  }

  /// Takes one shard's corrections of ticks that it has closed already.
  func correct(_ frames: [LeafFrame]) {
    guard !frames.isEmpty else { return }
    state.withLock { state in
      for frame in frames {
        let tick = frame.tick.unixMilliseconds
        if state.waiting[tick] != nil {
          // Other shards have not closed it: it goes in with their frames.
          state.waiting[tick]?.frames.append(frame)
          continue
        }
        let correction = state.levels.correction([frame])
        recent.correct(correction)
      }
      if let newest = state.newest {
        let closed = recent.newest(newest.closed)
        state.newest = RollupSnapshot(closed: closed, energy: state.energy)
      }
    }
  }

  /// Takes the energy that one shard's rows have brought so far.
  func deposit(_ sums: EnergyLedger.Sums, shard: Int) {
    state.withLock { state in
      state.sums[shard] = sums
      state.energy = EnergyTotals(state.levels.plan, state.sums.compactMap(\.self))
      if let newest = state.newest { state.newest = RollupSnapshot(closed: newest.closed, energy: state.energy) }
    }
  }

  // MARK: Listeners

  /// Begins to tell a listener of every tick that closes from now on.
  func subscribe() -> ClosedTickFeed {
    let number = listenerNumber.add(1, ordering: .relaxed).newValue
    let (stream, continuation) = AsyncStream.makeStream(of: RollupSnapshot.self, bufferingPolicy: .bufferingNewest(1))
    let listener = TickListener(continuation: continuation)
    listeners.withLock { $0[number] = listener }
    continuation.onTermination = { [weak self] _ in _ = self?.listeners.withLock { $0.removeValue(forKey: number) } }
    return ClosedTickFeed(stream: stream, listener: listener)
  }

  /// How many listen.
  var listenerCount: Int { listeners.withLock { $0.count } }

  private func tell(_ snapshot: RollupSnapshot) {
    for listener in listeners.withLock({ Array($0.values) }) { listener.tell(snapshot) }
  }
}

/// The totals of one tick on every level, and the energy counted so far.
public struct RollupSnapshot: Sendable {
  public let closed: ClosedTick
  /// Of rows that are on disk, so that no restart takes anything from it: may lack what came within the last second.
  public let energy: EnergyTotals
}
