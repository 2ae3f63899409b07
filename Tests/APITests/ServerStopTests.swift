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
        #expect(await Self.isClosed(channel, within: .seconds(30)))
      }
    }
  }

  /// Whether the other end closes `channel` in time. It is closed in any case.
  ///
  /// A byte is sent first: a listener that closes while the last packet of a handshake arrives drops the connection without
  /// a word, and only who sends something is told (seen with Linux 6; the kernel then has no socket for the other end).
  private static func isClosed(_ channel: any Channel, within limit: TimeAmount) async -> Bool {
    let late = channel.eventLoop.scheduleTask(in: limit) { channel.close(promise: nil) }
    try? await channel.writeAndFlush(ByteBuffer(string: "G"))
    try? await channel.closeFuture.get()
    late.cancel()
    // What was cancelled did not have to close it.
    do { try await late.futureResult.get() } catch { return true }
    return false
  }
}
