internal import Hummingbird
internal import NIOCore

/// What Hummingbird keeps per request, and the address of the other end.
struct APIRequestContext: RequestContext {
  var coreContext: CoreRequestContextStorage
  /// Numeric address of the peer; `nil` where the transport has none.
  let peerAddress: String?

  init(source: ApplicationRequestContextSource) {
    coreContext = CoreRequestContextStorage(source: source)
    peerAddress = source.channel.remoteAddress?.ipAddress
  }
}
