import BongsuModel
import BongsuWire

/// Every row that one node sampled, and where it is now.
///
/// A sampled row is *stored* (exactly once, with the same values), or *in the spool*, or *covered by a gap record*; else it
/// is *lost*. A gap record excuses only what a kill may cost: rows of the last seconds before one. A row that was older,
/// or whose process ended in order, should have been spooled, so it counts as lost in spite of the record. What is stored
/// and was never sampled, or with other values, is *wrong*; what is stored again is *duplicated*.
struct Account {
  private(set) var node: String
  private(set) var sampled = 0
  private(set) var stored = 0
  private(set) var duplicated = 0
  private(set) var wrong = 0
  private(set) var gapCovered = 0
  private(set) var inSpool = 0
  private(set) var lost = 0
  private(set) var findings: [String] = []
  /// Ticks whose row is neither stored nor excused: what a live drill waits for.
  private(set) var outstanding: [Int64] = []
  /// What the sampled rows that are stored add up to, minute by minute.
  private(set) var minutes = MinuteTotals()

  var isClean: Bool { duplicated == 0 && wrong == 0 && lost == 0 }

  init(node: String) { self.node = node }

  /// Takes stock of one node.
  init(node: String, log: DrillLogFile, stored facts: StoredFacts.Node, spool: SpooledFacts?) {
    self.node = node
    sampled = log.rows.count
    /// Ticks of stored rows that some sampled row explains.
    var explained: Set<Int64> = []
    for row in log.rows {
      let kept = KeptRow(layout: log.layouts[row.layout], values: row.values)
      // A provisional tick may move to a neighbour when the wall clock was set before the first answer.
      let step = log.intervals[row.layout]
      let ticks = row.isProvisional ? [row.tick, row.tick - step, row.tick + step] : [row.tick]
      if let tick = ticks.first(where: { facts.rows[$0]?.contains(kept) == true }) {
        stored += 1
        explained.insert(tick)
        minutes.add(tick: tick, layout: kept.layout, values: kept.values)
      } else if let spool, ticks.contains(where: { spool.rows[$0]?.contains(kept) == true }) {
        inSpool += 1
      } else {
        missing(row, log, facts, ticks)
      }
    }
    for (tick, rows) in facts.rows.sorted(by: { $0.key < $1.key }) {
      if rows.count > 1 {
        duplicated += rows.count - 1
        find("tick \(tick) is stored \(rows.count) times")
      }
      if !explained.contains(tick) {
        wrong += 1
        let sampled = log.rows.filter { $0.tick == tick }
        find(
          sampled.isEmpty
            ? "tick \(tick) is stored and was never sampled"
            : "tick \(tick) is stored with other values than were sampled\(difference(rows[0], sampled[0], log))")
      }
    }
  }

  private mutating func missing(
    _ row: DrillLogFile.Row, _ log: DrillLogFile, _ facts: StoredFacts.Node, _ ticks: [Int64]
  ) {
    let run = log.runs[row.run]
    let gap = facts.gaps.first { gap in ticks.contains { gap.ticks.contains($0) } }
    let beforeEnd = run.lastTick - row.tick
    let mayBeLost = run.end == .kill && beforeEnd <= DrillLimits.lossMillisecondsMax
    if gap != nil, mayBeLost {
      gapCovered += 1
      return
    }
    lost += 1
    outstanding.append(row.tick)
    let why =
      switch (gap, run.end) {
      case (nil, _): "and no gap record covers it"
      case (.some(let gap), .kill):
        "\(beforeEnd) ms before its agent's last row, so it should have been spooled; the gap record says \(gap.reason)"
      case (.some(let gap), _): "of a run that was not killed; the gap record says \(gap.reason)"
      }
    find("tick \(row.tick) of run \(row.run + 1) of \(log.runs.count) is lost, \(why)")
  }

  private func difference(_ kept: KeptRow, _ row: DrillLogFile.Row, _ log: DrillLogFile) -> String {
    guard kept.layout == log.layouts[row.layout] else { return ": the layout is another one" }
    guard let place = kept.values.indices.first(where: { kept.values[$0] != row.values[$0] }) else { return "" }
    return ": value \(place) is \(kept.values[place]), sampled \(row.values[place])"
  }

  private mutating func find(_ text: String) {
    if findings.count < DrillLimits.findingsMax { findings.append("\(node): \(text)") }
  }

  /// Adds the counts of another node.
  mutating func add(_ other: Account) {
    sampled += other.sampled
    stored += other.stored
    duplicated += other.duplicated
    wrong += other.wrong
    gapCovered += other.gapCovered
    inSpool += other.inSpool
    lost += other.lost
    findings += other.findings
  }
}
