import ArgumentParser
import BongsuAPI
import BongsuIngest
import BongsuProcess
import Foundation
import Logging
import ServiceLifecycle
import Synchronization
import UnixSignals

/// The log level of the whole process; changes when the settings are read again.
///
/// Thread rule: any thread.
final class LogThreshold: Sendable {
  private let level: Mutex<Logger.Level>

  init(_ level: Logger.Level) { self.level = Mutex(level) }

  var current: Logger.Level {
    get { level.withLock { $0 } }
    set { level.withLock { $0 = newValue } }
  }
}

/// A log handler that asks a shared threshold, so that copies held by services follow a change.
struct ThresholdLogHandler: LogHandler {
  private var handler: StreamLogHandler
  private let threshold: LogThreshold

  init(label: String, threshold: LogThreshold) {
    handler = StreamLogHandler.standardError(label: label)
    // The threshold alone decides.
    handler.logLevel = .trace
    self.threshold = threshold
  }

  var logLevel: Logger.Level {
    get { threshold.current }
    set { threshold.current = newValue }
  }

  var metadata: Logger.Metadata {
    get { handler.metadata }
    set { handler.metadata = newValue }
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { handler[metadataKey: key] }
    set { handler[metadataKey: key] = newValue }
  }

  func log(event: LogEvent) { handler.log(event: event) }
}

/// What the service manager hears and says: ready, alive, read your settings again.
struct ServiceManager: Service {
  let engine: IngestEngine
  let api: BongsuService
  let settings: Settings
  let arguments: [String]
  let threshold: LogThreshold
  let logger: Logger
  private let notifier = ServiceNotifier()

  init(
    engine: IngestEngine, api: BongsuService, settings: Settings, arguments: [String], threshold: LogThreshold,
    logger: Logger
  ) {
    self.engine = engine
    self.api = api
    self.settings = settings
    self.arguments = arguments
    self.threshold = threshold
    self.logger = logger
  }

  func run() async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { await cancelWhenGracefulShutdown { await report() } }
      group.addTask { await cancelWhenGracefulShutdown { await reload() } }
      try await group.waitForAll()
    }
    notifier.stopping("writing what was received")
  }

  /// Says that the aggregator is ready once agents can connect, and that it is alive.
  private func report() async {
    let pause = min(1, notifier.aliveSecondsMax ?? 1)
    var isReady = false
    while !Task.isCancelled {
      if !isReady, engine.endpoints != nil {
        isReady = true
        notifier.ready(readiness)
      }
      // Until then the replay of the journal works, whose length nobody knows beforehand.
      if !isReady { notifier.status("replaying the journal") }
      notifier.alive()
      try? await Task.sleep(for: .seconds(pause))
    }
  }

  private var readiness: String { "taking agents at \(engine.endpoints?.joined(separator: " ") ?? "")" }

  private func reload() async {
    var last = settings
    for await _ in await UnixSignalsSequence(trapping: .sighup) {
      if Task.isCancelled { return }
      notifier.reloading()
      take(&last)
      reloadCertificate()
      notifier.ready(readiness)
    }
  }

  private func reloadCertificate() {
    do {
      guard let expiry = try api.reloadCertificate() else { return }
      let date = Date(timeIntervalSince1970: Double(expiry)).formatted(.iso8601)
      logger.notice("the certificate of HTTP was read again", metadata: ["valid_until": "\(date)"])
    } catch {
      logger.error("the certificate of HTTP is left as it was: \(error)")
    }
  }

  private func take(_ last: inout Settings) {
    let fresh: Settings
    let command: AggregatorCommand
    do {
      fresh = try AggregatorSettings.read(arguments)
      command = try AggregatorCommand.parse(AggregatorSettings.arguments(arguments, completedBy: fresh))
    } catch {
      logger.error("the settings are left as they were: \(AggregatorCommand.message(for: error))")
      return
    }
    for warning in fresh.warnings { logger.warning("\(warning)") }
    var isAsBefore = true
    for key in AggregatorSettings.keys {
      // What takes a restart is compared with the start, so that it is said again until there was one.
      guard !fresh.changes(since: key.reloads ? last : settings, keys: [key]).isEmpty else { continue }
      isAsBefore = false
      if key.reloads {
        logger.notice("\(key.name) is \(fresh.value(key.name) ?? "the default") now")
      } else {
        logger.warning("\(key.name) has changed (\(fresh.origin(key.name))); it takes a restart")
      }
    }
    if isAsBefore { logger.notice("the settings are as they were") }
    threshold.current = command.logLevel
    last = fresh
  }
}
