internal import Glibc

/// How many descriptors this process may open, against how many it will need.
public struct DescriptorLimit: Sendable, Hashable, CustomStringConvertible {
  public let soft: Int
  public let hard: Int
  public let needed: Int

  public var isEnough: Bool { soft >= needed }

  /// Raises the soft limit to `needed` or as far as the hard limit lets it, never lowers it, and says where it stands.
  ///
  /// libzmq needs one descriptor for the context and six for the first socket, one for each further socket, each bind,
  /// each monitor and each connection. At the limit it cannot accept, and its I/O thread spins: so know before.
  public static func raise(toHold needed: Int) -> DescriptorLimit {
    var limit = rlimit()
    // SAFETY: the kernel fills the local. The call cannot fail for the own process.
    _ = unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    let wanted = min(rlim_t(max(0, needed)), limit.rlim_max)
    if limit.rlim_cur < wanted {
      var raised = limit
      raised.rlim_cur = wanted
      // SAFETY: the kernel reads the local during the call.
      if unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &raised) == 0 { limit = raised }
    }
    return DescriptorLimit(soft: Int(clamping: limit.rlim_cur), hard: Int(clamping: limit.rlim_max), needed: needed)
  }

  public var description: String {
    isEnough
      ? "\(soft) descriptors allowed, \(needed) needed"
      : "\(needed) descriptors needed, \(soft) allowed (hard limit \(hard)); "
        + "set LimitNOFILE=\(needed) in the service, or ulimit -Hn"
  }
}

/// Decides when a listener must pause so that the process never runs out of descriptors. Pure: fed by monitor events.
///
///     connections ──▶ full at `limit`: unbind the endpoint        (new peers are refused by the kernel and retry)
///                 ──▶ open again at `limit` - 1/16: bind it again
public struct ConnectionBudget: Sendable, Hashable {
  /// What the owner of the listener has to do now.
  public enum Step: Sendable, Hashable {
    case pause
    case resume
  }

  public let limit: Int
  public private(set) var connections = 0
  public private(set) var isPaused = false

  /// - Parameter limit: connections at which to pause; leave `TransportLimits.descriptorReserve` free for a burst that
  ///   the I/O thread accepts before the pause reaches it.
  public init(limit: Int) {
    precondition(limit > 0, "a listener needs room for one connection, got \(limit)")
    self.limit = limit
  }

  /// Counts one event; the step to take, if any.
  public mutating func note(_ event: ConnectionEvent) -> Step? {
    switch event.kind {
    case .accepted: connections += 1
    case .disconnected: connections = max(0, connections - 1)
    case .acceptFailed(let code) where code == EMFILE || code == ENFILE:
      if isPaused { return nil }
      isPaused = true
      return .pause
    default: return nil
    }
    if !isPaused && connections >= limit {
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
