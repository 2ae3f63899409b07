import BongsuModel
import BongsuStore
import BongsuWire

/// What the aggregator's history holds: minutes of nodes and of the levels above, and gap records. Everything that knows
/// how the history is laid out is in this file.
struct StoredHistory {
  /// Minutes by node, and by every group above, named `LEVEL/GROUP`.
  private(set) var nodes: [String: MinuteTotals] = [:]
  private(set) var levels: [String: MinuteTotals] = [:]
  /// Gap records in words, each as often as it is there.
  private(set) var gaps: [String: Int] = [:]
  private(set) var damage: [String] = []

  /// Highest number of a level above nodes; see `RollupLevel`.
  private static let levelMax: UInt8 = 6

  /// Reads the history of an aggregator that has ended in order.
  init(data: String) throws {
    let history = try History(path: "\(data)/history.sqlite")
    let ever = Limits.tickRange
    for group in try history.groups(level: MinuteBuilder.nodeLevel) {
      let name = String(group.drop { $0 != "=" }.dropFirst())
      nodes[name] = try read(history, MinuteBuilder.nodeLevel, group)
    }
    for level in 0...Self.levelMax {
      for group in try history.groups(level: level) { levels["\(level)/\(group)"] = try read(history, level, group) }
    }
    let (stored, damaged) = try history.gaps(ever)
    if damaged > 0 { damage.append("\(damaged) gap records of the history are damaged") }
    for gap in stored { gaps[Self.words(gap.node.name, gap.reason, gap.ticks), default: 0] += 1 }
  }

  private mutating func read(_ history: History, _ level: UInt8, _ group: String) throws -> MinuteTotals {
    var totals = MinuteTotals()
    let (rows, damaged) = try history.minutes(level: level, group: group, Limits.tickRange)
    if damaged > 0 { damage.append("\(damaged) minutes of \(group) are damaged") }
    for row in rows {
      for (metric, kept) in row.cell.metrics {
        totals.set(
          row.minute.unixMilliseconds, metric,
          GaugeMinute(sum: kept.sum, count: kept.count, minimum: kept.minimum, maximum: kept.maximum))
      }
    }
    return totals
  }

  /// A gap record in words, for comparing.
  static func words(_ node: String, _ reason: GapReason, _ ticks: ClosedRange<Tick>?) -> String {
    let span = ticks.map { "\($0.lowerBound.unixMilliseconds) to \($0.upperBound.unixMilliseconds)" } ?? "no ticks"
    return "\(node): \(reason.label), \(span)"
  }
}

/// The comparison of the history with what rows and journals say.
struct HistoryAccount {
  private(set) var minutes = 0
  private(set) var groups = 0
  private(set) var gaps = 0
  private(set) var findings: [String] = []

  var isClean: Bool { findings.isEmpty }

  /// Compares with `rows`, the totals of each node's rows, and with the journals' gap records.
  ///
  /// - Parameter isOneSite: every group above the nodes holds all of them, so each of those is compared with their sum;
  ///   else only the nation's is.
  init(_ history: StoredHistory, rows: [String: MinuteTotals], gaps journalled: [String: Int], isOneSite: Bool) {
    findings = history.damage
    for node in Set(rows.keys).union(history.nodes.keys).sorted() {
      compare(rows[node] ?? MinuteTotals(), history.nodes[node] ?? MinuteTotals(), "node \(node)")
    }
    var all = MinuteTotals()
    for totals in rows.values { all.merge(totals) }
    let nation = history.levels.filter { isOneSite || $0.key.contains("/nation=") }
    if nation.isEmpty, !rows.isEmpty { findings.append("no minutes above the nodes are stored") }
    for (group, totals) in nation.sorted(by: { $0.key < $1.key }) { compare(all, totals, "group \(group)") }
    gaps = journalled.values.reduce(0, +)
    for gap in Set(journalled.keys).union(history.gaps.keys).sorted()
    where journalled[gap, default: 0] != history.gaps[gap, default: 0] {
      findings.append(
        "\(gap) is \(journalled[gap, default: 0]) times in the journals and \(history.gaps[gap, default: 0]) times in the history"
      )
    }
  }

  private mutating func compare(_ rows: MinuteTotals, _ stored: MinuteTotals, _ group: String) {
    groups += 1
    minutes += rows.minutes.count
    findings += rows.differences(from: stored, group: group)
  }

  var report: String {
    let verdict = isClean ? "all as the rows say" : "\(findings.count) differ"
    return "history: \(minutes) minutes of \(groups) groups and \(gaps) gap records compared, \(verdict)"
  }
}
