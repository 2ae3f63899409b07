internal import Foundation
internal import GRDB

/// Why the store could not do what was asked.
public enum StoreError: Error, Hashable, Sendable, CustomStringConvertible {
  /// SQLite refused; `code` is its extended result code.
  case database(path: String, code: Int32, message: String)
  /// The file is damaged beyond a row: set it aside and begin a new one.
  case damaged(path: String, message: String)
  /// The file was written by a newer version.
  case newerFormat(path: String, version: Int, supported: Int)
  /// SQLite did not accept the setting that makes commits durable.
  case notDurable(path: String, synchronous: Int, journalMode: String)
  /// A directory or file could not be made.
  case file(path: String, code: Int32)
  /// A bound was exceeded.
  case tooLarge(what: String, value: Int, limit: Int)
  /// The journals are not open, so that no consistent state can be read.
  case notOpen
  /// Numbers were given that do not follow what is stored: applied already, or a step backwards.
  case outOfOrder(shard: Int, record: UInt64, applied: UInt64)

  /// Whether the disk is full: nothing was changed, and the same call may be tried again when space returns.
  public var isOutOfSpace: Bool {
    switch self {
    case .database(_, let code, _): code & 0xFF == 13  // SQLITE_FULL
    case .file(_, let code): code == 28 || code == 122  // ENOSPC, EDQUOT
    default: false
    }
  }

  public var description: String {
    switch self {
    case .database(let path, let code, let message): "database '\(path)': \(message) (SQLite \(code))"
    case .damaged(let path, let message):
      "database '\(path)' is damaged: \(message); it is set aside and a new one begins"
    case .newerFormat(let path, let version, let supported):
      "database '\(path)' has format version \(version), this build reads up to \(supported); "
        + "install the newer release again"
    case .notDurable(let path, let synchronous, let mode):
      "database '\(path)' runs with synchronous \(synchronous) and journal mode \(mode), needed are 2 and wal"
    case .file(let path, let code): "cannot use '\(path)' (errno \(code))"
    case .tooLarge(let what, let value, let limit): "\(what) is \(value), limit \(limit)"
    case .notOpen: "the journals are not open; wait until the aggregator is ready"
    case .outOfOrder(let shard, let record, let applied):
      "records up to \(record) of shard \(shard) were handed in, but \(applied) is applied already"
    }
  }
}

extension StoreError {
  /// What an error of GRDB means for the file at `path`.
  init(_ error: any Error, path: String) {
    switch error {
    case let error as StoreError: self = error
    case let error as DatabaseError:
      switch error.resultCode {
      case .SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_FORMAT:
        self = .damaged(path: path, message: error.message ?? "\(error.resultCode)")
      case .SQLITE_READONLY where FileManager.default.isWritableFile(atPath: path):
        self = .damaged(path: path, message: "its header says that it must not be written")
      case .SQLITE_IOERR where [266, 522].contains(error.extendedResultCode.rawValue):
        // SQLITE_IOERR_READ, SQLITE_IOERR_SHORT_READ
        self = .damaged(path: path, message: "the disk does not give what was written")
      default:
        self = .database(path: path, code: error.extendedResultCode.rawValue, message: error.message ?? "failed")
      }
    default: self = .database(path: path, code: -1, message: "\(error)")
    }
  }
}
