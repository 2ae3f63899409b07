public import BongsuMetrics
internal import BongsuQuery
internal import BongsuReports
internal import Hummingbird
internal import HummingbirdCore
internal import HummingbirdTLS
public import Logging
internal import NIOCore
internal import NIOSSL
public import ServiceLifecycle

/// The HTTP side of the aggregator as one service: listens when run, stops taking requests on graceful shutdown and
/// lets those in progress end.
///
///     let http = try BongsuService(configuration: configuration, sources: sources, metrics: registry, logger: logger)
///     try await ServiceGroup(services: [http], logger: logger).run()
public struct BongsuService: Service {
  private let configuration: APIConfiguration
  private let responder: RouterResponder<APIRequestContext>
  private let certificate: ServerCertificate?
  private let hub: LiveHub?
  private let logger: Logger
  private let onListening: @Sendable (_ port: Int) async -> Void

  /// Checks the configuration and builds the routes; nothing listens yet.
  ///
  /// `onListening` is called once with the port, which the system chose when the configured one is 0.
  public init(
    configuration: APIConfiguration, sources: APISources, metrics: MetricRegistry, logger: Logger,
    onListening: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
  ) throws(APIConfigurationError) {
    try configuration.validate()
    self.configuration = configuration
    self.logger = logger
    self.onListening = onListening
    if let files = configuration.encryption {
      let certificate = try ServerCertificate(files)
      self.certificate = certificate
      metrics.gauge(
        "bongsu_http_certificate_expiry_timestamp_seconds",
        help: "When the HTTP server's certificate ends, seconds since 1970", unit: .seconds
      ) { Double(certificate.expirySeconds) }
    } else {
      certificate = nil
    }
    let gate = AccessGate(
      token: configuration.adminToken, tokens: sources.tokens, requiresToken: configuration.requiresToken,
      isOpenToRead: configuration.isOpenToRead)
    var table = RouteTable(gate: gate, isEncrypted: certificate != nil, requestsMax: configuration.requestsMax)
    AccessRoutes(control: sources.tokens, gate: gate, isEncrypted: certificate != nil).install(in: &table)
    OperationRoutes(live: sources.live, metrics: metrics).install(in: &table)
    StateRoutes(live: sources.live).install(in: &table)
    EnrolmentRoutes(control: sources.enrolment, live: sources.live).install(in: &table)
    ExportRoutes(source: sources.export).install(in: &table)
    GapRoutes(source: sources.gaps).install(in: &table)
    HistoryRoutes(source: sources.history).install(in: &table)
    FleetRoutes(control: sources.fleet).install(in: &table)
    BackupRoutes(source: sources.backup).install(in: &table)
    ReportRoutes(source: sources.reports).install(in: &table)
    AlertRoutes(alerts: sources.alerts).install(in: &table)
    RuleRoutes(alerts: sources.alerts).install(in: &table)
    var engineOptions = QueryEngine.Options()
    engineOptions.opensRangesLeft = configuration.opensRangesLeft
    PrometheusRoutes(
      series: sources.series, metadata: sources.metadata, version: configuration.version, engineOptions: engineOptions
    ).install(in: &table)
    let hub = sources.page.map { LiveHub(source: $0, alerts: sources.alerts, logger: logger) }
    self.hub = hub
    LiveRoutes(hub: hub).install(in: &table)
    PageRoutes(directory: configuration.pageDirectory).install(in: &table)
    if let hub {
      metrics.gauge("bongsu_http_viewers", help: "Pages that watch") { [hub] in Double(hub.viewerCount) }
    }
    var counters = HTTPMetrics(in: metrics)
    responder = table.router(counting: &counters).buildResponder()
  }

  /// Reads certificate and key again; new connections get them. What cannot be used leaves those of before in place.
  ///
  /// - Returns: when the certificate ends, seconds since 1970; `nil` for plain HTTP.
  public func reloadCertificate() throws(APIConfigurationError) -> Int64? {
    guard let certificate else { return nil }
    try certificate.reload()
    return certificate.expirySeconds
  }

  /// Serves until the task is cancelled or a graceful shutdown is asked for.
  ///
  /// Throws ``APIServerError`` when the address cannot be listened on.
  public func run() async throws {
    let listening = onListening
    let logger = logger
    let patience = configuration.patience
    let connections = HTTP1Channel.Configuration(
      additionalChannelHandlers: [ConnectionPatience(patience)], idleTimeout: TimeAmount(patience.idle),
      httpDecoderConfiguration: .init(
        maxHeaderFieldSize: APILimits.headerBytesMax, maxHeaderListSize: APILimits.headerBytesMax,
        maxHeaderFieldCount: APILimits.headerFieldsMax))
    let plain = HTTPServerBuilder { responder in
      AcceptedConnections(http: HTTP1Channel(responder: responder, configuration: connections))
    }
    let application = Application(
      responder: responder,
      server: try certificate.map { try .tls(plain, tlsConfiguration: $0.configuration()) } ?? plain,
      configuration: ApplicationConfiguration(
        address: .hostname(configuration.host, port: configuration.port), serverName: "bongsu/\(configuration.version)",
        availableConnectionsDelegate: .maximum(configuration.connectionsMax, logger: logger)),
      onServerRunning: { channel in
        let port = channel.localAddress?.port ?? 0
        logger.info("http listening", metadata: ["port": "\(port)"])
        await listening(port)
      },
      logger: logger)
    do {
      // Not waited for at the end: a question to a shard that has stopped meanwhile gets no answer.
      let watching = hub.map { hub in Task { await hub.run() } }
      defer { watching?.cancel() }
      // Streams have no end of their own: they end when a stop is asked for, before requests in progress are waited for.
      try await withGracefulShutdownHandler {
        try await application.run()
      } onGracefulShutdown: { [hub] in
        hub?.close()
      }
    } catch let error as IOError {
      throw APIServerError.cannotListen(host: configuration.host, port: configuration.port, errno: error.errnoCode)
    }
  }
}

/// Why the server could not start.
public enum APIServerError: Error, Hashable, Sendable, CustomStringConvertible {
  case cannotListen(host: String, port: Int, errno: Int32)

  public var description: String {
    switch self {
    case .cannotListen(let host, let port, let errno):
      "http cannot listen on \(host):\(port), errno \(errno); is another aggregator running? choose another address"
    }
  }
}
