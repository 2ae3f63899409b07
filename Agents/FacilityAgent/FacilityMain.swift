import AsyncHTTPClient
import BongsuDelivery
import BongsuEnrolment
import BongsuModel
import BongsuProcess
import BongsuTransport
import Dispatch
import Glibc

/// `bongsu-facility-agent`: reads what speaks HTTP (dcgm-exporters, BMCs, Prometheus) and delivers it for nodes and meters.
@main
enum FacilityMain {
  static func main() { exit(program.status(of: Array(CommandLine.arguments.dropFirst()))) }

  private static var program: AgentProgram {
    AgentProgram(
      name: "bongsu-facility-agent", usage: usage,
      commands: [
        "run": { try run(try ArgumentScanner($0, options: runOptions)) },
        "sample": { try sample(try ArgumentScanner($0, options: [configOption])) },
        "join": { try FacilityJoin.run(try ArgumentScanner($0, options: [configOption])) },
      ])
  }

  private static let configOption = ArgumentScanner.Option(
    name: "--config", value: "FILE",
    help: "what to read and for whom (default: BONGSU_FACILITY_AGENT_CONFIG, else \(FacilityConfiguration.defaultFile))"
  )
  private static let runOptions = [
    configOption,
    ArgumentScanner.Option(name: "--check-config", value: nil, help: "say whether the settings can be used, and end"),
  ]

  static let usage = """
    usage: bongsu-facility-agent [run] [options]      read all endpoints at every tick and deliver to an aggregator
           bongsu-facility-agent sample [options]     read all endpoints once, print what they say, without delivering
           bongsu-facility-agent join STRING [options]
                                                      make a key for each node and meter of the settings and enrol it

    options:
    \(ArgumentScanner.help(for: runOptions))

    examples:
      bongsu-facility-agent sample --config facility-agent.yaml
      bongsu-facility-agent join bongsu1… --config facility-agent.yaml
      bongsu-facility-agent --config facility-agent.yaml
    """

  /// The settings that are meant.
  static func configuration(_ scanned: ArgumentScanner) throws -> FacilityConfiguration {
    try FacilityConfiguration(file: configurationPath(scanned))
  }

  static func configurationPath(_ scanned: ArgumentScanner) -> String {
    scanned.value("--config") ?? Settings.environment()["BONGSU_FACILITY_AGENT_CONFIG"]
      ?? FacilityConfiguration.defaultFile
  }

  // MARK: sample

  private static func sample(_ scanned: ArgumentScanner) throws {
    try scanned.refuseOperands()
    let configuration = try configuration(scanned)
    let log = AgentLog(level: configuration.logLevel)
    let board = ReadingBoard(endpoints: configuration.endpoints.count)
    let clients = try EndpointClients(configuration)
    let pollers = clients.pollers(configuration, board: board, log: log)
    blocking {
      await withTaskGroup(of: Void.self) { group in
        for poller in pollers { group.addTask { await poller.poller.pollOnce() } }
      }
      await clients.shutDown()
    }
    print(SampleText.of(configuration, board), terminator: "")
    if board.summary.answering < board.summary.all { exit(1) }
  }

  /// Waits on this thread for `body`.
  private static func blocking(_ body: @escaping @Sendable () async -> Void) {
    let done = DispatchSemaphore(value: 0)
    Task {
      await body()
      done.signal()
    }
    done.wait()
  }

  // MARK: run

  private static func run(_ scanned: ArgumentScanner) throws {
    try scanned.refuseOperands()
    let configuration = try configuration(scanned)
    let clients = try EndpointClients(configuration)
    if scanned.has("--check-config") {
      blocking { await clients.shutDown() }
      for warning in configuration.warnings { program.complain("warning: \(warning)") }
      print(
        "the settings can be used: \(configuration.endpoints.count) endpoints for \(configuration.nodes.count) nodes and "
          + "meters, every \(configuration.interval.milliseconds) ms")
      return
    }
    let signals = SignalWait()
    let log = AgentLog(level: configuration.logLevel)
    for warning in configuration.warnings { log.warning("config", warning) }
    let board = ReadingBoard(endpoints: configuration.endpoints.count)
    let context = try Context(socketsMax: min(65_535, 64 + configuration.nodes.count * 4))
    let limit = DescriptorLimit.raise(toHold: configuration.nodes.count * 8 + configuration.endpoints.count * 2 + 64)
    if !limit.isEnough { log.warning("agent", "\(limit); some nodes may find no connection") }
    let courier = Courier(try Streams.open(configuration, context: context, board: board, log: log), log: log)
    log.info(
      "agent",
      "bongsu-facility-agent \(Release.version) reads \(configuration.endpoints.count) endpoints every "
        + "\(configuration.interval.milliseconds) ms for \(configuration.nodes.count) nodes and meters")
    let thread = AgentThread("courier") { courier.run() }
    let tasks = clients.pollers(configuration, board: board, log: log).map { poller in
      Task { await poller.poller.run() }
    }
    watch(signals, configuration, scanned, board: board, courier: courier, log: log)
    log.info("agent", "stopping; what is not acknowledged goes to the spools")
    for task in tasks { task.cancel() }
    courier.requestStop()
    thread.join()
    blocking { await clients.shutDown() }
    context.shutdown()
  }

  /// Handles signals and tells the service manager, until the end is asked for.
  private static func watch(
    _ signals: borrowing SignalWait, _ configuration: FacilityConfiguration, _ scanned: ArgumentScanner,
    board: ReadingBoard, courier: Courier, log: AgentLog
  ) {
    let notifier = ServiceNotifier()
    let pause = notifier.aliveSecondsMax.map { max(100, min(5000, Int($0 * 1000))) } ?? 5000
    func summary() -> String {
      let endpoints = board.summary
      return "\(endpoints.answering) of \(endpoints.all) endpoints answer; \(courier.connectedCount) of "
        + "\(configuration.nodes.count) sessions stand"
    }
    var said = summary()
    notifier.ready(said)
    while true {
      if courier.millisecondsStuck < 120_000 { notifier.alive() }
      if summary() != said {
        said = summary()
        notifier.status(said)
      }
      switch signals.wait(milliseconds: pause) {
      case .stop:
        notifier.stopping(said)
        return
      case .reload:
        notifier.reloading()
        do {
          let fresh = try Self.configuration(scanned)
          for warning in fresh.warnings { log.warning("config", warning) }
          log.setLevel(fresh.logLevel)
          let isSame = fresh.endpoints == configuration.endpoints && fresh.interval == configuration.interval
          log.info("config", "log_level is \(fresh.logLevel.name) now; everything else takes a restart")
          if !isSame { log.warning("config", "sources or interval have changed; they take a restart") }
        } catch {
          log.error("config", "the settings are left as they were: \(error)")
        }
        notifier.ready(summary())
      case .connection, .timeout: break
      }
    }
  }
}
