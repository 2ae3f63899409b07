internal import BongsuCodec
internal import BongsuModel

/// Minutes that rows were added to since the last transaction.
///
/// Rows of a node mostly come in order, so each node has one minute that is open as plain words, four for each gauge;
/// only when a row of another minute or shape comes is it folded into its cell.
final class OpenMinutes {
  private struct Key: Hashable {
    let node: NodeID
    let minute: Int64
  }

  /// One node's minute in the making.
  private final class Minute {
    let node: NodeID
    var minute: Int64
    var shape: BlockShape
    /// The gauges of the shape and where their values stand in a row.
    var gauges: [(metric: MetricID, range: Range<Int>)] = []
    /// Sum, count, minimum and maximum of each gauge.
    var words: [Int64] = []
    var rows: Int64 = 0

    init(_ node: NodeID, _ minute: Int64, _ shape: BlockShape) {
      self.node = node
      self.minute = minute
      self.shape = shape
      begin(minute, shape)
    }

    func begin(_ minute: Int64, _ shape: BlockShape) {
      if gauges.isEmpty || shape !== self.shape {
        let layout = shape.layout
        gauges = layout.columns.indices.filter { layout.columns[$0].kind == .gauge }.map {
          (layout.columns[$0].id, layout.range(of: $0))
        }
      }
      self.minute = minute
      self.shape = shape
      rows = 0
      words.removeAll(keepingCapacity: true)
      for _ in gauges { words.append(contentsOf: [0, 0, .max, .min]) }
    }

    func add(_ row: Span<Int64>) {
      rows += 1
      var target = words.mutableSpan
      for slot in gauges.indices {
        let base = 4 &* slot
        var sum = target[base]
        var count = target[base &+ 1]
        var low = target[base &+ 2]
        var high = target[base &+ 3]
        for position in gauges[slot].range {
          let word = row[position]
          guard word != Int64.min else { continue }
          sum &+= word
          count &+= 1
          low = min(low, word)
          high = max(high, word)
        }
        target[base] = sum
        target[base &+ 1] = count
        target[base &+ 2] = low
        target[base &+ 3] = high
      }
    }

    /// What was added so far.
    var cell: TierCell {
      var cell = TierCell()
      for slot in gauges.indices where words[4 * slot + 1] > 0 {
        cell.add(
          gauges[slot].metric,
          TierCell.Totals(
            sum: words[4 * slot], count: words[4 * slot + 1], minimum: words[4 * slot + 2],
            maximum: words[4 * slot + 3]))
      }
      if rows > 0 { cell.add(field: MinuteBuilder.rowsField, rows) }
      return cell
    }
  }

  private var open: [NodeID: Minute] = [:]
  private var closed: [Key: TierCell] = [:]

  /// Minutes that have ended; besides them a transaction writes at most one for each node.
  var endedCount: Int { closed.count }

  /// Adds a row to the minute that its tick lies in.
  func add(_ node: NodeID, _ shape: BlockShape, _ tick: Tick, _ row: Span<Int64>) {
    // A tick describes the time before it, so a minute ends with the tick that names it.
    let minute = (tick.unixMilliseconds + 59_999).flooredDivision(by: 60_000) * 60_000
    if let known = open[node] {
      if known.minute != minute || known.shape !== shape {
        close(known)
        known.begin(minute, shape)
      }
      known.add(row)
    } else {
      let new = Minute(node, minute, shape)
      open[node] = new
      new.add(row)
    }
  }

  private func close(_ minute: Minute) {
    guard minute.rows > 0 else { return }
    closed[Key(node: minute.node, minute: minute.minute), default: TierCell()].merge(minute.cell)
  }

  /// Everything, in a fixed order: nodes first, then what they belong to.
  func additions(_ groups: (NodeID, Tick) -> [MinuteGroup]) -> [HistoryBatch.Addition] {
    var cells = closed
    for minute in open.values where minute.rows > 0 {
      cells[Key(node: minute.node, minute: minute.minute), default: TierCell()].merge(minute.cell)
    }
    let nodes = cells.sorted { ($0.key.node, $0.key.minute) < ($1.key.node, $1.key.minute) }
    var sums: [MinuteGroup: [Int64: TierCell]] = [:]
    for (key, cell) in nodes {
      for group in groups(key.node, Tick(unixMilliseconds: key.minute - 59_999)) {
        sums[group, default: [:]][key.minute, default: TierCell()].merge(cell)
      }
    }
    var additions = nodes.map { key, cell in
      HistoryBatch.Addition(
        level: MinuteBuilder.nodeLevel, group: MinuteBuilder.group(of: key.node),
        minute: Tick(unixMilliseconds: key.minute), cell: cell)
    }
    for (group, minutes) in sums.sorted(by: { ($0.key.level, $0.key.key) < ($1.key.level, $1.key.key) }) {
      for (minute, cell) in minutes.sorted(by: { $0.key < $1.key }) {
        additions.append(
          HistoryBatch.Addition(
            level: group.level, group: group.key, minute: Tick(unixMilliseconds: minute), cell: cell))
      }
    }
    return additions
  }

  /// Forgets what was added; it is on disk.
  func removeAll() {
    closed.removeAll(keepingCapacity: true)
    for minute in open.values { minute.begin(minute.minute, minute.shape) }
  }
}
