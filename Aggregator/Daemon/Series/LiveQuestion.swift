import BongsuIngest
import BongsuModel

/// What a shard is asked for the newest rows: some nodes, some columns. Answered on the shard's thread, so it copies
/// numbers and decides nothing that takes longer.
struct LiveQuestion: Sendable {
  /// Which columns are copied.
  enum Columns: Sendable {
    /// Ticks only.
    case none
    /// Those of these metrics.
    case some([Wanted])
    /// Whole rows.
    case all
  }

  /// A metric by name; with its number where the catalogue knows it.
  struct Wanted: Sendable {
    let name: String
    let id: MetricID?

    init(_ name: String) {
      self.name = name
      id = MetricCatalogue.metric(named: name)?.id
    }

    func isMeant(by column: Metric) -> Bool { (id == nil || id == column.id) && name == column.name }
  }

  let columns: Columns
  /// Layout versions that the asker has labels for, by number of the node.
  let known: [UInt32]
  /// Which nodes are wanted; those with higher numbers all are.
  let wanted: [Bool]
  /// The newest rows up to this tick are wanted, as far as they are kept; `nil`: the newest of all.
  let through: Tick?

  /// Nodes looked at in one turn of the shard: half a millisecond that frames wait in the ring.
  static let nodesPerTurn = 4096

  func answer(_ shard: ShardView, from first: Int) -> LiveAnswer {
    var answer = LiveAnswer()
    // Where the metric was in the row before: nodes of a fleet mostly have the same columns.
    var place = 0
    let end = min(first + Self.nodesPerTurn, shard.nodeCount)
    answer.next = end < shard.nodeCount ? end : nil
    for number in first..<max(first, end) where number >= wanted.count || wanted[number] {
      guard let row = shard.row(number, through: through) else { continue }
      if number >= known.count || known[number] != row.layoutVersion {
        answer.news.append(
          LiveDirectory.News(
            number: number, id: row.id, layout: row.layout, layoutVersion: row.layoutVersion, tick: row.tick))
      }
      copy(row, number, &place, to: &answer)
    }
    return answer
  }

  private func copy(_ row: LiveRow, _ number: Int, _ place: inout Int, to answer: inout LiveAnswer) {
    func add(_ column: Int, _ range: Range<Int>) {
      answer.rows.append(
        LiveAnswer.Row(
          number: Int32(number), column: Int32(column), layoutVersion: row.layoutVersion, first: answer.values.count,
          tick: row.tick))
      answer.values.append(contentsOf: row.values[range])
    }
    switch columns {
    case .none: add(-1, 0..<0)
    case .all: add(-1, 0..<row.layout.width)
    case .some(let metrics) where metrics.count == 1 && metrics[0].id != nil:
      // A number stands for one column.
      let columns = row.layout.columns
      if place >= columns.count || !metrics[0].isMeant(by: columns[place]) {
        guard let found = columns.firstIndex(where: { metrics[0].isMeant(by: $0) }) else { return }
        place = found
      }
      add(place, row.layout.range(of: place))
    case .some(let metrics):
      for (column, metric) in row.layout.columns.enumerated() where metrics.contains(where: { $0.isMeant(by: metric) })
      {
        add(column, row.layout.range(of: column))
      }
    }
  }
}

/// Newest rows of some nodes.
struct LiveAnswer: Sendable {
  struct Row: Sendable {
    /// Number of the node.
    let number: Int32
    /// The one column that was copied; below zero: all of them.
    let column: Int32
    let layoutVersion: UInt32
    /// Where its values begin.
    let first: Int
    let tick: Tick
  }

  var rows: [Row] = []
  var values: [Int64] = []
  /// Nodes that the asker has no labels for.
  var news: [LiveDirectory.News] = []
  /// The node to go on with; `nil` when all were looked at.
  var next: Int?
}
