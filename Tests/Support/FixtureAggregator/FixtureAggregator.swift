public import BongsuAPI
public import BongsuReports
internal import Synchronization

/// An aggregator without agents: a small nation with figures that never move, for tests of the HTTP API and the
/// terminal. It filters by place and allocation the way the real one must, from leaf cells of (rack, allocation).
///
/// | rack | allocation | GPUs expected / reporting / busy | measured mW | estimated mW |
/// |---|---|---|---|---|
/// | naver-sejong/hall-1/r1 | msit/naver-hosted | 8 / 8 / 6 | 5,600,001 | 0 |
/// | naver-sejong/hall-1/r2 | naver | 16 / 16 / 16 | 14,400,000 | 0 |
/// | naver-sejong/hall-2/r3 | naver | 8 / 4 / 4 | 3,200,003 | 2,800,000 |
/// | sk-ulsan/hall-a/r1 | sk | 16 / 16 / 1 | 3,000,000,000,001 | 0 |
/// | sk-ulsan/hall-a/r1 | msit/sk-hosted | 8 / 0 / 0 | 0 | 0 |
/// | unassigned/unassigned/unassigned | unassigned | 0 / 2 / 1 | 700,000 | 0 |
public final class FixtureAggregator: LiveSource, EnrolmentControl, ExportSource, GapSource {
  struct Cell: Sendable {
    let factory: String
    let hall: String
    let rack: String
    let allocation: String
    let expected: Int
    let reporting: Int
    let busy: Int
    let measured: Int64
    let estimated: Int64
    let permille: Int64

    /// The name of the node that stands for it.
    var node: String { factory == "unassigned" ? "stray-01" : "\(factory)-\(rack)-\(allocation.utf8.count)" }
    var labels: [String: String] {
      ["factory": factory, "hall": hall, "rack": rack, "allocation": allocation, "node": node]
    }
  }

  /// The leaf cells that this one has.
  let cells: [Cell]

  static let allCells = [
    Cell(
      factory: "naver-sejong", hall: "hall-1", rack: "r1", allocation: "msit/naver-hosted", expected: 8, reporting: 8,
      busy: 6, measured: 5_600_001, estimated: 0, permille: 750),
    Cell(
      factory: "naver-sejong", hall: "hall-1", rack: "r2", allocation: "naver", expected: 16, reporting: 16, busy: 16,
      measured: 14_400_000, estimated: 0, permille: 991),
    Cell(
      factory: "naver-sejong", hall: "hall-2", rack: "r3", allocation: "naver", expected: 8, reporting: 4, busy: 4,
      measured: 3_200_003, estimated: 2_800_000, permille: 900),
    Cell(
      factory: "sk-ulsan", hall: "hall-a", rack: "r1", allocation: "sk", expected: 16, reporting: 16, busy: 1,
      measured: 3_000_000_000_001, estimated: 0, permille: 31),
    Cell(
      factory: "sk-ulsan", hall: "hall-a", rack: "r1", allocation: "msit/sk-hosted", expected: 8, reporting: 0, busy: 0,
      measured: 0, estimated: 0, permille: 0),
    Cell(
      factory: "unassigned", hall: "unassigned", rack: "unassigned", allocation: "unassigned", expected: 0,
      reporting: 2, busy: 1, measured: 700_000, estimated: 0, permille: 500),
  ]

  /// The tick that every answer names: 2026-11-21T09:30:00Z.
  public static let tickUnixMilliseconds: Int64 = 1_795_253_400_000

  struct State {
    var ready: ReadyState = .ready
    var failure: (any Error)?
    /// Which answers fail, counted from the call that made them fail; `nil`: all.
    var failing: ClosedRange<Int>?
    var answers = 0
    var delay: Duration = .zero
    var tokens: [JoinTokenReport] = []
    var revoked: Set<String> = []
    var persons: [Operator] = []
  }

  private let state = Mutex(State())

  /// A nation of the cells above, or of those of some allocations alone.
  public init(allocations isThere: (String) -> Bool = { _ in true }) {
    cells = Self.allCells.filter { isThere($0.allocation) }
  }

  /// Whose GPUs stand where, each pair once.
  public var allocations: [(allocation: String, factory: String)] {
    var pairs: [(allocation: String, factory: String)] = []
    for cell in cells where !pairs.contains(where: { $0 == (cell.allocation, cell.factory) }) {
      pairs.append((cell.allocation, cell.factory))
    }
    return pairs
  }

  /// What `/-/ready` answers from now on.
  public func setReady(_ ready: ReadyState) { state.withLock { $0.ready = ready } }

  /// Makes every asynchronous answer fail with `failure`, or succeed again; with `answers` only those, the next being 1.
  public func setFailure(_ failure: (any Error & Sendable)?, answers: ClosedRange<Int>? = nil) {
    state.withLock {
      $0.failure = failure
      $0.failing = answers
      $0.answers = 0
    }
  }

  /// Makes every asynchronous answer take this long.
  public func setDelay(_ delay: Duration) { state.withLock { $0.delay = delay } }

  /// Who changed something so far.
  public var persons: [Operator] { state.withLock { $0.persons } }

  private func pretend() async throws {
    let (failure, delay) = state.withLock { state in
      state.answers += 1
      let fails = state.failing?.contains(state.answers) ?? true
      return (fails ? state.failure : nil, state.delay)
    }
    if delay > .zero { try await Task.sleep(for: delay) }
    if let failure { throw failure }
  }

  public func readyState() -> ReadyState { state.withLock { $0.ready } }

  public func status() async throws -> StatusReport {
    try await pretend()
    return StatusReport(
      version: "9.8.7", nation: "대한민국", uptimeSeconds: 93_784, ready: readyState(),
      nodes: NodeCounts(connected: 7, known: 8, expected: 9, unassigned: 1, unassignedNames: ["stray-01"]),
      ingest: IngestFigures(
        samplesPerSecond: 1234.5, blocksPerSecond: 7, bytesPerSecond: 2048, samplesTotal: 9_007_199_254_740_993,
        blocksTotal: 700, duplicateBlocksTotal: 3),
      journal: JournalFigures(
        state: .writing, segments: 3, bytes: 4_294_967_296, freeBytes: 107_374_182_400, commitMilliseconds: 1.5,
        pendingRecords: 2),
      closedTickUnixMilliseconds: Self.tickUnixMilliseconds, lagMilliseconds: 180,
      refused: [ReasonCount(reason: "unknown_key", count: 2, nextStep: "revoke it or enrol the node")],
      losses: LossFigures(
        gapsTotal: 1, gapTicksTotal: 30, reasons: [ReasonCount(reason: "agent_restart", count: 1)]))
  }

  public func nodes(matching filter: NodeFilter) async throws -> [NodeReport] {
    try await pretend()
    if let factory = filter.factory, !cells.contains(where: { $0.factory == factory }) {
      throw APIError.unknownName("factory", factory, known: ["naver-sejong", "sk-ulsan"])
    }
    return allNodes.filter {
      (filter.state == nil || $0.state == filter.state) && (filter.factory == nil || $0.factory == filter.factory)
        && (!filter.isUnassignedOnly || $0.factory == nil)
    }
  }

  public func gaps(_ request: GapRequest, within scope: AccessScope) async throws -> GapList {
    try await pretend()
    var restart = GapReport(
      node: "naver-sejong-r2-5", reason: "agent_restart", text: "the agent ended", nextStep: "nothing")
    restart.factory = "naver-sejong"
    restart.allocation = "naver"
    restart.firstTickUnixMilliseconds = Self.tickUnixMilliseconds - 60_000
    restart.lastTickUnixMilliseconds = Self.tickUnixMilliseconds - 31_000
    restart.rows = 30
    let stray = GapReport(node: "stray-01", reason: "new_stream", text: "the spool was lost", nextStep: "see the disk")
    let gaps = [restart, stray].filter { gap in
      (request.node ?? gap.node) == gap.node && (request.factory.map { $0 == gap.factory } ?? true)
        && (request.allocation.map { $0 == gap.allocation } ?? true)
        && gap.firstTickUnixMilliseconds ?? request.endUnixMilliseconds <= request.endUnixMilliseconds
        && gap.lastTickUnixMilliseconds ?? request.startUnixMilliseconds >= request.startUnixMilliseconds
    }
    let visible = gaps.filter { gap in
      cells.contains { $0.node == gap.node && scope.includes($0.labels) }
    }
    return GapList(visible, damaged: 1, limit: request.limit)
  }

  public func node(named name: String) async throws -> NodeReport? {
    try await pretend()
    return allNodes.first { $0.id == name }
  }

  private var allNodes: [NodeReport] {
    let revoked = state.withLock { $0.revoked }
    var nodes = cells.map { cell in
      var node = NodeReport(
        id: cell.node, state: cell.reporting == 0 ? .missing : .connected, gpus: cell.reporting)
      if cell.factory != "unassigned" {
        node.factory = cell.factory
        node.hall = cell.hall
        node.rack = cell.rack
        node.allocation = cell.allocation
      }
      if cell.reporting > 0 {
        node.lastTickUnixMilliseconds = Self.tickUnixMilliseconds
        node.skewMilliseconds = -3
        node.agentVersion = "9.8.7"
        node.address = "10.0.0.7"
      }
      return node
    }
    for index in nodes.indices where revoked.contains(nodes[index].id) {
      nodes[index].state = .revoked
      nodes[index].revokedUnixMilliseconds = Self.tickUnixMilliseconds
    }
    return nodes
  }

  public func createJoinTokens(_ request: JoinTokenRequest, by person: Operator) async throws -> [CreatedJoinToken] {
    try await pretend()
    return state.withLock { state in
      state.persons.append(person)
      return (0..<request.count).map { _ in
        let token = JoinTokenReport(
          id: "jt-\(state.tokens.count + 1)", state: .open, createdUnixMilliseconds: Self.tickUnixMilliseconds,
          expiresUnixMilliseconds: Self.tickUnixMilliseconds + request.lifeSeconds * 1000, usesTotal: request.uses,
          usesLeft: request.uses, nodePatterns: request.nodePatterns, comment: request.comment)
        state.tokens.append(token)
        return CreatedJoinToken(joinString: "bongsu1.secret-\(token.id)", token: token)
      }
    }
  }

  public func joinTokens() async throws -> [JoinTokenReport] {
    try await pretend()
    return state.withLock { $0.tokens }
  }

  public func revokeJoinToken(_ id: String, by person: Operator) async throws -> JoinTokenReport? {
    try await pretend()
    return state.withLock { state in
      guard let index = state.tokens.firstIndex(where: { $0.id == id }) else { return nil }
      state.persons.append(person)
      state.tokens[index].state = .revoked
      return state.tokens[index]
    }
  }

  public func revokeNode(_ name: String, by person: Operator) async throws -> NodeReport? {
    try await pretend()
    guard allNodes.contains(where: { $0.id == name }) else { return nil }
    state.withLock {
      $0.persons.append(person)
      _ = $0.revoked.insert(name)
    }
    return allNodes.first { $0.id == name }
  }

  public func export(_ request: ExportRequest, to body: (ExportedSeries) async throws -> Void) async throws {
    try await pretend()
    for gpu in 0..<2 {
      var start = request.startUnixMilliseconds
      while start <= request.endUnixMilliseconds {
        let end = min(start + 600_000, request.endUnixMilliseconds + 1)
        let samples = stride(from: start, to: end, by: 1000).map {
          ExportedSeries.Sample(unixMilliseconds: $0, value: 600.125 + Double(gpu))
        }
        try await body(
          ExportedSeries(
            name: "bongsu_gpu_power_watts", kind: .gauge,
            labels: [("gpu", "\(gpu)"), ("mig", "a\"b"), ("node", "r1,n1")], samples: samples))
        start = end
      }
    }
  }
}
