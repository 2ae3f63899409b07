import BongsuAPI
import BongsuReports
import FixtureAggregator
import Foundation
import Testing

@Suite struct StateRouteTests {
  @Test("status tells the whole report, exact beyond the range of exact doubles")
  func status() async throws {
    let fixture = FixtureAggregator()
    let expected = try await fixture.status()
    try await withServer(APISources(live: fixture)) { port async throws in
      let answer = try await call(port, "/api/bongsu/v1/status")
      #expect(answer.status == 200)
      #expect(answer.header("Content-Type") == "application/json; charset=utf-8")
      #expect(answer.body.contains("\"samples_total\":9007199254740993"))
      #expect(try answer.json(StatusReport.self) == expected)
    }
  }

  @Test("every level answers, largest power first, with the tick it is true for", arguments: TopLevel.allCases)
  func levels(level: TopLevel) async throws {
    try await withServer(APISources(live: FixtureAggregator())) { port async throws in
      let answer = try await call(port, "/api/bongsu/v1/top/\(level.rawValue)")
      let report = try answer.json(TopReport.self)
      #expect(report.level == level && report.order == .power)
      #expect(report.closedTickUnixMilliseconds == FixtureAggregator.tickUnixMilliseconds)
      #expect(!report.rows.isEmpty && report.matched == report.rows.count)
      if level != .allocations {
        let power = report.rows.map(\.totalMilliwatts)
        #expect(power == power.sorted(by: >))
      }
    }
  }

  @Test("factories, top-level allocations and the nation add up to the same milliwatt through HTTP")
  func sumsAgree() async throws {
    try await withServer(APISources(live: FixtureAggregator())) { port async throws in
      let nation = try await call(port, "/api/bongsu/v1/top/nation").json(TopReport.self)
      let factories = try await call(port, "/api/bongsu/v1/top/factories").json(TopReport.self)
      let allocations = try await call(port, "/api/bongsu/v1/top/allocations").json(TopReport.self)
      let total = try #require(nation.rows.first).measuredMilliwatts
      #expect(total == 3_000_023_900_005)
      #expect(factories.rows.reduce(0) { $0 + $1.measuredMilliwatts } == total)
      #expect(allocations.rows.filter { $0.depth == 0 }.reduce(0) { $0 + $1.measuredMilliwatts } == total)
    }
  }

  @Test("a filter, an order and a limit reach the source and the sorting")
  func parameters() async throws {
    try await withServer(APISources(live: FixtureAggregator())) { port async throws in
      let byUse = try await call(port, "/api/bongsu/v1/top/racks?by=utilization&limit=2").json(TopReport.self)
      #expect(byUse.rows.map(\.name) == ["r2", "r3"] && byUse.matched == 5)
      let share = try await call(port, "/api/bongsu/v1/top/factories?allocation=msit").json(TopReport.self)
      #expect(share.rows.map(\.measuredMilliwatts) == [5_600_001, 0])
      let hall = try await call(port, "/api/bongsu/v1/top/racks?hall=naver-sejong%2Fhall-1").json(TopReport.self)
      #expect(hall.rows.map(\.name) == ["r2", "r1"])
      let tree = try await call(port, "/api/bongsu/v1/top/allocations?by=power").json(TopReport.self)
      #expect(tree.rows.map(\.id) == ["sk", "naver", "msit", "msit/naver-hosted", "msit/sk-hosted", "unassigned"])
    }
  }

  @Test(
    "what top cannot be asked is refused by name",
    arguments: [
      ("/top/planets", "bad_parameter", "no level is called \"planets\""),
      ("/top/", "unknown_address", "nothing is at /api/bongsu/v1/top/"),
      ("/top/factories?by=colour", "bad_parameter", "by is \"colour\""),
      ("/top/factories?limit=0", "bad_parameter", "limit is \"0\""),
      ("/top/factories?limit=10001", "bad_parameter", "limit is \"10001\""),
      ("/top/factories?limit=1e3", "bad_parameter", "limit is \"1e3\""),
      ("/top/factories?limit=99999999999999999999", "bad_parameter", "limit is \"99999999999999999999\""),
      ("/top/factories?limt=5", "unknown_parameter", "no parameter \"limt\" here"),
      ("/top/factories?by=power&by=energy", "unknown_parameter", "parameter by is given twice"),
      (
        "/top/factories?factory=atlantis", "unknown_name",
        "no factory is called \"atlantis\"; known are naver-sejong, sk-ulsan"
      ),
      ("/top/factories?node=r1", "bad_parameter", "node narrows the levels nodes and gpus, not factories"),
      ("/top/factories?factory=%ff", "bad_parameter", "a query parameter is not UTF-8"),
      (
        "/top/factories?factory=%22%0a", "unknown_name",
        "no factory is called \"\\\"\\n\"; known are naver-sejong, sk-ulsan"
      ),
      ("/nodes?state=asleep", "bad_parameter", "state is \"asleep\""),
      ("/nodes?unassigned=yes", "bad_parameter", "unassigned is \"yes\""),
      ("/nodes/nobody", "not_found", "no node is called \"nobody\""),
      ("/status?x=1", "unknown_parameter", "no parameter \"x\" here"),
      ("/statu", "unknown_address", "nothing is at /api/bongsu/v1/statu"),
    ])
  func refusals(path: String, code: String, message: String) async throws {
    try await withServer(APISources(live: FixtureAggregator())) { port async throws in
      let answer = try await call(port, "/api/bongsu/v1" + path)
      let refusal = try #require(answer.refusal, "\(answer.body)")
      #expect(refusal.code == code && refusal.message == message && !refusal.nextStep.isEmpty)
      #expect(answer.status == APIErrorCode(rawValue: code)?.statusCode)
    }
  }

  @Test("nodes are listed by name and narrowed by state, factory and unassigned")
  func nodes() async throws {
    try await withServer(APISources(live: FixtureAggregator())) { port async throws in
      let all = try await call(port, "/api/bongsu/v1/nodes").json(NodeList.self)
      #expect(all.matched == 6 && all.nodes.map(\.id) == all.nodes.map(\.id).sorted())
      let missing = try await call(port, "/api/bongsu/v1/nodes?state=missing").json(NodeList.self)
      #expect(missing.nodes.map(\.allocation) == ["msit/sk-hosted"])
      let stray = try await call(port, "/api/bongsu/v1/nodes?unassigned=true").json(NodeList.self)
      #expect(stray.nodes.map(\.id) == ["stray-01"])
      let cut = try await call(port, "/api/bongsu/v1/nodes?limit=2").json(NodeList.self)
      #expect(cut.matched == 6 && cut.nodes.count == 2)
      let one = try await call(port, "/api/bongsu/v1/nodes/stray-01").json(NodeReport.self)
      #expect(one.id == "stray-01" && one.factory == nil)
    }
  }

  @Test("a failure of ours is told as such, without its text, and the next request works")
  func internalFailure() async throws {
    struct Secret: Error { let text = "password123" }
    let fixture = FixtureAggregator()
    try await withServer(APISources(live: fixture)) { port async throws in
      fixture.setFailure(Secret())
      let failed = try await call(port, "/api/bongsu/v1/status")
      #expect(
        failed.status == 500 && failed.refusal?.code == "internal_failure" && !failed.body.contains("password123"))
      fixture.setFailure(nil)
      #expect(try await call(port, "/api/bongsu/v1/status").status == 200)
    }
  }

  @Test("the error catalogue's words and statuses stand still")
  func catalogue() {
    let words = APIErrorCode.allCases.map { "\($0.rawValue) \($0.statusCode)" }
    #expect(
      words == [
        "bad_parameter 400", "unknown_parameter 400", "unknown_name 400", "bad_body 400", "body_too_large 413",
        "unauthenticated 401", "forbidden 403", "unknown_address 404", "method_not_allowed 405", "not_found 404",
        "not_available 501", "not_ready 503", "busy 503", "timed_out 504", "internal_failure 500",
      ])
  }
}
