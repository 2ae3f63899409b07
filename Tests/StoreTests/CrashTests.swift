import BongsuModel
import BongsuRollup
import BongsuTestKit
import Foundation
import Synchronization
import Testing

@testable import BongsuStore

/// A kill between any two steps that reach the disk: commits of partitions, tiers, gap records, progress, checkpoints, emptied
/// write-ahead logs, trimmed journals, removed hours.
///
/// One undisturbed run is looked at at each such place: what is on disk then is what a kill leaves. Some of these
/// directories are opened again, get the rest of the rows, and have to end as the undisturbed run did. `BONGSU_CRASH_TRIALS`
/// opens more of them, `BONGSU_SEED` others.
@Suite("A kill between two commits")
struct CrashTests {
  private static let trials = environment("BONGSU_CRASH_TRIALS").flatMap { Int($0) } ?? 16

  /// The rows of a step: live ones over the end of an hour, and late ones of the step before.
  private struct Course {
    static let steps = 5
    static let first = 3_390

    static func put(_ step: Int, _ journal: RawJournal) throws {
      let numbers = (first + step * 90)..<(first + step * 90 + 90)
      for number in numbers {
        for node in 0..<FilledDirectory.nodes where !isLate(node, number, in: step) { try journal.put(node, number) }
      }
      if step > 0 {
        let before = numbers.lowerBound - 60
        try journal.put(1, before...(before + 30))
      }
      try journal.commit()
    }

    /// Rows that come with the next step; the last step has none of them.
    private static func isLate(_ node: Int, _ number: Int, in step: Int) -> Bool {
      let offset = number - (first + step * 90)
      return node == 1 && step < steps - 1 && (30...60).contains(offset)
    }

    static var last: Tick { RawJournal.tick(first + steps * 90 - 1) }
  }

  /// One process's life on a directory.
  private final class Run {
    let journal: RawJournal
    let keeper: DataKeeper
    private let directory: String
    let said = SaidLines()

    init(_ directory: String, rawBytesMax: Int64 = .max) throws {
      self.directory = directory
      journal = try RawJournal(directory, segmentBytes: 9_000)
      var settings = DataKeeper.Settings(journalBytesMax: 1)
      settings.packsInBackground = false
      settings.rawBytesMax = rawBytesMax
      let said = said
      keeper = try DataKeeper(directory: directory, shards: 1, settings: settings) { said.add($0) }
    }

    /// What a step does behind the journal.
    func keep(_ closed: Tick) throws {
      try keeper.follow(through: journal.committed)
      try form(closed)
      keeper.packRaw(through: journal.committed)
      let below = keeper.keep(
        journal.progress().map { progress in
          var progress = progress
          progress.checkpoint = (progress.committed, [UInt8](repeating: 9, count: 64))
          return progress
        })
      try journal.trim(below)
      Failpoint.pass("journal: trimmed")
    }

    private func form(_ closed: Tick) throws {
      let committed = journal.committed
      let history = keeper.rawHistory { body in
        try body(committed)
        return true
      }
      let tiers = TierKeeper(store: keeper.tiers, fleet: FilledDirectory.fleet) { try history.forEachRun($0, $1) }
      while try tiers.work(closedThrough: closed, now: RawJournal.tick(90_000)) > 0 {}
    }

    /// The end of a long life: the oldest hour of raw rows and of ticks goes.
    func retire() throws {
      try keeper.follow(through: journal.committed)
      try form(Course.last)
      keeper.packRaw(through: journal.committed)
      try keeper.tiers.expire(
        TierRetention(keptMilliseconds: [.second: 600_000]), now: RawJournal.tick(3_600 + 600))
    }

    func answers() throws -> [String: String] {
      let started = try StartedDirectory(directory, journal.committed, keeper: keeper)
      var answers = try started.answers([.history])
      // How far a file is belongs to what must agree.
      answers["dirty"] = "\(try keeper.tiers.dirtyMinutes().filter { $0.minute <= Course.last.unixMilliseconds }.count)"
      return answers
    }
  }

  private struct Snapshot {
    let place: String
    let step: Int
    let path: String
  }

  @Test("leaves files that agree: nothing is lost, nothing counts twice, and the end is that of the undisturbed run")
  func killedAnywhere() throws {
    let seed = SeededRandom(default: 7).seed
    var random = SeededRandom(seed: seed)
    let folder = try TemporaryDirectory()
    let directory = "\(folder.path)/run"
    let snapshots = Mutex<[Snapshot]>([])
    let step = Mutex(0)
    let look: @Sendable (String) -> Void = { place in
      snapshots.withLock { list in
        let path = "\(folder.path)/kill-\(list.count)"
        do { try FileManager.default.copyItem(atPath: directory, toPath: path) } catch {
          Issue.record("the directory cannot be copied at '\(place)': \(error)")
        }
        list.append(Snapshot(place: place, step: step.withLock { $0 }, path: path))
      }
    }
    let want = try Failpoint.$reached.withValue(look) { () throws -> [String: String] in
      do {
        let run = try Run(directory)
        for number in 0..<Course.steps {
          try Course.put(number, run.journal)
          step.withLock { $0 = number + 1 }
          look("journal: committed")
          try run.keep(Self.closed(number))
        }
      }
      let run = try Run(directory, rawBytesMax: 1)
      try run.retire()
      return try Failpoint.$reached.withValue(nil) { try run.answers() }
    }
    let all = snapshots.withLock { $0 }
    let places = Set(all.map(\.place))
    for place in [
      "tiers.sqlite: a commit", "history.sqlite: a commit", "raw: progress is stored", "checkpoint: a file is replaced",
      "journal: trimmed", "raw: a partition is noted as removed", "raw: a part of a partition is removed",
      "raw-1800000000.sqlite: a commit", "raw-1800003600.sqlite: the write-ahead log is emptied",
    ] { #expect(places.contains(place), "no kill at '\(place)' among \(places.sorted())") }
    // One of each place, then any.
    var chosen = places.sorted().compactMap { place in all.filter { $0.place == place }.randomElement(using: &random) }
    while chosen.count < min(Self.trials, all.count), let more = all.randomElement(using: &random) {
      chosen.append(more)
    }
    for snapshot in chosen {
      let (got, said) = try Self.end(snapshot)
      #expect(said.isEmpty, "\(snapshot.place), step \(snapshot.step), seed \(seed): \(said.prefix(3))")
      let different = Set(got.keys).union(want.keys).filter { got[$0] != want[$0] }.sorted()
      if let first = different.first {
        Issue.record(
          "\(snapshot.place), step \(snapshot.step), seed \(seed): \(different.count) answers differ, \(first) is \(got[first] ?? "lost"), was \(want[first] ?? "never there")"
        )
      }
    }
  }

  private static func closed(_ step: Int) -> Tick { RawJournal.tick(Course.first + step * 90 + 89) }

  /// Goes on where a kill ended, to the end of the course.
  private static func end(_ snapshot: Snapshot) throws -> (answers: [String: String], said: [String]) {
    var said: [String] = []
    do {
      let run = try Run(snapshot.path)
      if snapshot.step > 0 { try run.keep(closed(snapshot.step - 1)) }
      for step in snapshot.step..<Course.steps {
        try Course.put(step, run.journal)
        try run.keep(closed(step))
      }
      said += run.said.all
    }
    let run = try Run(snapshot.path, rawBytesMax: 1)
    try run.retire()
    return (try run.answers(), said + run.said.all)
  }
}
