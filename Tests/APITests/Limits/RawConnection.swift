import Foundation
import NIOCore
import NIOPosix
import Synchronization

/// A connection on which a test says exactly what it wants, and reads only when it wants.
final class RawConnection: Sendable {
  private let channel: any Channel
  private let received: ReceivedText

  private init(_ channel: any Channel, _ received: ReceivedText) {
    self.channel = channel
    self.received = received
  }

  /// Connects to a port of loopback; `reads: false` leaves everything that comes in the kernel's buffers.
  static func open(_ port: Int, reads: Bool = true) async throws -> RawConnection {
    let received = ReceivedText()
    let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .channelOption(.autoRead, value: reads)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(Collector(received))
        }
      }
      .connect(host: "127.0.0.1", port: port).get()
    return RawConnection(channel, received)
  }

  func send(_ text: String) async throws { try await channel.writeAndFlush(ByteBuffer(string: text)).get() }

  func send(_ bytes: [UInt8]) async throws { try await channel.writeAndFlush(ByteBuffer(bytes: bytes)).get() }

  var text: String { received.text.withLock { String(decoding: $0, as: UTF8.self) } }

  /// Whether the other end has closed, which a connection that does not read learns by the next write only.
  var isClosed: Bool { !channel.isActive }

  func close() { channel.close(promise: nil) }

  /// What came within `seconds`, once it has `part` in it or the other end closed.
  func text(with part: String, within seconds: Double = 30) async throws -> String {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while ContinuousClock.now < deadline, !isClosed, !text.contains(part) {
      try await Task.sleep(for: .milliseconds(5))
    }
    return text
  }

  /// Waits for the other end to close; whether it did.
  func closes(within seconds: Double) async throws -> Bool {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while ContinuousClock.now < deadline, !isClosed { try await Task.sleep(for: .milliseconds(10)) }
    return isClosed
  }

  private final class ReceivedText: Sendable {
    let text = Mutex<[UInt8]>([])
  }

  private final class Collector: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer
    private let received: ReceivedText

    init(_ received: ReceivedText) { self.received = received }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      let bytes = unwrapInboundIn(data).readableBytesView
      received.text.withLock { $0 += bytes }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
  }
}
