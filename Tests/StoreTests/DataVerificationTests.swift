import BongsuModel
import BongsuRecordLog
import BongsuTestKit
import BongsuWire
import Foundation
import GRDB
import Testing

@testable import BongsuStore

@Suite("verification of a data directory")
struct DataVerificationTests {
  /// A directory with a journal, a checkpoint, a history with a gap and an alert's state.
  private func withData(_ body: (String) throws -> Void) throws {
    let folder = try TemporaryDirectory()
    let data = folder.path
    try DataFormat.text(shards: 1).write(toFile: "\(data)/format", atomically: false, encoding: .utf8)
    for name in ["journal/shard-0", "checkpoint", "raw", "keys"] {
      try FileManager.default.createDirectory(atPath: "\(data)/\(name)", withIntermediateDirectories: true)
    }
    do {
      var writer = try LogWriter(
        disk: PosixDisk(path: "\(data)/journal/shard-0"), log: JournalReplay.logName, limits: StoreLimits.journal,
        salt: 7)
      for number in 0..<40 { _ = writer.stage([UInt8](repeating: UInt8(number), count: 900), kind: 1) }
      try writer.commit()
      var checkpoints = try CheckpointStore(disk: PosixDisk(path: "\(data)/checkpoint"))
      try checkpoints.store([.init(name: "shard-0", record: 30, bytes: Array(0..<200))])
      try checkpoints.store([.init(name: "shard-0", record: 40, bytes: Array(0..<200))])
      let alerts = try AlertStore(path: "\(data)/alerts.sqlite")
      var change = AlertStore.Change()
      change.alerts["rule"] = ["{\"a long enough state to be found in the file\":1}"]
      change.transitions = [(1_795_253_400_000, "{\"a transition\":1}")]
      _ = try alerts.commit(change)
      _ = try History(path: "\(data)/history.sqlite")
      _ = try Registry(path: "\(data)/registry.sqlite")
      _ = try TierStore(path: "\(data)/tiers.sqlite")
      try RawProgress(shards: 1).store(PosixDisk(path: "\(data)/raw"))
      try TwofoldLine.text("a key").write(toFile: "\(data)/keys/server.key", atomically: false, encoding: .utf8)
      _ = try RawPartition(path: "\(data)/raw/raw-1795251600.sqlite", start: Tick(unixMilliseconds: 1_795_251_600_000))
    }
    try body(data)
  }

  private func verify(_ data: String) throws -> [DataVerification.Part] {
    var parts: [DataVerification.Part] = []
    try DataVerification(directory: data).run { parts.append($0) }
    return parts
  }

  private func damaged(_ data: String) throws -> [String] {
    try verify(data).filter { !$0.problems.isEmpty }.map(\.name)
  }

  @Test("what is as it was written has no finding, and every file is named")
  func sound() throws {
    try withData { data in
      let parts = try verify(data)
      #expect(
        parts.map(\.name) == [
          "journal/shard-0", "checkpoint", "alerts.sqlite", "history.sqlite", "raw/raw-1795251600.sqlite",
          "registry.sqlite", "tiers.sqlite", "raw/progress", "format", "keys/server.key",
        ])
      #expect(parts[2..<7].allSatisfy { $0.read.hasSuffix("pages and all rows") }, "formats are known: \(parts)")
      #expect(parts.allSatisfy { $0.problems.isEmpty }, "\(parts)")
      #expect(parts[0].read == "40 records" && parts[1].read == "1 states")
    }
  }

  @Test("one flipped byte in the middle of a journal, a checkpoint or a row is found and named by its file")
  func flipped() throws {
    try withData { data in
      func flip(_ name: String, at offset: Int) throws {
        let path = "\(data)/\(name)"
        var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        bytes[offset] ^= 0x10
        try bytes.write(to: URL(fileURLWithPath: path))
      }
      let segment = try #require(
        FileManager.default.contentsOfDirectory(atPath: "\(data)/journal/shard-0").first { $0.hasPrefix("journal") })
      try flip("journal/shard-0/\(segment)", at: 20_000)
      #expect(try damaged(data) == ["journal/shard-0"])
      try flip("checkpoint/checkpoint-0", at: 100)
      #expect(try damaged(data) == ["journal/shard-0", "checkpoint"])
      let alerts = try Data(contentsOf: URL(fileURLWithPath: "\(data)/alerts.sqlite"))
      let place = try #require(alerts.range(of: Data("long enough state".utf8)))
      try flip("alerts.sqlite", at: place.lowerBound)
      #expect(try damaged(data) == ["journal/shard-0", "checkpoint", "alerts.sqlite"])
      for (name, offset) in [("raw/progress", 20), ("format", 3), ("keys/server.key", 2)] {
        try flip(name, at: offset)
        #expect(try damaged(data).contains(name))
      }
    }
  }

  @Test("a file that is no database any more, or lost its end, is found and left as it is")
  func destroyed() throws {
    try withData { data in
      let path = "\(data)/history.sqlite"
      let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
      try Data(bytes.prefix(bytes.count / 2)).write(to: URL(fileURLWithPath: path))
      #expect(try damaged(data) == ["history.sqlite"])
      try Data(repeating: 0x41, count: 5000).write(to: URL(fileURLWithPath: "\(data)/registry.sqlite"))
      #expect(try damaged(data) == ["history.sqlite", "registry.sqlite"])
      #expect(try Data(contentsOf: URL(fileURLWithPath: path)).count == bytes.count / 2)
      #expect(try FileManager.default.contentsOfDirectory(atPath: data).allSatisfy { !$0.contains("damaged") })
    }
  }

  @Test("the torn tail that a kill leaves is no damage: nobody was told that it is stored")
  func tornTail() throws {
    try withData { data in
      let folder = "\(data)/journal/shard-0"
      let segment = try #require(
        FileManager.default.contentsOfDirectory(atPath: folder).first { $0.hasPrefix("journal") })
      let file = try #require(FileHandle(forWritingAtPath: "\(folder)/\(segment)"))
      try file.seekToEnd()
      try file.write(contentsOf: Data(repeating: 0x55, count: 300))
      try file.close()
      let journal = try verify(data)[0]
      #expect(journal.problems.isEmpty && journal.read.hasPrefix("40 records; torn tail"))
    }
  }

  @Test("a directory that is none, is not Bongsu's, or is in use is refused by name")
  func refused() throws {
    try withData { data in
      #expect(throws: DataVerification.Refusal.noDirectory("\(data)/nowhere")) { try verify("\(data)/nowhere") }
      #expect(throws: DataVerification.Refusal.notData("\(data)/journal")) { try verify("\(data)/journal") }
      let held = try DatabasePool(path: "\(data)/alerts.sqlite")
      #expect(throws: DataVerification.Refusal.inUse(data)) { try verify(data) }
      try held.close()
      #expect(try damaged(data).isEmpty)
    }
  }
}
