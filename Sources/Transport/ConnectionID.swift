internal import Glibc

/// One TCP connection, named so that it can be cut later without any risk for another one.
///
/// A descriptor alone would not do: once its connection has closed, the number goes to the next file or peer. The
/// kernel gives each socket a cookie that is never used again (SO_COOKIE, Linux 4.12), and that is compared first.
public struct ConnectionID: Sendable, Hashable {
  public let descriptor: Int32
  public let cookie: UInt64

  /// The connection that has this descriptor now; `nil` if it is no open socket.
  public init?(descriptor: Int32) {
    guard let cookie = socketCookie(descriptor) else { return nil }
    self.descriptor = descriptor
    self.cookie = cookie
  }

  /// Cuts the connection in both directions: both ends then close it as after a network failure, and a client comes
  /// back to be decided anew. This is how a revoked peer is put out: libzmq 4.3.4 has no call for it.
  ///
  /// Any thread. The bytes received before stay readable: drop them by user id.
  /// - Returns: `false` when that connection had already gone; nothing was touched then.
  @discardableResult
  public func shutdown() -> Bool {
    // The duplicate pins the socket: from here on it cannot be closed and replaced under us.
    let pinned = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
    guard pinned >= 0 else { return false }
    defer { _ = close(pinned) }
    guard socketCookie(pinned) == cookie else { return false }
    return Glibc.shutdown(pinned, Int32(SHUT_RDWR)) == 0
  }
}

extension Message {
  /// The connection that this frame came over, to be kept per session; `nil` for messages from this process, and when
  /// it has closed since. One system call.
  ///
  /// Should the connection have closed and its number have gone to another peer before this call, the other peer is
  /// named: cutting it by mistake costs that peer one reconnect.
  public var connection: ConnectionID? {
    sourceDescriptor.flatMap(ConnectionID.init(descriptor:))
  }
}

private func socketCookie(_ descriptor: Int32) -> UInt64? {
  var cookie: UInt64 = 0
  var size = socklen_t(8)
  // SAFETY: the kernel writes at most `size` bytes into the local.
  guard unsafe getsockopt(descriptor, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 else { return nil }
  return cookie
}
