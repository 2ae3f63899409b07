import BongsuTestKit
import Foundation
import Testing

@Suite("an agent's day")
struct AgentDayTests {
  @Test("24 simulated hours with outages, lost GPUs, errors, maintenance: memory, descriptors and threads stay flat")
  func flat() async throws {
    let folder = try TemporaryDirectory()
    let day = try RunningProgram("bongsu-drill", ["day", "--work", folder.path, "--hours", "24"])
    let ended = try #require(try await day.ended(within: 400), "\(day.output)")
    #expect(ended.status == 0 && ended.output.contains("flat: 86400 rows"), "\(ended.output)\(ended.errors)")
  }
}
