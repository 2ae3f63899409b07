import BongsuModel
import BongsuTestKit
import Foundation
import Testing

@testable import BongsuStore

@Suite("Backup and restore of a data directory")
struct BackupTests {
  /// An archive of `directory`; `meanwhile` is called between any two of its pieces.
  private static func archive(
    _ directory: String, at path: String, meanwhile: @escaping (Int) throws -> Void = { _ in }
  ) throws {
    #expect(FileManager.default.createFile(atPath: path, contents: nil))
    let file = try #require(FileHandle(forWritingAtPath: path))
    var count = 0
    try DataBackup.write(directory) { bytes in
      try file.write(contentsOf: Data(bytes))
      count += 1
      try meanwhile(count)
    }
    try file.close()
    #expect(!FileManager.default.fileExists(atPath: "\(directory)/backup.tmp"), "copies are removed")
  }

  @Test("what is backed up while rows come, are packed and rolled up answers as it did at that moment, and goes on")
  func underLoad() throws {
    let folder = try TemporaryDirectory()
    let filled = try FilledDirectory(in: folder.path)
    let journal = try RawJournal(filled.stopped, segmentBytes: 12_000)
    var next = FilledDirectory.ticks.upperBound + 1
    let before = filled.answers
    let path = "\(folder.path)/all.backup"
    do {
      let running = try StartedDirectory(filled.stopped, filled.committed)
      try Self.archive(filled.stopped, at: path) { _ in
        // A running aggregator: rows, chunks and minutes come while the files are copied one after the other.
        for _ in 0..<20 {
          for node in 0..<FilledDirectory.nodes { try journal.put(node, next) }
          next += 1
        }
        try journal.commit()
        let present = try StartedDirectory(filled.stopped, journal.committed, over: running)
        try present.form()
        if next % 3 == 0 { present.keeper.packRaw(through: journal.committed) }
      }
      #expect(running.said.isEmpty, "\(running.said)")
    }
    let summary = try BackupArchive.verify(path)
    #expect(summary.notes.isEmpty && summary.files > 12, "\(summary)")
    let restored = "\(folder.path)/new/data"
    #expect(try BackupArchive.restore(path, to: restored) == summary)
    var verified: [DataVerification.Part] = []
    try DataVerification(directory: restored).run { verified.append($0) }
    #expect(verified.allSatisfy { $0.problems.isEmpty }, "\(verified)")

    // It is started with what its own journal holds, and nothing is missing or counted twice.
    let own = try RawJournal(restored, segmentBytes: 12_000)
    let started = try StartedDirectory(restored, own.committed)
    let answers = try started.answers()
    #expect(started.said.isEmpty, "\(started.said)")
    let lost = before.keys.filter { answers[$0] != before[$0] }.sorted()
    #expect(lost.isEmpty, "\(lost.count) answers differ, \(lost.first ?? "")")
    let last = answers.keys.filter { $0.hasPrefix("raw n0 ") }.compactMap { Int($0.dropFirst(7)) }.max() ?? 0
    #expect(last > FilledDirectory.ticks.upperBound, "the journal comes last, with rows of after the beginning")
    for number in FilledDirectory.ticks.upperBound + 1...last {
      for node in 0..<FilledDirectory.nodes {
        #expect(answers["raw n\(node) \(number)"] == "\(RawJournal.row(node, number))")
      }
    }
  }

  @Test("an archive that is cut anywhere, or has another byte anywhere, is refused, and nothing is left of it")
  func altered() throws {
    let folder = try TemporaryDirectory()
    let filled = try FilledDirectory(in: folder.path)
    let path = "\(folder.path)/all.backup"
    try Self.archive(filled.stopped, at: path)
    let whole = try Data(contentsOf: URL(fileURLWithPath: path))
    var random = SeededRandom(default: 5)
    let other = "\(folder.path)/other.backup"
    let target = "\(folder.path)/target"
    func isRefused(_ bytes: Data, _ what: String) throws {
      try bytes.write(to: URL(fileURLWithPath: other))
      #expect(throws: BackupArchive.Refusal.self, "\(what), seed \(random.seed)") {
        try BackupArchive.restore(other, to: target)
      }
      let left = try FileManager.default.contentsOfDirectory(atPath: target)
      #expect(left.isEmpty, "\(what): \(left)")
    }
    try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: true)
    for length in [0, 7, 9, 13, 14, 40, whole.count - 1, whole.count - 9] {
      try isRefused(whole.prefix(length), "cut to \(length)")
    }
    try isRefused(whole + [0], "longer by a byte")
    for _ in 0..<6 {
      let offset = Int.random(in: 0..<whole.count, using: &random)
      var bytes = whole
      bytes[offset] ^= UInt8.random(in: 1...255, using: &random)
      try isRefused(bytes, "byte \(offset)")
    }
    #expect(throws: BackupArchive.Refusal.notThere("\(folder.path)/none")) {
      try BackupArchive.restore("\(folder.path)/none", to: target)
    }
    try Data("not a backup at all".utf8).write(to: URL(fileURLWithPath: other))
    #expect(throws: BackupArchive.Refusal.notAnArchive(other)) { try BackupArchive.restore(other, to: target) }
  }

  @Test("nothing is restored over what is there, and no aggregator starts on half a restore")
  func occupied() throws {
    let folder = try TemporaryDirectory()
    let filled = try FilledDirectory(in: folder.path)
    let path = "\(folder.path)/all.backup"
    try Self.archive(filled.stopped, at: path)
    let refusal = BackupArchive.Refusal.occupied(directory: filled.killed, example: "alerts.sqlite")
    #expect(throws: refusal) { try BackupArchive.restore(path, to: filled.killed) }
    let half = "\(folder.path)/half"
    try FileManager.default.createDirectory(
      atPath: "\(half)/\(BackupArchive.unfinished)", withIntermediateDirectories: true)
    #expect(throws: DataFormat.Refusal.halfRestored(directory: half)) {
      try DataFormat.prepare(half, shards: 1) { _ in }
    }
    // Begun anew it is finished.
    try BackupArchive.restore(path, to: half)
    try DataFormat.prepare(half, shards: 1) { _ in }
  }

  @Test(
    "names that lead out of the directory are none",
    arguments: ["../x", "/etc/passwd", "a/../../b", "keys/.hidden", "", "a//b", "a/b/c/d"])
  func names(name: String) {
    #expect(!BackupReader.isAllowed(name))
  }

  @Test("a partition that is damaged is left out by name, the rest is whole")
  func damagedPartition() throws {
    let folder = try TemporaryDirectory()
    let filled = try FilledDirectory(in: folder.path)
    let partition = "\(filled.stopped)/raw/raw-1800000000.sqlite"
    try Data(repeating: 3, count: 5000).write(to: URL(fileURLWithPath: partition))
    let path = "\(folder.path)/all.backup"
    try Self.archive(filled.stopped, at: path)
    let summary = try BackupArchive.verify(path)
    #expect(summary.notes.count == 1 && summary.notes[0].contains("raw/raw-1800000000.sqlite"), "\(summary.notes)")
  }
}
