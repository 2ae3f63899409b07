internal import HummingbirdCore
internal import Logging
internal import NIOCore
internal import Synchronization

/// HTTP/1 as Hummingbird serves it, safe against a stop between accepting a connection and serving it.
struct AcceptedConnections: ServerChildChannel {
  let http: HTTP1Channel

  func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<AcceptedConnection> {
    http.setup(channel: channel, logger: logger).map(AcceptedConnection.init)
  }

  func handle(value: AcceptedConnection, logger: Logger) async {
    guard let connection = value.take() else { return }
    await http.handle(value: connection, logger: logger)
  }
}

/// A connection until it is served: closed when nobody takes it.
///
/// A server that is stopped drops what it accepted and did not serve yet, and NIO stops the process when the writer of
/// such a connection was never finished (`NIOAsyncWriter`). Whoever connects at the moment of a stop would end the
/// aggregator by a trap, while its journal is being closed.
final class AcceptedConnection: ServerChildChannelValue {
  let channel: any Channel
  private let waiting: Mutex<HTTP1Channel.Value?>

  init(_ connection: HTTP1Channel.Value) {
    channel = connection.channel
    waiting = Mutex(connection)
  }

  /// The connection, to the first who asks.
  func take() -> HTTP1Channel.Value? {
    waiting.withLock { connection in
      defer { connection = nil }
      return connection
    }
  }

  deinit {
    guard let connection = take() else { return }
    Task { try? await connection.executeThenClose { _, _ in } }
  }
}
