internal import BongsuCodec
internal import BongsuMetrics
internal import BongsuModel
internal import BongsuRecordLog
internal import BongsuRollup
internal import BongsuWire

/// What a restart found.
struct RestartReport: Sendable {
  /// What could not be read, one line each.
  var damage: [String] = []
  /// Records that were read.
  var records: UInt64 = 0
  /// The record that the checkpoint was of; 0 without one.
  var checkpointRecord: UInt64 = 0
}

extension Shard {
  /// Rebuilds sessions and live rows: from the checkpoint where there is one, and from the journal behind it.
  func replay(
    _ disk: any Disk, log: String, limits: LogLimits, after checkpoint: ShardCheckpoint?
  ) throws -> RestartReport {
    var report = RestartReport()
    var known: [UInt64] = []
    var from: UInt64?
    if let checkpoint {
      do throws(CheckpointUnreadable) {
        known = try restore(checkpoint)
        from = checkpoint.record + 1
        report.checkpointRecord = checkpoint.record
      } catch {
        forgetAll()
        report.damage.append(
          "the checkpoint as of record \(checkpoint.record) is not understood (byte \(error.offset)); "
            + "the whole journal is replayed")
      }
    }
    var replay = Replay(known: known)
    var reader = try LogReader(disk: disk, log: log, limits: limits, from: from)
    while let event = try reader.next() {
      switch event {
      case .damage(let found): report.damage.append("\(found)")
      case .record(let record):
        report.records += 1
        let problem = reader.withPayload { payload -> String? in
          do throws(FrameError) {
            var offset = 0
            let entry = try JournalEntry(decoding: payload, payloadOffset: &offset)
            take(entry, payload.extracting(offset...), record.number, &replay)
            return nil
          } catch {
            return "journal record \(record.number) is not understood: \(error)"
          }
        }
        if let problem { report.damage.append(problem) }
      }
    }
    for index in sessions.indices { host.forgetJournal(index) }
    // Controllers first: their readings are in their nodes' power.
    let isController = host.nodes.map { $0.id.controlled != nil }
    for wanted in [true, false] {
      for index in sessions.indices where isController[index] == wanted { host.recall(index) }
    }
    return report
  }

  /// What a replay keeps of the journal's own numbers.
  private struct Replay {
    /// Nodes by the numbers that the journal gives them. They are this process's own numbers, unless a checkpoint was
    /// lost that knew of nodes whose names the journal has no longer.
    var indexes: [NodeNumber: Int]
    /// For each node of the checkpoint, the last record that is in its state.
    let known: [UInt64]

    init(known: [UInt64]) {
      self.known = known
      indexes = Dictionary(
        uniqueKeysWithValues: known.indices.map { (NodeNumber(rawValue: UInt32($0)), $0) })
    }

    /// The node that record `record` is news for.
    func index(_ number: NodeNumber, _ record: UInt64) -> Int? {
      guard let index = indexes[number], index >= known.count || record > known[index] else { return nil }
      return index
    }
  }

  private func take(_ entry: JournalEntry, _ payload: RawSpan, _ record: UInt64, _ replay: inout Replay) {
    if case .node(let number, let id) = entry {
      replay.indexes[number] = index(of: id)
      return
    }
    guard let index = replay.index(entry.number, record) else { return }
    switch entry {
    case .node: break
    case .layout(_, let stream, let layout): host.announce(layout, of: host.nodes[index].number, stream)
    case .stream:
      host.nodes[index].journalBase.streamChanged()
      replaySession(entry, index)
    case .run, .gap: replaySession(entry, index)
    case .block(let block):
      replaySession(entry, index)
      host.replay(block, payload, index)
    }
  }

  private func replaySession(_ entry: JournalEntry, _ index: Int) {
    let layouts = host.nodes[index].layouts
    sessions[index].replay(entry) { number in
      layouts.first { $0.announcement.number == number }?.shape.layout.interval
    }
  }
}

extension ShardHost {
  /// Takes a block of the journal: the live row and the energy follow, the rollup does not, since its ticks are over.
  mutating func replay(_ block: JournalBlock, _ payload: RawSpan, _ index: Int) {
    guard let layout = nodes[index].layoutIndex(block.header.layoutNumber) else {
      counters.undecodedRecords.add()
      return
    }
    var distance: Int?
    if case .based(_, let ticks) = block.header.anchor { distance = Int(ticks) }
    var base = nodes[index].journalBase
    guard base.admits(block, interval: nodes[index].layouts[layout].shape.layout.interval),
      decode(block.header, payload, ticksSinceBase: distance, of: nodes[index].number)
    else {
      counters.undecodedRecords.add()
      return
    }
    nodes[index].journalBase = base
    countEnergy(block, index)
    keepNewest(block, index)
  }

  /// Silence is estimated from the newest stored row, not from that of the checkpoint: power that fell between them
  /// would come back for a moment, and raise alarms.
  mutating func recall(_ index: Int) {
    guard let layout = nodes[index].layoutIndex(nodes[index].liveLayout), !nodes[index].row.isEmpty else { return }
    let shape = nodes[index].layouts[layout].shape
    let (id, row) = (nodes[index].id, nodes[index].row)
    rollup.recall(id, layout: shape.layout, row.span, at: Tick(unixMilliseconds: nodes[index].liveTick))
  }

  /// What was written by an earlier process cannot be relied on: sessions begin anew, and with them names, layouts and
  /// blocks that stand alone.
  mutating func forgetJournal(_ index: Int) {
    nodes[index].journalSegment = 0
    nodes[index].nameSegment = 0
    for layout in nodes[index].layouts.indices { nodes[index].layouts[layout].journalSegment = 0 }
  }
}
