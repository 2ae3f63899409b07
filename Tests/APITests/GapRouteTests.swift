import BongsuAPI
import BongsuReports
import FixtureAggregator
import Testing

@Suite struct GapRouteTests {
  @Test("gaps are answered for a node, a factory or an allocation and a time")
  func gaps() async throws {
    let fixture = FixtureAggregator()
    try await withServer(APISources(live: fixture, gaps: fixture)) { port async throws in
      let time = "start=2026-11-21T09:00:00Z&end=2026-11-21T10:00:00Z"
      let all = try await call(port, "/api/bongsu/v1/gaps?\(time)").json(GapList.self)
      #expect(all.matched == 2 && all.damaged == 1 && all.gaps.map(\.reason) == ["agent_restart", "new_stream"])
      #expect(all.gaps[0].rows == 30 && all.gaps[1].firstTickUnixMilliseconds == nil)
      for filter in ["node=naver-sejong-r2-5", "factory=naver-sejong", "allocation=naver"] {
        let some = try await call(port, "/api/bongsu/v1/gaps?\(time)&\(filter)").json(GapList.self)
        #expect(some.gaps == [all.gaps[0]], "\(filter)")
      }
      let late = try await call(port, "/api/bongsu/v1/gaps?start=2026-11-21T09:29:30Z").json(GapList.self)
      #expect(late.gaps.map(\.node) == ["stray-01"])
      let cut = try await call(port, "/api/bongsu/v1/gaps?\(time)&limit=1").json(GapList.self)
      #expect(cut.matched == 2 && cut.gaps == [all.gaps[1]])
    }
  }

  @Test(
    "what cannot be asked is refused by name",
    arguments: [
      ("start=noon", "bad_parameter", "start is \"noon\""), ("end=-1", "bad_parameter", "end is \"-1\""),
      ("start=2&end=1", "bad_parameter", "end lies before start"), ("limit=0", "bad_parameter", "limit is \"0\""),
      ("limit=100001", "bad_parameter", "limit is \"100001\""),
      ("rack=r1", "unknown_parameter", "no parameter \"rack\" here"),
      ("node=a&node=b", "unknown_parameter", "parameter node is given twice"),
    ])
  func refused(query: String, code: String, message: String) async throws {
    let fixture = FixtureAggregator()
    try await withServer(APISources(live: fixture, gaps: fixture)) { port async throws in
      let answer = try await call(port, "/api/bongsu/v1/gaps?\(query)")
      #expect(answer.status == 400 && answer.refusal?.code == code && answer.refusal?.message == message)
    }
  }

  @Test("an aggregator without the record says so")
  func notAvailable() async throws {
    try await withServer(APISources(live: FixtureAggregator())) { port async throws in
      #expect(try await call(port, "/api/bongsu/v1/gaps").refusal?.code == "not_available")
    }
  }
}
