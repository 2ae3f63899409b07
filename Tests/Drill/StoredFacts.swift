import BongsuCodec
import BongsuModel
import BongsuRecordLog
import BongsuSpool
import BongsuStore
import BongsuWire
import Synchronization

/// A row that is kept somewhere.
struct KeptRow: Hashable {
  let layout: String
  let values: [Int64]
}

/// What the aggregator's journals hold of each node, read back from disk.
struct StoredFacts {
  struct Node {
    /// Rows that count, by tick; more than one is one too many.
    var rows: [Int64: [KeptRow]] = [:]
    var gaps: [(ticks: ClosedRange<Int64>, reason: GapReason)] = []

    /// Ticks without a row between the first and the last, at the distance of the first row's layout.
    var missingTicks: Int {
      guard let first = rows.keys.min(), let last = rows.keys.max(),
        let step = rows[first]?.first?.layout.split(separator: " ").first.flatMap({ Int64($0) }), step > 0
      else { return 0 }
      return Int((last - first) / step) + 1 - rows.count
    }
  }

  var nodes: [String: Node] = [:]
  /// Gap records in words, each as often as it is there; see ``StoredHistory/words(_:_:_:)``.
  private(set) var gaps: [String: Int] = [:]
  /// What could not be read, in words.
  var damage: [String] = []

  /// Reads the journals in `directory`, of `shards` shards. May run beside the aggregator; what it is writing at that
  /// moment shows up as damage then.
  init(journals directory: String, shards: Int) throws {
    let disks = try (0..<shards).map { try PosixDisk(path: "\(directory)/shard-\($0)") }
    let everything = RawFilter(ticks: Limits.tickRange)
    var found: [String: Node] = [:]
    let losses = try RawExport(journals: disks).forEachRow(everything) { node, layout, tick, row in
      var values: [Int64] = []
      values.reserveCapacity(row.count)
      for index in row.indices { values.append(row[index]) }
      let kept = KeptRow(layout: layout.drillName, values: values)
      found[node.description, default: Node()].rows[tick.unixMilliseconds, default: []].append(kept)
      return true
    }
    damage = losses.damage
    if losses.undecodedRows > 0 { damage.append("\(losses.undecodedRows) stored rows cannot be decoded") }
    nodes = found
    for disk in disks { try readGaps(disk) }
  }

  /// Compares what the raw history gives, chunks and journals as one, with what the journals hold: the same rows, each once,
  /// with the same values. Nobody may have the data directory open. Findings go to ``damage``.
  mutating func checkRawHistory(data: String, shards: Int) throws {
    let said = Findings()
    let history = try RawHistory(directory: data, shards: shards, say: { said.add($0) })
    var count = 0
    let losses = try history.forEachRun(RawSelection(ticks: Limits.tickRange)) { run in
      let node = run.node.description
      for (index, tick) in run.ticks.enumerated() {
        var values: [Int64] = []
        for column in run.columns {
          for device in 0..<run.layout.deviceCount(of: column) {
            let series = run.series(column: column, device: device)
            values.append(series[series.startIndex + index])
          }
        }
        count += 1
        let kept = KeptRow(layout: run.layout.drillName, values: values)
        if nodes[node]?.rows[tick.unixMilliseconds]?.first != kept {
          damage.append("raw history: the row of \(node) at \(tick.unixMilliseconds) is not the journal's")
        }
      }
      return true
    }
    let expected = nodes.values.reduce(0) { $0 + $1.rows.count }
    if count != expected { damage.append("raw history: \(count) rows, the journals have \(expected)") }
    damage += losses.damage + said.all
  }

  private mutating func readGaps(_ disk: PosixDisk) throws {
    var names: [NodeNumber: String] = [:]
    var replay = try JournalReplay(disk: disk)
    while let event = try replay.next() {
      switch event {
      case .entry(_, .node(let number, let id)): names[number] = id.description
      case .entry(_, .gap(let gap)):
        guard let name = names[gap.node] else {
          damage.append("a gap of node number \(gap.node.rawValue), which has no name")
          continue
        }
        gaps[StoredHistory.words(name, gap.reason, gap.ticks), default: 0] += 1
        guard let ticks = gap.ticks else { continue }
        nodes[name, default: Node()].gaps.append(
          (ticks.lowerBound.unixMilliseconds...ticks.upperBound.unixMilliseconds, gap.reason))
      case .entry, .damage: continue
      }
    }
  }
}

/// Lines that something said, from any thread.
private final class Findings: Sendable {
  private let lines = Mutex<[String]>([])
  func add(_ line: String) { lines.withLock { $0.append(line) } }
  var all: [String] { lines.withLock { $0 } }
}

/// What an agent's spool holds, by tick.
struct SpooledFacts {
  private(set) var rows: [Int64: [KeptRow]] = [:]
  /// Runs that are there and cannot be decoded, in words.
  private(set) var damage: [String] = []

  /// Reads the spool in `directory`, whose agent has ended. Opening it cuts off a torn tail, as the agent's next start
  /// would.
  init(directory: String) throws {
    var spool = Spool(disk: try PosixDisk(path: directory), salt: 1)
    let layouts = spool.layouts
    var decoder = BlockDecoder()
    var sequence: UInt64 = 1
    while let run = spool.spooledRun(endingAtOrAfter: sequence) {
      sequence = run.lastSequence + 1
      guard let layout = layouts.first(where: { $0.number == run.layoutNumber })?.layout else {
        damage.append("spooled run at \(run.firstSequence) names layout \(run.layoutNumber), which is not there")
        continue
      }
      var payload: [UInt8] = []
      var values = [Int64](repeating: 0, count: run.rowCount * layout.width)
      guard spool.readSpooled(run, appendingTo: &payload) else {
        damage.append("spooled run at \(run.firstSequence) cannot be read")
        continue
      }
      do throws(BlockError) {
        let bytes = payload.span
        var target = values.mutableSpan
        // SAFETY: bytes have no padding.
        _ = try unsafe decoder.decode(bytes.bytes, shape: BlockShape(layout), base: nil, into: &target)
      } catch {
        damage.append("spooled run at \(run.firstSequence) cannot be decoded: \(error)")
        continue
      }
      for row in 0..<run.rowCount {
        let tick = run.first.tick.advanced(by: row, of: layout.interval).unixMilliseconds
        let part = Array(values[(row * layout.width)..<((row + 1) * layout.width)])
        rows[tick, default: []].append(KeptRow(layout: layout.drillName, values: part))
      }
    }
  }
}
