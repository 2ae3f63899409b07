import BongsuModel
import Synchronization

/// The labels of all nodes that questions have met so far, by shard and number. Grows with use: about 400 bytes per GPU.
///
/// Thread rule: any thread.
final class LiveDirectory: Sendable {
  private let labels: SeriesLabels
  private let shards: Mutex<[[LiveNodeLabels?]]>
  private let interval = Atomic<Int64>(0)

  init(shardCount: Int, labels: SeriesLabels) {
    self.labels = labels
    shards = Mutex(Array(repeating: [], count: shardCount))
  }

  /// A node of which the labels are not known, or no longer.
  struct News: Sendable {
    let number: Int
    let id: NodeID
    let layout: RowLayout
    let layoutVersion: UInt32
    let tick: Tick
  }

  /// What is known of the nodes of a shard, by number.
  func nodes(ofShard shard: Int) -> [LiveNodeLabels?] { shards.withLock { $0[shard] } }

  /// The longest interval of all nodes met, milliseconds; `nil` before the first.
  var intervalMillisecondsMax: Int64? {
    let longest = interval.load(ordering: .relaxed)
    return longest > 0 ? longest : nil
  }

  /// Takes note of nodes and tells what is known of the shard then.
  func add(_ news: [News], toShard shard: Int) -> [LiveNodeLabels?] {
    // Made outside the lock: it takes a while for a nation of nodes.
    let made = news.map { item in
      (item.number, LiveNodeLabels(item.id, item.layout, version: item.layoutVersion, at: item.tick, labels))
    }
    // Relaxed: a number by itself.
    for item in news { interval.max(Int64(item.layout.interval.milliseconds), ordering: .relaxed) }
    return shards.withLock { shards in
      for (number, node) in made {
        while shards[shard].count <= number { shards[shard].append(nil) }
        shards[shard][number] = node
      }
      return shards[shard]
    }
  }
}
