import AsyncHTTPClient
import BongsuDelivery
import BongsuFleet
import BongsuModel
import BongsuWire

/// Asks one endpoint shortly before every tick and leaves the answer on the board.
///
///     tick     T-1 s                 T
///              ask ──▶ answer ──▶ board ──▶ row of T
///
/// An endpoint that takes longer than the lead gives the next row; one that does not answer within its timeout gives
/// absent values. Each endpoint has a task and a connection of its own, so that none waits for another.
final class EndpointPoller {
  private let endpoint: FacilityConfiguration.Endpoint
  private let number: Int
  private let client: EndpointClient
  private let board: ReadingBoard
  private let log: AgentLog
  private let intervalMilliseconds: Int64
  private var plan: RedfishWalk.Plan?
  private var failure: String?
  private var strangers: Set<String> = []

  /// How long before a tick it is asked.
  static func leadMilliseconds(_ interval: TickInterval) -> Int64 { min(1000, Int64(interval.milliseconds) / 2) }

  init(
    _ endpoint: FacilityConfiguration.Endpoint, number: Int, client: EndpointClient, board: ReadingBoard,
    interval: TickInterval, log: AgentLog
  ) {
    self.endpoint = endpoint
    self.number = number
    self.client = client
    self.board = board
    self.log = log
    intervalMilliseconds = Int64(interval.milliseconds)
  }

  /// Polls until the task is cancelled.
  func run() async {
    while !Task.isCancelled {
      let now = ClockReading.now()
      let lead = min(1000, intervalMilliseconds / 2)
      let phase = (now.unixMilliseconds + lead) % intervalMilliseconds
      try? await Task.sleep(for: .milliseconds(intervalMilliseconds - phase))
      guard !Task.isCancelled else { return }
      await pollOnce()
    }
  }

  /// Asks once and publishes what came of it.
  func pollOnce() async {
    let askedAt = ClockReading.now().boottimeMilliseconds
    do {
      let readings = try await read()
      board.publish(readings, of: number, askedAt: askedAt)
      if failure != nil { log.info("source", "\(endpoint.name) answers again") }
      failure = nil
    } catch {
      // What was found out about the service may be out of date.
      plan = nil
      let reason = "\(error)"
      board.fail(number, reason)
      if failure == nil {
        log.warning("source", "\(reason); the readings of \(endpoint.name) are absent until it does")
      }
      failure = reason
    }
  }

  private func read() async throws -> [NodeID: FacilityReading] {
    switch endpoint.kind {
    case .dcgm(let attribution): return try attribute(DCGMPage(try await page()), attribution)
    case .redfish(let node, let chassis, let wantsGPUs):
      let client = client
      let fetch: RedfishWalk.Fetch = { try await client.object($0) }
      let plan: RedfishWalk.Plan
      if let known = self.plan {
        plan = known
      } else {
        plan = try await RedfishWalk.plan(chassis: chassis, wantsGPUs: wantsGPUs, fetch)
        self.plan = plan
      }
      return [node: try await RedfishWalk.read(plan, fetch)]
    case .prometheus(let series): return try await read(series)
    }
  }

  private func page() async throws -> ExpositionText {
    let page = ExpositionText(parsing: try await client.text())
    guard !page.samples.isEmpty else {
      throw EndpointFailure(
        description: "\(client.base) answers with no page of metrics"
          + (page.firstBadLine.map { ", its first line is '\($0)'" } ?? ""))
    }
    return page
  }

  private func attribute(
    _ page: DCGMPage, _ attribution: FacilityConfiguration.Endpoint.Attribution
  ) throws -> [NodeID: FacilityReading] {
    guard page.lineCount > 0 else {
      throw EndpointFailure(description: "\(client.base) answers with no field of a GPU; is it a dcgm-exporter?")
    }
    switch attribution {
    case .node(let node):
      var all = FacilityReading()
      for reading in page.hosts.values { all.merge(reading) }
      return [node: all]
    case .hostNames(let pattern):
      var readings: [NodeID: FacilityReading] = [:]
      for (host, reading) in page.hosts {
        if pattern.matches(host), let node = NodeID(host) {
          readings[node] = reading
        } else if strangers.insert(host).inserted, strangers.count < 100 {
          log.warning("source", "\(endpoint.name) shows GPUs of host '\(host)', which is none of \(pattern); left out")
        }
      }
      return readings
    }
  }

  private func read(_ series: [SeriesMapping]) async throws -> [NodeID: FacilityReading] {
    var readings: [NodeID: FacilityReading] = [:]
    var page: ExpositionText?
    var problem: (any Error)?
    for mapping in series {
      do {
        let value: Double
        switch mapping.place {
        case .series:
          if page == nil { page = try await self.page() }
          value = try mapping.value(in: page ?? ExpositionText(parsing: ""))
        case .query(let query):
          value = try mapping.value(inAnswer: try await client.object("/api/v1/query", query: [("query", query)]))
        }
        if let reading = mapping.wire(value) {
          readings[mapping.node, default: FacilityReading()].node[mapping.metric] = reading
        }
      } catch {
        // One series that is missing does not cost the others.
        problem = problem ?? error
      }
    }
    if let problem {
      guard !readings.isEmpty else { throw problem }
      say("\(problem)")
    }
    return readings
  }

  private var said: Set<String> = []

  private func say(_ line: String) {
    if said.count < 100, said.insert(line).inserted { log.warning("source", "\(endpoint.name): \(line)") }
  }
}

extension FacilityReading {
  /// Takes over what `other` says.
  mutating func merge(_ other: FacilityReading) {
    node.merge(other.node) { $1 }
    for (key, gpu) in other.gpus {
      for (metric, value) in gpu.values { set(metric, value, gpu: key, index: gpu.index, model: gpu.model) }
    }
  }
}
