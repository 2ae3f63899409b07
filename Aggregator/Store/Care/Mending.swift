internal import Foundation

/// Opens stores whose files may be damaged, so that a start succeeds whatever the disk did to them.
///
/// A file that is not sound is read page by page (``SalvagedRows``); every row whose checksum holds goes into a new file
/// beside it. Then the old one is renamed to `NAME.damaged-MILLISECONDS`, which is kept, and the new one takes its name. So
/// one damaged page costs the rows in it. A crash in between leaves one of the two under the name, or the next start
/// finishes the renaming.
enum Mending {
  private static let suffix = ".mending"

  /// - Parameters:
  ///   - open: opens or makes the file at a path.
  ///   - problems: what is wrong with an opened store, one line each.
  ///   - refill: puts rows whose checksums hold into an empty store; returns how many.
  /// - Returns: the store, and whether it was made anew.
  /// - Throws: what has nothing to do with damage, such as a full disk or a file of somebody else's.
  static func open<Store>(
    _ path: String, say: (String) -> Void, open: (String) throws(StoreError) -> Store,
    problems: (Store) throws(StoreError) -> [String],
    refill: (Store, SalvagedRows) throws(StoreError) -> Int
  ) throws(StoreError) -> (store: Store, isMended: Bool) {
    try finish(path)
    let why: String
    do throws(StoreError) {
      let store = try open(path)
      let found = try problems(store)
      guard !found.isEmpty else { return (store, false) }
      why = found.prefix(3).joined(separator: "; ") + (found.count > 3 ? "; and \(found.count - 3) more" : "")
    } catch {
      guard error.isDamage else { throw error }
      why = error.damageText
    }
    let draft = path + suffix
    remove(draft)
    let taken = try fill(draft, path, open, refill)
    Failpoint.pass("mending: the new file is whole")
    let aside = try StoreDatabase.setAside(path: path, now: Int64(Date().timeIntervalSince1970 * 1000))
    Failpoint.pass("mending: the damaged file is out of the way")
    try finish(path)
    Failpoint.pass("mending: the new file has its name")
    say("'\(path)' was damaged: \(why); \(taken) sound rows were taken over into a new file, the old one is '\(aside)'")
    return (try open(path), true)
  }

  private static func fill<Store>(
    _ draft: String, _ path: String, _ open: (String) throws(StoreError) -> Store,
    _ refill: (Store, SalvagedRows) throws(StoreError) -> Int
  ) throws(StoreError) -> Int {
    let store = try open(draft)
    guard let rows = SalvagedRows(path: path) else { return 0 }
    return try refill(store, rows)
  }

  /// Gives a new file its name when the old one is out of the way.
  private static func finish(_ path: String) throws(StoreError) {
    let files = FileManager.default
    guard files.fileExists(atPath: path + suffix) else { return }
    guard !files.fileExists(atPath: path) else { return remove(path + suffix) }
    do {
      // The log first: under its old name it would be lost when only the file had been renamed.
      for part in ["-wal", ""] where files.fileExists(atPath: path + suffix + part) {
        if files.fileExists(atPath: path + part) { try files.removeItem(atPath: path + part) }
        try files.moveItem(atPath: path + suffix + part, toPath: path + part)
      }
    } catch {
      throw .file(path: path, code: Int32((error as NSError).code))
    }
  }

  private static func remove(_ path: String) {
    for part in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + part) }
  }
}

extension StoreError {
  /// What is wrong with a file, without its name and what becomes of it.
  fileprivate var damageText: String {
    switch self {
    case .damaged(_, let message), .database(_, _, let message): message
    case .newerFormat(_, let version, _): "its format says \(version)"
    default: "\(self)"
    }
  }
}
