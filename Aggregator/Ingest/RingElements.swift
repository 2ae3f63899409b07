internal import BongsuTransport

// What travels through the rings of the data plane: plain values of fixed size. Bytes of frames stay in the message
// pool and travel as handles; a handle has exactly one owner, whoever took it out of the ring last.

/// A frame on its way from the receiver to the shard that owns its node, or word of something that concerns the shard.
struct ShardEvent: BitwiseCopyable, Sendable {
  enum Kind: UInt8, BitwiseCopyable, Sendable {
    /// `message` holds a frame that came over `connection`.
    case frame
    /// There is something in the shard's mailbox.
    case mail
  }

  var kind: Kind
  /// Which receiver's socket `connection` belongs to.
  var receiver: UInt8
  var connection: UInt32
  var message: UInt64
  /// Monotonic nanoseconds at which the frame was taken from the socket.
  var arrived: Int64

  static let mail = ShardEvent(kind: .mail, receiver: 0, connection: 0, message: 0, arrived: 0)
}

/// A frame on its way from a shard to the receiver's socket, or word that a connection is no longer in use.
struct Reply: BitwiseCopyable, Sendable {
  enum Kind: UInt8, BitwiseCopyable, Sendable {
    /// Send `message` to `connection`.
    case send
    /// Forget `connection`: its session has ended.
    case forget
    /// Forget it and cut its TCP connection: its key is revoked.
    case cut
  }

  var kind: Kind
  var connection: UInt32
  var message: UInt64
}

/// Word from the journal's writer: batch `slot` is on disk, and with it all records up to `record`.
struct CommitNotice: BitwiseCopyable, Sendable {
  var slot: Int32
  var record: UInt64
}
