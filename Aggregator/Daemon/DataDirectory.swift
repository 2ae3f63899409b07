import BongsuStore
import Foundation

/// The aggregator's directory on disk.
///
///     DIR/format               what wrote it: versions of all files and number of shards
///     DIR/journal/shard-N/     one journal per shard: what was received
///     DIR/checkpoint/          states of the shards, so that a restart is quick
///     DIR/history.sqlite       gap records
///     DIR/keys/                keys of agents' connections and of signed accounts
///     DIR/tiers.sqlite         rollups of every group, from 1 s to 1 h
enum DataDirectory {
  /// Makes the directory ready, or refuses one that does not fit.
  ///
  /// - Parameter say: told what was damaged and is mended.
  static func prepare(_ path: String, shards: Int, say: (String) -> Void) throws {
    let files = FileManager.default
    do {
      try files.createDirectory(
        atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o750])
      try DataFormat.prepare(path, shards: shards, say: say)
      for shard in 0..<shards {
        try files.createDirectory(
          atPath: "\(path)/journal/shard-\(shard)", withIntermediateDirectories: true,
          attributes: [.posixPermissions: 0o750])
      }
    } catch let refusal as DataFormat.Refusal {
      throw StartFailure("\(refusal)")
    } catch {
      throw StartFailure("cannot make the data directory \(path): \(error.localizedDescription)")
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
