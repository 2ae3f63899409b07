import BongsuTestKit
import Foundation
import Glibc
import Synchronization

/// `bongsu-drill`: real processes, disturbed from a seed, and an account of every row afterwards.
@main
enum DrillCommand {
  static let usage = """
    usage: bongsu-drill run --bin DIR --work DIR [--duration S] [--agents N] [--seed S] [--interval TIME] [--namespace]
           bongsu-drill verify --work DIR
           bongsu-drill minutes --work DIR
           bongsu-drill day --work DIR [--hours N]

    run disturbs and verifies, verify looks again at what a drill left behind, minutes compares the history of an
    aggregator that has ended in order with its own journals. day runs an agent's parts through simulated hours, with
    outages and a driver that misbehaves, and looks at its memory, descriptors and threads.

      --bin DIR        where bongsu-aggregator and bongsu-agent are
      --work DIR       everything the drill leaves behind; the aggregator's data is in DIR/data
      --duration S     seconds of disturbance (default 60)
      --agents N       1 to \(DrillLimits.agentsMax) (default 4)
      --seed S         repeats the plan of an earlier drill (default: drawn)
      --interval TIME  distance between samples (default 200ms)
      --hours N        simulated hours, 6 to 240 (default 24)
      --namespace      the network namespace is the drill's own: its loopback may go down

    exit status: 0 every row is accounted for, 1 it is not or the drill failed, 2 usage
    """

  static func main() {
    do {
      let arguments = Array(CommandLine.arguments.dropFirst())
      switch arguments.first {
      case "run": exit(try run(DrillOptions(arguments.dropFirst())))
      case "verify": exit(try verify(DrillOptions(arguments.dropFirst())))
      case "minutes": exit(try minutes(DrillOptions(arguments.dropFirst())))
      case "day": exit(try day(DrillOptions(arguments.dropFirst())))
      case "--help", "-h":
        print(usage)
        exit(0)
      default: throw DrillOptions.Invalid("expected run, verify, minutes or day")
      }
    } catch let error as DrillOptions.Invalid {
      complain("\(error)\n\n\(usage)")
      exit(2)
    } catch {
      complain("\(error)")
      exit(1)
    }
  }

  private static func complain(_ text: String) {
    FileHandle.standardError.write(Data("bongsu-drill: \(text)\n".utf8))
  }

  private static func day(_ options: DrillOptions) throws -> Int32 {
    let day = try AgentDay(work: options.work)
    let complaints = day.run(hours: options.hours)
    for complaint in complaints { print("! \(complaint)") }
    print(complaints.isEmpty ? "flat: \(day.sampled) rows" : "not flat")
    return complaints.isEmpty ? 0 : 1
  }

  private static func run(_ options: DrillOptions) throws -> Int32 {
    catchInterrupts()
    let drill = try Drill(options)
    defer { drill.abandon() }
    try drill.disturb()
    try drill.settle()
    let status = try verify(options)
    for complaint in drill.complaints { print("! \(complaint)") }
    print("\(drill.kills) kills, seed \(options.seed)")
    return status != 0 || !drill.complaints.isEmpty ? 1 : 0
  }

  private static func verify(_ options: DrillOptions) throws -> Int32 {
    let verification = try Verification(work: options.work, withSpools: true)
    print(verification.report)
    return verification.isClean ? 0 : 1
  }
}

extension DrillCommand {
  /// Compares every stored minute and gap record with the rows and gaps of the journals, and counts minutes that lack
  /// rows between the first and the last row of their node.
  fileprivate static func minutes(_ options: DrillOptions) throws -> Int32 {
    let data = "\(options.work)/data"
    let shards = try FileManager.default.contentsOfDirectory(atPath: "\(data)/journal").count { $0.hasPrefix("shard-") }
    var stored = try StoredFacts(journals: "\(data)/journal", shards: shards)
    try stored.checkRawHistory(data: data, shards: shards)
    var rows: [String: MinuteTotals] = [:]
    var (count, twice, missing) = (0, 0, 0)
    for (node, facts) in stored.nodes {
      var totals = MinuteTotals()
      for (tick, kept) in facts.rows {
        count += kept.count
        twice += kept.count - 1
        for row in kept { totals.add(tick: tick, layout: row.layout, values: row.values) }
      }
      if !totals.minutes.isEmpty { rows[node] = totals }
      missing += facts.missingTicks
    }
    let account = HistoryAccount(try StoredHistory(data: data), rows: rows, gaps: stored.gaps, isOneSite: false)
    print(
      "journals: \(count) rows of \(stored.nodes.count) nodes, \(twice) stored twice, \(missing) missing in between")
    print(account.report)
    let findings = account.findings + stored.damage
    for line in findings.prefix(DrillLimits.findingsMax) { print(line) }
    // A sampler that a busy machine kept from its ticks leaves holes that are no loss: they are told, not judged.
    return findings.isEmpty && twice == 0 && count > 0 ? 0 : 1
  }
}

/// What a drill was asked to do.
struct DrillOptions {
  struct Invalid: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
  }

  var binaries = ""
  var work = ""
  var seconds = 60
  var agents = 4
  var seed = UInt64.random(in: 1...999_999)
  var interval = "200ms"
  var hours = 24
  var hasNamespace = false

  init(_ arguments: ArraySlice<String>) throws {
    var rest = arguments
    while let name = rest.popFirst() {
      if name == "--namespace" {
        hasNamespace = true
        continue
      }
      guard let value = rest.popFirst() else { throw Invalid("\(name) needs a value") }
      switch name {
      case "--bin": binaries = value
      case "--work": work = value
      case "--duration": seconds = try Self.number(name, value, 1...DrillLimits.durationSecondsMax)
      case "--agents": agents = try Self.number(name, value, 1...DrillLimits.agentsMax)
      case "--seed":
        guard let number = UInt64(value) else { throw Invalid("--seed is '\(value)', expected a whole number") }
        seed = number
      case "--interval": interval = value
      case "--hours": hours = try Self.number(name, value, 6...240)
      default: throw Invalid("unknown option \(name)")
      }
    }
    guard !work.isEmpty else { throw Invalid("--work is missing") }
  }

  private static func number(_ name: String, _ text: String, _ range: ClosedRange<Int>) throws -> Int {
    guard let number = Int(text), range.contains(number) else {
      throw Invalid("\(name) is '\(text)', expected \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }
}

/// Set by the signal handler, read by the drill.
private let interrupted = Atomic<Bool>(false)

private func catchInterrupts() {
  for number in [SIGINT, SIGTERM] {
    // The handler does nothing but an atomic store, which is allowed in it.
    _ = signal(number) { _ in interrupted.store(true, ordering: .relaxed) }
  }
}

/// Whether somebody wants the drill to end.
func wasInterrupted() -> Bool { interrupted.load(ordering: .relaxed) }
