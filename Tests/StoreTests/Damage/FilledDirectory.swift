import BongsuFleet
import BongsuModel
import BongsuRecordLog
import BongsuRollup
import BongsuTestKit
import BongsuWire
import Foundation

@testable import BongsuStore

/// A data directory with every kind of file in it, as a stop or a kill leaves it, and all that it answers.
struct FilledDirectory {
  static let plan: RollupPlan = {
    let text = """
      version: 1
      nation: test
      time_zone: UTC
      factories:
        - id: east
          pue: 1.25
          halls:
            - { id: a, in_service: 2020-01-01, model: B200, racks: [{ id: r1, nodes: "n[0-1]" }] }
          meters:
            - { id: east, contract_power: 1 MW }
        - id: west
          halls:
            - { id: b, in_service: 2020-01-01, model: B200, racks: [{ id: r2, nodes: "n[2-3]" }] }
      allocations:
        - { path: ministry, granted_gpus: 4, members: [{ nodes: "n[0-2]" }] }
      """
    let file = FleetFile(text: text, path: "filled.yaml")
    guard let tree = file.tree else { fatalError("\(file.findings)") }
    return RollupPlan(tree)
  }()

  /// As a fleet file of some length is kept.
  static let fleet = TierKeeper.Fleet(plan, bytes: [UInt8](repeating: 0x66, count: 700)) { _ in plan }

  static let nodes = 3
  /// Ticks of all nodes, over the end of an hour; after ``packed`` rows are in the journal alone.
  static let ticks = 3_421...3_780
  static let packed = 3_720
  static let late = 3_480...3_510

  /// The directory as a clean stop leaves it, and as a kill does: with write-ahead logs.
  let stopped: String
  let killed: String
  let committed: [UInt64]
  /// What an undamaged directory answers.
  let answers: [String: String]

  init(in folder: String) throws {
    stopped = "\(folder)/stopped"
    killed = "\(folder)/killed"
    let files = FileManager.default
    try files.createDirectory(atPath: "\(stopped)/keys", withIntermediateDirectories: true)
    try DataFormat.prepare(stopped, shards: 1) { _ in }
    for name in ["server", "report"] {
      try TwofoldLine.text("bongsu-\(name)-key 2 \(name)").write(
        toFile: "\(stopped)/keys/\(name).key", atomically: false, encoding: .utf8)
    }
    let journal = try RawJournal(stopped, segmentBytes: 12_000)
    for number in Self.ticks where number <= Self.packed {
      for node in 0..<Self.nodes where node != 1 || !Self.late.contains(number) { try journal.put(node, number) }
    }
    try journal.put(1, Self.late)
    try journal.commit()
    do {
      let started = try StartedDirectory(stopped, journal.committed)
      try started.fill()
      started.keeper.packRaw(through: journal.committed)
      _ = started.keeper.keep(
        journal.progress().map { progress in
          var progress = progress
          progress.checkpoint = (progress.committed, [UInt8](repeating: 7, count: 300))
          return progress
        })
      for number in (Self.packed + 1)...Self.ticks.upperBound {
        for node in 0..<Self.nodes { try journal.put(node, number) }
      }
      try journal.commit()
      committed = journal.committed
      _ = started.keeper.keep(journal.progress())
      // Minutes are in the write-ahead log of the tiers when the kill comes.
      let again = try StartedDirectory(stopped, committed, over: started)
      try again.form()
      try files.copyItem(atPath: stopped, toPath: killed)
    }
    answers = try StartedDirectory(stopped, committed).answers()
  }
}

/// A data directory as a start opens it.
final class StartedDirectory {
  let keeper: DataKeeper
  let registry: Registry!
  let alerts: AlertStore!
  private let directory: String
  private let committed: [UInt64]
  private let lines: SaidLines

  /// What was said of damage.
  var said: [String] { lines.all }

  /// - Parameter over: one that has the directory open already, with fewer records.
  init(_ directory: String, _ committed: [UInt64], over other: StartedDirectory? = nil) throws {
    self.directory = directory
    self.committed = committed
    let lines = other?.lines ?? SaidLines()
    self.lines = lines
    if let other {
      (keeper, registry, alerts) = (other.keeper, other.registry, other.alerts)
      return
    }
    try DataFormat.prepare(directory, shards: 1) { lines.add($0) }
    for name in ["server", "report"] {
      let text = String(
        decoding: FileManager.default.contents(atPath: "\(directory)/keys/\(name).key") ?? Data(), as: UTF8.self)
      guard let (line, isWhole) = TwofoldLine.read(text), line == "bongsu-\(name)-key 2 \(name)" else {
        throw StoreError.file(path: "keys/\(name).key", code: 0)
      }
      if !isWhole { lines.add("keys/\(name).key was damaged") }
    }
    registry = try Registry.mended(path: "\(directory)/registry.sqlite") { lines.add($0) }
    alerts = try AlertStore.mended(path: "\(directory)/alerts.sqlite") { lines.add($0) }
    var settings = DataKeeper.Settings(journalBytesMax: 1 << 30)
    settings.packsInBackground = false
    keeper = try DataKeeper(directory: directory, shards: 1, settings: settings) { lines.add($0) }
  }

  /// Over somebody else's keeper; there is history to ask for alone.
  init(_ directory: String, _ committed: [UInt64], keeper: DataKeeper) throws {
    self.directory = directory
    self.committed = committed
    lines = SaidLines()
    self.keeper = keeper
    registry = nil
    alerts = nil
  }

  // MARK: Filling

  private static func at(_ second: Int) -> Tick { Tick(unixMilliseconds: RawJournal.epoch + Int64(second) * 1000) }

  func fill() throws {
    for number in 0..<40 {
      let token = BongsuStore.JoinToken(
        id: "join-\(number)", createdAt: Self.at(number), expiresAt: Self.at(9000), uses: 5, nodePatterns: ["n*"],
        comment: number % 2 == 0 ? nil : "for hall \(number)")
      try registry.add(token, secretHash: [UInt8](repeating: UInt8(number), count: 32), by: "loopback")
      _ = try registry.join(
        NodeID("n\(number)")!, publicKey: [UInt8](repeating: UInt8(100 + number), count: 32),
        secretHash: [UInt8](repeating: UInt8(number), count: 32), from: "10.0.0.\(number)", at: Self.at(number)
      ) { _, _ in true }
      try registry.add(
        BongsuStore.AccessToken(
          id: "access-\(number)", name: "reader \(number)", role: "read", matchers: ["factory=\"east\""],
          createdAt: Self.at(number), expiresAt: number % 3 == 0 ? nil : Self.at(9000)),
        secretHash: [UInt8](repeating: UInt8(200 - number), count: 32), by: "loopback")
    }
    _ = try registry.revoke(NodeID("n7")!, by: "loopback", at: Self.at(50))
    _ = try registry.revokeAccessToken("access-5", by: "loopback", at: Self.at(51))
    var change = AlertStore.Change()
    for number in 0..<30 {
      change.alerts["rule \(number)"] = ["{\"alert\":\(number),\"text\":\"\(String(repeating: "x", count: 90))\"}"]
      change.events.append(("receiver", "{\"event\":\(number),\"text\":\"\(String(repeating: "y", count: 90))\"}"))
      change.transitions.append((Self.at(number).unixMilliseconds, "{\"transition\":\(number)}"))
    }
    change.notes["coverage"] = "0.875"
    _ = try alerts.commit(change)
    // Gaps of a shard whose journal is long gone: nothing can read them again.
    var batch = HistoryBatch(shard: 1, record: 500)
    batch.gaps = (0..<120).map { number in
      HistoryBatch.GapRecord(
        record: UInt64(number + 1), node: NodeID("n\(number % 5)")!,
        gap: JournalGap(
          node: NodeNumber(rawValue: 3), sequences: UInt64(number * 10 + 1)...UInt64(number * 10 + 5),
          reason: .agentRestart, ticks: Self.at(number)...Self.at(number + 4)))
    }
    try keeper.history.apply(batch)
    try form()
  }

  private var history: RawHistory {
    let committed = committed
    return keeper.rawHistory { body in
      try body(committed)
      return true
    }
  }

  /// Brings the tiers up to date.
  func form() throws {
    try keeper.follow(through: committed)
    let history = history
    let tiers = TierKeeper(store: keeper.tiers, fleet: FilledDirectory.fleet) { try history.forEachRun($0, $1) }
    while try tiers.work(closedThrough: Self.at(FilledDirectory.ticks.upperBound), now: Self.at(90_000)) > 0 {}
  }

  // MARK: Asking

  /// Everything that is stored, by name.
  func answers(_ parts: Set<Part> = Set(Part.allCases)) throws -> [String: String] {
    var answers: [String: String] = [:]
    if parts.contains(.history) {
      if registry != nil { try form() }
      let reading = try RawReading(history)
      for line in reading.losses.damage { lines.add(line) }
      if reading.losses.undecodedRows > 0 { lines.add("\(reading.losses.undecodedRows) rows cannot be read") }
      for (node, rows) in reading.rows { for (number, row) in rows { answers["raw \(node) \(number)"] = "\(row)" } }
      let gaps = try keeper.history.gaps(Limits.tickRange)
      if gaps.damaged > 0 { lines.add("\(gaps.damaged) gaps are damaged") }
      for gap in gaps.gaps { answers["gap \(gap.sequences?.lowerBound ?? 0)"] = "\(gap)" }
      try addTiers(to: &answers)
      if keeper.tiers.damagedRows > 0 { lines.add("\(keeper.tiers.damagedRows) rows of tiers are damaged") }
    }
    if parts.contains(.registry) {
      for node in try registry.nodes() { answers["node \(node.node)"] = "\(node)" }
      for token in try registry.tokens() { answers["join \(token.id)"] = "\(token)" }
      for entry in try registry.accessTokens() { answers["access \(entry.token.id)"] = "\(entry)" }
      for entry in try registry.audit(limit: 1000) {
        answers["audit \(entry.at.unixMilliseconds) \(entry.action) \(entry.subject)"] = "\(entry)"
      }
    }
    if parts.contains(.alerts) {
      let contents = try alerts.contents()
      for line in contents.damage { lines.add(line) }
      for alert in contents.alerts { answers["alert \(alert.rule)"] = alert.body }
      for event in contents.events { answers["event \(event.number)"] = "\(event)" }
      for (name, value) in contents.notes { answers["note \(name)"] = value }
      let transitions = try alerts.transitions(from: 0, through: .max, limit: 1000)
      if transitions.damaged > 0 { lines.add("\(transitions.damaged) transitions are damaged") }
      for body in transitions.bodies { answers["transition \(body)"] = body }
    }
    return answers
  }

  /// Every stored window as it was folded, and one series of the finest tier.
  private func addTiers(to answers: inout [String: String]) throws {
    let power = RollupSeries.all.filter { $0.metric == "bongsu_gpu_power_watts" && $0.operation == "sum" }
    for level in TierLevel.all {
      for tier in Tier.allCases where tier >= level.finestTier {
        guard tier == .second else {
          try keeper.tiers.forEachWindow(level, tier) { labels, window in
            answers["tier \(level.prefix) \(tier) \(labels) \(window.end)"] =
              "\(window.ticks) \(window.words.hashValue)"
          }
          continue
        }
        try keeper.tiers.visit(TierQuestion(level, tier, in: Limits.tickRange, power)) { group, course in
          for (end, value) in zip(course.ends, course.values[0]) where !value.isNaN {
            answers["tier \(level.prefix) \(tier) \(group.labels) \(end)"] = "\(value)"
          }
          return true
        }
      }
    }
  }

  enum Part: CaseIterable {
    case history
    case registry
    case alerts
  }
}
