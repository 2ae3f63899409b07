public import BongsuRecordLog
internal import Foundation

/// The file `format` of a data directory: how many shards it has, and the format of everything in it.
///
///     bongsu-data 2 shards 1 alerts 2 history 2 raw 1 registry 3 tiers 4
///
/// as a ``BongsuRecordLog/TwofoldLine``. It is read before any other file, and its word counts: a directory of a later release
/// is refused whole, and a single file of another version than it says is damaged. Earlier releases wrote
/// `bongsu-data 1 shards N ⏎`.
public enum DataFormat {
  /// The present format of the directory as such.
  static let version = 2

  /// Formats of the files, as this release writes them.
  static let files: [(name: String, version: Int)] = [
    ("alerts", StoreLimits.alertsVersion), ("history", StoreLimits.historyVersion),
    ("raw", StoreLimits.partitionVersion), ("registry", StoreLimits.registryVersion),
    ("tiers", StoreLimits.tiersVersion),
  ]

  /// The file's name.
  static let name = "format"

  /// What the file of a directory says.
  enum Reading: Equatable {
    /// There is none.
    case absent
    case written(shards: Int, versions: [String: Int], isWhole: Bool)
    /// By a release that kept no versions of files there.
    case old(shards: Int)
    /// No copy of it is what was written.
    case damaged
  }

  /// Why a directory cannot be used by this release as it was started.
  public enum Refusal: Error, Hashable, Sendable, CustomStringConvertible {
    /// Something in it has a later format.
    case newer(directory: String, what: String, version: Int, supported: Int)
    /// It has another number of shards.
    case otherShards(directory: String, found: Int, wanted: Int)
    /// The file is damaged, and the journals there are do not fit what is wanted.
    case damaged(directory: String, journals: Int, wanted: Int)
    /// A restore into it was begun and not finished.
    case halfRestored(directory: String)
    case unusable(DiskError)

    public var description: String {
      switch self {
      case .newer(let directory, let what, let version, let supported):
        "\(directory) was written by a later release: its format of \(what) is \(version), this release reads up to "
          + "\(supported); install that release again, or restore a backup from before it into an empty directory"
      case .otherShards(let directory, let found, let wanted):
        "\(directory) has \(found) shards, this start wants \(wanted); start with --shards \(found), or with an empty directory"
      case .damaged(let directory, let journals, let wanted):
        "\(directory)/format is damaged, and there are journals of \(journals) shards while this start wants \(wanted); "
          + "start with --shards \(journals)"
      case .halfRestored(let directory):
        "a restore into \(directory) was not finished; empty the directory and run bongsu restore again"
      case .unusable(let error): "\(error)"
      }
    }
  }

  /// Looks whether a directory is of this release and of `shards` shards, or new, and brings its file up to date. Nothing else
  /// in it is touched.
  ///
  /// - Parameter say: told when the file was damaged.
  public static func prepare(
    _ directory: String, shards: Int, say: (String) -> Void
  ) throws(Refusal) {
    guard !FileManager.default.fileExists(atPath: "\(directory)/\(BackupArchive.unfinished)") else {
      throw .halfRestored(directory: directory)
    }
    let disk: PosixDisk
    let reading: Reading
    do {
      disk = try PosixDisk(path: directory)
      reading = try read(disk)
    } catch {
      throw .unusable(error)
    }
    switch reading {
    case .absent: break
    case .old(let found): try check(directory, found, shards)
    case .written(let found, let versions, let isWhole):
      for (what, version) in versions.sorted(by: { $0.key < $1.key }) {
        let supported = what == "data" ? Self.version : files.first { $0.name == what }?.version ?? 0
        guard version <= supported else {
          throw .newer(directory: directory, what: what, version: version, supported: supported)
        }
      }
      try check(directory, found, shards)
      if !isWhole { say("'\(directory)/format' was damaged in one of its two copies, and is written anew") }
      if isWhole, versions == Self.versions { return }
    case .damaged:
      let journals = journals(directory)
      guard journals == 0 || journals == shards else {
        throw .damaged(directory: directory, journals: journals, wanted: shards)
      }
      say("'\(directory)/format' was damaged, and is written anew: the journals are those of \(shards) shards")
    }
    do {
      let bytes = Array(text(shards: shards).utf8)
      try disk.replace(name, with: bytes.span)
    } catch {
      throw .unusable(error)
    }
  }

  private static func check(_ directory: String, _ found: Int, _ wanted: Int) throws(Refusal) {
    guard found == wanted else { throw .otherShards(directory: directory, found: found, wanted: wanted) }
  }

  /// Shards of which there are journals with anything in them.
  private static func journals(_ directory: String) -> Int {
    let files = FileManager.default
    return ((try? files.contentsOfDirectory(atPath: "\(directory)/journal")) ?? []).count { shard in
      shard.hasPrefix("shard-")
        && !((try? files.contentsOfDirectory(atPath: "\(directory)/journal/\(shard)")) ?? []).isEmpty
    }
  }

  // MARK: Text

  private static var versions: [String: Int] {
    var versions = ["data": version]
    for file in files { versions[file.name] = file.version }
    return versions
  }

  static func text(shards: Int) -> String {
    let words = files.map { " \($0.name) \($0.version)" }.joined()
    return TwofoldLine.text("bongsu-data \(version) shards \(shards)\(words)")
  }

  static func read(_ disk: any Disk) throws(DiskError) -> Reading {
    guard let bytes = try disk.contents(of: name, byteCountMax: 1 << 16) else {
      do { try disk.close(disk.open(name, .read)) } catch let error where error.isNotFound { return .absent }
      return .damaged
    }
    return read(String(decoding: bytes, as: UTF8.self))
  }

  static func read(_ text: String) -> Reading {
    let old = text.split(separator: " ", omittingEmptySubsequences: false)
    if old.count == 4, old[0] == "bongsu-data", old[2] == "shards", old[3].hasSuffix("\n"), let version = Int(old[1]),
      let shards = Int(old[3].dropLast())
    {
      return version == 1 ? .old(shards: shards) : .written(shards: shards, versions: ["data": version], isWhole: true)
    }
    guard let (line, isWhole) = TwofoldLine.read(text) else { return .damaged }
    let words = line.split(separator: " ")
    var numbers: [String: Int] = [:]
    for (name, value) in zip(words, words.dropFirst()) {
      if let number = Int(value) { numbers[String(name)] = number }
    }
    guard let shards = numbers.removeValue(forKey: "shards"), let version = numbers.removeValue(forKey: "bongsu-data")
    else { return .damaged }
    numbers["data"] = version
    return .written(shards: shards, versions: numbers, isWhole: isWhole)
  }
}
