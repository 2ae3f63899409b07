internal import CBongsuPlatform
internal import Glibc

/// A listening socket of libzmq's that can be closed to newcomers for a while.
///
/// When descriptors run out, libzmq cannot accept, is told again at once, and its I/O thread spins. Unbinding would mute
/// every connection that came in there. So the kernel is told to drop what arrives at the listening socket: peers see
/// silence, try again by themselves (TCP repeats after 1, 3, 7 … seconds) and come in once the pause is over.
///
/// Thread rule: the thread of the socket, while it is bound.
public struct Listener: Sendable, Hashable {
  private let identity: ConnectionID

  /// - Parameter descriptor: from the monitor's `listening` event; `nil` if it is no open socket.
  public init?(descriptor: Int32) {
    guard let identity = ConnectionID(descriptor: descriptor) else { return nil }
    self.identity = identity
  }

  /// Lets nobody new in; those in the backlog still come. `false` when the listener has gone. Takes no descriptor.
  @discardableResult
  public func pause() -> Bool {
    ConnectionID(descriptor: identity.descriptor) == identity
      && bongsu_socket_drop_arrivals(identity.descriptor) == 0
  }

  /// Ends the pause. `false` when there was none, or the listener has gone.
  @discardableResult
  public func resume() -> Bool {
    ConnectionID(descriptor: identity.descriptor) == identity
      && bongsu_socket_accept_arrivals(identity.descriptor) == 0
  }
}

/// Decides when a listener must pause so that the process never runs out of descriptors. Pure: fed by monitor events.
///
///     connections ──▶ `limit` reached:                pause
///                 ──▶ a sixteenth below it again:     resume
public struct ConnectionBudget: Sendable, Hashable {
  /// What the owner of the listener has to do now.
  public enum Step: Sendable, Hashable {
    case pause
    case resume
  }

  /// Connections at which to pause. Falls when descriptors turn out to be fewer.
  public private(set) var limit: Int
  public private(set) var connections = 0
  public private(set) var isPaused = false

  /// - Parameter limit: the descriptor limit less `TransportLimits.descriptorReserve`, the backlog, and what else the
  ///   process holds.
  public init(limit: Int) {
    precondition(limit > 0, "a listener needs room for one connection, got \(limit)")
    self.limit = limit
  }

  /// Counts one event; the step to take, if any.
  public mutating func note(_ event: ConnectionEvent) -> Step? {
    switch event.kind {
    case .accepted: connections += 1
    case .disconnected: connections = max(0, connections - 1)
    case .acceptFailed(let code) where code == EMFILE || code == ENFILE: limit = max(1, min(limit, connections))
    default: return nil
    }
    if !isPaused && (connections >= limit) {
      isPaused = true
      return .pause
    }
    if isPaused && connections <= limit - max(1, limit / 16) {
      isPaused = false
      return .resume
    }
    return nil
  }
}
