internal import BongsuCodec
internal import BongsuModel
internal import BongsuRecordLog
internal import BongsuWire

/// What the journals hold of some nodes, row by row in memory.
struct RawTail {
  /// Where reading starts in one journal, and where it ends: both records are included.
  struct Stretch {
    let shard: Int
    let disk: any Disk
    let from: UInt64
    let through: UInt64
  }

  private(set) var piles: [NodeID: RawPile] = [:]
  /// The shard whose journal has a node.
  private(set) var shards: [NodeID: Int] = [:]
  private(set) var losses = RawLosses()
  private(set) var wordCount = 0
  /// Whether reading ended because there is more than `wordsMax`.
  private(set) var isCutShort = false
  /// The last record that was read; all rows before and in it are in the piles.
  private(set) var lastRecord: UInt64 = 0

  /// Reads the journals of all shards.
  ///
  /// - Parameters:
  ///   - includes: which nodes are read.
  ///   - wants: whether a row counts.
  ///   - wordsMax: words of rows that may be held; reading ends when there are more.
  init(
    _ stretches: [Stretch], _ selection: RawSelection, wordsMax: Int, includes: @escaping (NodeID) -> Bool,
    wants: (_ shard: Int, _ record: UInt64, NodeID, Tick) -> Bool
  ) throws {
    for stretch in stretches where stretch.from <= stretch.through {
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
            guard record >= stretch.from, selection.ticks.contains(tick), wants(stretch.shard, record, node, tick)
            else {
              return true
            }
            shards[node] = stretch.shard
            wordCount += piles[node, default: RawPile()].add(shape.layout, tick, row, record, selection)
            return true
          }
        }
        if record >= stretch.from { losses.undecodedRows += unread.undecodedRows }
        lastRecord = record
        isCutShort = wordCount > wordsMax
      }
      if isCutShort { return }
      lastRecord = stretch.through
    }
  }
}

extension RawPile {
  /// Puts a row; returns how many words it took.
  fileprivate mutating func add(
    _ layout: RowLayout, _ tick: Tick, _ row: Span<Int64>, _ record: UInt64, _ selection: RawSelection
  ) -> Int {
    let before = wordCount
    put(layout, tick, row, record: record, selection)
    return wordCount - before
  }
}
