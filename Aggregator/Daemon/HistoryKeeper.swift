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
