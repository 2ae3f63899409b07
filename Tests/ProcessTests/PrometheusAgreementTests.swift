import BongsuSeries
import BongsuTestKit
import Foundation
import Glibc
import QueryOracle
import Testing

/// The aggregator's answers over HTTP against those of a real Prometheus that holds the same samples.
@Suite("agreement with Prometheus over HTTP", .serialized)
struct PrometheusAgreementTests {
  private static let seed = UInt64(ProcessInfo.processInfo.environment["BONGSU_SEED"] ?? "") ?? 2042
  private static let queries = Int(ProcessInfo.processInfo.environment["BONGSU_QUERIES"] ?? "") ?? 2000
  /// Of these seconds of data queries see the first ones; the rest is room for offsets into the future.
  private static let seconds: Int64 = 90

  @Test(
    "what is exported and loaded into Prometheus gives the same answers there, errors included",
    .enabled(if: PrometheusServer.isInstalled, "needs prometheus and promtool in /usr/bin"))
  func agrees() async throws {
    let nation = try RunningNation(nodes: 3)
    var first: Int64?
    let isThere = try await eventually(within: 120) {
      let asked = try await nation.bongsu(
        "query", "min(timestamp(bongsu_gpu_power_watts)) and count(bongsu_gpu_power_watts) > 11", "--format", "csv")
      first = asked.output.split(separator: "\r\n").last?.split(separator: ",").last.flatMap { Double($0) }
        .map { Int64($0) }
      return first != nil
    }
    try #require(isThere, "\(nation.log)")
    let start = try #require(first) + 1
    let end = start + Self.seconds
    try await Task.sleep(for: .seconds(max(0, Double(end) + 5 - Date().timeIntervalSince1970)))
    // From before the first sample on, so that both sides know the same past.
    let exported = try await nation.bongsu(
      "export", "--match", "{__name__=~\"bongsu_gpu_.*\"}", "--start", "\(start - 120)", "--end", "\(end)")
    try #require(exported.status == 0, "\(exported.errors)")
    let url = nation.url
    let (seed, queries) = (Self.seed, Self.queries)
    let (faults, filled, errors) = try await Task.detached {
      let server = try PrometheusServer(openMetrics: exported.output)
      defer { server.stop() }
      return try Self.compare(
        PrometheusClient(address: url), server.client, from: start, seed: seed, queries: queries)
    }.value
    print("agreement over HTTP: seed \(seed), \(queries) queries, \(filled) with series, \(errors) with errors")
    #expect(faults.isEmpty, "\(faults.prefix(20).joined(separator: "\n"))")
    #expect(filled > queries / 3 && errors > queries / 50)
    nation.fleet.send(SIGTERM)
    nation.aggregator.terminate()
  }

  /// Asks both sides; blocks its thread.
  private static func compare(
    _ ours: PrometheusClient, _ theirs: PrometheusClient, from start: Int64, seed: UInt64, queries: Int
  ) throws -> (faults: [String], filled: Int, errors: Int) {
    var generator = RandomQuery(seed: seed, vocabulary: vocabulary(from: start))
    var random = QueryOracle.SeededRandom(seed: seed &+ 1)
    var faults: [String] = []
    var (filled, errors) = (0, 0)
    for number in 0..<queries {
      let query = generator.next()
      let from = (start + Int64.random(in: 0...25, using: &random)) * 1000 + random.pick([0, 0, 250])
      let step = random.pick([1000, 2000, 700, 5000] as [Int64])
      let through = from + Int64.random(in: 0...8, using: &random) * step
      func ask(_ client: PrometheusClient) throws -> PrometheusClient.Answer {
        number % 5 == 0
          ? try client.instant(query, at: from) : try client.range(query, start: from, end: through, step: step)
      }
      let expected = try ask(theirs)
      if case .success(let found) = expected { filled += found.isEmpty ? 0 : 1 } else { errors += 1 }
      guard let difference = PrometheusClient.difference(try ask(ours), expected) else { continue }
      // Prometheus adds in the order of a hash table; where its own answers differ there is nothing to agree with.
      let isUnstable = try (0..<8).contains { _ in
        PrometheusClient.difference(try ask(ours), try ask(theirs)) == nil
      }
      if !isUnstable { faults.append("\(query)\nfrom \(from) through \(through) step \(step): \(difference)") }
    }
    return (faults, filled, errors)
  }

  private static func vocabulary(from start: Int64) -> QueryVocabulary {
    var words = QueryVocabulary()
    words.metrics = [
      "bongsu_gpu_power_watts", "bongsu_gpu_utilization_ratio", "bongsu_gpu_temperature_celsius",
      "bongsu_gpu_energy_joules_total", "bongsu_gpu_memory_used_bytes", "bongsu_gpu_clock_event_reasons", "nope",
    ]
    // Counters of millijoules: no two GPUs have the same.
    words.rankable = ["bongsu_gpu_energy_joules_total"]
    words.buckets = "bongsu_gpu_energy_joules_total"
    words.single = "bongsu_gpu_power_watts{gpu=\"0\"}"
    words.namePatterns = ["bongsu_gpu_power_watts", "bongsu_gpu_(power|utilization)_.*", "bongsu_gpu_temp.*"]
    words.label = "gpu"
    words.second = "nation"
    words.others = ["hall", "model", "node"]
    words.secondValue = "kr"
    words.patterns = ["0", "1", "0|1", ".*", "[01]", "0.*", "", "7?", "(?i:0)"]
    words.ranges = ["5s", "10s", "30s", "2s", "1500ms", "1m", "61s", "20s"]
    // Forward no further than there is data.
    words.offsets = ["5s", "10s", "1s", "15s", "2500ms"]
    words.subqueries = ["10s", "20s", "5s"]
    words.subquerySteps = ["1s", "2s", "3s", "5s"]
    words.firstInstant = Int(start)
    words.instantSpan = 40
    return words
  }
}
