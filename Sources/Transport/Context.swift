internal import CZeroMQ
internal import Synchronization

/// The home of sockets: libzmq's I/O threads and in-process endpoints.
///
/// Thread rule: the one transport object that threads share. Sockets keep their context alive, so the end of the last
/// reference never waits for a socket. A class and not a `~Copyable` value, because each thread makes its own sockets
/// from the same context.
@safe
public final class Context: Sendable {
  /// libzmq's context is thread-safe (zmq_ctx_new(3)); the pointer never changes.
  nonisolated(unsafe) let pointer: UnsafeMutableRawPointer
  private let admission = Mutex<AdmissionService?>(nil)

  /// - Parameters:
  ///   - ioThreads: threads that move bytes and run CURVE; one carries tens of thousands of slow peers.
  ///   - socketsMax: sockets of ours, not peers: one router with 65,000 peers counts as one.
  public init(ioThreads: Int = 1, socketsMax: Int = 1023) throws(TransportError) {
    guard (1...64).contains(ioThreads) else {
      throw .outOfRange(setting: "ioThreads", value: ioThreads, allowed: 1...64)
    }
    guard (1...65_535).contains(socketsMax) else {
      throw .outOfRange(setting: "socketsMax", value: socketsMax, allowed: 1...65_535)
    }
    guard let made = unsafe zmq_ctx_new() else { throw .last("make", "a context") }
    // SAFETY: libzmq gave the pointer; it stays valid until zmq_ctx_term in `deinit`.
    unsafe pointer = made
    guard unsafe zmq_ctx_set(made, ZMQ_IO_THREADS, Int32(ioThreads)) == 0 else { throw .last("set", "IO_THREADS") }
    guard unsafe zmq_ctx_set(made, ZMQ_MAX_SOCKETS, Int32(socketsMax)) == 0 else {
      throw .last("set", "MAX_SOCKETS")
    }
  }

  deinit {
    shutdown()
    admission.withLock { $0 = nil }  // joins its thread, whose socket is then closed
    // SAFETY: every socket holds this context, so none is left and the call returns once queued bytes have lingered.
    while unsafe zmq_ctx_term(pointer) != 0 && zmq_errno() == EINTR {}
  }

  /// Ends all work: every call on every socket of this context throws `.terminated` from now on. Idempotent.
  public func shutdown() {
    // SAFETY: the context is alive as long as `self`.
    _ = unsafe zmq_ctx_shutdown(pointer)
  }

  /// Lets `authority` decide about every CURVE client of this context. Must come before the first CURVE server.
  public func install(authority: any KeyAuthority) throws(TransportError) {
    guard KeyPair.isAvailable else { throw .curveUnavailable }
    try admission.withLock { service throws(TransportError) in
      guard service == nil else { throw .authorityPresent }
      service = try AdmissionService(context: self, authority: authority)
    }
  }

  var hasAuthority: Bool {
    admission.withLock { $0 != nil }
  }
}
