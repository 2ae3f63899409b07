import BongsuRecordLog
import Foundation

/// The comparison of everything that agents sampled with everything that is kept.
///
///     WORK/data/journal/shard-N/      the aggregator's
///     WORK/agents/NODE/drill.log      the witness of each agent
///     WORK/agents/NODE/spool/
struct Verification {
  private(set) var accounts: [Account] = []
  private(set) var damage: [String] = []
  /// What became of the history; `nil` while agents and aggregator work.
  private(set) var history: HistoryAccount?

  /// Takes stock of the drill in `work`.
  ///
  /// - Parameter withSpools: whether everybody has ended, so that spools and history may be opened.
  init(work: String, withSpools: Bool) throws {
    let shards = try FileManager.default.contentsOfDirectory(atPath: "\(work)/data/journal")
      .filter { $0.hasPrefix("shard-") }
    var stored = try StoredFacts(journals: "\(work)/data/journal", shards: shards.count)
    if withSpools { try stored.checkRawHistory(data: "\(work)/data", shards: shards.count) }
    damage = stored.damage
    let nodes = try FileManager.default.contentsOfDirectory(atPath: "\(work)/agents").sorted()
    for node in nodes {
      let folder = "\(work)/agents/\(node)"
      let log = try DrillLogFile(path: "\(folder)/drill.log")
      var spool: SpooledFacts?
      if withSpools {
        spool = try SpooledFacts(directory: "\(folder)/spool")
        damage += spool?.damage.map { "\(node): \($0)" } ?? []
      }
      accounts.append(Account(node: node, log: log, stored: stored.nodes[node] ?? .init(), spool: spool))
    }
    for node in stored.nodes.keys.sorted() where !nodes.contains(node) {
      damage.append("rows of \(node) are stored, and no such agent was started")
    }
    guard withSpools else { return }
    let rows = Dictionary(uniqueKeysWithValues: accounts.map { ($0.node, $0.minutes) })
    history = HistoryAccount(
      try StoredHistory(data: "\(work)/data"), rows: rows.filter { !$0.value.minutes.isEmpty }, gaps: stored.gaps,
      isOneSite: true)
  }

  var total: Account {
    var total = Account(node: "all")
    for account in accounts { total.add(account) }
    return total
  }

  var isClean: Bool {
    damage.isEmpty && total.isClean && total.sampled > 0 && history?.isClean != false
  }

  /// A line for each node and one for all, then what is wrong.
  var report: String {
    let heads = ["node", "sampled", "stored", "duplicated", "wrong", "gap-covered", "in spool", "lost"]
    var lines = [heads]
    for account in accounts + [total] {
      let counts = [
        account.sampled, account.stored, account.duplicated, account.wrong, account.gapCovered, account.inSpool,
        account.lost,
      ]
      lines.append([account.node] + counts.map(String.init))
    }
    let widths = heads.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
    let table = lines.map { line in
      line.indices.map { column in
        let padding = String(repeating: " ", count: widths[column] - line[column].count)
        return column == 0 ? line[column] + padding : padding + line[column]
      }.joined(separator: "  ")
    }
    let historyLines = history.map { [$0.report] + $0.findings.prefix(DrillLimits.findingsMax) } ?? []
    return
      (table + total.findings.prefix(DrillLimits.findingsMax) + historyLines + damage.prefix(DrillLimits.findingsMax))
      .joined(separator: "\n")
  }
}
