/// A change of state that an operator should hear about, once.
public enum SpoolNotice: Hashable, Sendable, CustomStringConvertible {
  /// There is no spool directory, or it cannot be used: rows and numbers end with the process.
  case memoryOnly(reason: String)
  /// The stored state was not there or not readable, so a new numbering begins and spooled rows are given up.
  case stateLost(reason: String)
  /// The disk refuses; rows wait in memory.
  case diskRefuses(reason: String)
  /// The disk takes rows again.
  case diskWorks
  /// Bytes could not be read back.
  case damaged(String)
  /// The bound was reached and the oldest rows were dropped.
  case overflow(sequences: ClosedRange<UInt64>)
  /// The disk has refused for so long that memory is full; the oldest rows were dropped.
  case memoryFull(sequences: ClosedRange<UInt64>)

  public var description: String {
    switch self {
    case .memoryOnly(let reason): "spool: \(reason); unsent rows and their numbers end with the process"
    case .stateLost(let reason): "spool: \(reason); a new numbering begins"
    case .diskRefuses(let reason): "spool: \(reason); unsent rows wait in memory"
    case .diskWorks: "spool: the disk takes rows again"
    case .damaged(let what): "spool: \(what)"
    case .overflow(let sequences):
      "spool: full, dropped the oldest rows, numbers \(sequences.lowerBound) to \(sequences.upperBound); "
        + "raise the spool size or mend the network"
    case .memoryFull(let sequences):
      "spool: memory for unsent rows is full, dropped numbers \(sequences.lowerBound) to \(sequences.upperBound); "
        + "free space on the node's disk"
    }
  }
}
