import BongsuDelivery
import BongsuDevices
import BongsuEnrolment
import BongsuModel
import BongsuProcess
import BongsuRecordLog
import BongsuSampling
import BongsuSpool
import BongsuTransport
import Glibc

/// `bongsu-agent`: reads this node's devices once per tick and delivers what it read.
@main
enum AgentMain {
  static func main() { exit(program.status(of: Array(CommandLine.arguments.dropFirst()))) }

  private static var program: AgentProgram {
    AgentProgram(
      name: "bongsu-agent", usage: usage,
      commands: ["run": run, "sample": sample, "join": JoinCommand.run, "ctl": ControlCommand.run])
  }

  private static let sampleOptions: [ArgumentScanner.Option] = [
    .init(
      name: "--source", value: "SPEC",
      help: "nvml[:LIB], amd, intel, host, replay:FILE[,loop][,speed=N], simulated[:gpus=N,…]",
      repeats: true),
    .init(name: "--interval", value: "TIME", help: "time over which means are taken (default: 1s)"),
    .init(name: "--format", value: "FORMAT", help: "table or json (default: table)"),
  ]

  static let usage = """
    usage: bongsu-agent [run] [options]      sample this node and deliver to an aggregator
           bongsu-agent sample [options]     print one reading and end, without network
           bongsu-agent join STRING [options]
                                             make this node's key and enrol it; STRING is what bongsu join-token create
                                             printed, or - to read it from standard input
           bongsu-agent ctl status|pause-gpu|resume-gpu [options]
                                             how the agent of this machine is; let go of the GPU drivers, take them up

    options of run:
    \(ArgumentScanner.help(for: AgentConfiguration.options))

    options of sample:
    \(ArgumentScanner.help(for: sampleOptions))

    options of join:
    \(ArgumentScanner.help(for: JoinCommand.options))

    options of ctl:
    \(ArgumentScanner.help(for: ControlCommand.options))

    examples:
      bongsu-agent join bongsu1… --node r001-n07
      bongsu-agent --spool /var/lib/bongsu/spool
      bongsu-agent sample --source simulated:gpus=8,model=B200 --format json
      bongsu-agent ctl pause-gpu
    """

  // MARK: sample

  private static func sample(_ arguments: [String]) throws {
    let scanned = try ArgumentScanner(arguments, options: sampleOptions)
    try scanned.refuseOperands()
    let format = scanned.value("--format") ?? "table"
    guard format == "table" || format == "json" else {
      throw ArgumentScanner.UsageError(description: "--format is '\(format)', expected table or json")
    }
    let interval = try AgentConfiguration.interval(scanned.value("--interval") ?? "1s")
    let specifications = try AgentConfiguration.sources(scanned.values["--source"] ?? [])
    let report = SampleReport.take(try SourceSet(specifications, interval: interval), interval: interval)
    print(format == "json" ? report.json() : report.table(), terminator: "")
  }

  // MARK: run

  private static func run(_ arguments: [String]) throws {
    let renamed = SettingKey.renaming(arguments, keys: AgentConfiguration.keys)
    let scanned = try ArgumentScanner(renamed.arguments, options: AgentConfiguration.options + [DrillLog.option])
    try scanned.refuseOperands()
    let configuration = try AgentConfiguration(scanned, warnings: renamed.warnings)
    // Sources are made before anything starts: a recording that cannot be read ends the agent here.
    let sources = try SourceSet(configuration.sources, interval: configuration.interval)
    if scanned.has("--check-config") { return sayChecked(configuration) }
    let log = AgentLog(level: configuration.logLevel)
    for warning in configuration.settings.warnings { log.warning("config", warning) }
    let signals = SignalWait()
    // For all threads: they inherit it.
    if setpriority(__priority_which_t(UInt32(PRIO_PROCESS.rawValue)), 0, configuration.niceness) != 0 {
      log.warning("agent", "cannot stand back for other programs (nice \(configuration.niceness)): error \(errno)")
    }
    let delay = SendSpread.nanoseconds(node: configuration.node, interval: configuration.interval)
    guard let queue = RowQueue(delayNanoseconds: delay, onEvent: { log.write($0.level, "sampling", "\($0)") }) else {
      throw Invalid(description: "no descriptors left; raise ulimit -n")
    }
    let context = try Context()
    let uplink = try Uplink(
      configuration, context: context, spool: openSpool(configuration, log), queue: queue, log: log)
    var sink: any SampleSink = queue
    if let file = scanned.value(DrillLog.option.name) { sink = try DrillLog(path: file, next: queue) }
    let gpuSources = sources.sources.filter(\.holdsGPUs).map(\.name)
    let sampler = Sampler(sources, interval: configuration.interval, ticks: uplink, sink: sink)
    log.info(
      "agent",
      "bongsu-agent \(Release.version) samples node \(configuration.node) every "
        + "\(configuration.interval.milliseconds) ms for "
        + configuration.endpoints.map(\.description).joined(separator: ", "))
    let thread = AgentThread("uplink") { uplink.run() }
    sampler.start()
    let control = AgentControl(configuration, sampler: sampler, uplink: uplink, gpuSources: gpuSources, log: log)
    var watch = AgentWatch(configuration, scanned, control: control, uplink: uplink, log: log)
    while watch.turn(signals) { sampler.setSpoolBytes(uplink.spoolByteCount) }
    log.info(
      "agent",
      configuration.spoolDirectory == nil
        ? "stopping; there is no --spool directory, so what is not acknowledged ends with this process"
        : "stopping; what is not acknowledged goes to the spool")
    sampler.stop()
    uplink.requestStop()
    thread.join()
    context.shutdown()
  }

  private static func sayChecked(_ configuration: AgentConfiguration) {
    for warning in configuration.settings.warnings { program.complain("warning: \(warning)") }
    print(
      "the settings can be used: node \(configuration.node), every \(configuration.interval.milliseconds) ms, to "
        + configuration.endpoints.map(\.description).joined(separator: ", ")
        + ", from \(configuration.settings.file ?? "no file")")
  }

  private static func openSpool(_ configuration: AgentConfiguration, _ log: AgentLog) -> Spool {
    let limits = SpoolLimits(diskBytesMax: configuration.spoolBytesMax)
    let salt = UInt32.random(in: 1...(.max))
    guard let directory = configuration.spoolDirectory else { return Spool(disk: nil, limits: limits, salt: salt) }
    do {
      return Spool(disk: try PosixDisk(path: directory), limits: limits, salt: salt)
    } catch {
      // A lost spool never prevents the start.
      log.error("spool", "\(error); unsent samples are kept in memory alone")
      return Spool(disk: nil, limits: limits, salt: salt)
    }
  }
}

extension SamplingEvent {
  /// How urgent the news is.
  fileprivate var level: AgentLog.Level {
    switch self {
    case .source(_, .available): .info
    default: .warning
    }
  }
}
