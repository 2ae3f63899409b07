import ArgumentParser
import BongsuAPI
import BongsuAdmission
import BongsuEnrolment
import BongsuFleet
import BongsuIngest
import BongsuMetrics
import BongsuModel
import BongsuProcess
import BongsuRollup
import BongsuStore
import BongsuTransport
import CBongsuPlatform
import Foundation
import Logging
import ServiceLifecycle
import UnixSignals

/// `bongsu-aggregator`: takes what agents send, makes it durable, rolls it up, answers questions.
@main
struct AggregatorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bongsu-aggregator",
    abstract: "Takes samples from agents, stores them durably, rolls them up per AI factory and national allocation.",
    discussion: """
      Example:
        bongsu-aggregator --fleet ops/fleets/korea.yaml --data /var/lib/bongsu
        bongsu-aggregator --fleet fleet.yaml --data /var/lib/bongsu --listen 0.0.0.0:7420 --advertise bongsu.example.kr

      Beyond loopback agents are encrypted and have to join first, with a string of bongsu join-token create. The key \
      that nodes know this aggregator by is made at the first start, in DATA/keys/server.key: back it up, keep it secret.
      """,
    version: Release.version)

  @Option(
    help: """
      Read settings from this file; options and BONGSU_AGGREGATOR_… variables win over it. (default: \
      /etc/bongsu/aggregator.conf, if any)
      """)
  var config: String?

  @Flag(name: .customLong("check-config"), help: "Say whether the settings can be used, and end.")
  var checkConfig = false

  @Option(help: "The fleet file: factories, halls, racks, nodes, allocations.")
  var fleet: String

  @Option(help: "Directory of everything that is stored.")
  var data: String

  @Option(
    help: """
      Where agents connect, HOST:PORT; may be repeated: each address has a receiver thread of its own, and machines that \
      join are spread over them. (default: 127.0.0.1:7420)
      """)
  var listen: [String] = []

  @Option(
    name: .customLong("enrol-listen"),
    help: "Where machines join when agents are encrypted, HOST:PORT. (default: the host of --listen, port 7421)")
  var enrolListen: String?

  @Option(
    help: """
      Name or address by which other machines reach this one, for join strings; may be repeated. (default: the host of \
      --enrol-listen, or this machine's name)
      """)
  var advertise: [String] = []

  @Flag(help: "Encrypt and authenticate agents on loopback too. Beyond loopback that is the default.")
  var secure = false

  @Option(help: "Where HTTP is served, HOST:PORT.")
  var http = "127.0.0.1:7480"

  @OptionGroup(title: "HTTP access") var access: AccessOptions

  @Option(help: "Read the web page's files from this folder instead of those built in, for work on the page.")
  var page: String?

  @OptionGroup(title: "Alarms") var alarms: AlertOptions

  @Option(help: "Threads that decode and roll up; fixed for the life of a data directory.")
  var shards = 1

  @Option(
    name: .customLong("rollup-interval"),
    help: """
      Milliseconds between rollups, 100 to 1000, a divisor of 1000: how often rules can look at power. Below 1000 for up \
      to 2,000 GPUs whose agents sample as often.
      """)
  var rollupInterval = 1000

  @OptionGroup(title: "Storage") var storage: StorageOptions

  @Option(name: .customLong("connections-max"), help: "Agents that may be connected at once.")
  var connectionsMax = 20_000

  @Flag(
    name: .customLong("demo-in-service"),
    help: "Count halls that are only planned as in service, for demonstrations.")
  var demoInService = false

  @Flag(
    name: .customLong("allow-insecure-listen"),
    help: """
      Listen beyond loopback without encryption, and let other machines read without a token: HTTP, and agents unless \
      --secure is given. Only on a network you trust.
      """)
  var allowInsecureListen = false

  @Option(
    name: .customLong("log-level"), help: "trace, debug, info, notice, warning, error or critical.",
    transform: { text in
      guard let level = Logger.Level(rawValue: text) else {
        throw ValidationError("'\(text)' is none of trace, debug, info, notice, warning, error, critical")
      }
      return level
    })
  var logLevel: Logger.Level = .info

  static func main() async {
    // Usage errors end with 2, as everywhere in Bongsu; the parser's own choice is 64.
    do {
      let (given, warnings) = SettingKey.renaming(
        Array(CommandLine.arguments.dropFirst()), keys: AggregatorSettings.keys)
      let settings = try AggregatorSettings.read(given, warnings: warnings)
      var command = try parseAsRoot(AggregatorSettings.arguments(given, completedBy: settings))
      if let command = command as? AggregatorCommand {
        try await command.run(settings, given)
      } else {
        try command.run()
      }
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
    _ = try listenAddresses()
    _ = try Address(http, option: "--http")
    _ = try enrolAddress()
    if let odd = advertise.first(where: { HostPort(host: $0, port: 1) == nil || $0.isEmpty }) {
      throw ValidationError("--advertise is '\(odd)', expected a name or address without port")
    }
    guard advertise.count <= EnrolmentLimits.endpointsMax else {
      throw ValidationError("--advertise is given \(advertise.count) times, at most \(EnrolmentLimits.endpointsMax)")
    }
    guard (1...IngestLimits.shardsMax).contains(shards) else {
      throw ValidationError("--shards is \(shards), must be 1 to \(IngestLimits.shardsMax)")
    }
    guard (100...1000).contains(rollupInterval), 1000 % rollupInterval == 0 else {
      throw ValidationError(
        "--rollup-interval is \(rollupInterval), must be a divisor of 1000 from 100 to 1000, such as 100")
    }
    _ = try alarms.configuration(http: Address(http, option: "--http"), isEncrypted: access.encryption != nil)
    guard connectionsMax > 0 else {
      throw ValidationError("--connections-max is \(connectionsMax), must be at least 1")
    }
  }

  private func run(_ settings: Settings, _ arguments: [String]) async throws {
    if checkConfig { return try sayChecked(settings) }
    // What is formed and packed takes much memory for some seconds, on one thread after the other.
    _ = bongsu_limit_arenas(4)
    let threshold = LogThreshold(logLevel)
    LoggingSystem.bootstrap { ThresholdLogHandler(label: $0, threshold: threshold) }
    let logger = Logger(label: "bongsu-aggregator")
    for warning in settings.warnings { logger.warning("\(warning)") }
    let options = FleetOptions(demoInService: demoInService)
    let fleetFile = FleetFile(path: fleet, options: options)
    let tree = try fleetFile.usableTree()
    let listen = try listenAddresses()
    let http = try Address(http, option: "--http")
    let connections = allowedConnections(logger)
    try DataDirectory.prepare(data, shards: shards) { logger.warning("\($0)") }
    let registry = MetricRegistry()
    let failure = FailureSignal()
    var ingest = IngestConfiguration(
      listen: listen.map { "tcp://\($0)" }, journalDirectory: "\(data)/journal", connectionsMax: connections)
    ingest.shards = shards
    if let interval = TickInterval(milliseconds: rollupInterval) { ingest.rollupInterval = interval }
    let context = try Context(ioThreads: listen.count)
    let isBeyondLoopback = !listen.allSatisfy(\.isLoopback)
    let isSecure = secure || (isBeyondLoopback && !allowInsecureListen)
    let register = try AgentGate.openRegistry(directory: data, logger: logger)
    let gate =
      isSecure ? try AgentGate(directory: data, registry: register, metrics: registry) { logger.warning("\($0)") } : nil
    try gate?.guardSockets(of: context, &ingest)
    let store = try openStore(tree, logger)
    let engine = IngestEngine(
      ingest, tree: tree, context: context, registry: registry, keeper: HistoryKeeper(store: store)
    ) { reason in
      failure.fail(reason)
    }
    let history = store.rawHistory { body in try engine.readingJournals(body) != nil }
    let live = LiveAnswers(engine: engine, tree: tree, keys: gate?.registrar.table, registry: registry)
    let enrolment = try gate.map { try enrolmentService($0, context, engine, logger) }
    let control: any EnrolmentControl =
      gate.map { EnrolmentAnswers(registrar: $0.registrar, engine: engine, live: live) } ?? NoEnrolment()
    if !isSecure, isBeyondLoopback {
      logger.warning("agents are neither encrypted nor authenticated: --allow-insecure-listen")
    }
    let own = OwnSeries(registry: registry)
    let catalogue = RollupCatalogue(engine.plan)
    let alarms = Alarms(plan: engine.plan, catalogue: catalogue)
    let demand = DemandHistory(feed: alarms.feed, tiers: store.tiers, tree: tree)
    do { try demand.restore() } catch {
      logger.warning("demand of the running quarter-hour begins anew, stored rollups cannot be read: \(error)")
    }
    let series = AggregatorSeries(
      parts: [
        TieredRollups(
          newest: NewestRollups(
            catalogue: catalogue, newest: { engine.newest?.closed }, recent: { engine.recentTicks.ticks(in: $0) }),
          tiers: store.tiers, oldestRecent: { engine.recentTicks.extent?.lowerBound }),
        MeterDemand(
          catalogue: catalogue, newest: { engine.newest?.closed.tick }, outlook: { alarms.feed.outlook($0) },
          course: { alarms.feed.course(of: $0, in: $1) }),
        own,
      ] + alarms.parts + [
        DeviceSeries(
          live: LiveSeries(engine: engine, tree: tree), stored: StoredSeries(history: history, tree: tree),
          start: Tick(unixMilliseconds: Int64(Date().timeIntervalSince1970 * 1000)))
      ])
    let runner = try alarms.runner(
      self.alarms.configuration(http: http, isEncrypted: access.encryption != nil), directory: data, others: series,
      logger: logger)
    let stored = HistoryAnswers(
      store: store, directory: data, ledger: LedgerAnswers(tiers: store.tiers, plan: engine.plan))
    let tierKeeper = TierKeeper(
      store: store.tiers, fleet: TierKeeper.Fleet(engine.plan, text: fleetFile.text, options: options),
      retention: store.tierRetention,
      formed: { minute in
        do { try demand.minuteFormed(minute) } catch {
          logger.warning("demand does not follow stored rollups: \(error)")
        }
      }, stays: { TierService.say(stays: $0, $1, to: logger) }, rows: { try history.forEachRun($0, $1) })
    TierService.addMetrics(of: tierKeeper, to: registry)
    do { try stored.logForecast(to: logger) } catch {
      logger.warning("what history will take on disk is not known: \(error)")
    }
    let api = try BongsuService(
      configuration: access.configuration(http, allowsInsecureListen: allowInsecureListen, page: page),
      sources: APISources(
        live: live, enrolment: control,
        export: RawExporter(history: history, labels: SeriesLabels(tree: tree), logger: logger),
        gaps: GapAnswers(history: store.history, tree: tree),
        tokens: AccessAnswers(tokens: try AccessTokens(registry: register)),
        history: stored, fleet: FleetAnswers(keeper: tierKeeper, tree: tree, registry: register),
        reports: UsageAnswers(
          tree: tree, tiers: store.tiers, ledger: stored,
          signer: try ReportKeyFile.signer(directory: data) { logger.warning("\($0)") }),
        backup: BackupAnswers(engine: engine, directory: data), series: series, alerts: runner,
        page: PageAnswers(
          engine: engine, catalogue: catalogue, outlook: { alarms.feed.outlook($0) },
          startedUnixMilliseconds: live.startedUnixMilliseconds),
        metadata: SeriesMetadata.all(registry)),
      metrics: registry, logger: logger)
    if demoInService { logger.notice("planned halls count as in service: --demo-in-service") }
    // Each has a name of its own: otherwise it is made of all that a service holds, the fleet included, for seconds.
    let services = ServiceGroup(
      configuration: ServiceGroupConfiguration(
        services: [
          .init(service: IngestService(engine: engine, logger: logger), serviceName: "ingest"),
          .init(service: api, serviceName: "http"),
          .init(service: LiveClock(live: live, engine: engine, logger: logger), serviceName: "clock"),
          .init(service: OwnSeriesClock(own: own), serviceName: "own series"),
          .init(service: failure, serviceName: "failure"),
          .init(
            service: TierService(engine: engine, store: store, keeper: tierKeeper, demand: demand, logger: logger),
            serviceName: "tiers"),
          .init(
            service: AlertService(runner: runner, feed: alarms.feed, engine: engine, tree: tree, logger: logger),
            serviceName: "alerts"),
          .init(
            service: ServiceManager(
              engine: engine, api: api, settings: settings, arguments: arguments, threshold: threshold, logger: logger),
            serviceName: "service manager"),
        ] + (enrolment.map { [.init(service: $0, serviceName: "enrolment")] } ?? []),
        gracefulShutdownSignals: [.sigterm, .sigint], logger: logger
      ))
    try await services.run()
    context.shutdown()
  }

  private func sayChecked(_ settings: Settings) throws {
    for warning in settings.warnings { FileHandle.standardError.write(Data("warning: \(warning)\n".utf8)) }
    let tree = try FleetFile(path: fleet, options: FleetOptions(demoInService: demoInService)).usableTree()
    try access.configuration(Address(http, option: "--http"), allowsInsecureListen: allowInsecureListen, page: page)
      .check()
    print(
      "the settings can be used: fleet \(fleet) with \(tree.nodes.count) nodes, data in \(data), agents at \(try listenAddresses().map(\.description).joined(separator: " ")), "
        + "HTTP at \(http), from \(settings.file ?? "no file")")
  }

  private func openStore(_ tree: FleetTree, _ logger: Logger) throws -> DataKeeper {
    let settings = try storage.settings(directory: data)
    logger.info(
      "raw history",
      metadata: ["bytes_max": "\(settings.rawBytesMax)", "journal_bytes_max": "\(settings.journalBytesMax)"])
    return try DataKeeper(directory: data, shards: shards, settings: settings) { logger.warning("\($0)") }
  }

  private func enrolmentService(
    _ gate: AgentGate, _ context: Context, _ engine: IngestEngine, _ logger: Logger
  ) throws -> EnrolmentService {
    let address = try enrolAddress()
    let places = try AdvertisedPlaces(
      listen: try listenAddresses(), enrolListen: address, hosts: advertise)
    let server = try EnrolmentServer(
      in: context, listen: "tcp://\(address)", keys: gate.keys, registrar: gate.registrar
    ) { node in engine.setRevoked(false, node) }
    return EnrolmentService(
      gate: gate, server: server, engine: engine,
      places: { places.places(enrolmentPort: $0, ingestPorts: $1) }, logger: logger)
  }

  private func enrolAddress() throws -> Address {
    if let enrolListen { return try Address(enrolListen, option: "--enrol-listen") }
    return try Address("\(listenAddresses()[0].host):7421", option: "--enrol-listen")
  }

  /// Where agents connect, at least one address, none twice.
  private func listenAddresses() throws -> [Address] {
    let addresses = try (listen.isEmpty ? ["127.0.0.1:7420"] : listen).map { try Address($0, option: "--listen") }
    guard addresses.count <= IngestLimits.receiversMax else {
      throw ValidationError("--listen is given \(addresses.count) times, at most \(IngestLimits.receiversMax)")
    }
    var seen: Set<String> = []
    for address in addresses where address.port != 0 && !seen.insert("\(address)").inserted {
      throw ValidationError("--listen \(address) is given twice; each address has a receiver of its own")
    }
    return addresses
  }

  /// How many agents the descriptor limit lets in, with a warning when that is fewer than asked for.
  private func allowedConnections(_ logger: Logger) -> Int {
    let reserve = TransportLimits.descriptorReserve + AdmissionLimits.enrolmentConnectionsMax
    let limit = DescriptorLimit.raise(toHold: connectionsMax + reserve)
    guard !limit.isEnough else { return connectionsMax }
    let allowed = max(1, limit.soft - reserve)
    logger.warning("\(limit); at most \(allowed) agents can connect")
    return allowed
  }
}

/// The release this program was built as.
enum Release {
  static let version = "0.1.0"
}

/// Something that keeps the aggregator from starting; exit status 1.
struct StartFailure: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}

/// Where to listen.
struct Address: CustomStringConvertible {
  let host: String
  let port: Int

  init(_ text: String, option: String) throws {
    guard let colon = text.lastIndex(of: ":"), colon != text.startIndex,
      let port = Int(text[text.index(after: colon)...]),
      (0...65_535).contains(port)
    else {
      throw ValidationError("\(option) is '\(text)', expected HOST:PORT such as 127.0.0.1:7420")
    }
    host = String(text[..<colon])
    self.port = port
  }

  var description: String { "\(host):\(port)" }

  /// Whether every address of this machine is meant.
  var isWildcard: Bool { ["*", "0.0.0.0", "::", "[::]"].contains(host) }

  var isLoopback: Bool { host == "localhost" || host == "[::1]" || host == "::1" || host.hasPrefix("127.") }
}
