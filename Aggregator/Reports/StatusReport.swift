/// Whether the aggregator serves, the answer of `/-/ready`.
public enum ReadyState: Codable, Hashable, Sendable {
  /// Live and complete.
  case ready
  /// Coming up; `reason` says what is being done and how far it is, for example "replaying the journal, 3 of 7 segments".
  case starting(reason: String)
  /// Up, but not storing what arrives; `reason` says why and what ends it, for example "disk full: 0 B free of 2 GB needed".
  case degraded(reason: String)
  /// On its way out.
  case stopping

  /// Whether requests should be sent here.
  public var isReady: Bool {
    switch self {
    case .ready, .degraded: true
    case .starting, .stopping: false
    }
  }

  /// The state as one word.
  public var word: String {
    switch self {
    case .ready: "ready"
    case .starting: "starting"
    case .degraded: "degraded"
    case .stopping: "stopping"
    }
  }

  /// Why it is not plainly ready.
  public var reason: String? {
    switch self {
    case .ready, .stopping: nil
    case .starting(let reason), .degraded(let reason): reason
    }
  }

  private enum CodingKeys: String, CodingKey {
    case state, reason
  }

  public init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    let reason = try fields.decodeIfPresent(String.self, forKey: .reason) ?? ""
    switch try fields.decode(String.self, forKey: .state) {
    case "ready": self = .ready
    case "starting": self = .starting(reason: reason)
    case "degraded": self = .degraded(reason: reason)
    case "stopping": self = .stopping
    case let other:
      throw DecodingError.dataCorruptedError(
        forKey: .state, in: fields,
        debugDescription: "ready state is \"\(other)\", expected ready, starting, degraded or stopping")
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: CodingKeys.self)
    try fields.encode(word, forKey: .state)
    try fields.encode(reason, forKey: .reason)
  }
}

/// How the aggregator itself is doing: the answer of `/api/bongsu/v1/status`.
public struct StatusReport: Codable, Hashable, Sendable {
  /// Release of the aggregator.
  public var version: String
  /// The nation that its fleet file names.
  public var nation: String
  public var uptimeSeconds: Int64
  public var ready: ReadyState
  public var nodes: NodeCounts
  public var ingest: IngestFigures
  public var journal: JournalFigures
  /// The newest tick that the nation has closed, milliseconds since 1970; `nil` before the first.
  public var closedTickUnixMilliseconds: Int64?
  /// How far that tick lies behind the aggregator's clock, milliseconds.
  public var lagMilliseconds: Int64?
  /// Frames, connections and requests refused since the start, by reason, zero counts left out.
  public var refused: [ReasonCount]
  public var losses: LossFigures
  /// Matchers that narrow what the asker sees: then nodes are counted within them, and figures of the whole are left out.
  /// `nil` for who sees everything.
  public var matchers: [String]?
  /// Open descriptors of the process; `nil` where they are not known.
  public var descriptors: DescriptorFigures?

  private enum CodingKeys: String, CodingKey {
    case version, nation, ready, nodes, ingest, journal, refused, losses, matchers, descriptors
    case uptimeSeconds = "uptime_seconds"
    case closedTickUnixMilliseconds = "closed_tick_ms"
    case lagMilliseconds = "lag_ms"
  }

  /// Describes an aggregator; figures not yet known keep their empty values.
  public init(
    version: String, nation: String, uptimeSeconds: Int64, ready: ReadyState, nodes: NodeCounts = NodeCounts(),
    ingest: IngestFigures = IngestFigures(), journal: JournalFigures = JournalFigures(),
    closedTickUnixMilliseconds: Int64? = nil, lagMilliseconds: Int64? = nil, refused: [ReasonCount] = [],
    losses: LossFigures = LossFigures()
  ) {
    self.version = version
    self.nation = nation
    self.uptimeSeconds = uptimeSeconds
    self.ready = ready
    self.nodes = nodes
    self.ingest = ingest
    self.journal = journal
    self.closedTickUnixMilliseconds = closedTickUnixMilliseconds
    self.lagMilliseconds = lagMilliseconds
    self.refused = refused
    self.losses = losses
  }
}

/// How many descriptors the aggregator has open and may have: each connected node takes one.
public struct DescriptorFigures: Codable, Hashable, Sendable {
  public var used: Int64
  public var limit: Int64

  public init(used: Int64, limit: Int64) {
    self.used = used
    self.limit = limit
  }
}

/// How many nodes the aggregator knows.
public struct NodeCounts: Codable, Hashable, Sendable {
  /// Nodes with an open session.
  public var connected: Int
  /// Nodes that have ever delivered a row.
  public var known: Int
  /// Nodes that the fleet file puts in service.
  public var expected: Int
  /// Nodes that deliver but that no rack of the fleet file names.
  public var unassigned: Int
  /// Names of unassigned nodes, at most ``ReportLimits/unassignedNamesMax``.
  public var unassignedNames: [String]

  private enum CodingKeys: String, CodingKey {
    case connected, known, expected, unassigned
    case unassignedNames = "unassigned_names"
  }

  /// Counts nothing unless said otherwise; `unassignedNames` beyond the limit are cut off.
  public init(
    connected: Int = 0, known: Int = 0, expected: Int = 0, unassigned: Int = 0, unassignedNames: [String] = []
  ) {
    self.connected = connected
    self.known = known
    self.expected = expected
    self.unassigned = unassigned
    self.unassignedNames = Array(unassignedNames.prefix(ReportLimits.unassignedNamesMax))
  }
}

/// What arrives: rates are means over the last whole seconds, totals count since the start.
public struct IngestFigures: Codable, Hashable, Sendable {
  public var samplesPerSecond: Double
  public var blocksPerSecond: Double
  /// Bytes of frames, without the transport's own.
  public var bytesPerSecond: Double
  public var samplesTotal: Int64
  public var blocksTotal: Int64
  public var duplicateBlocksTotal: Int64

  private enum CodingKeys: String, CodingKey {
    case samplesPerSecond = "samples_per_second"
    case blocksPerSecond = "blocks_per_second"
    case bytesPerSecond = "bytes_per_second"
    case samplesTotal = "samples_total"
    case blocksTotal = "blocks_total"
    case duplicateBlocksTotal = "duplicate_blocks_total"
  }

  public init(
    samplesPerSecond: Double = 0, blocksPerSecond: Double = 0, bytesPerSecond: Double = 0, samplesTotal: Int64 = 0,
    blocksTotal: Int64 = 0, duplicateBlocksTotal: Int64 = 0
  ) {
    self.samplesPerSecond = samplesPerSecond
    self.blocksPerSecond = blocksPerSecond
    self.bytesPerSecond = bytesPerSecond
    self.samplesTotal = samplesTotal
    self.blocksTotal = blocksTotal
    self.duplicateBlocksTotal = duplicateBlocksTotal
  }
}

/// The journal, where arrivals become durable.
public struct JournalFigures: Codable, Hashable, Sendable {
  /// What the journal is doing.
  public enum State: String, Codable, Sendable {
    /// There is none: data lives in memory only.
    case off
    /// Arrivals become durable.
    case writing
    /// Nothing is acknowledged; agents keep their data. `reason` says why and what ends it.
    case stalled
  }

  public var state: State
  public var reason: String?
  public var segments: Int
  public var bytes: Int64
  /// Space left on its disk; `nil` when unknown.
  public var freeBytes: Int64?
  /// From receipt to durable, the slowest of the last whole second, milliseconds; `nil` when nothing was written.
  public var commitMilliseconds: Double?
  /// Records received and not yet durable.
  public var pendingRecords: Int64

  private enum CodingKeys: String, CodingKey {
    case state, reason, segments, bytes
    case freeBytes = "free_bytes"
    case commitMilliseconds = "commit_ms"
    case pendingRecords = "pending_records"
  }

  public init(
    state: State = .off, reason: String? = nil, segments: Int = 0, bytes: Int64 = 0, freeBytes: Int64? = nil,
    commitMilliseconds: Double? = nil, pendingRecords: Int64 = 0
  ) {
    self.state = state
    self.reason = reason
    self.segments = segments
    self.bytes = bytes
    self.freeBytes = freeBytes
    self.commitMilliseconds = commitMilliseconds
    self.pendingRecords = pendingRecords
  }
}

/// A bounded reason code with how often it happened.
public struct ReasonCount: Codable, Hashable, Sendable {
  /// Stable word, the same as the label of the metric that counts it.
  public var reason: String
  public var count: Int64
  /// What to do about it, for people.
  public var nextStep: String?

  private enum CodingKeys: String, CodingKey {
    case reason, count
    case nextStep = "next_step"
  }

  public init(reason: String, count: Int64, nextStep: String? = nil) {
    self.reason = reason
    self.count = count
    self.nextStep = nextStep
  }
}

/// What is missing for good, by the records that say so.
public struct LossFigures: Codable, Hashable, Sendable {
  /// Gap records stored, and the node ticks that they cover.
  public var gapsTotal: Int64
  public var gapTicksTotal: Int64
  /// Gaps by reason, zero counts left out.
  public var reasons: [ReasonCount]

  private enum CodingKeys: String, CodingKey {
    case reasons
    case gapsTotal = "gaps_total"
    case gapTicksTotal = "gap_ticks_total"
  }

  public init(gapsTotal: Int64 = 0, gapTicksTotal: Int64 = 0, reasons: [ReasonCount] = []) {
    self.gapsTotal = gapsTotal
    self.gapTicksTotal = gapTicksTotal
    self.reasons = reasons
  }
}
