import Foundation

/// The aggregator's directory on disk.
///
///     DIR/format               what wrote it: format version and number of shards
///     DIR/journal/shard-N/     one journal per shard: what was received
///     DIR/checkpoint/          states of the shards, so that a restart is quick
///     DIR/history.sqlite       gap records
///     DIR/keys/                keys of agents' connections and of signed accounts
///     DIR/tiers.sqlite         rollups of every group, from 1 s to 1 h
enum DataDirectory {
  private static let formatVersion = 1

  /// Makes the directory ready, or refuses one that does not fit.
  static func prepare(_ path: String, shards: Int) throws {
    let files = FileManager.default
    do {
      for shard in 0..<shards {
        try files.createDirectory(
          atPath: "\(path)/journal/shard-\(shard)", withIntermediateDirectories: true,
          attributes: [.posixPermissions: 0o750])
      }
    } catch {
      throw StartFailure("cannot make the data directory \(path): \(error.localizedDescription)")
    }
    let mark = "\(path)/format"
    let expected = "bongsu-data \(formatVersion) shards \(shards)\n"
    guard let found = try? String(contentsOfFile: mark, encoding: .utf8) else {
      do {
        try expected.write(toFile: mark, atomically: true, encoding: .utf8)
      } catch {
        throw StartFailure("cannot write \(mark): \(error.localizedDescription)")
      }
      return
    }
    guard found == expected else {
      throw StartFailure(
        "\(path) was written as '\(found.split(separator: "\n").first ?? "")', this start wants "
          + "'\(expected.dropLast())'; start with the same --shards, or with an empty directory")
    }
  }

  /// Half of what the disk could give the raw history: what is free, and what it and its journals have already.
  static func defaultRawBytes(_ path: String) throws -> Int64 {
    let files = FileManager.default
    do {
      let free = try files.attributesOfFileSystem(forPath: path)[.systemFreeSize] as? NSNumber
      var bytes = free?.int64Value ?? 0
      for folder in ["journal", "raw"] {
        for name in (try? files.subpathsOfDirectory(atPath: "\(path)/\(folder)")) ?? [] {
          let attributes = try? files.attributesOfItem(atPath: "\(path)/\(folder)/\(name)")
          if attributes?[.type] as? FileAttributeType == .typeRegular {
            bytes += (attributes?[.size] as? NSNumber)?.int64Value ?? 0
          }
        }
      }
      return max(bytes / 2, 1)
    } catch {
      throw StartFailure("cannot look at the disk of \(path): \(error.localizedDescription); give --raw-bytes")
    }
  }
}
