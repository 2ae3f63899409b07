internal import BongsuCodec
internal import BongsuModel
internal import BongsuRollup
internal import BongsuWire

/// A checkpoint under way: written a few hundred nodes per turn, handed out when its last record is on disk.
struct OpenCheckpoint {
  let deliver: @Sendable (ShardCheckpoint) -> Void
  /// Everything up to here is in every node's state.
  let record: UInt64
  let nodeCount: Int
  var nextNode = 0
  /// The newest record that is in some node's state.
  var lastRecord: UInt64
  var isWritten = false
  var writer = CheckpointWriter()
}

extension Shard {
  /// Begins a checkpoint, which `deliver` gets on the shard's thread; for mail. One under way is given up.
  func beginCheckpoint(_ deliver: @escaping @Sendable (ShardCheckpoint) -> Void) {
    let record = host.journal.nextRecord - 1
    var open = OpenCheckpoint(deliver: deliver, record: record, nodeCount: sessions.count, lastRecord: record)
    open.writer.bytes.append(CheckpointWriter.version)
    open.writer.add(count: sessions.count)
    checkpoint = open
  }

  /// Goes on with the checkpoint under way; `true` while there is more to write.
  func advanceCheckpoint() -> Bool {
    guard var open = checkpoint.take() else { return false }
    if !open.isWritten {
      let end = min(open.nodeCount, open.nextNode + IngestLimits.checkpointNodesPerTurn)
      while open.nextNode < end {
        write(open.nextNode, to: &open.writer)
        open.nextNode += 1
      }
      open.lastRecord = host.journal.nextRecord - 1
      if open.nextNode == open.nodeCount {
        writeMembers(to: &open.writer)
        open.isWritten = true
      }
    }
    // Records that are not on disk may vanish in a crash; a checkpoint that has them would acknowledge what is lost.
    if open.isWritten, host.journal.committed >= open.lastRecord {
      open.deliver(ShardCheckpoint(record: open.record, bytes: open.writer.bytes))
      return false
    }
    let hasMore = !open.isWritten
    checkpoint = open
    return hasMore
  }

  /// The whole state at once, as of the last record; after the thread has ended.
  ///
  /// - Parameter durable: what the journal has on disk; `nil` when the state has more.
  func finalCheckpoint(durable: UInt64) -> ShardCheckpoint? {
    let record = host.journal.nextRecord - 1
    guard durable >= record else { return nil }
    var writer = CheckpointWriter()
    writer.bytes.append(CheckpointWriter.version)
    writer.add(count: sessions.count)
    for index in sessions.indices { write(index, to: &writer) }
    writeMembers(to: &writer)
    return ShardCheckpoint(record: record, bytes: writer.bytes)
  }

  private func writeMembers(to writer: inout CheckpointWriter) {
    let members = host.rollup.memberStates
    writer.add(count: members.count)
    for member in members { writer.add(member) }
    writer.add(signed: host.energy.since?.unixMilliseconds ?? .min)
  }

  private func write(_ index: Int, to writer: inout CheckpointWriter) {
    let node = host.nodes[index]
    writer.add(host.journal.nextRecord - 1)
    writer.add(node.id.name)
    writer.add(node.agentVersion)
    sessions[index].encodeCheckpoint(into: &writer.bytes)
    writer.add(count: node.layouts.count)
    for layout in node.layouts {
      var entry: [UInt8] = []
      JournalEntry.layout(node.number, layout.stream, layout.announcement).encode(into: &entry)
      writer.add(entry)
    }
    writer.add(signed: node.liveTick)
    writer.add(node.journalBase.sequence)
    writer.add(signed: node.journalBase.tick)
    if let row = host.packedRow(index) {
      writer.add(count: node.liveLayout + 1)
      writer.add(row)
    } else {
      writer.add(count: 0)
    }
    writer.add(host.energy.state(of: index))
  }

  // MARK: Reading

  /// Takes over the state that a checkpoint holds. Before anything else.
  ///
  /// - Returns: for each node the last record that is in its state.
  func restore(_ checkpoint: ShardCheckpoint) throws(CheckpointUnreadable) -> [UInt64] {
    var reader = CheckpointReader(checkpoint.bytes)
    let version = try reader.byte()
    guard (CheckpointWriter.versionMin...CheckpointWriter.version).contains(version) else {
      throw CheckpointUnreadable(offset: 0)
    }
    var records: [UInt64] = []
    for _ in 0..<(try reader.count(max: checkpoint.bytes.count)) { records.append(try restoreNode(&reader, version)) }
    for _ in 0..<(try reader.count(max: checkpoint.bytes.count)) { host.rollup.restore(try reader.member()) }
    let since = version >= 3 ? try reader.signed() : .min
    host.energy.finishRestoring(since: since == .min ? nil : Tick(unixMilliseconds: since))
    guard reader.isAtEnd else { throw CheckpointUnreadable(offset: reader.offset) }
    return records
  }

  private func restoreNode(
    _ reader: inout CheckpointReader, _ version: UInt8
  ) throws(CheckpointUnreadable) -> UInt64 {
    let record = try reader.number()
    let index = index(of: try reader.node())
    guard index == sessions.count - 1 else { throw CheckpointUnreadable(offset: reader.offset) }
    host.nodes[index].agentVersion = try reader.text()
    sessions[index] = try reader.session(host.nodes[index].number)
    for _ in 0..<(try reader.count(max: WireLimits.layoutsMax)) {
      let (stream, layout) = try reader.layout()
      host.announce(layout, of: host.nodes[index].number, stream)
    }
    host.nodes[index].liveTick = try reader.signed()
    host.nodes[index].journalBase = JournalBase(sequence: try reader.number(), tick: try reader.signed())
    let layout = try reader.count(max: WireLimits.layoutNumberMax + 1) - 1
    if layout >= 0 {
      guard host.restoreRow(try reader.piece(), layout: layout, index) else {
        throw CheckpointUnreadable(offset: reader.offset)
      }
    }
    if version >= 3 {
      let state = try reader.piece()
      do throws(PackedIntegersUnreadable) {
        try host.energy.restore(index, state: state)
      } catch {
        throw CheckpointUnreadable(offset: reader.offset - state.count + error.offset)
      }
    }
    return record
  }
}

extension ShardHost {
  /// The live row of a node, packed to stand alone; `nil` when there is none.
  mutating func packedRow(_ index: Int) -> [UInt8]? {
    guard let layout = nodes[index].layoutIndex(nodes[index].liveLayout) else { return nil }
    let shape = nodes[index].layouts[layout].shape
    guard nodes[index].row.count == shape.width else { return nil }
    var packed: [UInt8] = []
    let row = nodes[index].row
    do throws(BlockError) {
      try encoder.encode(rows: row.span, shape: shape, base: nil, appendingTo: &packed)
    } catch {
      preconditionFailure("a row that was decoded cannot be packed: \(error)")
    }
    return packed
  }

  /// The other way round; `false` when the bytes are no row of the layout.
  mutating func restoreRow(_ packed: [UInt8], layout number: Int, _ index: Int) -> Bool {
    guard let layout = nodes[index].layoutIndex(number) else { return false }
    let shape = nodes[index].layouts[layout].shape
    var row = [Int64](repeating: 0, count: shape.width)
    var target = row.mutableSpan
    let bytes = packed.span
    do throws(BlockError) {
      // SAFETY: bytes have no padding.
      guard try decoder.decode(unsafe bytes.bytes, shape: shape, base: nil, into: &target) == 1 else { return false }
    } catch {
      return false
    }
    nodes[index].row = row
    nodes[index].liveLayout = number
    return true
  }
}
