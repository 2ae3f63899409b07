import ArgumentParser
import BongsuDevices
import BongsuEnrolment
import BongsuFleet
import BongsuModel
import BongsuSampling
import BongsuTransport
import BongsuWire
import Foundation

/// `bongsu-fleet`: a nation of agents in one process.
@main
struct FleetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bongsu-fleet",
    abstract: "Simulates many agents of a fleet in one process, each with a session of its own.",
    discussion: """
      Example:
        bongsu-fleet --fleet ops/fleets/korea.yaml --aggregator 127.0.0.1:7420 --nodes 320 --duration 60

      With an aggregator that encrypts, the nodes join first, by a token with as many uses, and keep their keys for \
      the next run:
        bongsu-fleet --fleet fleet.yaml --nodes 320 --keys fleet.keys --join "$(bongsu join-token create --uses 320)"
        bongsu-fleet --fleet fleet.yaml --nodes 320 --keys fleet.keys

      A scenario file says what happens when, one event a line:
        events:
          - at 30s: factory sk power +20 % over 5 s
          - at 60s: 10 % of samsung nodes vanish for 30 s

      [SHARE of] all | factory ID | hall FACTORY/HALL | rack FACTORY/HALL/RACK | allocation PATH | node NAME | NAME
      power ±SHARE [over TIME] | power normal [over TIME] | ramp to SHARE [over TIME] | vanish | return | \
      lose network | regain network | flap every TIME | clock ±TIME | clock right | fail | recover  [for TIME]
      """)

  @Option(help: "The fleet file whose nodes are simulated.")
  var fleet: String

  @Option(help: "Where the aggregator takes agents, HOST:PORT. (default: where the nodes joined, else 127.0.0.1:7420)")
  var aggregator: String?

  @Option(help: "File with the keys of the nodes; with it every session is encrypted.")
  var keys: String?

  @Option(help: "Join string by which nodes without a key in --keys join; - reads it from standard input.")
  var join: String?

  @Option(help: "How many nodes, spread over all factories and allocations; all of them when left out.")
  var nodes: Int?

  @Option(help: "Scenario file: what factories work on, what fails, what happens when; see ops/scenarios.")
  var scenario: String?

  @Option(help: "Distance between ticks, such as 1s or 100ms.")
  var interval = "1s"

  @Option(help: "Seconds to run; without it, until interrupted.")
  var duration: Int?

  @Option(help: "Seed of everything that is drawn.")
  var seed: UInt64 = 1

  @Option(help: "A node to leave out, because a real agent speaks for it (repeats).")
  var exclude: [String] = []

  @Option(help: "Threads that share the nodes.")
  var threads = 1

  @Option(help: "Seconds to wait at the end for what is not acknowledged yet.")
  var grace = 10

  @Option(help: "How the result is printed: table or json.")
  var format = ReportFormat.table

  @Flag(help: "Say what happens to each session.")
  var verbose = false

  static func main() {
    // Usage errors end with 2, as everywhere in Bongsu; the parser's own choice is 64.
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch {
      let code = exitCode(for: error)
      let text = fullMessage(for: error)
      if code == .success {
        print(text)
      } else {
        FileHandle.standardError.write(Data((text + "\n").utf8))
      }
      Foundation.exit(code == .validationFailure ? 2 : code.rawValue)
    }
  }

  func validate() throws {
    guard nodes ?? 1 > 0 else { throw ValidationError("--nodes is \(nodes ?? 0), must be at least 1") }
    guard duration ?? 1 > 0 else { throw ValidationError("--duration is \(duration ?? 0), must be at least 1") }
    guard (1...16).contains(threads) else { throw ValidationError("--threads is \(threads), must be 1 to 16") }
    guard grace >= 0 else { throw ValidationError("--grace is \(grace), must not be negative") }
    guard join == nil || keys != nil else {
      throw ValidationError("--join needs --keys FILE: who loses its key cannot join again before it is revoked")
    }
    _ = try tickInterval()
  }

  func run() throws {
    let interval = try tickInterval()
    let tree = try loadFleet()
    let scenario = try loadScenario()
    let now = Tick(unixMilliseconds: ClockReading.now().unixMilliseconds)
    let chosen = NodeSelection.spread(
      nodes ?? tree.nodes.count, over: tree, at: now, excluded: Set(exclude.compactMap { NodeID($0) }))
    let limit = DescriptorLimit.raise(toHold: chosen.count * 2 + TransportLimits.descriptorReserve)
    guard limit.isEnough else {
      throw FailedRun("\(limit); simulate fewer nodes with --nodes, or share them between several processes")
    }
    let keys = try enrolledKeys(of: chosen.map { tree[$0].id })
    let load = try FleetLoad(
      tree: tree, nodes: chosen, interval: interval, endpoint: endpoint(keys), keys: keys, seed: seed,
      threads: threads, scenario: (scenario, path: self.scenario ?? ""), isVerbose: verbose)
    try load.run(seconds: duration, graceSeconds: grace, format: format)
  }

  /// Planned halls are simulated like those in service: what stands there reports.
  private func loadFleet() throws -> FleetTree {
    do {
      return try FleetFile(path: fleet, options: FleetOptions(demoInService: true)).usableTree()
    } catch {
      throw FailedRun("\(error)")
    }
  }

  private func loadScenario() throws -> Scenario {
    guard let path = scenario else { return Scenario() }
    return try ScenarioFile.load(path)
  }

  /// The keys of `nodes`, all of them joined; `nil` for sessions in the clear.
  private func enrolledKeys(of nodes: [NodeID]) throws -> FleetKeys? {
    guard let path = keys else { return nil }
    var keys = try FleetKeys(path: path)
    if let join {
      let text = join == "-" ? readLine() ?? "" : join
      try keys.join(nodes, by: try JoinString(parsing: text)) { if format == .table { print($0) } }
    }
    return keys
  }

  private func endpoint(_ keys: FleetKeys?) -> String {
    guard let aggregator else { return (keys?.aggregator ?? HostPort("127.0.0.1:7420")!).tcpEndpoint }
    return aggregator.contains("://") ? aggregator : "tcp://\(aggregator)"
  }

  private func tickInterval() throws -> TickInterval {
    let milliseconds: Int? =
      if interval.hasSuffix("ms") {
        Int(interval.dropLast(2))
      } else if interval.hasSuffix("s") {
        Int(interval.dropLast()).map { $0 * 1000 }
      } else {
        nil
      }
    guard let milliseconds, let interval = TickInterval(milliseconds: milliseconds) else {
      throw ValidationError(
        "--interval is '\(interval)', expected a divisor or a multiple of one second, such as 100ms, 1s, 10s")
    }
    return interval
  }
}

/// How results are printed.
enum ReportFormat: String, ExpressibleByArgument, CaseIterable {
  case table
  case json
}

/// A run that could not be carried out; exit status 1.
struct FailedRun: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}
