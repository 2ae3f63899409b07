import BongsuModel
import BongsuRecordLog
import BongsuRollup
import BongsuTestKit
import Foundation
import Testing

@testable import BongsuStore

/// Data directories that earlier releases wrote, and the present one: the guard of every upgrade. How they are made and what to
/// do when a format changes is in `Fixtures/README.md`.
@Suite("A kept data directory")
struct KeptDirectoryTests {
  private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/Fixtures"

  private static func unpacked(_ name: String, in directory: String) throws -> String {
    try #require(runShell("tar -xzf '\(folder)/\(name).tar.gz' -C '\(directory)'") == 0)
    return "\(directory)/data"
  }

  /// What a start on the directory answers: for each kind how many there are, and a checksum over all of them in order.
  private static func answers(_ directory: String) throws -> (lines: [String], said: [String]) {
    let said = SaidLines()
    try DataFormat.prepare(directory, shards: 1) { said.add($0) }
    let registry = try Registry.mended(path: "\(directory)/registry.sqlite") { said.add($0) }
    let alerts = try AlertStore.mended(path: "\(directory)/alerts.sqlite") { said.add($0) }
    var settings = DataKeeper.Settings(journalBytesMax: 1 << 30)
    settings.packsInBackground = false
    let keeper = try DataKeeper(directory: directory, shards: 1, settings: settings) { said.add($0) }
    var kinds: [String: [String]] = [:]
    let reading = try RawReading(try RawHistory(directory: directory, shards: 1) { said.add($0) })
    kinds["rows"] = reading.rows.flatMap { node, rows in rows.map { "\(node) \($0.key) \($0.value)" } }
    for level in TierLevel.all {
      for tier in Tier.allCases where tier >= level.finestTier && tier != .second {
        try keeper.tiers.forEachWindow(level, tier) { labels, window in
          kinds["windows", default: []].append(
            "\(level.prefix) \(tier) \(labels) \(window.end.unixMilliseconds) \(window.ticks) \(window.words)")
        }
      }
      guard level.finestTier == .second else { continue }
      try keeper.tiers.visit(TierQuestion(level, .second, in: Limits.tickRange, RollupSeries.all)) { group, course in
        for (index, end) in course.ends.enumerated() {
          kinds["ticks", default: []].append(
            "\(level.prefix) \(group.labels) \(end) \(course.values.map { $0[index].bitPattern })")
        }
        return true
      }
    }
    kinds["gaps"] = try keeper.history.gaps(Limits.tickRange).gaps.map { "\($0)" }
    kinds["nodes"] = try registry.nodes().map { "\($0)" }
    kinds["join tokens"] = try registry.tokens().map { "\($0)" }
    kinds["access tokens"] = try registry.accessTokens().map { "\($0)" }
    kinds["audit entries"] = try registry.audit(limit: 10_000).map { "\($0)" }
    let contents = try alerts.contents()
    kinds["alerts"] = contents.alerts.map { "\($0)" }
    kinds["events"] = contents.events.map { "\($0)" }
    kinds["alert history"] = try alerts.transitions(from: 0, through: .max, limit: 10_000).bodies
    let lines = kinds.sorted { $0.key < $1.key }.map { kind, entries in
      var checksum = CRC32C()
      let bytes = Array(entries.sorted().joined(separator: "\n").utf8)
      checksum.update(bytes.span)
      return "\(kind): \(entries.count), crc32c \(String(checksum.value, radix: 16))"
    }
    return (lines, said.all)
  }

  private static var names: [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).filter { $0.hasSuffix(".tar.gz") }
      .map { String($0.dropLast(7)) }.sorted()
  }

  @Test("is opened without a word, and answers what it always answered")
  func opens() throws {
    let written = environment("BONGSU_WRITE_KEPT")
    if let written { try Self.write("data-\(written)") }
    #expect(Self.names.contains("data-\(DataFormat.version)"), "there is one of the present format")
    for name in Self.names {
      let folder = try TemporaryDirectory()
      let directory = try Self.unpacked(name, in: folder.path)
      let (lines, said) = try Self.answers(directory)
      #expect(said.isEmpty, "\(name): \(said)")
      let text = lines.joined(separator: "\n") + "\n"
      let path = "\(Self.folder)/\(name).txt"
      if written != nil, !FileManager.default.fileExists(atPath: path) {
        try text.write(toFile: path, atomically: true, encoding: .utf8)
      }
      #expect(try String(contentsOfFile: path, encoding: .utf8) == text, "\(name)")
      let again = try Self.answers(directory)
      #expect(again.lines == lines && again.said.isEmpty, "\(name): once brought up to date it stays as it is")
      var problems: [String] = []
      try DataVerification(directory: directory).run { problems += $0.problems }
      #expect(problems.isEmpty, "\(name): \(problems)")
    }
  }

  @Test("of an earlier format has the rollups that its raw rows make")
  func rollups() throws {
    let folder = try TemporaryDirectory()
    let directory = try Self.unpacked("data-1", in: folder.path)
    try DataFormat.prepare(directory, shards: 1) { _ in }
    let kept = try TierStore.mended(path: "\(directory)/tiers.sqlite") { Issue.record("\($0)") }.store
    // Power of a node's GPUs is the same in both: mean over the minute's rows against what the tier says.
    let history = try RawHistory(directory: directory, shards: 1)
    var sums: [String: (sum: Int64, count: Int64)] = [:]
    _ = try history.forEachRun(RawSelection(ticks: Limits.tickRange, metrics: [.gpuPower])) { run in
      for column in run.columns {
        for device in 0..<run.layout.deviceCount(of: column) {
          for (tick, value) in zip(run.ticks, run.series(column: column, device: device)) where value != .min {
            let key = "\(run.node) \(Tier.minute.end(of: tick).unixMilliseconds)"
            sums[key, default: (0, 0)].sum += value
            sums[key, default: (0, 0)].count += 1
          }
        }
      }
      return true
    }
    var means: [String: Double] = [:]
    let power = RollupSeries.all.filter { $0.metric == "bongsu_gpu_power_watts" && $0.operation == "avg" }
    try kept.visit(TierQuestion(.node, .minute, in: Limits.tickRange, power)) { group, course in
      let name = group.labels.first { $0.name == "node" }?.value ?? ""
      for (end, value) in zip(course.ends, course.values[0]) where !value.isNaN { means["\(name) \(end)"] = value }
      return true
    }
    #expect(means.count >= 4)
    for (key, mean) in means {
      let raw = try #require(sums[key], "\(key)")
      #expect(abs(mean - Double(raw.sum) / Double(raw.count) / 1000) < 1e-6, "\(key)")
    }
  }

  /// Makes the archive of the present format.
  private static func write(_ name: String) throws {
    let folder = try TemporaryDirectory()
    let filled = try FilledDirectory(in: folder.path)
    try FileManager.default.moveItem(atPath: filled.stopped, toPath: "\(folder.path)/data")
    try #require(runShell("tar -czf '\(Self.folder)/\(name).tar.gz' -C '\(folder.path)' data") == 0)
  }
}
