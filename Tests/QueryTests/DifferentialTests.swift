import BongsuQuery
import BongsuSeries
import Foundation
import QueryOracle
import Testing

/// The same samples for both sides: gauges with gaps and specials, counters with resets, classic histograms.
struct DifferentialData {
  static let start: Int64 = 1_600_000_000_000
  private(set) var series = MemorySeries()
  private(set) var openMetrics = ""
  private var random: SeededRandom

  init(seed: UInt64) {
    random = SeededRandom(seed: seed)
    var all: [(String, [(String, String)])] = [("s", [])]
    for a in ["x", "y", "z"] { for b in ["1", "2"] { all.append(("m", [("a", a), ("b", b)])) } }
    for a in ["w", "x", "y"] {
      all.append(("n", [("a", a)]))
      all.append(("n2", [("a", a), ("c", "k")]))
    }
    for a in ["x", "y"] {
      all.append(("c", [("a", a), ("job", "j")]))
      all.append(("c2", [("a", a), ("b", "1"), ("job", "j")]))
      for le in ["+Inf", "0.1", "0.5", "1", "5"] { all.append(("h_bucket", [("a", a), ("le", le)])) }
    }
    all.append(("dup1", [("a", "x")]))
    all.append(("dup2", [("a", "x")]))
    // In order of labels, so that both sides hand series over in the same order.
    let sets = all.map { name, labels in
      LabelSet(metricName: name, labels: labels.map { Label(name: $0.0, value: $0.1) })
    }
    for set in sets.sorted() { add(set) }
    openMetrics += "# EOF\n"
  }

  private mutating func add(_ labels: LabelSet) {
    let isCounter = labels.metricName.hasPrefix("c") || labels.metricName == "h_bucket"
    let interval: Int64 = random.pick([15_000, 30_000, 60_000])
    let jitter: Int64 = random.chance(0.3) ? 3_000 : 0
    var value = Double(Int.random(in: -20...60, using: &random)) / 4
    if isCounter { value = value.magnitude }
    let shape = Int.random(in: 0..<4, using: &random)
    var time = Self.start + Int64.random(in: 0...20_000, using: &random)
    while time < Self.start + 2_400_000 {
      if !random.chance(shape == 1 ? 0.2 : 0.02) {
        let sample =
          !isCounter && shape == 2 && random.chance(0.1) ? random.pick([Double.nan, .infinity, -.infinity, 0]) : value
        series.append(labels, timestamp: time, value: sample)
        let text = "\(labels)".replacing(", ", with: ",")
        openMetrics += "\(text) \(FloatText.plain(sample)) \(FloatText.plain(Double(time) / 1000))\n"
      }
      // A gap longer than the lookback.
      if random.chance(0.01) { time += 400_000 }
      time += interval + (jitter > 0 ? Int64.random(in: -jitter...jitter, using: &random) : 0)
      let change = Double(Int.random(in: isCounter ? 0...8 : -8...8, using: &random)) / 4
      value = isCounter && random.chance(0.04) ? 0 : value + change
    }
  }
}

@Suite("Differential", .serialized)
struct DifferentialTests {
  private static let querySeed = UInt64(ProcessInfo.processInfo.environment["BONGSU_SEED"] ?? "") ?? 2042
  private static let queryCount = Int(ProcessInfo.processInfo.environment["BONGSU_QUERIES"] ?? "") ?? 2000

  @Test(
    "random queries give the same series, values and errors as Prometheus over the same samples",
    .enabled(if: PrometheusServer.isInstalled, "needs prometheus and promtool in /usr/bin"))
  func agreesWithPrometheus() throws {
    print("differential: seed \(Self.querySeed), \(Self.queryCount) queries")
    let data = DifferentialData(seed: Self.querySeed)
    let server = try PrometheusServer(openMetrics: data.openMetrics)
    defer { server.stop() }
    var queries = RandomQuery(seed: Self.querySeed)
    var random = SeededRandom(seed: Self.querySeed &+ 1)
    let engine = QueryEngine()
    var (errors, filled) = (0, 0)
    for _ in 0..<Self.queryCount {
      let query = queries.next()
      let start = DifferentialData.start + Int64.random(in: 0...1500, using: &random) * 1000
      let step = random.pick([15_000, 30_000, 60_000, 7_000, 300_000] as [Int64])
      let end = start + Int64.random(in: 0...20, using: &random) * step
      let ours = Result { try engine.range(query, from: start, through: end, step: step, over: data.series) }
      let theirs = try server.client.range(query, start: start, end: end, step: step)
      if case .failure = theirs {
        errors += 1
      } else if case .success(let found) = theirs, !found.isEmpty {
        filled += 1
      }
      guard let difference = PrometheusClient.difference(ours, theirs) else { continue }
      // Prometheus adds in the order of a hash table; where its own answers differ there is nothing to agree with.
      let isUnstable = try (0..<8).contains { _ in
        let again = try server.client.range(query, start: start, end: end, step: step)
        return PrometheusClient.difference(ours, again) == nil
      }
      if !isUnstable { Issue.record("\(query)\nfrom \(start) through \(end) step \(step): \(difference)") }
    }
    print("differential: \(filled) with series, \(errors) with errors")
    #expect(filled > Self.queryCount / 3)
    #expect(errors > Self.queryCount / 50)
  }

  @Test(
    "format_query prints random expressions as Prometheus does",
    .enabled(if: PrometheusServer.isInstalled, "needs prometheus and promtool in /usr/bin"))
  func formatsAsPrometheus() throws {
    let server = try PrometheusServer(openMetrics: "s 1 1600000000\n# EOF\n")
    defer { server.stop() }
    var queries = RandomQuery(seed: Self.querySeed &+ 2)
    for _ in 0..<500 {
      let query = queries.next()
      guard let expression = try? Parser.parse(query) else { continue }
      let expected = try server.client.format(query)
      #expect(expected == expression.formatted, "\(query)")
    }
  }
}
