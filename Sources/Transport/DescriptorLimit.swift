internal import Glibc

/// How many descriptors this process may open, against how many it will need.
public struct DescriptorLimit: Sendable, Hashable, CustomStringConvertible {
  public let soft: Int
  public let hard: Int
  public let needed: Int

  public var isEnough: Bool { soft >= needed }

  public init(soft: Int, hard: Int, needed: Int) {
    self.soft = soft
    self.hard = hard
    self.needed = needed
  }

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
