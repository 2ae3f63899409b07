import BongsuTestKit
import Foundation
import Testing

/// The course of a meter's demand as charts ask a running aggregator for it.
@Suite("demand of meters over the last minutes")
struct DemandProcessTests {
  private static let forecast = "meter:bongsu_demand_watts:forecast15m"

  @Test(
    "ranges have a value each second, functions of time see them, and an instant is the newest", .timeLimit(.minutes(5))
  )
  func course() async throws {
    let nation = try RunningNation(nodes: 12)
    let hasCourse = try await eventually(within: 120) { Self.values(nation.url, Self.forecast, last: 60).count >= 10 }
    try #require(hasCourse, "\(nation.log)")
    // Of one meter, so that all answers speak of the same series.
    let meters = Self.series(nation.url, Self.forecast, last: 60).compactMap { $0["metric"] as? [String: String] }
    let meter = try #require(meters.compactMap { $0["meter"] }.min())
    let name = "\(Self.forecast){meter=\"\(meter)\"}"
    let end = Int(Date().timeIntervalSince1970) - 3
    let range = Self.values(nation.url, name, from: end - 5, through: end)
    #expect(range.keys.sorted() == Array(end - 5...end), "\(range)")
    #expect(range.values.allSatisfy { $0 > 0 })
    #expect(Set(range.values).count > 1, "the forecast moves: \(range)")
    // Both ends of a range belong to it.
    let most = Self.values(nation.url, "max_over_time(\(name)[5s])", from: end, through: end)
    #expect(most[end] == range.values.max())
    let counted = Self.values(nation.url, "count_over_time(\(name)[5s])", from: end, through: end)
    #expect(counted[end] == 6)
    // The same instant, asked for alone.
    let instant = Self.json("\(nation.url)/api/v1/query?query=\(Self.escaped(name))&time=\(end)")
    let result = (instant["data"] as? [String: Any])?["result"] as? [[String: Any]]
    #expect((result?.first?["value"] as? [Any])?.last.flatMap { "\($0)" }.flatMap(Double.init) == range[end])
    let share = Self.values(nation.url, "\(Self.forecast) / meter:bongsu_contract_power_watts:limit", last: 30)
    #expect(share.count >= 5, "what the alert of the contract compares has a course")
    nation.fleet.send(SIGTERM)
    nation.aggregator.terminate()
    #expect(try await nation.aggregator.ended(within: 60)?.status == 0)
  }

  /// The first series of an answer by second, single points apart.
  private static func values(_ url: String, _ query: String, last seconds: Int) -> [Int: Double] {
    let now = Int(Date().timeIntervalSince1970)
    return values(url, query, from: now - seconds, through: now)
  }

  private static func values(_ url: String, _ query: String, from: Int, through: Int) -> [Int: Double] {
    let values = series(url, query, from: from, through: through).first?["values"] as? [[Any]] ?? []
    return Dictionary(
      values.compactMap { pair in
        guard let time = pair.first as? Double, let value = (pair.last as? String).flatMap(Double.init) else {
          return nil
        }
        return (Int(time), value)
      }
    ) { first, _ in first }
  }

  private static func series(_ url: String, _ query: String, last seconds: Int) -> [[String: Any]] {
    let now = Int(Date().timeIntervalSince1970)
    return series(url, query, from: now - seconds, through: now)
  }

  private static func series(_ url: String, _ query: String, from: Int, through: Int) -> [[String: Any]] {
    let answer = json("\(url)/api/v1/query_range?query=\(escaped(query))&start=\(from)&end=\(through)&step=1")
    return (answer["data"] as? [String: Any])?["result"] as? [[String: Any]] ?? []
  }

  private static func escaped(_ query: String) -> String {
    query.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? query
  }

  private static func json(_ url: String) -> [String: Any] {
    let text = shellOutput("curl -s '\(url)'") ?? ""
    return (try? JSONSerialization.jsonObject(with: Data(text.utf8))) as? [String: Any] ?? [:]
  }
}
