import BongsuReports
import Foundation
import Testing

@Suite struct AlertListTests {
  private static func list(_ port: Int, _ query: String = "") async throws -> AlertList {
    let answer = try await call(port, "/api/bongsu/v1/alerts\(query)")
    return try JSONDecoder().decode(AlertList.self, from: Data(answer.body.utf8))
  }

  @Test("a limit cuts the list, never the numbers of each rule")
  func counts() async throws {
    try await ScopedWorld(hasOthers: true).serve { port async throws in
      let all = try await Self.list(port)
      let byRule = try #require(all.byRule)
      #expect(all.alerts.count > 2 && all.matched == all.alerts.count)
      #expect(byRule.reduce(0) { $0 + $1.firing + $1.pending } == all.matched)
      for rule in byRule {
        let own = all.alerts.filter { $0.name == rule.name && $0.labels["severity"] ?? "" == rule.severity }
        #expect(own.filter { $0.state == "firing" }.count == rule.firing, "\(rule)")
        #expect(own.filter { $0.state == "pending" }.count == rule.pending, "\(rule)")
      }
      let cut = try await Self.list(port, "?limit=2")
      #expect(cut.alerts.count == 2 && cut.matched == all.matched && cut.byRule == byRule)
    }
  }
}
