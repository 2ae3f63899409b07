import BongsuAPI
import BongsuReports
import FixtureAggregator
import Testing

@Suite struct ReportRouteTests {
  private static let path = "/api/bongsu/v1/report"

  @Test("an account comes as it was signed, to the byte, and the key beside it is the one that signed")
  func account() async throws {
    let reports = FixtureReports()
    try await withServer(APISources(live: FixtureAggregator(), reports: reports)) { port async throws in
      let answer = try await call(port, "\(Self.path)?allocation=msit/naver-hosted&month=2026-10")
      #expect(answer.status == 200)
      let signed = try SignedReport(document: Array(answer.body.utf8))
      #expect(signed.report == FixtureReports.report())
      let key = try await call(port, "\(Self.path)/key").json(ReportKeyReport.self)
      #expect(key.algorithm == "Ed25519" && key.fingerprint == reports.key.fingerprint)
      try signed.check(signedBy: try #require(ReportKey(key.key)))
    }
  }

  @Test(
    "what cannot be asked is refused by name",
    arguments: [
      ("", "bad_parameter", "an account is of one allocation or of one factory"),
      ("allocation=a&factory=b", "bad_parameter", "an account is of one allocation or of one factory"),
      ("allocation=msit/naver-hosted&month=2026-13", "bad_parameter", "month is \"2026-13\""),
      ("allocation=msit/naver-hosted&month=October", "bad_parameter", "month is \"October\""),
      ("factory=nowhere", "unknown_name", "no factory is called \"nowhere\""),
      ("allocation=msit/naver-hosted&rack=r1", "unknown_parameter", "no parameter \"rack\" here"),
    ])
  func refused(query: String, code: String, message: String) async throws {
    try await withServer(APISources(live: FixtureAggregator(), reports: FixtureReports())) { port async throws in
      let answer = try await call(port, "\(Self.path)?\(query)")
      #expect(answer.status == 400 && answer.refusal?.code == code && answer.refusal?.message == message)
    }
  }

  @Test("an aggregator without stored history says so")
  func notAvailable() async throws {
    try await withServer(APISources(live: FixtureAggregator())) { port async throws in
      #expect(try await call(port, "\(Self.path)?factory=f").refusal?.code == "not_available")
      #expect(try await call(port, "\(Self.path)/key").refusal?.code == "not_available")
    }
  }
}
