internal import BongsuReports
internal import Foundation
internal import NIOCore

/// What a doctor's visit found out before anything is judged.
struct DoctorFacts: Sendable {
  /// An answer, or why there is none.
  enum Answer<Value: Sendable>: Sendable {
    case known(Value)
    case unknown(String)

    var value: Value? {
      if case .known(let value) = self { return value }
      return nil
    }
  }

  var version: String
  var address: String
  var nowUnixMilliseconds: Int64
  var status: Answer<StatusReport>
  /// Clock of the aggregator minus the clock here, milliseconds, and how long the answer took.
  var clockOffsetMilliseconds: Int64?
  var roundTripMilliseconds: Int64
  var nodes: Answer<NodeList>
  var storage: Answer<StorageReport>
  var alerts: Answer<AlertList>
  var tokens: Answer<AccessTokenList>
  /// Seconds since 1970; `nil` inside when the aggregator serves without encryption.
  var certificateExpirySeconds: Answer<Double?>

  /// Asks the aggregator; whatever fails is noted, nothing is thrown.
  static func gather(_ client: AggregatorClient) async -> DoctorFacts {
    let before = now()
    let status = await answer { try await client.get("/api/bongsu/v1/status", as: StatusReport.self).value }
    let after = now()
    var facts = DoctorFacts(
      version: Release.version, address: client.address, nowUnixMilliseconds: after, status: status,
      roundTripMilliseconds: after - before, nodes: .unknown(unreachable), storage: .unknown(unreachable),
      alerts: .unknown(unreachable), tokens: .unknown(unreachable), certificateExpirySeconds: .unknown(unreachable))
    guard let report = status.value else { return facts }
    if let tick = report.closedTickUnixMilliseconds, let lag = report.lagMilliseconds {
      facts.clockOffsetMilliseconds = tick + lag - (before + after) / 2
    }
    facts.nodes = await answer {
      try await client.get("/api/bongsu/v1/nodes", [("limit", String(ReportLimits.nodeRowsMax))], as: NodeList.self)
        .value
    }
    facts.storage = await answer { try await client.get("/api/bongsu/v1/storage", as: StorageReport.self).value }
    facts.alerts = await answer { try await client.get("/api/bongsu/v1/alerts", as: AlertList.self).value }
    facts.tokens = await answer { try await client.get("/api/bongsu/v1/tokens", as: AccessTokenList.self).value }
    facts.certificateExpirySeconds = await answer { try await certificateExpiry(client) }
    return facts
  }

  private static let unreachable = "the aggregator does not answer"

  private static func now() -> Int64 { Int64(Date().timeIntervalSince1970 * 1000) }

  private static func answer<Value: Sendable>(_ ask: () async throws -> Value) async -> Answer<Value> {
    do { return .known(try await ask()) } catch { return .unknown("\(error)") }
  }

  /// The aggregator tells it as a metric of its own.
  private static func certificateExpiry(_ client: AggregatorClient) async throws -> Double? {
    var text = Data()
    try await client.stream("/metrics", []) { text.append(contentsOf: $0.readableBytesView) }
    return expiry(inMetrics: String(decoding: text, as: UTF8.self))
  }

  /// The expiry in the text of `/metrics`; `nil` when it has none.
  static func expiry(inMetrics text: String) -> Double? {
    let name = "bongsu_http_certificate_expiry_timestamp_seconds "
    guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix(name) }) else { return nil }
    return line.dropFirst(name.count).split(separator: " ").first.flatMap { Double($0) }
  }
}
