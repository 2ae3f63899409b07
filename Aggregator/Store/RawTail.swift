internal import BongsuCodec
internal import BongsuModel
internal import BongsuRecordLog
internal import BongsuWire

/// What the journals hold of the selected nodes, row by row in memory.
struct RawTail {
  /// Where reading starts in one journal, and where it ends: both records are included.
  struct Stretch {
    let disk: any Disk
    let from: UInt64
    let through: UInt64
  }

  private(set) var piles: [NodeID: RawPile] = [:]
  private(set) var losses = RawLosses()
  /// Whether a pile was left incomplete because there is more than `wordsMax`.
  private(set) var isCutShort = false

  /// Reads the journals of all shards.
  ///
  /// - Parameters:
  ///   - wants: whether a row counts: records behind a chunk's last one do.
  ///   - wordsMax: words of rows that may be held; reading ends when there are more.
  init(
    _ stretches: [Stretch], _ selection: RawSelection, wordsMax: Int, includes: @escaping (NodeID) -> Bool,
    wants: (_ shard: Int, _ record: UInt64, NodeID, Tick) -> Bool = { _, _, _, _ in true }
  ) throws {
    var words = 0
    for (shard, stretch) in stretches.enumerated() where stretch.from <= stretch.through {
      // From the start of a segment on, since a block may build on one before.
      let starts = try LogReader.segmentStarts(disk: stretch.disk, log: JournalReplay.logName)
      let start = starts.last { $0 <= stretch.from } ?? starts.first ?? stretch.from
      var replay = try JournalReplay(disk: stretch.disk, from: start, through: stretch.through)
      var decoder = RowDecoder(includes)
      while !isCutShort, let event = try replay.next() {
        guard case .entry(let record, let entry) = event else {
          if case .damage(let what) = event { losses.damage.append(what) }
          continue
        }
        var unread = RawLosses()
        _ = try replay.withPayload { payload in
          try decoder.take(entry, payload, &unread) { node, shape, tick, row in
            guard record >= stretch.from, selection.ticks.contains(tick), wants(shard, record, node, tick) else {
              return true
            }
            words -= piles[node]?.wordCount ?? 0
            piles[node, default: RawPile()].put(shape.layout, tick, row, selection)
            words += piles[node]?.wordCount ?? 0
            return true
          }
        }
        if record >= stretch.from { losses.undecodedRows += unread.undecodedRows }
        isCutShort = words > wordsMax
      }
    }
  }

  /// Gives up a node's rows.
  mutating func take(_ node: NodeID) -> RawPile? { piles.removeValue(forKey: node) }
}
