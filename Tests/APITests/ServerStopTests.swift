import FixtureAggregator
import NIOCore
import NIOPosix
import Testing

@testable import BongsuAPI

@Suite struct ServerStopTests {
  /// NIO ends the process by a trap when such a connection is dropped unfinished; see ``AcceptedConnection``.
  @Test("connections that arrive at the moment of a stop are closed, and the process goes on")
  func stopWhileAccepting() async throws {
    let fixture = FixtureAggregator()
    for _ in 0..<100 {
      let arriving = try await withServer(APISources(live: fixture)) { port async in
        (0..<16).map { _ in
          ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton).connect(host: "127.0.0.1", port: port)
        }
      }
      for connection in arriving {
        // Refused or accepted, both are right; what was accepted comes to an end by the server.
        guard let channel = try? await connection.get() else { continue }
        try await channel.closeFuture.get()
      }
    }
  }
}
