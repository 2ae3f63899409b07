/// The bounds of the transport. Values outside are refused with `TransportError.outOfRange` before libzmq sees them.
public enum TransportLimits {
  /// Whole messages queued per peer and direction. libzmq's default of 1000 at 65,000 peers and 2 KB would be 130 GB.
  public static let highWaterMarkMax = 1000
  /// Bytes of one message. A peer that announces more is disconnected before memory is taken for it.
  public static let messageBytesMax = 64 << 20
  /// ZAP domains and user ids, in bytes; both are short names.
  public static let nameBytesMax = 255
  /// The longest timeout libzmq holds in an `Int32` of milliseconds that we accept: a day.
  public static let timeoutMax = Duration.seconds(86_400)
  /// Messages that one `MessagePool` holds; its handles keep the slot in 32 bits.
  public static let poolMessagesMax = 1 << 20
  /// Descriptors kept free of connections for files and the HTTP side, beside those for a backlog.
  public static let descriptorReserve = 512
}
