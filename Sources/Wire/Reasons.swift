/// The three families of reason codes: why a session is refused, why a block is rejected, why rows are missing for good.
///
/// Numbers are stable: they are on disk, in metrics and in operators' notes. Add at the end of a family, never renumber.
/// FORMAT.md holds the same table; a test compares the two.
public protocol ReasonCode: RawRepresentable<UInt8>, CaseIterable, Sendable, CustomStringConvertible {
  /// Stable name for metrics labels and logs, in snake case.
  var label: String { get }
  /// What is the matter, as one clause.
  var text: String { get }
  /// What the operator or the peer does about it, as one clause.
  var nextStep: String { get }
}

extension ReasonCode {
  public var description: String { "\(text); \(nextStep)" }
}

/// Why an aggregator ends a session.
public enum RefuseReason: UInt8, ReasonCode {
  case unsupportedVersion = 1
  case malformedHello = 2
  case nodeMismatch = 3
  case revoked = 4
  case fenced = 5
  case clonedKey = 6
  case helloExpected = 7
  case overloaded = 8
  case shuttingDown = 9
  case silent = 10

  public var label: String { row.label }
  public var text: String { row.text }
  public var nextStep: String { row.nextStep }

  private var row: (label: String, text: String, nextStep: String) {
    switch self {
    case .unsupportedVersion:
      ("unsupported_version", "no wire version is spoken by both sides", "upgrade the older side")
    case .malformedHello:
      ("malformed_hello", "the hello cannot be read", "compare the versions of agent and aggregator")
    case .nodeMismatch:
      ("node_mismatch", "the key belongs to another node", "join again with --node set to the node's own name")
    case .revoked:
      ("revoked", "the node's key is revoked", "enrol the node again with bongsu-agent join")
    case .fenced:
      ("fenced", "a newer start of this node's agent took over", "end the older agent process")
    case .clonedKey:
      (
        "cloned_key", "two machines use one key",
        "revoke it with bongsu nodes revoke and let each machine join by itself"
      )
    case .helloExpected:
      ("hello_expected", "the connection has no session", "connect again and start with a hello")
    case .overloaded:
      ("overloaded", "the aggregator takes no more sessions now", "wait for the retry time; see bongsu doctor")
    case .shuttingDown:
      ("shutting_down", "the aggregator is stopping", "wait for the retry time")
    case .silent:
      ("silent", "nothing was heard over the connection for too long", "connect again")
    }
  }
}

/// Why an aggregator does not take a block.
///
/// A passing reason leaves the numbers open: the agent sends the rows again. A final one consumes them: the aggregator
/// stores a gap record in their place and the agent drops them.
public enum RejectReason: UInt8, ReasonCode {
  case baseMissing = 1
  case rangesFull = 2
  case unknownLayout = 3
  case undecodable = 4
  case tickInFuture = 5
  case tickTooOld = 6
  case tickTaken = 7

  /// Whether the numbers are consumed.
  public var isFinal: Bool { gap != nil }

  /// The reason of the gap record that takes the rows' place; `nil` for passing reasons.
  public var gap: GapReason? {
    switch self {
    case .baseMissing, .rangesFull, .unknownLayout: nil
    case .undecodable: .undecodable
    case .tickInFuture: .tickInFuture
    case .tickTooOld: .tickTooOld
    case .tickTaken: .tickTaken
    }
  }

  public var label: String { row.label }
  public var text: String { row.text }
  public var nextStep: String { row.nextStep }

  private var row: (label: String, text: String, nextStep: String) {
    switch self {
    case .baseMissing:
      ("base_missing", "the block it is based on is not here", "send it again standing alone, and a keyframe next")
    case .rangesFull:
      ("ranges_full", "too many separate ranges of numbers are open", "send the oldest missing number first")
    case .unknownLayout:
      ("unknown_layout", "its layout was not announced in this session", "announce the layout and send it again")
    case .undecodable:
      ("undecodable", "its payload cannot be decoded", "report it: the agent's disk or memory may be failing")
    case .tickInFuture:
      ("tick_in_future", "its tick lies ahead of the aggregator's clock", "set the node's clock (NTP)")
    case .tickTooOld:
      ("tick_too_old", "its tick is older than raw history is kept", "raise the raw retention to take older data")
    case .tickTaken:
      ("tick_taken", "its tick is not after one that is already stored", "check the node's clock and for cloned keys")
    }
  }
}

/// Why rows that were sampled will never come.
public enum GapReason: UInt8, ReasonCode {
  case agentRestart = 1
  case spoolOverflow = 2
  case spoolDamaged = 3
  case newStream = 4
  case notAnchored = 5
  case spoolUnavailable = 6
  case undecodable = 7
  case tickInFuture = 8
  case tickTooOld = 9
  case tickTaken = 10
  case released = 11
  case agentBusy = 12

  public var label: String { row.label }
  public var text: String { row.text }
  public var nextStep: String { row.nextStep }

  private var row: (label: String, text: String, nextStep: String) {
    switch self {
    case .agentRestart:
      ("agent_restart", "the agent ended before it could spool or send", "nothing; frequent ones: see the agent's log")
    case .spoolOverflow:
      ("spool_overflow", "the spool was full, oldest rows were dropped", "raise the spool size or mend the network")
    case .spoolDamaged:
      ("spool_damaged", "spooled rows failed their checksum", "check the node's disk")
    case .newStream:
      ("new_stream", "the agent's spool directory was lost or is an old copy", "check the node's disk and for clones")
    case .notAnchored:
      (
        "not_anchored", "the rows' clock cannot be related to real time",
        "set the clock before the agent starts, or give it a spool directory"
      )
    case .spoolUnavailable:
      ("spool_unavailable", "the spool could not be written, rows were dropped", "free space on the node's disk")
    case .undecodable:
      ("undecodable", "the payload could not be decoded", "report it: the agent's disk or memory may be failing")
    case .tickInFuture:
      ("tick_in_future", "the ticks lay ahead of the aggregator's clock", "set the node's clock (NTP)")
    case .tickTooOld:
      ("tick_too_old", "the ticks were older than raw history is kept", "raise the raw retention to take older data")
    case .tickTaken:
      ("tick_taken", "the ticks were not after ones already stored", "check the node's clock and for cloned keys")
    case .released:
      ("released", "the agent had let go of rows that the aggregator lost", "restore from a newer backup")
    case .agentBusy:
      (
        "agent_busy", "the agent's delivery fell behind its sampling, rows were dropped",
        "check the node's disk and processor load"
      )
    }
  }
}
