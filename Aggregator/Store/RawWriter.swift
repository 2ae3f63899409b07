internal import BongsuCodec
internal import BongsuModel
internal import BongsuRecordLog
internal import BongsuThreads

/// Follows the journals and packs their rows into chunks.
///
///     journal ─▶ rows of some minutes in memory ─▶ chunks ─▶ one transaction per partition: chunks + last record
///                                                        ─▶ write-ahead log emptied ─▶ progress
///
/// A pass takes all records of a shard since the last one, so that a node's chunk holds some minutes; it keeps no state
/// between passes. Where the rows of that time do not fit into memory, nodes go in groups, each with a pass of its own.
/// After a crash at any point the next pass reads on behind ``RawProgress`` and leaves out what each partition has.
///
/// Not thread-safe: one owner, on a thread that may block.
final class RawWriter {
  /// What was done since the start, for metrics and benchmarks.
  struct Work: Sendable {
    var rows = 0
    var samples = 0
    var chunks = 0
    var chunkBytes = 0
    /// Rows older than what raw history keeps, which were not stored.
    var expiredRows = 0
    var undecodedRows = 0
  }

  private let store: RawStore
  private let journals: [String]
  private let disk: any Disk
  private let chunkRowsMax: Int
  private let tailBytesMax: Int
  private let progressState: ThreadLock<RawProgress>
  private(set) var work = Work()
  /// Groups that one pass takes.
  private var groupsPerPass = RawGroups.count
  /// Partitions that had been set aside when ``advance(through:floor:)`` looked last.
  private var setAsides = 0
  private var encoder = ChunkEncoder()
  /// The shape made last, which the next one is mostly like.
  private var latest: ChunkShape?

  init(
    store: RawStore, journals: [String], chunkRowsMax: Int = StoreLimits.chunkRowsMax,
    tailBytesMax: Int = StoreLimits.packedBytesMax
  ) throws {
    self.store = store
    self.journals = journals
    self.chunkRowsMax = chunkRowsMax
    self.tailBytesMax = tailBytesMax
    disk = try PosixDisk(path: store.directory)
    var damage: [String] = []
    let progress = try RawProgress(disk, shards: journals.count, &damage)
    store.note(damage: damage)
    progressState = ThreadLock(progress)
  }

  /// How far all partitions are; from any thread.
  nonisolated var progress: RawProgress { progressState.withLock { $0 } }

  /// The highest record of a shard that any partition knows of, as far as is known without opening all.
  func highestRecord(shard: Int) -> UInt64 {
    var highest = progress.records[shard].max() ?? 0
    for start in store.starts.suffix(2) {
      if let partition = try? store.partition(start, making: false) {
        highest = max(highest, partition.applied(shard: shard).max() ?? 0)
      }
    }
    return highest
  }

  /// Packs everything up to `committed` of every journal, in as many passes as it takes.
  ///
  /// - Parameter floor: rows before this tick are not kept.
  func advance(through committed: [UInt64], floor: Int64) throws {
    if store.setAsideCount > setAsides {
      // What they had is read again as far as the journal has it: everybody else leaves out what is there.
      setAsides = store.setAsideCount
      rewind()
    }
    for shard in journals.indices {
      var group = 0
      while group < RawGroups.count {
        let groups = Array(group..<min(group + groupsPerPass, RawGroups.count))
        if try pass(shard, groups, through: committed[shard], floor) { group += groups.count }
      }
    }
  }

  /// One pass; `false` when the groups are not all the way through yet.
  private func pass(_ shard: Int, _ groups: [Int], through: UInt64, _ floor: Int64) throws -> Bool {
    let known = progress.records[shard]
    let from = (groups.map { known[$0] }.min() ?? 0) + 1
    guard from <= through else { return true }
    let stretch = RawTail.Stretch(
      shard: shard, disk: try PosixDisk(path: journals[shard]), from: from, through: through)
    var applied: [Int64: [UInt64]] = [:]
    var expired = 0
    let floorPartition = RawStore.partition(of: floor)
    let store = store
    var failure: StoreError?
    let isWhole = groups.count == RawGroups.count
    var tail = try RawTail(
      [stretch], RawSelection(ticks: Limits.tickRange), bytesMax: tailBytesMax,
      includes: { isWhole || groups.contains(RawGroups.group(of: $0)) },
      appliedThrough: { _, node in known[RawGroups.group(of: node)] },
      wants: { record, node, tick in
        let start = RawStore.partition(of: tick.unixMilliseconds)
        guard start >= floorPartition else {
          expired += 1
          return false
        }
        if applied[start] == nil {
          do throws(StoreError) {
            applied[start] = try store.partition(start, making: false)?.applied(shard: shard) ?? []
          } catch {
            failure = error
            applied[start] = []
          }
        }
        guard let there = applied[start], !there.isEmpty else { return true }
        return record > there[RawGroups.group(of: node)]
      })
    if let failure { throw failure }
    if tail.isCutShort, groups.count > 1, !tail.nodes.isEmpty, isThin(tail) {
      // Too many nodes for chunks of some minutes: fewer at a time.
      groupsPerPass = max(1, groups.count / 2)
      return false
    }
    store.note(damage: tail.losses.damage)
    work.expiredRows += expired
    if expired > 0 { store.note(damage: ["\(expired) rows came later than raw history is kept and are not stored"]) }
    try commit(&tail, shard, groups, through: tail.lastRecord)
    work.undecodedRows += tail.losses.undecodedRows
    return tail.lastRecord >= through
  }

  /// Whether the nodes have so few rows each that chunks of them would be poor.
  private func isThin(_ tail: borrowing RawTail) -> Bool {
    let rows = tail.nodes.values.reduce(0) { $0 + $1.rowCount }
    return rows < tail.nodes.count * StoreLimits.chunkRowsMin
  }

  private func commit(_ tail: inout RawTail, _ shard: Int, _ groups: [Int], through record: UInt64) throws {
    var chunks: [Int64: [RawPartition.Chunk]] = [:]
    for node in tail.nodes.keys.sorted() {
      guard let pile = tail.takePile(of: node), let extent = pile.extent else { continue }
      var start = RawStore.partition(of: extent.lowerBound)
      while start <= extent.upperBound {
        let packed = try pack(pile, node, RawStore.ticks(of: start))
        if !packed.isEmpty { chunks[start, default: []] += packed }
        start += StoreLimits.partitionMilliseconds
      }
    }
    for (start, chunks) in chunks.sorted(by: { $0.key < $1.key }) {
      do throws(StoreError) {
        try store.partition(start, making: true)?.apply(chunks, shard: shard, groups: groups, through: record)
      } catch {
        guard error.isDamage else { throw error }
        try store.setAside(start, "\(error)")
        throw error
      }
    }
    // Only what has left the write-ahead log is out of reach of a damaged byte there; the journal is kept until then.
    for start in chunks.keys.sorted() {
      do throws(StoreError) {
        guard try store.partition(start, making: false)?.checkpoint() ?? true else { return }
      } catch {
        guard error.isDamage else { throw error }
        try store.setAside(start, "\(error)")
        throw error
      }
    }
    var next = progress
    for group in groups { next.records[shard][group] = max(next.records[shard][group], record) }
    try next.store(disk)
    Failpoint.pass("raw: progress is stored")
    let stored = next
    progressState.withLock { $0 = stored }
  }

  private func rewind() {
    let none = RawProgress(shards: journals.count)
    progressState.withLock { $0 = none }
  }

  /// Packs the rows of a pile that lie in `range`.
  func pack(_ pile: RawPile, _ node: NodeID, _ range: ClosedRange<Int64>) throws -> [RawPartition.Chunk] {
    try pile.stretches(in: range, rowsMax: chunkRowsMax).map { stretch in
      // Every node has a layout of its own, which is asked for once in some minutes: it is made anew each time.
      let shape = ChunkShape(stretch.layout, like: latest)
      let layout = RawPartition.StoredLayout(stretch.layout)
      latest = shape
      // A chunk may hold fewer rows than asked for when they are very wide.
      precondition(stretch.ticks.count <= shape.rowsMax, "\(stretch.ticks.count) rows in a chunk")
      let identity = ChunkIdentity(
        node: node, firstTick: stretch.ticks[0], lastTick: stretch.ticks[stretch.ticks.count - 1],
        layout: layout.checksum)
      let bytes = try ChunkBytes.encode(
        identity, shape: shape, ticks: stretch.ticks, rows: stretch.rows, with: &encoder)
      work.rows += stretch.ticks.count
      work.samples += stretch.rows.count
      work.chunks += 1
      work.chunkBytes += bytes.count
      return RawPartition.Chunk(
        node: node, layout: layout, firstTick: identity.firstTick, lastTick: identity.lastTick,
        rows: stretch.ticks.count, bytes: bytes)
    }
  }

  // MARK: Compaction

  /// Merges the chunks of one node of a partition that is no longer written to: some that overlap, as after late rows, or
  /// that came in many small pieces. Where that makes no fewer of them nothing changes.
  func compact(_ node: NodeID, in partition: RawPartition) throws {
    let everything = RawSelection(ticks: Limits.tickRange)
    let view = try partition.view(of: [node], everything)
    // What cannot be read whole is left as it is.
    guard view.damage.isEmpty, let pieces = view.pieces[node] else { return store.note(damage: view.damage) }
    var pile = RawPile()
    for piece in pieces.sorted(by: { $0.id < $1.id }) { pile.put(piece.run, everything) }
    let chunks = try pack(pile, node, RawStore.ticks(of: partition.start.unixMilliseconds))
    guard chunks.count < pieces.count else { return }
    try partition.replace(pieces.map(\.id), of: node, with: chunks)
  }
}
