import BongsuModel
import BongsuTestKit
import Foundation
import Testing

@testable import BongsuStore

/// One byte of one file is another: the start succeeds, nothing is answered that was not stored, and what is lost is
/// little and named. `BONGSU_DAMAGE_TRIALS` and `BONGSU_SEED` make more of them, and others.
@Suite("A flipped byte in any file of the data directory")
struct DamageTests {
  private static let trials = environment("BONGSU_DAMAGE_TRIALS").flatMap { Int($0) } ?? 100

  /// What one damaged byte may cost at most, by the first word of an answer's name.
  private static let lossMax: [String: Int] = [
    // The rows of a partition file, or of one node behind a lost record of the journal, up to its segment's end.
    "raw": FilledDirectory.nodes * FilledDirectory.ticks.count,
    // A page of 4 KiB.
    "gap": 60, "node": 40, "join": 40, "access": 40, "audit": 60, "alert": 40, "event": 40, "transition": 70, "note": 1,
    // All of it is formed again from raw history.
    "tier": 0,
  ]

  private struct Place: CustomStringConvertible {
    let file: String
    let offset: Int
    let mask: UInt8
    var description: String { "byte \(offset) of \(file) ^ \(mask)" }
  }

  /// A file, and a byte in it: half of them where SQLite keeps what its trees are made of.
  private static func place(in directory: String, _ files: [String], _ random: inout SeededRandom) throws -> Place {
    let file = files[Int.random(in: 0..<files.count, using: &random)]
    let size = try FileManager.default.attributesOfItem(atPath: "\(directory)/\(file)")[.size] as? NSNumber
    let bytes = size?.intValue ?? 0
    var offset = Int.random(in: 0..<bytes, using: &random)
    if file.contains(".sqlite"), Bool.random(using: &random) {
      offset = min(bytes - 1, offset / 1024 * 1024 + Int.random(in: 0..<120, using: &random))
    }
    let mask =
      Bool.random(using: &random)
      ? 1 << UInt8.random(in: 0..<8, using: &random) : UInt8.random(in: 1...255, using: &random)
    return Place(file: file, offset: offset, mask: mask)
  }

  private static func part(of file: String) -> Set<StartedDirectory.Part> {
    if file.hasPrefix("registry") { return [.registry] }
    if file.hasPrefix("alerts") { return [.alerts] }
    if file.hasPrefix("format") || file.hasPrefix("keys") { return [] }
    return [.history]
  }

  @Test("costs a record, the rows of a page or a partition file, and is named; no answer is another")
  func flippedByte() throws {
    let seed = SeededRandom(default: 20_261_128).seed
    var random = SeededRandom(seed: seed)
    let folder = try TemporaryDirectory()
    let filled = try FilledDirectory(in: folder.path)
    let kinds = Set(filled.answers.keys.map { String($0.prefix { $0 != " " }) })
    #expect(kinds == Set(Self.lossMax.keys), "the directory has every kind of answer: \(kinds)")
    var lost: [String: Int] = [:]
    for trial in 0..<Self.trials {
      let source = trial % 2 == 0 ? filled.stopped : filled.killed
      let files = try FileManager.default.subpathsOfDirectory(atPath: source).filter { name in
        let attributes = try FileManager.default.attributesOfItem(atPath: "\(source)/\(name)")
        // The index of a write-ahead log is made anew by whoever opens it first.
        return attributes[.type] as? FileAttributeType == .typeRegular && !name.hasSuffix("-shm")
          && (attributes[.size] as? NSNumber)?.intValue ?? 0 > 0
      }.sorted()
      let place = try Self.place(in: source, files, &random)
      let copy = "\(folder.path)/trial"
      try? FileManager.default.removeItem(atPath: copy)
      try FileManager.default.copyItem(atPath: source, toPath: copy)
      let url = URL(fileURLWithPath: "\(copy)/\(place.file)")
      var bytes = try Data(contentsOf: url)
      bytes[place.offset] ^= place.mask
      try bytes.write(to: url)
      let problem = Self.problem(place, copy, filled, &lost)
      if let problem {
        Issue.record(
          "trial \(trial), seed \(seed), \(source == filled.killed ? "killed" : "stopped"), \(place): \(problem)")
      }
    }
  }

  /// What is wrong with a damaged directory's answers; `nil`: nothing.
  private static func problem(
    _ place: Place, _ copy: String, _ filled: FilledDirectory, _ lost: inout [String: Int]
  ) -> String? {
    let parts = part(of: place.file)
    let answers: [String: String]
    let said: [String]
    do {
      let started = try StartedDirectory(copy, filled.committed)
      answers = try started.answers(parts)
      said = started.said
    } catch {
      return "the start or a question failed: \(error)"
    }
    let names = Set(parts.flatMap(Self.names))
    let want = filled.answers.filter { names.contains(String($0.key.prefix { $0 != " " })) }
    for (name, answer) in answers where want[name] != answer {
      return "\(name) is \(answer), was \(want[name] ?? "not there"); said \(said)"
    }
    var missing: [String: Int] = [:]
    for name in want.keys where answers[name] == nil { missing[String(name.prefix { $0 != " " }), default: 0] += 1 }
    for (kind, count) in missing {
      lost[kind, default: 0] += count
      guard count <= lossMax[kind] ?? 0 else {
        let names = want.keys.filter { answers[$0] == nil && $0.hasPrefix(kind) }.sorted().prefix(3)
        return "\(count) of \(kind) are lost, such as \(names); said \(said)"
      }
    }
    if !missing.isEmpty, said.isEmpty { return "\(missing) are lost and nothing is said" }
    return nil
  }

  private static func names(_ part: StartedDirectory.Part) -> [String] {
    switch part {
    case .history: ["raw", "gap", "tier"]
    case .registry: ["node", "join", "access", "audit"]
    case .alerts: ["alert", "event", "note", "transition"]
    }
  }
}
