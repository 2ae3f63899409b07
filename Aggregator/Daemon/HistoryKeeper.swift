import BongsuFleet
import BongsuIngest
import BongsuModel
import BongsuRollup
import BongsuStore

/// Lets the ingest core keep its checkpoints and history in a data directory.
struct HistoryKeeper: JournalKeeper {
  let store: DataKeeper

  func checkpoint(shard: Int) -> ShardCheckpoint? {
    store.checkpoint(shard: shard).map { ShardCheckpoint(record: $0.record, bytes: $0.bytes) }
  }

  func highestRecord(shard: Int) -> UInt64 { store.highestRecord(shard: shard) }

  var oldestKept: Int64 { store.rawFloor.unixMilliseconds }

  func keep(_ journals: [JournalProgress]) -> [UInt64] {
    store.keep(
      journals.map { journal in
        DataKeeper.Progress(
          committed: journal.committed, segments: journal.segments,
          checkpoint: journal.checkpoint.map { ($0.record, $0.bytes) })
      })
  }
}

/// Which groups of the fleet a node's minutes belong to, keyed by labels, since numbers change with the fleet file.
struct MinuteGroups: Sendable {
  let tree: FleetTree

  /// Rack, hall, factory and nation, the allocation with all above it, each also at the factory.
  func groups(of node: NodeID, at tick: Tick) -> [MinuteGroup] {
    guard let place = NodePlace(node, tree, at: tick) else { return [] }
    let factory = "factory=\(tree[place.factory].id)"
    let hall = "\(factory),hall=\(tree[place.hall].id)"
    var groups = [
      group(.rack, "\(hall),rack=\(tree[place.rack].id)"), group(.hall, hall), group(.factory, factory),
      group(.nation, "nation=\(tree.nation)"),
    ]
    for index in place.lineage {
      let allocation = "allocation=\(tree[index].path)"
      groups.append(group(.allocation, allocation))
      groups.append(group(.factoryAllocation, "\(factory),\(allocation)"))
    }
    return groups
  }

  private func group(_ level: RollupLevel, _ key: String) -> MinuteGroup {
    MinuteGroup(level: UInt8(level.rawValue), key: key)
  }
}
