import BongsuReports
import Foundation
import Testing

@Suite struct CodingTests {
  @Test("power and energy beyond the range of exact doubles survive to the last digit")
  func exactIntegers() throws {
    var row = TopRow(id: "a", name: "가", depth: 2, parent: "p")
    row.measuredMilliwatts = 9_007_199_254_740_993
    row.estimatedMilliwatts = 1
    row.energyMillijoules = Int64.max
    row.utilizationPermilleSum = 1999
    row.utilizationSamples = 2
    row.gpusExpected = 3
    row.gpusReporting = 2
    row.gpusGranted = 7
    let json = try JSONEncoder().encode(row)
    let text = String(decoding: json, as: UTF8.self)
    #expect(text.contains("\"power_milliwatts\":9007199254740993"))
    #expect(text.contains("\"power_total_milliwatts\":9007199254740994"))
    #expect(text.contains("\"energy_millijoules\":9223372036854775807"))
    #expect(text.contains("\"utilization_ratio\":0.9995"))
    #expect(try JSONDecoder().decode(TopRow.self, from: json) == row)
  }

  @Test("what is unknown is null, never zero")
  func unknownIsNull() throws {
    let text = String(decoding: try JSONEncoder().encode(TopRow(id: "a", name: "a")), as: UTF8.self)
    for key in ["utilization_ratio", "energy_millijoules", "energy_joules", "coverage_ratio", "parent"] {
      #expect(text.contains("\"\(key)\":null"), "\(key) in \(text)")
    }
  }

  @Test("every ready state survives the way to JSON and back, an unknown one is refused")
  func readyStates() throws {
    let states: [ReadyState] = [.ready, .starting(reason: "replaying"), .degraded(reason: "disk full"), .stopping]
    for state in states {
      #expect(try JSONDecoder().decode(ReadyState.self, from: JSONEncoder().encode(state)) == state)
    }
    #expect(throws: DecodingError.self) {
      try JSONDecoder().decode(ReadyState.self, from: Data("{\"state\":\"asleep\"}".utf8))
    }
  }

  @Test("a join token request takes defaults for what is missing and names what is out of bounds")
  func joinTokenRequest() throws {
    let request = try JSONDecoder().decode(JoinTokenRequest.self, from: Data("{\"count\":3}".utf8))
    #expect(request == JoinTokenRequest(count: 3) && request.objection == nil)
    #expect(JoinTokenRequest(count: 0).objection == "count is 0; it must be 1 to 10000")
    #expect(JoinTokenRequest(uses: ReportLimits.joinTokenUsesMax + 1).objection?.hasPrefix("uses is 100001") == true)
    #expect(JoinTokenRequest(lifeSeconds: 0).objection?.hasPrefix("life_seconds is 0") == true)
    #expect(JoinTokenRequest(nodePatterns: [""]).objection?.hasPrefix("a node pattern has 0 bytes") == true)
    #expect(JoinTokenRequest(comment: String(repeating: "가", count: 86)).objection?.contains("258 bytes") == true)
  }
}
