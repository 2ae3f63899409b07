internal import BongsuRing
internal import BongsuThreads

/// Questions to a shard, answered on its thread between two turns. The only way in for the control plane.
///
/// Thread rule: ``post(_:)`` from any thread; ``deliver(_:)`` on the shard's.
final class Mailbox: Sendable {
  /// Letters, and the lane of the shard's ring that announces them.
  private struct State: ~Copyable {
    var letters: [@Sendable (Shard) -> Void] = []
    var bell: RingProducer<ShardEvent>
  }

  private let state: ThreadLock<State>

  init(bell: consuming sending RingProducer<ShardEvent>) {
    state = ThreadLock(State(bell: bell))
  }

  /// Lets `letter` run on the shard's thread soon. When the shard has ended it never runs.
  func post(_ letter: @escaping @Sendable (Shard) -> Void) {
    state.withLock { state in
      state.letters.append(letter)
      // A full lane means that the shard has enough announcements to look here.
      _ = state.bell.tryPush(.mail)
    }
  }

  func deliver(_ shard: Shard) {
    let letters = state.withLock { state in
      let letters = state.letters
      state.letters.removeAll()
      return letters
    }
    for letter in letters { letter(shard) }
  }
}
