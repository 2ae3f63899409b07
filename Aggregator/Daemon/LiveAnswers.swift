import BongsuAPI
import BongsuAdmission
import BongsuFleet
import BongsuIngest
import BongsuMetrics
import BongsuModel
import BongsuReports
import BongsuRollup
import BongsuTransport
import Foundation
import Synchronization

/// Answers questions about what is true now, from the newest closed tick and from the shards' live rows.
final class LiveAnswers: LiveSource {
  let engine: IngestEngine
  let tree: FleetTree
  /// Who has joined; `nil` where agents need no keys.
  let keys: KeyTable?
  private let started = Date()
  private let rates = Mutex(Rates())
  private let unassigned = Mutex<[String]>([])

  private struct Rates {
    var at = Date()
    var samples: UInt64 = 0
    var blocks: UInt64 = 0
    var bytes: UInt64 = 0
    var samplesPerSecond = 0.0
    var blocksPerSecond = 0.0
    var bytesPerSecond = 0.0
  }

  init(engine: IngestEngine, tree: FleetTree, keys: KeyTable?, registry: MetricRegistry) {
    self.keys = keys
    self.engine = engine
    self.tree = tree
    registry.info("bongsu_build_info", help: "Release of the aggregator", labels: ["version": Release.version])
    registry.gauge("bongsu_rollup_lag_seconds", help: "Age of the newest closed tick", unit: .seconds) {
      guard let tick = engine.newest?.closed.tick else { return .nan }
      return Date().timeIntervalSince1970 - Double(tick.unixMilliseconds) / 1000
    }
  }

  /// When the aggregator was started.
  var startedUnixMilliseconds: Int64 { Int64(started.timeIntervalSince1970 * 1000) }

  func readyState() -> ReadyState {
    switch engine.phase {
    case .starting(let what): return .starting(reason: what)
    case .stopped: return .stopping
    case .running: break
    }
    if let reason = engine.journal.stallReason {
      return .degraded(reason: "the journal cannot be written, agents keep their data: \(reason)")
    }
    return .ready
  }

  /// Takes note of the counters, once a second.
  func noteRates() {
    let counters = engine.counters
    rates.withLock { rates in
      let now = Date()
      let seconds = now.timeIntervalSince(rates.at)
      guard seconds > 0.1 else { return }
      let samples = counters.samplesTotal
      let blocks = counters.blocksTotal
      let bytes = counters.bytesTotal
      rates.samplesPerSecond = Double(samples - rates.samples) / seconds
      rates.blocksPerSecond = Double(blocks - rates.blocks) / seconds
      rates.bytesPerSecond = Double(bytes - rates.bytes) / seconds
      rates.samples = samples
      rates.blocks = blocks
      rates.bytes = bytes
      rates.at = now
    }
  }

  func status() async throws -> StatusReport {
    var report = StatusReport(
      version: Release.version, nation: tree.name, uptimeSeconds: Int64(Date().timeIntervalSince(started)),
      ready: readyState())
    let tree = tree
    let summaries = await engine.ask { shard in
      var summary = ShardSummary()
      shard.forEachNode { node in
        summary.connected += node.isConnected ? 1 : 0
        summary.known += node.tick == nil ? 0 : 1
        if node.isKeyShared { summary.sharedKeys.append(node.id.name) }
        if tree.node(node.id) == nil, !tree.standsNowhere(node.id) { summary.unassigned.append(node.id.name) }
      }
      summary.pending = shard.pendingRecords
      return summary
    }
    let names = summaries.flatMap(\.unassigned).sorted()
    let now = Tick(unixMilliseconds: Int64(Date().timeIntervalSince1970 * 1000))
    report.nodes = NodeCounts(
      connected: summaries.reduce(0) { $0 + $1.connected }, known: summaries.reduce(0) { $0 + $1.known },
      expected: tree.expectedGPUs(at: now).count { $0 > 0 }, unassigned: names.count, unassignedNames: names)
    report.ingest = ingestFigures()
    report.descriptors = Self.descriptorFigures()
    report.journal = journalFigures(pending: summaries.reduce(0) { $0 + $1.pending })
    if let tick = engine.newest?.closed.tick {
      report.closedTickUnixMilliseconds = tick.unixMilliseconds
      report.lagMilliseconds = now.unixMilliseconds - tick.unixMilliseconds
    }
    let sharedKeys = summaries.flatMap(\.sharedKeys).sorted()
    report.refused = engine.counters.refusedByReason.map {
      ReasonCount(
        reason: $0.reason, count: Int64(clamping: $0.count),
        nextStep: $0.reason == "cloned_key" ? Self.nextStep(forSharedKeys: sharedKeys) : nil)
    }
    report.losses = LossFigures(
      gapsTotal: Int64(clamping: engine.counters.gapsTotal),
      gapTicksTotal: Int64(clamping: engine.counters.gapTicksTotal),
      reasons: engine.counters.gapReasonCounts.map {
        ReasonCount(reason: $0.label, count: Int64(clamping: $0.count), nextStep: $0.nextStep)
      })
    return report
  }

  /// Counted when asked: the kernel lists them in a few milliseconds even with a nation connected.
  private static func descriptorFigures() -> DescriptorFigures? {
    guard let open = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") else { return nil }
    return DescriptorFigures(used: Int64(open.count), limit: Int64(DescriptorLimit.raise(toHold: 0).soft))
  }

  /// Names the nodes whose key two machines use.
  private static func nextStep(forSharedKeys names: [String]) -> String? {
    guard !names.isEmpty else { return nil }
    let shown = names.prefix(10).joined(separator: ", ") + (names.count > 10 ? ", …" : "")
    return "two machines use the key of \(shown); revoke it and let each of them join by itself"
  }

  private struct ShardSummary: Sendable {
    var connected = 0
    var known = 0
    var unassigned: [String] = []
    var pending: UInt64 = 0
    /// Nodes whose key two machines use.
    var sharedKeys: [String] = []
  }

  private func ingestFigures() -> IngestFigures {
    let counters = engine.counters
    return rates.withLock { rates in
      IngestFigures(
        samplesPerSecond: rates.samplesPerSecond, blocksPerSecond: rates.blocksPerSecond,
        bytesPerSecond: rates.bytesPerSecond, samplesTotal: Int64(clamping: counters.samplesTotal),
        blocksTotal: Int64(clamping: counters.blocksTotal),
        duplicateBlocksTotal: Int64(clamping: counters.duplicateBlocksTotal))
    }
  }

  private func journalFigures(pending: UInt64) -> JournalFigures {
    let journal = engine.journal
    return JournalFigures(
      state: journal.stallReason == nil ? .writing : .stalled, reason: journal.stallReason, segments: journal.segments,
      bytes: journal.bytes, freeBytes: journal.freeBytes,
      commitMilliseconds: journal.commitNanoseconds.map { Double($0) / 1_000_000 },
      pendingRecords: Int64(clamping: pending))
  }
}
