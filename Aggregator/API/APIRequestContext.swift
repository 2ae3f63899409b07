internal import Hummingbird
internal import NIOCore

/// What Hummingbird keeps per request, and the address of the other end.
struct APIRequestContext: RequestContext {
  var coreContext: CoreRequestContextStorage
  /// Numeric address of the peer; `nil` where the transport has none.
  let peerAddress: String?
  /// The connection, for answers that watch over it.
  let channel: any Channel
  /// Whether the asker would be let in again now, with the same rights: for answers that last longer than a token may.
  var isStillAdmitted: @Sendable () -> Bool = { true }

  init(source: ApplicationRequestContextSource) {
    coreContext = CoreRequestContextStorage(source: source)
    channel = source.channel
    peerAddress = source.channel.remoteAddress?.ipAddress
  }
}
