/// Why the ingest core cannot start or go on.
public enum IngestError: Error, Hashable, Sendable, CustomStringConvertible {
  case threadRefused(name: String, errno: Int32)
  case listenFailed(endpoint: String, reason: String)
  case outOfDescriptors(needed: Int, allowed: Int)
  case journalFailed(reason: String)

  public var description: String {
    switch self {
    case .threadRefused(let name, let errno):
      "cannot start the thread \(name): error \(errno); raise the limit on threads (ulimit -u, TasksMax)"
    case .listenFailed(let endpoint, let reason):
      "cannot listen on \(endpoint): \(reason); is another aggregator running there?"
    case .outOfDescriptors(let needed, let allowed):
      "needs \(needed) descriptors, \(allowed) are allowed; raise ulimit -n (LimitNOFILE in the service)"
    case .journalFailed(let reason):
      "the journal failed: \(reason); restart replays what was acknowledged"
    }
  }
}
