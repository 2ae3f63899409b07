import BongsuAPI
import BongsuReports
import FixtureAggregator
import Testing

/// Backups over HTTP: who may, and that the stream is whole, or visibly none.
@Suite struct BackupRouteTests {
  private struct Broken: Error {}

  private final class Source: BackupSource {
    private let breaks: Bool
    private let (begun, beginning) = AsyncStream.makeStream(of: Void.self)
    private let (open, opening) = AsyncStream.makeStream(of: Void.self)

    init(isOpen: Bool = true, breaks: Bool = false) {
      self.breaks = breaks
      if isOpen { opening.finish() }
    }

    func hasBegun() async { for await _ in begun { return } }
    func release() { opening.finish() }

    func backup(to body: ([UInt8]) async throws -> Void) async throws {
      try await body(Array("first,".utf8))
      beginning.yield()
      for await _ in open {}
      if breaks { throw Broken() }
      try await body(Array("last".utf8))
    }
  }

  private static let path = "/api/bongsu/v1/backup"

  @Test("it is for admins of the whole alone, and nothing is kept on the way")
  func rights() async throws {
    let tokens = FixtureTokens()
    try tokens.add("v", .viewer)
    try tokens.add("o", .operator)
    try tokens.add("a", .admin)
    try await withServer(APISources(live: FixtureAggregator(), tokens: tokens, backup: Source())) {
      port async throws in
      for (secret, status) in [("unknown", 401), ("v", 403), ("o", 403), ("a", 200)] {
        let answer = try await call(port, Self.path, headers: ["Authorization": "Bearer \(secret)"])
        #expect(answer.status == status, "\(secret): \(answer.body)")
      }
      let answer = try await call(port, Self.path)
      #expect(answer.status == 200 && answer.body == "first,last")
      #expect(answer.header("Content-Type") == "application/octet-stream")
      #expect(answer.header("Cache-Control") == "no-store")
      #expect(try await call(port, Self.path + "?part=keys").refusal?.code == "unknown_parameter")
      #expect(try await call(port, Self.path, method: "POST").status == 405)
    }
  }

  @Test("one at a time: a second one is refused while the first runs, and there can be one again afterwards")
  func oneAtATime() async throws {
    let source = Source(isOpen: false)
    try await withServer(APISources(live: FixtureAggregator(), backup: source)) { port async throws in
      async let first = call(port, Self.path)
      await source.hasBegun()
      let second = try await call(port, Self.path)
      #expect(second.refusal?.code == "busy" && second.refusal?.nextStep == "wait until it ends", "\(second.body)")
      source.release()
      #expect(try await first.body == "first,last")
      // The right goes back when the answer is let go, a moment after its last byte has come.
      var third = try await call(port, Self.path)
      for _ in 0..<1000 where third.refusal?.code == "busy" {
        try await Task.sleep(for: .milliseconds(20))
        third = try await call(port, Self.path)
      }
      #expect(third.body == "first,last")
    }
  }

  @Test("one that breaks off is no answer, since it is not ended as one that is whole")
  func brokenOff() async throws {
    try await withServer(APISources(live: FixtureAggregator(), backup: Source(breaks: true))) {
      port async throws -> Void in
      await #expect(throws: (any Error).self) { _ = try await call(port, Self.path) }
    }
  }

  @Test("without a data directory it says so")
  func notAvailable() async throws {
    try await withServer(APISources(live: FixtureAggregator())) { port async throws in
      let answer = try await call(port, Self.path)
      #expect(answer.status == 501 && answer.refusal?.code == "not_available")
    }
  }
}
