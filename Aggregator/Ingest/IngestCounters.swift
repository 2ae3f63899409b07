public import BongsuMetrics
internal import BongsuThreads
internal import BongsuTransport
internal import BongsuWire
internal import Glibc

/// What the ingest core counts, and what it would log.
///
/// Thread rule: counting is one relaxed addition and may happen on any thread; ``takeNews()`` is for one reader.
public final class IngestCounters: Sendable {
  let blocks: Counter
  let samples: Counter
  let duplicateBlocks: Counter
  let acknowledgements: Counter
  let gaps: Counter
  let gapTicks: Counter
  let lateRows: Counter
  let unrolledRows: Counter
  let undecodedRecords: Counter
  let journalRecords: Counter
  let journalBytes: Counter
  let connectedNodes: Gauge
  let knownNodes: Gauge
  let connections: Gauge
  let commit: Histogram
  private let frames: Counter
  private let bytes: Counter
  private let stalls: Counter
  private let droppedReplies: [Counter]
  private let refusals: ReasonCounters<RefusalCause>
  private let acceptFailures: Counter
  private let handshakeFailures: Counter
  private let paused: Gauge
  private let gapReasons: [GapReason: Counter]
  private let rejects: [RejectReason: Counter]
  private let news = ThreadLock<[String]>([])

  /// Registers every metric of the ingest core.
  public init(_ registry: MetricRegistry) {
    blocks = registry.counter("bongsu_ingest_blocks_total", help: "Blocks accepted")
    samples = registry.counter("bongsu_ingest_samples_total", help: "Samples in accepted rows, absent ones included")
    duplicateBlocks = registry.counter(
      "bongsu_ingest_duplicate_blocks_total", help: "Blocks that had been received before and were not counted again")
    acknowledgements = registry.counter(
      "bongsu_ingest_acknowledgements_total", help: "Acknowledgements sent to agents")
    gaps = registry.counter("bongsu_ingest_gaps_total", help: "Gap records stored")
    gapTicks = registry.counter("bongsu_ingest_gap_ticks_total", help: "Node ticks covered by gap records")
    lateRows = registry.counter("bongsu_ingest_late_rows_total", help: "Rows that came after their tick had closed")
    unrolledRows = registry.counter(
      "bongsu_ingest_unrolled_rows_total", help: "Rows stored whose tick was counted before or lies too far ahead")
    undecodedRecords = registry.counter(
      "bongsu_journal_undecoded_records_total", help: "Records of the journal that a restart could not decode")
    journalRecords = registry.counter("bongsu_journal_records_total", help: "Records made durable")
    journalBytes = registry.counter(
      "bongsu_journal_written_bytes_total", help: "Bytes of records made durable", unit: .bytes)
    connectedNodes = registry.gauge("bongsu_ingest_connected_nodes", help: "Nodes with an open session")
    knownNodes = registry.gauge(
      "bongsu_ingest_known_nodes", help: "Nodes that have delivered since the start or before")
    connections = registry.gauge("bongsu_ingest_connections", help: "TCP connections to the ingest port")
    commit = registry.histogram(
      "bongsu_journal_commit_seconds", help: "Time of one group commit, write and fdatasync", unit: .nanoseconds,
      bounds: Histogram.latencyNanosecondBounds)
    frames = registry.counter("bongsu_ingest_frames_total", help: "Frames received")
    bytes = registry.counter("bongsu_ingest_received_bytes_total", help: "Bytes of frames received", unit: .bytes)
    stalls = registry.counter(
      "bongsu_ingest_receiver_stalls_total", help: "Times the receiver stopped reading because a shard was behind")
    droppedReplies = registry.counters(
      "bongsu_ingest_dropped_replies_total", help: "Answers to agents that could not be queued", label: "reason",
      values: ["full", "gone"])
    refusals = registry.counters(
      "bongsu_ingest_refused_total", help: "Frames, connections and sessions refused, by reason", label: "reason")
    acceptFailures = registry.counter(
      "bongsu_ingest_accept_failures_total", help: "Connections that could not be taken, for want of descriptors mostly"
    )
    handshakeFailures = registry.counter(
      "bongsu_ingest_handshake_failures_total", help: "Connections whose handshake failed: garbage, foreign keys")
    paused = registry.gauge("bongsu_ingest_listener_paused", help: "Listen addresses at which no connections are taken")
    let reasons = GapReason.allCases
    gapReasons = Dictionary(
      uniqueKeysWithValues: zip(
        reasons,
        registry.counters(
          "bongsu_ingest_gaps_by_reason_total", help: "Gap records stored, by reason", label: "reason",
          values: reasons.map(\.label))))
    let rejected = RejectReason.allCases
    rejects = Dictionary(
      uniqueKeysWithValues: zip(
        rejected,
        registry.counters(
          "bongsu_ingest_rejected_blocks_total", help: "Blocks sent back, by reason", label: "reason",
          values: rejected.map(\.label))))
  }

  /// The lines that people should see, oldest first, and forgets them.
  public func takeNews() -> [String] {
    news.withLock { lines in
      defer { lines.removeAll() }
      return lines
    }
  }

  /// Causes with their counts, zeros left out, for status answers.
  public var refusedByReason: [(reason: String, count: UInt64)] {
    RefusalCause.allCases.compactMap { cause in
      let count = refusals[cause].value
      return count > 0 ? (cause.rawValue, count) : nil
    }
  }

  /// Gap records by reason, with what to do about them; zeros left out.
  public var gapReasonCounts: [(label: String, nextStep: String, count: UInt64)] {
    GapReason.allCases.compactMap { reason in
      guard let count = gapReasons[reason]?.value, count > 0 else { return nil }
      return (reason.label, reason.nextStep, count)
    }
  }

  public var framesTotal: UInt64 { frames.value }
  public var bytesTotal: UInt64 { bytes.value }
  public var blocksTotal: UInt64 { blocks.value }
  public var samplesTotal: UInt64 { samples.value }
  public var duplicateBlocksTotal: UInt64 { duplicateBlocks.value }
  public var gapsTotal: UInt64 { gaps.value }
  public var gapTicksTotal: UInt64 { gapTicks.value }
  public var journalRecordsTotal: UInt64 { journalRecords.value }
  public var connectedNodesNow: Int { Int(connectedNodes.value) }
  public var knownNodesNow: Int { Int(knownNodes.value) }

  func received(bytes count: Int) {
    frames.add()
    bytes.add(UInt64(count))
  }

  func refuse(_ cause: RefusalCause) { refusals[cause].add() }

  func reject(_ reason: RejectReason) { rejects[reason]?.add() }

  func gap(_ reason: GapReason, ticks: UInt64) {
    gaps.add()
    gapReasons[reason]?.add()
    gapTicks.add(ticks)
  }

  func receiverStalled() { stalls.add() }

  func replyDropped(_ outcome: SendOutcome) { droppedReplies[outcome == .unroutable ? 1 : 0].add() }

  func receiverFailed(_ error: any Error) { say("the receiver ended: \(error)") }

  func listenerPaused(_ isPaused: Bool) {
    paused.add(isPaused ? 1 : -1)
    say(
      isPaused
        ? "no new connections are taken: the descriptor limit is near; raise LimitNOFILE"
        : "connections are taken again")
  }

  func connection(_ event: ConnectionEvent) {
    switch event.kind {
    case .accepted: connections.add(1)
    case .disconnected: connections.add(-1)
    case .acceptFailed(let code):
      acceptFailures.add()
      if code == EMFILE || code == ENFILE { say("a connection could not be taken: no descriptor left") }
    case .handshakeFailed, .handshakeProtocolError, .handshakeRefused: handshakeFailures.add()
    case .connected, .listening, .handshakeSucceeded, .other: break
    }
  }

  /// Notes a line for people. Bounded: a flood keeps the oldest, which say how it began.
  func say(_ line: String) {
    news.withLock { if $0.count < 256 { $0.append(line) } }
  }
}
