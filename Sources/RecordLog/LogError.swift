/// Why a log could not be opened, written or read.
public enum LogError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The disk refused. Nothing changed; the same call may be tried again, for example when space returns.
  case disk(DiskError)
  /// A synchronization failed. What was written since the last commit may be gone although it reads well; the process
  /// has to end, and its successor reads what is left.
  case synchronizationFailed(DiskError)
  /// A segment was written by a newer version.
  case newerFormat(segment: String, version: UInt16)
  /// A record is larger than the log's limit.
  case recordTooLarge(bytes: Int, limit: Int)

  /// Whether the log must not be used any more by this process.
  public var isFatal: Bool {
    switch self {
    case .synchronizationFailed, .newerFormat: true
    case .disk, .recordTooLarge: false
    }
  }

  /// Whether the cause is a full disk or quota.
  public var isOutOfSpace: Bool {
    switch self {
    case .disk(let error): error.isOutOfSpace
    case .synchronizationFailed, .newerFormat, .recordTooLarge: false
    }
  }

  public var description: String {
    switch self {
    case .disk(let error): "\(error)"
    case .synchronizationFailed(let error):
      "\(error): what was written last may be lost although it can be read; the process must restart and replay"
    case .newerFormat(let segment, let version):
      "segment '\(segment)' has format version \(version), this build reads \(SegmentFormat.version); "
        + "install the newer release again"
    case .recordTooLarge(let bytes, let limit): "record has \(bytes) bytes, limit \(limit)"
    }
  }
}

/// A stretch of a log that could not be read; what it held is lost.
public struct LogDamage: Hashable, Sendable, CustomStringConvertible {
  /// What was found.
  public enum Cause: String, Sendable {
    /// Both copies of a segment's header are unreadable, so none of its records can be trusted.
    case segmentHeader = "unreadable segment header"
    /// Bytes that are no good records, with good records behind them or known to have held records.
    case records = "damaged records"
    /// Bytes behind the last good record of the log.
    case tornTail = "torn tail"
    /// A file that should hold these numbers is not there.
    case missing = "missing records"
  }

  /// What was found.
  public let cause: Cause
  /// The file; the one behind the hole when records are missing.
  public let segment: String
  /// Where the stretch starts, in bytes from the start of the file.
  public let offset: Int64
  /// How long it is.
  public let byteCount: Int64
  /// The numbers of the records that are not there; `nil` where no number is known, as in a torn tail. A batch that was
  /// under way at a power cut may leave a hole too: then they were never committed, and nothing confirmed is gone.
  public let lostNumbers: ClosedRange<UInt64>?

  public var description: String {
    let numbers = lostNumbers.map { ", records \($0.lowerBound) to \($0.upperBound) lost" } ?? ""
    return "\(cause.rawValue) in '\(segment)' at byte \(offset), \(byteCount) bytes\(numbers)"
  }
}
