internal import BongsuReports

/// A status report in words. Pure.
enum StatusText {
  /// One line per subject; what needs somebody comes with what to do.
  static func lines(_ report: StatusReport, style: TerminalStyle) -> [String] {
    let state = report.ready.reason.map { "\(report.ready.word): \($0)" } ?? report.ready.word
    var lines = [
      style.text("bongsu \(report.version)", .heading) + ", \(clean(report.nation)), "
        + style.text(clean(state), report.ready == .ready ? .none : .alarm)
        + ", up \(UnitText.duration(seconds: report.uptimeSeconds))"
    ]
    func add(_ subject: String, _ text: String, _ emphasis: Emphasis = .none) {
      lines.append(subject + String(repeating: " ", count: 9 - subject.count) + style.text(clean(text), emphasis))
    }
    add("nodes", nodes(report.nodes), report.nodes.connected < report.nodes.expected ? .warning : .none)
    if report.nodes.unassigned > 0 { add("", unassigned(report.nodes), .warning) }
    if let matchers = report.matchers {
      add("data", data(report))
      add("seen", "only " + matchers.joined(separator: ", ") + "; figures of the whole are not for this token")
      return lines
    }
    add("ingest", ingest(report.ingest))
    add("journal", journal(report.journal), report.journal.state == .stalled ? .alarm : .none)
    add("data", data(report))
    add(
      "refused", report.refused.isEmpty ? "nothing" : reasons(report.refused), report.refused.isEmpty ? .none : .warning
    )
    add("losses", losses(report.losses), report.losses.gapsTotal > 0 ? .warning : .none)
    return lines
  }

  /// Every figure by name, for CSV; empty where it is not known.
  static func figures(_ report: StatusReport) -> [(name: String, value: String)] {
    func text(_ value: (some CustomStringConvertible)?) -> String { value.map(\.description) ?? "" }
    return [
      ("version", report.version), ("nation", report.nation), ("state", report.ready.word),
      ("reason", text(report.ready.reason)), ("uptime_seconds", text(report.uptimeSeconds)),
      ("closed_tick_ms", text(report.closedTickUnixMilliseconds)), ("lag_ms", text(report.lagMilliseconds)),
      ("nodes_connected", text(report.nodes.connected)), ("nodes_known", text(report.nodes.known)),
      ("nodes_expected", text(report.nodes.expected)), ("nodes_unassigned", text(report.nodes.unassigned)),
      ("samples_per_second", text(report.ingest.samplesPerSecond)),
      ("blocks_per_second", text(report.ingest.blocksPerSecond)),
      ("bytes_per_second", text(report.ingest.bytesPerSecond)), ("samples_total", text(report.ingest.samplesTotal)),
      ("blocks_total", text(report.ingest.blocksTotal)),
      ("duplicate_blocks_total", text(report.ingest.duplicateBlocksTotal)),
      ("journal_state", report.journal.state.rawValue), ("journal_segments", text(report.journal.segments)),
      ("journal_bytes", text(report.journal.bytes)), ("journal_free_bytes", text(report.journal.freeBytes)),
      ("journal_commit_ms", text(report.journal.commitMilliseconds)),
      ("journal_pending_records", text(report.journal.pendingRecords)),
      ("refused_total", text(report.refused.reduce(0) { $0 + $1.count })),
      ("gaps_total", text(report.losses.gapsTotal)),
      ("gap_ticks_total", text(report.losses.gapTicksTotal)),
    ]
  }

  private static func nodes(_ nodes: NodeCounts) -> String {
    "\(UnitText.count(Int64(nodes.connected))) connected, \(UnitText.count(Int64(nodes.expected))) expected in service, "
      + "\(UnitText.count(Int64(nodes.known))) known"
  }

  private static func unassigned(_ nodes: NodeCounts) -> String {
    let names = nodes.unassignedNames.prefix(5).joined(separator: ", ")
    let more = nodes.unassigned > min(5, nodes.unassignedNames.count) ? ", …" : ""
    return
      "\(UnitText.count(Int64(nodes.unassigned))) in no rack of the fleet file (\(names)\(more)); add them to it, or see "
      + "`bongsu nodes list --unassigned`"
  }

  private static func ingest(_ ingest: IngestFigures) -> String {
    func rate(_ value: Double) -> String {
      value.isFinite && abs(value) < 9e18 ? UnitText.count(Int64(value.rounded())) : UnitText.unknown
    }
    return "\(rate(ingest.samplesPerSecond)) samples/s, \(rate(ingest.blocksPerSecond)) blocks/s, "
      + "\(UnitText.bytes(ingest.bytesPerSecond))/s; \(UnitText.count(ingest.samplesTotal)) samples so far, "
      + "\(UnitText.count(ingest.duplicateBlocksTotal)) duplicate blocks dropped"
  }

  private static func journal(_ journal: JournalFigures) -> String {
    guard journal.state != .off else { return "off; readings are kept in memory only" }
    let reason = journal.reason.map { ": \($0)" } ?? ""
    let free = journal.freeBytes.map { ", \(UnitText.bytes(Double($0))) free" } ?? ""
    let commit = journal.commitMilliseconds.map { ", durable within \($0) ms" } ?? ""
    return
      "\(journal.state.rawValue)\(reason), \(journal.segments) segments of \(UnitText.bytes(Double(journal.bytes)))\(free)"
      + "\(commit), \(UnitText.count(journal.pendingRecords)) records pending"
  }

  private static func data(_ report: StatusReport) -> String {
    guard let tick = report.closedTickUnixMilliseconds else { return "none yet" }
    return
      "complete up to \(TimeText.rfc3339(unixMilliseconds: tick)), \(UnitText.lag(milliseconds: report.lagMilliseconds)) behind"
  }

  private static func losses(_ losses: LossFigures) -> String {
    guard losses.gapsTotal > 0 else { return "none" }
    return
      "\(UnitText.count(losses.gapTicksTotal)) node ticks in \(UnitText.count(losses.gapsTotal)) gaps; \(reasons(losses.reasons))"
  }

  private static func reasons(_ reasons: [ReasonCount]) -> String {
    reasons.map { entry in
      "\(UnitText.count(entry.count)) \(entry.reason)\(entry.nextStep.map { " (\($0))" } ?? "")"
    }.joined(separator: ", ")
  }

  private static func clean(_ text: String) -> String { TextTable.withoutControls(text) }
}
