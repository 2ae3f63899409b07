internal import BongsuModel
internal import BongsuRecordLog
internal import Foundation
internal import GRDB

/// Reads everything that a data directory holds, and tells what is not what was written: every record of the journals, both
/// checkpoints, every page of every SQLite file and the checksums of its rows, the write-ahead logs, the keys and the
/// directory's own description.
///
/// Nothing is mended or set aside, which the aggregator does at its next start. No aggregator may have the directory open:
/// what it is just writing would look like damage.
///
/// Thread rule: blocks for as long as the disk takes to read it all.
public struct DataVerification: Sendable {
  /// One file, or one log of several.
  public struct Part: Hashable, Sendable {
    /// Its place below the directory, such as `raw/raw-1795219200.sqlite`.
    public var name: String
    /// What was read, in words.
    public var read: String
    /// What is damaged; empty when it is sound.
    public var problems: [String]

    /// What was found in one part; without problems it is sound.
    public init(name: String, read: String, problems: [String] = []) {
      self.name = name
      self.read = read
      self.problems = problems
    }
  }

  /// Why a directory cannot be looked at as a whole.
  public enum Refusal: Error, Hashable, Sendable, CustomStringConvertible {
    case noDirectory(String)
    case notData(String)
    case inUse(String)

    public var description: String {
      switch self {
      case .noDirectory(let path): "there is no directory \(path); give the one that --data of the aggregator names"
      case .notData(let path): "\(path) has no file 'format', so no aggregator has written it; give its data directory"
      case .inUse(let path): "an aggregator has \(path) open; stop it first: what it is writing would look like damage"
      }
    }
  }

  private let directory: String

  /// Prepares to look at `directory`, which no aggregator may have open.
  public init(directory: String) throws(Refusal) {
    let attributes = try? FileManager.default.attributesOfItem(atPath: directory)
    guard attributes?[.type] as? FileAttributeType == .typeDirectory else {
      throw .noDirectory(directory)
    }
    guard FileManager.default.fileExists(atPath: "\(directory)/format") else { throw .notData(directory) }
    self.directory = directory
    for file in Self.databases(in: directory) where Self.isOpenElsewhere("\(directory)/\(file)") {
      throw .inUse(directory)
    }
  }

  /// Looks at one part after the other and hands each on.
  public func run(_ body: (Part) throws -> Void) rethrows {
    for shard in names(in: "journal").filter({ $0.hasPrefix("shard-") }) { try body(journal("journal/\(shard)")) }
    if !names(in: "checkpoint").isEmpty { try body(checkpoints()) }
    for file in Self.databases(in: directory) { try body(database(file)) }
    if names(in: "raw").contains("progress") { try body(progress()) }
    try body(format())
    for key in names(in: "keys").filter({ $0.hasSuffix(".key") }) { try body(lines("keys/\(key)")) }
  }

  // MARK: Small files

  private func format() -> Part {
    var part = Part(name: DataFormat.name, read: "")
    do {
      switch try DataFormat.read(PosixDisk(path: directory)) {
      case .absent: part.problems = ["it is not there"]
      case .damaged: part.problems = ["no copy of its line is what was written"]
      case .old(let shards): part.read = "\(shards) shards, as an earlier release wrote it"
      case .written(let shards, _, let isWhole):
        part.read = "\(shards) shards"
        if !isWhole { part.problems = ["one of its two copies is not what was written"] }
      }
    } catch {
      part.problems = ["\(error)"]
    }
    return part
  }

  /// A file with one line twice. What it says is not told.
  private func lines(_ name: String) -> Part {
    var part = Part(name: name, read: "")
    guard let data = FileManager.default.contents(atPath: "\(directory)/\(name)") else {
      part.problems = ["it cannot be read"]
      return part
    }
    let text = String(decoding: data, as: UTF8.self)
    if let (_, isWhole) = TwofoldLine.read(text) {
      part.read = "two copies"
      if !isWhole { part.problems = ["one of its two copies is not what was written"] }
    } else if text.split(separator: "\n").first?.hasSuffix(" 1") == true {
      part.read = "one copy without checksum, as an earlier release wrote it"
    } else {
      part.problems = ["no copy of its line is what was written"]
    }
    return part
  }

  private func progress() -> Part {
    var part = Part(name: "raw/progress", read: "how far partitions are")
    do {
      let shards = names(in: "journal").count { $0.hasPrefix("shard-") }
      _ = try RawProgress(PosixDisk(path: "\(directory)/raw"), shards: shards, &part.problems)
    } catch {
      part.problems = ["\(error)"]
    }
    return part
  }

  // MARK: Journals and checkpoints

  private func journal(_ name: String) -> Part {
    var part = Part(name: name, read: "")
    var records = 0
    var torn: String?
    do {
      let disk = try PosixDisk(path: "\(directory)/\(name)")
      var reader = try LogReader(disk: disk, log: JournalReplay.logName, limits: StoreLimits.journal)
      while let event = try reader.next() {
        switch event {
        case .record: records += 1
        // What was under way at a power cut, and was never acknowledged.
        case .damage(let damage) where damage.cause == .tornTail: torn = "\(damage)"
        case .damage(let damage): part.problems.append("\(damage)")
        }
      }
    } catch {
      part.problems.append("\(error)")
    }
    part.read = "\(records) records" + (torn.map { "; \($0), as a kill leaves it" } ?? "")
    return part
  }

  private func checkpoints() -> Part {
    var part = Part(name: "checkpoint", read: "")
    do {
      let store = try CheckpointStore(disk: PosixDisk(path: "\(directory)/checkpoint"))
      part.read = "\(store.blobs.count) states"
      part.problems = store.damage
    } catch {
      part.problems.append("\(error)")
    }
    return part
  }

  // MARK: SQLite

  private func database(_ file: String) -> Part {
    let path = "\(directory)/\(file)"
    var part = Part(name: file, read: "")
    do {
      // A page that SQLite cannot follow makes the rows' own sums pointless, and opening it for writing unwise.
      let (pages, version, problems) = try Self.pages(path)
      part.read = "\(pages) pages"
      part.problems = problems
      let lost = WriteAheadLog(path: path + "-wal")?.lostCommits ?? 0
      if lost > 0 {
        part.problems.append("the last \(lost) commits or more of its write-ahead log are not what was written")
      }
      guard problems.isEmpty, let current = Self.version(of: file) else { return part }
      // Opening an older one would bring it up to date, which is not for somebody who only looks.
      guard version == current else {
        part.read += "; its rows are of format \(version), which a start brings to \(current)"
        return part
      }
      part.read += " and all rows"
      part.problems += try rows(file, path)
    } catch let error as StoreError {
      part.problems.append("\(error)")
    } catch {
      part.problems.append("\(StoreError(error, path: path))")
    }
    return part
  }

  /// SQLite's check of the whole file, opened for reading alone.
  private static func pages(_ path: String) throws -> (count: Int, version: Int, problems: [String]) {
    var configuration = Configuration()
    configuration.readonly = true
    let queue = try DatabaseQueue(path: path, configuration: configuration)
    return try queue.read { db in
      let answer = try String.fetchAll(db, sql: "PRAGMA integrity_check(10)")
      return (
        try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0, try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0,
        answer == ["ok"] ? [] : answer
      )
    }
  }

  /// The format of each kind of file that this release writes; `nil` for files without checksums of their own.
  private static func version(of file: String) -> Int? {
    switch file {
    case "history.sqlite": StoreLimits.historyVersion
    case "alerts.sqlite": StoreLimits.alertsVersion
    case "tiers.sqlite": StoreLimits.tiersVersion
    case "registry.sqlite": StoreLimits.registryVersion
    default: file.hasPrefix("raw/raw-") ? StoreLimits.partitionVersion : nil
    }
  }

  /// What the checksums of the rows say.
  private func rows(_ file: String, _ path: String) throws -> [String] {
    let all = Limits.tickRange
    switch file {
    case "history.sqlite":
      let gaps = try History(path: path).gaps(all).damaged
      return gaps > 0 ? ["\(gaps) gap records are damaged"] : []
    case "tiers.sqlite": return try TierStore(path: path).problems()
    case "alerts.sqlite":
      let store = try AlertStore(path: path)
      let damaged = try store.transitions(from: .min, through: .max, limit: .max).damaged
      return try store.contents().damage + (damaged > 0 ? ["\(damaged) changes of alerts are damaged"] : [])
    case "registry.sqlite":
      _ = try Registry(path: path)
      return []
    default:
      guard file.hasPrefix("raw/raw-"), let seconds = Int64(file.dropFirst(8).dropLast(7)) else { return [] }
      let partition = try RawPartition(path: path, start: Tick(unixMilliseconds: seconds * 1000))
      return try partition.problems()
    }
  }

  // MARK: Files

  private func names(in folder: String) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: "\(directory)/\(folder)")) ?? []).sorted()
  }

  /// All SQLite files below the directory, those that were set aside left out.
  private static func databases(in directory: String) -> [String] {
    ((try? FileManager.default.subpathsOfDirectory(atPath: directory)) ?? []).filter { $0.hasSuffix(".sqlite") }
      .sorted()
  }

  /// Whether another process has a file open: in exclusive mode SQLite wants it for itself.
  private static func isOpenElsewhere(_ path: String) -> Bool {
    var configuration = Configuration()
    configuration.busyMode = .immediateError
    configuration.prepareDatabase { db in try db.execute(sql: "PRAGMA locking_mode = EXCLUSIVE") }
    do {
      let queue = try DatabaseQueue(path: path, configuration: configuration)
      defer { try? queue.close() }
      try queue.inDatabase { db in try db.execute(sql: "BEGIN EXCLUSIVE; ROLLBACK") }
      return false
    } catch let error as DatabaseError {
      return error.resultCode == .SQLITE_BUSY || error.resultCode == .SQLITE_LOCKED
    } catch {
      return false
    }
  }
}
