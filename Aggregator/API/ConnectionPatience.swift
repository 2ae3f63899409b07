internal import NIOCore
internal import NIOHTTPTypes

/// Closes connections whose other end holds them without going on: one that sends a request's body drop by drop, and one
/// that does not read its answer. Tells queries when whoever asked has gone. Heads of requests and idle connections are the server's own idle timeout's business.
///
/// Thread rule: the event loop of its channel.
final class ConnectionPatience: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPRequestPart
  typealias InboundOut = HTTPRequestPart
  typealias OutboundIn = HTTPResponsePart
  typealias OutboundOut = HTTPResponsePart

  private let patience: APIConfiguration.Patience
  /// Told when the other end has gone.
  let hangUp = HangUp()
  private var receiving: Scheduled<Void>?
  private var sending: Scheduled<Void>?

  init(_ patience: APIConfiguration.Patience) {
    self.patience = patience
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .head:
      receiving?.cancel()
      receiving = close(context.channel, after: patience.body)
    case .body: break
    case .end:
      receiving?.cancel()
      receiving = nil
    }
    context.fireChannelRead(data)
  }

  /// The channel is not writable while more than its high-water mark waits for the other end to read.
  func channelWritabilityChanged(context: ChannelHandlerContext) {
    sending?.cancel()
    sending = context.channel.isWritable ? nil : close(context.channel, after: patience.stall)
    context.fireChannelWritabilityChanged()
  }

  /// Whoever has closed its side for sending is taken to have gone, as Go's servers do.
  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if let event = event as? ChannelEvent, event == .inputClosed { hangUp.tell() }
    context.fireUserInboundEventTriggered(event)
  }

  func channelInactive(context: ChannelHandlerContext) {
    stop()
    hangUp.tell()
    context.fireChannelInactive()
  }

  func handlerRemoved(context: ChannelHandlerContext) { stop() }

  private func stop() {
    receiving?.cancel()
    sending?.cancel()
    receiving = nil
    sending = nil
  }

  private func close(_ channel: any Channel, after time: Duration) -> Scheduled<Void> {
    channel.eventLoop.scheduleTask(in: TimeAmount(time)) { channel.close(promise: nil) }
  }
}
