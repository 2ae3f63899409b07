import BongsuModel
import BongsuRollup
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

  /// Minutes that were formed and got no row since. Others wait for their turn and are not looked at.
  private(set) var settled: Set<Int64> = []

  /// Reads the history of an aggregator that has ended in order.
  init(data: String) throws {
    let tiers = try TierStore(path: "\(data)/tiers.sqlite")
    settled = try tiers.settledMinutes()
    for level in TierLevel.all {
      try tiers.forEachWindow(level, .minute) { labels, window in
        let labels = Dictionary(uniqueKeysWithValues: labels.map { ($0.name, $0.value) })
        let name =
          level == .node
          ? labels["node"] ?? ""
          : "\(level.prefix)/" + labels.sorted { $0.key < $1.key }.map { "\($0)=\($1)" }.joined(separator: ",")
        var totals = (level == .node ? nodes[name] : levels[name]) ?? MinuteTotals()
        for slot in RolledMetric.all.indices {
          let samples = window.gauge(slot: slot, 0).samples
          guard let minimum = samples.min, let maximum = samples.max, settled.contains(window.end.unixMilliseconds)
          else {
            continue
          }
          totals.set(
            window.end.unixMilliseconds, RolledMetric.all[slot].metric.id,
            GaugeMinute(sum: samples.sum, count: samples.count, minimum: minimum, maximum: maximum))
        }
        if level == .node { nodes[name] = totals } else { levels[name] = totals }
      }
    }
    if tiers.damagedRows > 0 { damage.append("\(tiers.damagedRows) rows of the tiers are damaged") }
    let history = try History(path: "\(data)/history.sqlite")
    let (stored, damaged) = try history.gaps(Limits.tickRange)
    if damaged > 0 { damage.append("\(damaged) gap records of the history are damaged") }
    for gap in stored { gaps[Self.words(gap.node.name, gap.reason, gap.ticks), default: 0] += 1 }
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
    let rows = rows.mapValues { $0.limited(to: history.settled) }.filter { !$0.value.minutes.isEmpty }
    for node in Set(rows.keys).union(history.nodes.keys).sorted() {
      compare(rows[node] ?? MinuteTotals(), history.nodes[node] ?? MinuteTotals(), "node \(node)")
    }
    var all = MinuteTotals()
    for totals in rows.values { all.merge(totals) }
    // Of nodes that do not sample once a second the levels have means, or repeat them.
    let isEven = rows.values.allSatisfy { $0.isPerSecond }
    let nation = history.levels.filter {
      isEven && (isOneSite || $0.key.hasPrefix("nation/")) && !$0.value.minutes.isEmpty
    }
    if nation.isEmpty, !rows.isEmpty, isEven { findings.append("no minutes above the nodes are stored") }
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
